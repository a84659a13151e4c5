import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { LineRing } from '../src/threads/ring.ts';
import { TOTAL } from '../src/threads/ring-layout.ts';
import { startThreadSink, threadLogger } from '../src/threads/threads.ts';
import { findingsOf, lineOf } from './threads-lines.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'threads-door-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a thread, and one that it starts itself, log where the main thread does, without being told', async () => {
  const path = join(folder, 'door.log');
  // One that is closed is nowhere to log.
  await threadLogger({ path: join(folder, 'earlier.log') }).close();
  const log = threadLogger({ path, base: { depth: 0 } });
  log.info('from the main thread');
  const workerData = { depth: 1, lines: 50 };
  const worker = new Worker(new URL('./threads-door-thread.ts', import.meta.url), { workerData, execArgv: [] });
  await once(worker, 'exit', { signal: AbortSignal.timeout(20_000) });
  const takenInAll = () => log.sink.stats().written + log.sink.stats().pending;
  for (const endMs = performance.now() + 10_000; takenInAll() < 101 && performance.now() < endMs; ) await pause(10);
  expect(log.sink.stats()).toMatchObject({ dropped: { full: 0, tooLong: 0, failed: 0, torn: 0 } });
  expect(takenInAll()).toBe(101);
  await new Promise<void>((resolve, reject) => log.sink.flush((error) => (error ? reject(error) : resolve())));
  const lines = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const counts = Object.groupBy(lines, ({ depth }) => depth);
  expect(Object.fromEntries(Object.entries(counts).map(([depth, all]) => [depth, all!.length]))).toEqual({
    0: 1,
    1: 50,
    2: 50,
  });
  expect(lines.find(({ depth }) => depth === 2)).toMatchObject({ level: 30, number: 0, msg: 'from a thread' });
  await log.sink.close();
});

test('`always`: a call returns when its line is synced, and threads share the syncs', async () => {
  const path = join(folder, 'always.log');
  const log = startThreadSink({ path, durability: 'always' });
  log.sink.write(lineOf(9, 0, 20));
  const progress = new Int32Array(new SharedArrayBuffer(16));
  const workers = [0, 1, 2, 3].map((thread) => {
    const workerData = { handle: log.handle, thread, lines: 200, padMax: 20, progress };
    return new Worker(new URL('./threads-producer-thread.ts', import.meta.url), { workerData, execArgv: [] });
  });
  const ended = Promise.all(workers.map((worker) => once(worker, 'exit')));
  // At any time, what had returned before the file is read is in it.
  for (let look = 0; look < 20; look++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const returned = progress.slice();
    const { counts } = findingsOf(readFileSync(path, 'utf8'), 20);
    expect([...returned].filter((count, thread) => (counts.get(thread) ?? 0) < count)).toEqual([]);
  }
  await ended;
  const syncs = Number(Atomics.load(new LineRing(log.handle.ring).totals, TOTAL.syncs));
  process.stdout.write(`800 lines, ${syncs} syncs\n`);
  expect(syncs).toBeLessThan(800);
  expect(syncs).toBeGreaterThanOrEqual(200);
  await log.sink.close();
});

test('a closed log takes nothing more, and counts it', async () => {
  const log = startThreadSink({ path: join(folder, 'closed.log') });
  log.sink.write('{"n":0}\n');
  await log.sink.close();
  log.sink.write('{"n":1}\n');
  await log.sink.close();
  expect(log.sink.stats()).toMatchObject({ written: 1, pending: 0, dropped: { failed: 1 } });
  expect(readFileSync(join(folder, 'closed.log'), 'utf8')).toBe('{"n":0}\n');
});

test('options that make no sense are refused before anything is started', () => {
  expect(() => startThreadSink({ path: '' })).toThrow('path is empty');
  expect(() => startThreadSink({ path: 'x', ringBytes: 5 })).toThrow(/^ringBytes is 5; it must be a power of two/);
  expect(() => startThreadSink({ descriptor: -1 })).toThrow('descriptor is -1');
});
