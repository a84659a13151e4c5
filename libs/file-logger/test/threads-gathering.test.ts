/** Threads that end with lines they have gathered and not yet put into the ring. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { startThreadSink } from '../src/threads/threads.ts';
import type { GatheringOrder, ThreadEnd } from './threads-gathering-thread.ts';

const SCRIPT = new URL('./threads-gathering-thread.ts', import.meta.url);
const folder = tempDir('threads-gathering');

function startThread(order: GatheringOrder): Worker {
  const worker = new Worker(SCRIPT, { workerData: order, execArgv: [], stderr: true });
  worker.on('error', () => undefined);
  return worker;
}

test.each<ThreadEnd>(['by itself', 'exit', 'throw'])(
  'a thread that ends, %s: its last lines are in the file',
  async (end) => {
    const path = join(folder, `${end}.log`);
    const log = startThreadSink({ path });
    const taken = new Int32Array(new SharedArrayBuffer(4));
    const worker = startThread({ handle: log.handle, end, taken });
    await new Promise((resolve) => worker.once('exit', resolve));
    await log.sink.close();
    expect(readFileSync(path, 'utf8')).toBe('1\n2\n3\n"at exit"\n');
    expect(log.sink.stats()).toMatchObject({ written: 4, pending: 0, dropped: { torn: 0, failed: 0 } });
  },
);

test('a thread that is terminated: its lines are counted, and the log says so', async () => {
  const path = join(folder, 'terminated.log');
  const log = startThreadSink({ path });
  const taken = new Int32Array(new SharedArrayBuffer(4));
  const worker = startThread({ handle: log.handle, end: 'hang', taken });
  while (Atomics.load(taken, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(log.sink.stats()).toMatchObject({ written: 0, pending: 3 });
  await worker.terminate();
  await log.sink.close();
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ msg: '3 lines were dropped', reason: 'torn' });
  expect(log.sink.stats()).toMatchObject({ written: 0, pending: 0, dropped: { torn: 3, failed: 0 } });
});

test('a close waits two seconds for a thread that hangs; what it puts later is counted', async () => {
  const path = join(folder, 'closed.log');
  const log = startThreadSink({ path });
  const taken = new Int32Array(new SharedArrayBuffer(4));
  const worker = startThread({ handle: log.handle, end: 'hang', taken });
  while (Atomics.load(taken, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const startMs = performance.now();
  await log.sink.close();
  expect(performance.now() - startMs).toBeGreaterThan(1_900);
  expect(performance.now() - startMs).toBeLessThan(8_000);
  expect(log.sink.stats()).toMatchObject({ written: 0, pending: 3 });
  await worker.terminate();
});

test('a process that exits beside a thread that hangs does end, and says what is lost', async () => {
  const path = join(folder, 'exited.log');
  const { stderr } = await promisify(execFile)(process.execPath, [SCRIPT.pathname, path], { timeout: 20_000 });
  expect(stderr).toContain('file-logger: the process ended before 3 lines could be written\n');
  expect(readFileSync(path, 'utf8')).toBe('');
});

test.each([-1, 0.5, Number.NaN])('gatherBytes %d is refused', (gatherBytes) => {
  expect(() => startThreadSink({ path: join(folder, 'never.log'), gatherBytes })).toThrow(
    new RangeError(`gatherBytes is ${gatherBytes}; it must be a whole number from 0`),
  );
});
