/** A processor for a sandbox: does what a job's data asks for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { FinalError, type Job } from '../../src/worker.ts';

type Wish = { do: 'square'; of: number } | { do: 'spin' | 'exit' | 'crash' | 'final' | 'wait' | 'unsendable' | 'tell' };

export async function handler({ data, signal, progress, log, attempt }: Job<Wish>): Promise<unknown> {
  if (data.do === 'square') return { squared: data.of ** 2, threadId, attempt };
  if (data.do === 'exit') process.exit(7);
  if (data.do === 'crash') setTimeout(() => throwLate(), 10);
  if (data.do === 'final') throw new FinalError('never');
  if (data.do === 'unsendable') return () => {};
  if (data.do === 'tell') {
    progress(50);
    log('half way');
    return 'told';
  }
  // Keeps the thread, and hears nothing.
  if (data.do === 'spin') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
  await sleep(60_000, undefined, { signal });
  return 'never';
}

function throwLate(): never {
  throw new Error('nobody catches this');
}
