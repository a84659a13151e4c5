/** Runs other programs: finds them on PATH, reads their output by line, and never waits without an end. */
import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';

/** How a program ended, with everything it said. */
export interface CommandResult {
  code: number | null;
  stdout: string;
  /** Standard output and standard error together, in order of arrival. */
  output: string;
}

/** Options of `runCommand`. */
export interface CommandOptions {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Milliseconds after which the program is killed. Ten minutes by default: a slow machine compiles in four. */
  timeoutMs?: number;
  /** Called with each line of either stream. */
  onLine?: (line: string) => void;
}

/** The absolute path of a program on PATH, or undefined. */
export async function findOnPath(command: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const candidate = join(folder, command);
    if (await isExecutable(candidate)) return candidate;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Runs a program to its end. A program that cannot be started or is killed ends with code null. */
export function runCommand(command: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { env, cwd, timeoutMs = 600_000, onLine } = options;
  // Unlike spawn's own timeout, this one holds no event loop open after a program that could not be started.
  const signal = AbortSignal.timeout(timeoutMs);
  const child = spawn(command, args, { env, cwd, signal, stdio: ['ignore', 'pipe', 'pipe'] });
  const stdout: string[] = [];
  const output: string[] = [];
  const take = (line: string) => {
    output.push(line);
    onLine?.(line);
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    stdout.push(line);
    take(line);
  });
  createInterface({ input: child.stderr }).on('line', take);
  return new Promise((resolve) => {
    const end = (code: number | null) => resolve({ code, stdout: stdout.join('\n'), output: output.join('\n') });
    child.on('error', (error) => {
      output.push(signal.aborted ? `no end within ${timeoutMs} ms` : error.message);
      end(null);
    });
    child.on('close', end);
  });
}

/**
 * Runs a program that has to succeed.
 * @throws Error with the last lines the program said.
 */
export async function mustRun(command: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  const result = await runCommand(command, args, options);
  if (result.code === 0) return result;
  throw new Error(`${command} ${args[0] ?? ''} ended with ${result.code ?? 'a signal'}: ${lastLines(result.output)}`);
}

/** The last lines of an output on one line, short enough for an error message. */
export function lastLines(output: string, count = 3): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-count).join(' / ').slice(-600) || 'it said nothing';
}
