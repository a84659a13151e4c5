/** A thread that logs numbered lines, and says in shared memory how far it is. */
import { Worker, workerData } from 'node:worker_threads';
import { attachThreadSink, type ThreadLogHandle } from '../src/threads/thread-sink.ts';
import { lineOf } from './threads-lines.ts';

export interface ProducerOrder {
  handle: ThreadLogHandle;
  thread: number;
  /** Omitted: until the thread is terminated. */
  lines?: number;
  padMax: number;
  /** Word `thread`: lines whose call has returned. */
  progress: Int32Array;
  /** Threads that this one starts, with the same order and these numbers. */
  nested?: number[];
  /** Rest after so many lines, for a millisecond. */
  restAfter?: number;
  /** This number's line is written only by half: the thread hangs in the middle of it. */
  hangAt?: number;
}

const order = workerData as ProducerOrder;
const { handle, thread, lines = Number.POSITIVE_INFINITY, padMax, progress, restAfter = 0, hangAt } = order;
for (const nested of order.nested ?? []) {
  new Worker(new URL(import.meta.url), { workerData: { ...order, thread: nested, nested: [] }, execArgv: [] });
}
const sink = attachThreadSink(handle);
const cell = new Int32Array(new SharedArrayBuffer(4));

function hangInTheMiddle(): void {
  const write = Buffer.prototype.write as (text: string, at: number, bytes: number) => number;
  Buffer.prototype.write = function hang(this: Buffer, text: string, at: number, bytes: number): number {
    write.call(this, text, at, bytes >> 1);
    progress[thread] = -1;
    for (;;) Atomics.wait(cell, 0, 0);
  } as typeof Buffer.prototype.write;
}

for (let number = 0; number < lines; number++) {
  if (number === hangAt) hangInTheMiddle();
  sink.write(lineOf(thread, number, padMax));
  progress[thread] = number + 1;
  if (restAfter > 0 && number % restAfter === 0) Atomics.wait(cell, 0, 0, 1);
}
