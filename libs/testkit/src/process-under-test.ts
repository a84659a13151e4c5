/** A real process to talk to, listen to and kill, for tests of crashes and recovery. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onFileEnd } from './cleanup.ts';
import { eventually } from './eventually.ts';

/** What to run. */
export interface RunProcessOptions {
  /** A `.ts` or `.mjs` file, as a path or a file URL. */
  script: string | URL;
  args?: string[];
  /** Added to this process's environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** True: the process gets an IPC channel, which closes when this process dies. */
  ipc?: boolean;
}

/** A process that was started, with what it has said so far. */
export interface ProcessUnderTest {
  readonly pid: number;
  /** Lines of standard output and standard error, in order of arrival. */
  readonly lines: string[];
  readonly child: ChildProcess;
  /** Resolves when the process has ended and all it said was read. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** The first line, so far or yet to come, that matches. Throws with all lines when the process ends without it. */
  waitForLine(pattern: RegExp, timeoutMs?: number): Promise<string>;
  /** Sends a signal, SIGKILL by default, and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Runs a TypeScript file with the repository's Node. It is killed after this test file if it still runs. */
export function runProcess({ script, args = [], env = {}, cwd, ipc = false }: RunProcessOptions): ProcessUnderTest {
  const file = typeof script === 'string' ? script : fileURLToPath(script);
  const child = spawn(repositoryNode(), [file, ...args], {
    cwd,
    env: withoutUndefined({ ...process.env, NODE_OPTIONS: undefined, ...env }),
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on('line', (line) => lines.push(line));
  }
  return track(child, lines);
}

function track(child: ChildProcess, lines: string[]): ProcessUnderTest {
  let hasEnded = false;
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      hasEnded = true;
      resolve({ code, signal });
    });
  });
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    child.kill(signal);
    await exited;
  };
  onFileEnd(() => (hasEnded ? undefined : kill()));
  const waitForLine = async (pattern: RegExp, timeoutMs = 10_000) => {
    const found = await eventually(() => lines.find((line) => pattern.test(line)) ?? (hasEnded ? null : false), {
      timeoutMs,
    }).catch(() => null);
    if (found !== null) return found;
    throw new Error(
      `no line ${pattern} from pid ${child.pid}${hasEnded ? ' before it ended' : ''}:\n${lines.join('\n')}`,
    );
  };
  return { pid: child.pid as number, lines, child, exited, waitForLine, kill };
}

/** Jest may run on another Node; what is under test runs on the one the repository pins. */
function repositoryNode(): string {
  for (let dir = dirname(fileURLToPath(import.meta.url)); dir !== dirname(dir); dir = dirname(dir)) {
    const candidate = join(dir, 'node_modules', 'node', 'bin', 'node');
    if (existsSync(candidate)) return candidate;
  }
  return process.execPath;
}

function withoutUndefined(env: Record<string, string | undefined>): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}
