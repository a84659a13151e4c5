/**
 * A process of ours that works on demand: it makes load for a server, or is itself what is measured, as a library is.
 *
 * It lives as long as the race, so that compilers and connections are warm and a slot holds nothing but the work. It
 * reads tasks from standard input and writes efforts to standard output, one line of JSON each.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const ANSWER_PATIENCE_MS = 120_000;

/** What to do in one slot. */
export interface Task {
  seconds: number;
  /** The same for all who are compared, so that they get the same keys in the same order. */
  seed: number;
}

/** What one slot came to. */
export interface Effort {
  decisions: number;
  elapsedMs: number;
  p50Ms?: number;
  p99Ms?: number;
  /** Of what was measured for memory instead of speed. */
  bytesPerKey?: number;
}

/** A process that works off tasks. */
export interface Driver {
  readonly pid: number;
  /** @throws Error when the work failed or the process ended. */
  work(task: Task): Promise<Effort>;
  stop(): Promise<void>;
}

/**
 * Starts a driver and waits until it is ready.
 * @param file - Its main file, which calls `workOff`.
 * @param words - Its arguments.
 */
export async function startDriver(file: string, words: readonly string[], flags: string[] = []): Promise<Driver> {
  const child = spawn(process.execPath, [...flags, file, ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
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
      const answer = JSON.parse(await nextLine()) as Effort | { fault: string };
      if ('fault' in answer) throw new Error(`${file} ${words.join(' ')}: run void: ${answer.fault}`);
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
