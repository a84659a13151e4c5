/**
 * A process of ours that works on demand: it makes load for a server, or is itself what is measured, as a library is.
 *
 * It lives as long as the race, so that compilers and connections are warm and a slot holds nothing but the work. It
 * reads tasks from standard input and writes efforts to standard output, one line of JSON each.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Program } from './program.ts';

const ANSWER_PATIENCE_MS = 120_000;

/** What to do in one slot. A benchmark may add what its drivers have to know. */
export interface Task {
  seconds: number;
  /** The same for all who are compared, so that they get the same keys in the same order. */
  seed: number;
}

/** A process that works off tasks of a kind and says what each came to. */
export interface Driver<T, E> {
  readonly pid: number;
  /** @throws Error when the work failed or the process ended. */
  work(task: T): Promise<E>;
  stop(): Promise<void>;
}

/**
 * Starts a driver of ours and waits until it is ready.
 * @param file - Its main file, which calls `workOff`.
 * @param words - Its arguments.
 */
export function startDriver<T, E>(file: string, words: readonly string[], flags: string[] = []): Promise<Driver<T, E>> {
  return startProgramDriver({ command: process.execPath, env: {} }, [...flags, file, ...words]);
}

/** The same with any program that speaks as `workOff` does. */
export async function startProgramDriver<T, E>({ command, env }: Program, args: string[]): Promise<Driver<T, E>> {
  const file = args.find((word) => word.endsWith('.ts')) ?? command;
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const abandon = () => child.kill('SIGKILL');
  process.on('exit', abandon);
  child.once('exit', () => process.off('exit', abandon));
  // What it cannot read any more is told by its end.
  child.stdin!.on('error', () => {});
  const nextLine = lineReader(child, file);
  await nextLine();
  return {
    pid: child.pid!,
    async work(task) {
      child.stdin!.write(`${JSON.stringify(task)}\n`);
      const answer = JSON.parse(await nextLine()) as E | { fault: string };
      if (isFault(answer)) throw new Error(`${file}: run void: ${answer.fault}`);
      return answer;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin!.end();
      const patience = setTimeout(abandon, 5_000);
      await ended;
      clearTimeout(patience);
    },
  };
}

function isFault(answer: unknown): answer is { fault: string } {
  return typeof answer === 'object' && answer !== null && 'fault' in answer;
}

/** Hands out the lines of a process one by one. */
function lineReader(child: ChildProcess, file: string): () => Promise<string> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const ended = new Promise<[code: number | null, signal: string | null]>((resolve) => {
    child.once('exit', (code, signal) => resolve([code, signal]));
  });
  return async () => {
    let patience: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      patience = setTimeout(() => reject(new Error(`${file} does not answer`)), ANSWER_PATIENCE_MS);
    });
    const { value, done } = await Promise.race([lines.next(), late]).finally(() => clearTimeout(patience));
    if (done) throw new Error(`${file} ended (${(await ended).join(' ').trim()})`);
    return value;
  };
}
