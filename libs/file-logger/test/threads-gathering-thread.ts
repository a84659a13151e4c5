/** Logs three lines without a pause, and then ends, or does not. */
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { attachThreadSink, type ThreadLogHandle } from '../src/threads/thread-sink.ts';
import { startThreadSink } from '../src/threads/threads.ts';

/** `hang`: the thread never comes to an end with what it does. */
export type ThreadEnd = 'by itself' | 'exit' | 'throw' | 'hang';

export interface GatheringOrder {
  handle: ThreadLogHandle;
  end: ThreadEnd;
  /** Set when the lines are taken. */
  taken: Int32Array;
}

function logAndEnd({ handle, end, taken }: GatheringOrder): void {
  const sink = attachThreadSink(handle);
  // Later than the sink's own.
  process.on('exit', () => sink.write('"at exit"\n'));
  for (const line of ['1\n', '2\n', '3\n']) sink.write(line);
  Atomics.store(taken, 0, 1);
  if (end === 'exit') process.exit(3);
  if (end === 'throw') throw new Error('on purpose');
  while (end === 'hang') Atomics.wait(taken, 0, 1, 1_000);
}

/** A process that ends while one of its threads hangs with lines that it has gathered. */
async function endBeside(path: string): Promise<void> {
  const { handle } = startThreadSink({ path });
  const taken = new Int32Array(new SharedArrayBuffer(4));
  const order: GatheringOrder = { handle, end: 'hang', taken };
  new Worker(new URL(import.meta.url), { workerData: order, execArgv: [] });
  while (Atomics.load(taken, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  process.exit(0);
}

if (!isMainThread) logAndEnd(workerData as GatheringOrder);
else if (process.argv[2] !== undefined) await endBeside(process.argv[2]);
