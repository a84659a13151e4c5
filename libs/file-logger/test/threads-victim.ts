/** A process with busy threads that log, which ends in one way or another. */
import { Worker } from 'node:worker_threads';
import { startThreadSink, type ThreadSinkOwnerOptions } from '../src/threads/threads.ts';
import { lineOf } from './threads-lines.ts';

interface Order {
  folder: string;
  sink: ThreadSinkOwnerOptions;
  threads: number;
  padMax: number;
  end?: 'exit' | 'throw' | 'sigterm';
  afterMs?: number;
}

const order = JSON.parse(process.argv[2]!) as Order;
const { folder, sink: options, threads, padMax, end, afterMs = 300 } = order;
const log = startThreadSink({ path: `${folder}/app.log`, ...options });
const progress = new Int32Array(new SharedArrayBuffer(threads * 4));
for (let thread = 0; thread < threads; thread++) {
  const workerData = { handle: log.handle, thread, folder, padMax, progress };
  new Worker(new URL('./threads-victim-thread.ts', import.meta.url), { workerData, execArgv: [] });
}
// Later than the sink's own.
process.on('exit', () => log.sink.write(lineOf(threads, 0, padMax)));
while (progress.some((lines) => lines < 10)) await new Promise((resolve) => setTimeout(resolve, 5));
process.stdout.write('busy\n');
if (end !== undefined) {
  setTimeout(() => {
    if (end === 'exit') process.exit(3);
    if (end === 'throw') throw new Error('on purpose');
    process.kill(process.pid, 'SIGTERM');
  }, afterMs);
}
