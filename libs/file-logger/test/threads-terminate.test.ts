/** Threads that are terminated while they log. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type OwnedThreadSink, startThreadSink } from '../src/threads/threads.ts';
import { findingsOf, logText, lostOf, sum } from './threads-lines.ts';
import type { ProducerOrder } from './threads-producer-thread.ts';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'threads-terminate-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const newProgress = (threads: number): Int32Array => new Int32Array(new SharedArrayBuffer(threads * 4));

function startProducer(log: OwnedThreadSink, order: Omit<ProducerOrder, 'handle'>): Worker {
  const workerData: ProducerOrder = { handle: log.handle, ...order };
  return new Worker(new URL('./threads-producer-thread.ts', import.meta.url), { workerData, execArgv: [] });
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('threads that are terminated', () => {
  test.each([
    { gatherBytes: 0, kills: 200 },
    { gatherBytes: 4096, kills: 100 },
  ])(
    'at $kills random moments, $gatherBytes bytes gathered: nobody else loses a line or waits for ever',
    async ({ gatherBytes, kills }) => {
      const path = join(folder, `terminated-${gatherBytes}.log`);
      const log = startThreadSink({ path, gatherBytes, ringBytes: 65_536, lineBytesMax: 16_384, threadsMax: 16 });
      const progress = newProgress(kills + 2);
      const steady = [kills, kills + 1].map((thread) =>
        startProducer(log, { thread, padMax: 2_000, progress, restAfter: 20 }),
      );
      for (let killed = 0; killed < kills; killed += 4) {
        const workers = [0, 1, 2, 3].map((more) =>
          startProducer(log, { thread: killed + more, padMax: 2_000, progress }),
        );
        await Promise.all(workers.map((worker) => once(worker, 'online')));
        await pause(((killed * 7919 + SEED) % 23) + 15);
        await Promise.all(workers.map((worker) => worker.terminate()));
      }
      const before = [progress[kills]!, progress[kills + 1]!];
      await pause(100);
      expect(progress[kills]! > before[0]! && progress[kills + 1]! > before[1]!).toBe(true);
      await Promise.all(steady.map((worker) => worker.terminate()));
      await log.sink.close();
      const findings = findingsOf(logText(path), 2_000);
      const { damaged, missing, unordered, counts, told } = findings;
      const { dropped, pending } = log.sink.stats();
      const lost = lostOf(progress, findings);
      const { torn } = dropped;
      process.stdout.write(`seed ${SEED}: ${sum(counts.values())} lines, ${lost} lost of those taken, ${torn} torn\n`);
      expect({ damaged, missing, unordered }).toEqual({ damaged: [], missing: 0, unordered: 0 });
      expect({ ...dropped, torn: 0, pending }).toEqual({ full: 0, tooLong: 0, failed: 0, torn: 0, pending: 0 });
      if (gatherBytes === 0) expect({ lost, isCounted: torn <= kills + 2 }).toEqual({ lost: 0, isCounted: true });
      else expect(lost).toBeGreaterThan(0);
      // Besides what returned, a thread may have had one line in its hands and one record in the making.
      expect(torn).toBeGreaterThanOrEqual(lost);
      expect(torn).toBeLessThanOrEqual(lost + 2 * (kills + 2));
      expect(told).toEqual(torn === 0 ? {} : { torn });
    },
    90_000,
  );

  test('in the middle of a record: it is skipped and counted, the lines around it are whole, the ring goes on', async () => {
    const path = join(folder, 'torn.log');
    const log = startThreadSink({ path, gatherBytes: 0, ringBytes: 65_536, lineBytesMax: 16_384 });
    const progress = newProgress(12);
    const steady = [10, 11].map((thread) => startProducer(log, { thread, padMax: 2_000, progress, restAfter: 10 }));
    for (let thread = 0; thread < 10; thread++) {
      const worker = startProducer(log, { thread, padMax: 2_000, progress, hangAt: 20 });
      // It hangs, and holds up everybody: as long as it lives its record may still be completed.
      while (progress[thread] !== -1) await pause(5);
      await worker.terminate();
    }
    const before = sum(progress);
    while (sum(progress) < before + 2_000) await pause(5);
    await Promise.all(steady.map((worker) => worker.terminate()));
    await log.sink.close();
    const { damaged, missing, unordered, counts, told } = findingsOf(logText(path), 2_000);
    expect({ damaged, missing, unordered }).toEqual({ damaged: [], missing: 0, unordered: 0 });
    expect(log.sink.stats().dropped).toEqual({ full: 0, tooLong: 0, failed: 0, torn: 10 });
    expect(told).toEqual({ torn: 10 });
    expect([...Array(10).keys()].map((thread) => counts.get(thread))).toEqual(Array(10).fill(20));
    expect(counts.get(10)! >= progress[10]! && counts.get(11)! >= progress[11]!).toBe(true);
  });
});
