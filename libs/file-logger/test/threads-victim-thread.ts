/** Logs numbered lines, and notes each call that returned in a file that outlives the process. */
import { openSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { attachThreadSink, type ThreadLogHandle } from '../src/threads/thread-sink.ts';
import { lineOf } from './threads-lines.ts';

const { handle, thread, folder, padMax, progress } = workerData as {
  handle: ThreadLogHandle;
  thread: number;
  folder: string;
  padMax: number;
  progress: Int32Array;
};
const sink = attachThreadSink(handle);
const notes = openSync(`${folder}/returned-${thread}`, 'w');
const note = new Float64Array(2);
for (let number = 0; ; number++) {
  sink.write(lineOf(thread, number, padMax));
  note[0] = number + 1;
  note[1] = Date.now();
  progress[thread] = number + 1;
  // In one call, so that a kill leaves it whole.
  writeSync(notes, note, 0, 16, 16 * number);
}
