/** A worker as a process of its own: to block, to stop by a signal, and to kill. Says on standard output what it does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Worker } from '../src/worker.ts';

const { WORKER_OPTIONS = '{}', WORKER_STOP_MS = '0' } = process.env;

/** What a job's data asks for. */
interface Wish {
  /** Work that waits. */
  sleepMs?: number;
  /** Work that keeps the thread: nothing else runs. */
  blockMs?: number;
  /** Stop when the signal says so. */
  heeds?: boolean;
}

async function handler({ id, data, signal }: Job<Wish | null>): Promise<string> {
  const { sleepMs = 0, blockMs = 0, heeds = false } = data ?? {};
  say('begin', id);
  if (blockMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs);
  signal.addEventListener('abort', () => say('abort', id, (signal.reason as Error).name));
  await sleep(sleepMs, undefined, heeds ? { signal } : {});
  say('end', id);
  return 'done';
}

const worker = new Worker<Wish | null>({
  ...JSON.parse(WORKER_OPTIONS),
  handler,
  onEvent: (event) => say('event', event.type, 'state' in event ? event.state : '', JSON.stringify(event)),
});
process.once('SIGTERM', () => void worker.stop({ deadlineMs: Number(WORKER_STOP_MS) }));
void worker.stopped.then(() => say('stopped'));
say('ready');

function say(...words: string[]): void {
  process.stdout.write(`${words.join(' ')}\n`);
}
