/** Real threads into one file: what arrives, counted, whatever happens to the threads. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type OwnedThreadSink, startThreadSink, type ThreadLogTrouble } from '../src/threads/threads.ts';
import { findingsOf, lineOf, logText, lostOf, sum } from './threads-lines.ts';
import type { ProducerOrder } from './threads-producer-thread.ts';

const IS_LONG = process.env.PLINTH_LONG !== undefined;
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'threads-faults-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const newProgress = (threads: number): Int32Array => new Int32Array(new SharedArrayBuffer(threads * 4));

function startProducer(log: OwnedThreadSink, order: Omit<ProducerOrder, 'handle'>): Worker {
  const workerData: ProducerOrder = { handle: log.handle, ...order };
  return new Worker(new URL('./threads-producer-thread.ts', import.meta.url), { workerData, execArgv: [] });
}

/** Besides what returned, a thread may have had one line in its hands and one record in the making. */
function expectCounted(log: OwnedThreadSink, lost: number, threads: number): void {
  const { dropped, pending } = log.sink.stats();
  expect({ ...dropped, torn: 0, pending }).toEqual({ full: 0, tooLong: 0, failed: 0, torn: 0, pending: 0 });
  expect(dropped.torn).toBeGreaterThanOrEqual(lost);
  expect(dropped.torn).toBeLessThanOrEqual(lost + 2 * threads);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a ring that is much too small for four threads', () => {
  test('`block`: every line exactly once, in order per thread', async () => {
    const path = join(folder, 'block.log');
    const log = startThreadSink({ path, ringBytes: 8192, lineBytesMax: 2048, startPosition: 2 ** 32 - 5_000 });
    const progress = newProgress(4);
    const lines = IS_LONG ? 200_000 : 10_000;
    const workers = [0, 1, 2, 3].map((thread) => startProducer(log, { thread, lines, padMax: 300, progress }));
    await Promise.all(workers.map((worker) => once(worker, 'exit')));
    await log.sink.close();
    const { damaged, missing, unordered, counts } = findingsOf(logText(path), 300);
    expect({ damaged, missing, unordered, total: sum(counts.values()) }).toEqual({
      damaged: [],
      missing: 0,
      unordered: 0,
      total: 4 * lines,
    });
    const { written, pending, dropped } = log.sink.stats();
    expect({ written, pending, dropped }).toEqual({
      written: 4 * lines,
      pending: 0,
      dropped: { full: 0, tooLong: 0, failed: 0, torn: 0 },
    });
  });

  test.each(['drop-newest', 'drop-oldest'] as const)(
    '`%s`: taken = written + dropped, and the log says so',
    async (whenFull) => {
      const path = join(folder, `${whenFull}.log`);
      const log = startThreadSink({ path, ringBytes: 8192, lineBytesMax: 2048, whenFull });
      const progress = newProgress(4);
      const workers = [0, 1, 2, 3].map((thread) =>
        startProducer(log, { thread, lines: 20_000, padMax: 300, progress }),
      );
      await Promise.all(workers.map((worker) => once(worker, 'exit')));
      await log.sink.close();
      const { damaged, unordered, counts, told } = findingsOf(logText(path), 300);
      const { written, dropped, pending } = log.sink.stats();
      expect({ damaged, unordered, written, pending }).toEqual({
        damaged: [],
        unordered: 0,
        written: sum(counts.values()),
        pending: 0,
      });
      expect(written + dropped.full).toBe(80_000);
      expect(dropped.full).toBeGreaterThan(0);
      expect(told).toEqual({ full: dropped.full });
    },
  );

  test('a line at the bound is taken, one byte more is counted and told', async () => {
    const path = join(folder, 'long.log');
    const log = startThreadSink({ path, ringBytes: 4096, lineBytesMax: 1024 });
    const long = (bytes: number): string => `"${'x'.repeat(bytes - 3)}"\n`;
    log.sink.write(long(1024));
    log.sink.write(long(1025));
    log.sink.write(`"${'€'.repeat(341)}"\n`);
    await log.sink.close();
    const lines = logText(path).trim().split('\n');
    expect(lines[0]).toBe(long(1024).trim());
    expect(lines.slice(1).map((line) => JSON.parse(line).msg)).toEqual([
      'a line of 1025 bytes was dropped: the most is 1024',
      'a line of 1026 bytes was dropped: the most is 1024',
    ]);
    expect(log.sink.stats()).toMatchObject({ written: 1, dropped: { tooLong: 2 }, pending: 0 });
  });
});

describe('threads that end in the middle', () => {
  test('a nested thread ends with its parent: its lines are all there', async () => {
    const path = join(folder, 'nested.log');
    const log = startThreadSink({ path, ringBytes: 65_536 });
    const progress = newProgress(6);
    const parents = [0, 3].map((thread) =>
      startProducer(log, { thread, padMax: 100, progress, nested: [thread + 1, thread + 2], restAfter: 50 }),
    );
    // Nobody hears of the end of threads whose parent was terminated.
    while ([...progress].some((count) => count < 500)) await pause(20);
    await Promise.all(parents.map((worker) => worker.terminate()));
    await log.sink.close();
    const findings = findingsOf(logText(path), 100);
    expect(findings).toMatchObject({ damaged: [], missing: 0 });
    expectCounted(log, lostOf(progress, findings), 6);
  });

  test('more threads one after another than there are slots; too many at a time is a clear error', async () => {
    const path = join(folder, 'slots.log');
    const log = startThreadSink({ path, threadsMax: 3 });
    const progress = newProgress(20);
    for (let thread = 0; thread < 10; thread++) {
      const worker = startProducer(log, { thread, lines: 10, padMax: 10, progress });
      const [code] = (await once(worker, 'exit')) as [number];
      expect(code).toBe(0);
    }
    const workers = [10, 11].map((thread) => startProducer(log, { thread, padMax: 10, progress, restAfter: 1 }));
    while (progress[10]! === 0 || progress[11]! === 0) await pause(10);
    const [error] = (await once(startProducer(log, { thread: 12, padMax: 10, progress }), 'error')) as [Error];
    expect(error.message).toMatch(/^3 threads log into this ring already .* raise threadsMax$/);
    await Promise.all(workers.map((worker) => worker.terminate()));
    await log.sink.close();
    expect(findingsOf(logText(path), 10)).toMatchObject({ damaged: [], missing: 0 });
  });

  test('a stack that overflows in the middle of a call leaves no hole', async () => {
    const path = join(folder, 'stack.log');
    const log = startThreadSink({ path, ringBytes: 65_536 });
    let calls = 0;
    const dive = (): void => {
      log.sink.write(lineOf(0, calls++, 50));
      dive();
    };
    for (let round = 0; round < 8; round++) expect(dive).toThrow(RangeError);
    log.sink.write(lineOf(1, 0, 50));
    await log.sink.close();
    const { damaged, unordered, counts } = findingsOf(logText(path), 50);
    const { dropped, written, pending } = log.sink.stats();
    expect({ damaged, unordered, last: counts.get(1), pending }).toEqual({
      damaged: [],
      unordered: 0,
      last: 1,
      pending: 0,
    });
    // The call itself may have had no room to begin: then it threw before the sink heard of the line.
    expect(calls + 1 - written - dropped.failed).toBeGreaterThanOrEqual(0);
    expect(calls + 1 - written - dropped.failed).toBeLessThanOrEqual(8);
  });
});

describe('the writer thread dies', () => {
  test('it is told, another goes on, and no line is lost or there twice', async () => {
    const path = join(folder, 'writer.log');
    const told: ThreadLogTrouble[] = [];
    const log = startThreadSink({ path, ringBytes: 65_536, onError: (trouble) => told.push(trouble) });
    const progress = newProgress(3);
    const workers = [0, 1, 2].map((thread) => startProducer(log, { thread, padMax: 200, progress }));
    // Three times another thread takes over, then this one.
    for (let death = 0; death < 4; death++) {
      const before = sum(progress);
      while (sum(progress) < before + 3_000) await pause(10);
      await log.owner.worker!.terminate();
    }
    const before = sum(progress);
    while (sum(progress) < before + 3_000) await pause(10);
    await Promise.all(workers.map((worker) => worker.terminate()));
    await log.sink.close();
    const findings = findingsOf(logText(path), 200);
    expect(findings).toMatchObject({ damaged: [], missing: 0, unordered: 0 });
    expectCounted(log, lostOf(progress, findings), 3);
    expect(told.map(({ code }) => code)).toEqual(Array(4).fill('WRITER_ENDED'));
    expect(told.at(-1)!.message).toMatch(/lines are written by this thread from now on$/);
  });

  test('while this thread waits for room and hears nothing: it writes itself', async () => {
    const path = join(folder, 'blocked.log');
    const log = startThreadSink({ path, ringBytes: 4096, onError: () => undefined });
    log.sink.write(lineOf(0, 0, 50));
    expect(log.sink.flushSync()).toBe(true);
    const end = log.owner.worker!.terminate();
    for (let number = 1; number < 500; number++) log.sink.write(lineOf(0, number, 50));
    await end;
    await log.sink.close();
    const { damaged, missing, counts } = findingsOf(logText(path), 50);
    expect({ damaged, missing, count: counts.get(0) }).toEqual({ damaged: [], missing: 0, count: 500 });
  });
});
