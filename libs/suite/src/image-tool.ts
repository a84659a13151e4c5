/** Runs the programs that images and clusters are made with: docker or buildah, kind, kubectl, helm. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { REPOSITORY } from './layout.ts';

/** One thing to do in the root of the repository. */
export interface Step {
  title: string;
  command: string[];
  /** Skipped when this ends well: what the step makes is there already. */
  unless?: string[];
  /** For the command's standard input. */
  input?: string;
}

/** What failed needs its last words, not the whole build. */
const LINES_OF_A_FAILURE = 40;

/** Those of the programs that are not on PATH. */
export function missingTools(names: string[], env: NodeJS.ProcessEnv): string[] {
  const folders = (env.PATH ?? '').split(delimiter).filter(Boolean);
  return names.filter((name) => !folders.some((folder) => isExecutable(join(folder, name))));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** How a program ended, with all it said on both its streams, in order of arrival. */
export interface Ending {
  code: number;
  output: string;
}

/** Runs a program to its end; one that cannot be started ends with 127. */
export function runTool([program = '', ...args]: string[], input?: string): Promise<Ending> {
  const child = spawn(program, args, { cwd: REPOSITORY, stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  // A program that reads nothing closes its input first.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/**
 * Runs a step unless what it makes is there.
 * @returns Its seconds; undefined when there was nothing to do.
 * @throws Error with the command and its last lines.
 */
export async function runStep(step: Step): Promise<number | undefined> {
  if (step.unless !== undefined && (await runTool(step.unless)).code === 0) return undefined;
  const startMs = performance.now();
  const { code, output } = await runTool(step.command, step.input);
  if (code === 0) return (performance.now() - startMs) / 1_000;
  const last = output.trimEnd().split('\n').slice(-LINES_OF_A_FAILURE).join('\n');
  throw new Error(`${last}\n${step.title}: "${step.command.join(' ')}" ended with ${code}.`);
}
