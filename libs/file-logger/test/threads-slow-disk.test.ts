/** A disk that is slow, stuck or full, under four threads. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { WhenFull } from '../src/line-sink.ts';
import { type OwnedThreadSink, startThreadSink, type ThreadLogTrouble } from '../src/threads/threads.ts';
import { findingsOf, lineOf, sum } from './threads-lines.ts';
import type { ProducerOrder } from './threads-producer-thread.ts';

const PAD_MAX = 200;
const DISK_BYTES = 4_194_304;
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'threads-disk-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function startProducers(log: OwnedThreadSink, lines: number): { progress: Int32Array; ended: Promise<unknown> } {
  const progress = new Int32Array(new SharedArrayBuffer(16));
  const workers = [0, 1, 2, 3].map((thread) => {
    const workerData: ProducerOrder = { handle: log.handle, thread, lines, padMax: PAD_MAX, progress };
    return new Worker(new URL('./threads-producer-thread.ts', import.meta.url), { workerData, execArgv: [] });
  });
  return { progress, ended: Promise.all(workers.map((worker) => once(worker, 'exit'))) };
}

/** A pipe with a name, and an end to read from it. */
class Pipe {
  readonly path: string;
  readonly #fd: number;
  readonly #pieces: Buffer[] = [];

  constructor(name: string) {
    this.path = join(folder, name);
    execFileSync('mkfifo', [this.path]);
    this.#fd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /** Takes what is there, up to 64 KiB. @returns Its bytes. */
  take(): number {
    const piece = Buffer.alloc(65_536);
    try {
      const bytes = readSync(this.#fd, piece);
      this.#pieces.push(piece.subarray(0, bytes));
      return bytes;
    } catch {
      return 0;
    }
  }

  text(): string {
    return Buffer.concat(this.#pieces).toString();
  }

  close(): void {
    closeSync(this.#fd);
  }
}

describe('a disk that takes 64 KiB each 10 ms', () => {
  test.each(['block', 'drop-newest', 'drop-oldest'] satisfies WhenFull[])(
    '`%s`: every line arrives or is counted',
    async (whenFull) => {
      const pipe = new Pipe(`slow-${whenFull}`);
      const log = startThreadSink({ path: pipe.path, ringBytes: 65_536, whenFull, onError: () => undefined });
      const { ended } = startProducers(log, 5_000);
      let isOver = false;
      const closed = ended
        .then(() => log.sink.close())
        .then(() => {
          isOver = true;
        });
      while (!isOver) {
        pipe.take();
        await pause(10);
      }
      await closed;
      while (pipe.take() > 0);
      const { damaged, unordered, counts, isWhole } = findingsOf(pipe.text(), PAD_MAX);
      const { written, dropped, pending } = log.sink.stats();
      pipe.close();
      expect({ damaged, unordered, isWhole, pending }).toEqual({
        damaged: [],
        unordered: 0,
        isWhole: true,
        pending: 0,
      });
      expect({ written, sum: written + dropped.full }).toEqual({ written: sum(counts.values()), sum: 20_000 });
      if (whenFull === 'block') expect(dropped.full).toBe(0);
      else expect(dropped.full).toBeGreaterThan(0);
    },
  );
});

describe('a disk that is stuck', () => {
  test.each(['drop-newest', 'drop-oldest'] satisfies WhenFull[])(
    '`%s`: the main thread goes on, and so does the log afterwards',
    async (whenFull) => {
      const pipe = new Pipe(`stuck-${whenFull}`);
      const log = startThreadSink({ path: pipe.path, ringBytes: 65_536, whenFull, onError: () => undefined });
      log.sink.write(lineOf(9, 0, PAD_MAX));
      expect(log.sink.flushSync()).toBe(true);
      const { ended } = startProducers(log, 5_000);
      let longestMs = 0;
      const startMs = performance.now();
      for (let number = 1; number <= 20_000; number++) {
        const callMs = performance.now();
        log.sink.write(lineOf(9, number, PAD_MAX));
        longestMs = Math.max(longestMs, performance.now() - callMs);
      }
      const tookMs = performance.now() - startMs;
      await ended;
      process.stdout.write(
        `${whenFull}: 20,000 calls in ${tookMs.toFixed(0)} ms, the longest ${longestMs.toFixed(1)} ms\n`,
      );
      // Other threads want the CPU as well: it is not the disk that is waited for, which takes nothing at all.
      expect(longestMs).toBeLessThan(500);
      expect(tookMs).toBeLessThan(10_000);
      const { written, dropped, pending } = log.sink.stats();
      expect(written + dropped.full + pending).toBe(40_001);
      let isOver = false;
      const closed = log.sink.close().then(() => {
        isOver = true;
      });
      while (!isOver) {
        pipe.take();
        await pause(1);
      }
      await closed;
      while (pipe.take() > 0);
      const text = pipe.text();
      const { damaged, unordered, told } = findingsOf(text, PAD_MAX);
      pipe.close();
      expect({ damaged, unordered, told }).toEqual({
        damaged: [],
        unordered: 0,
        told: { full: log.sink.stats().dropped.full },
      });
      // The first lines are kept; of the last ones a few may have found a gap that was too small for those before them.
      const lastLines = text.match(/"t":9,"n":(19\d{3}|20000),/g) ?? [];
      if (whenFull === 'drop-newest') expect(lastLines.length).toBeLessThan(50);
      else expect(text).toMatch(/"t":(9,"n":20000|[0-3],"n":4999),/);
    },
  );
});

describe('a full disk', () => {
  const small = join(mkdtempSync(join(tmpdir(), 'threads-full-')), 'disk');
  mkdirSync(small);
  const isMounted = mount(small);
  afterAll(() => {
    if (isMounted) execFileSync('umount', ['-l', small]);
    rmSync(join(small, '..'), { recursive: true, force: true });
  });

  (isMounted ? test : test.skip)('`block`: told once, and when there is room again every line is there', async () => {
    const path = join(small, 'app.log');
    const ballast = join(small, 'ballast');
    writeFileSync(ballast, Buffer.alloc(3_000_000));
    const told: ThreadLogTrouble[] = [];
    const log = startThreadSink({ path, ringBytes: 65_536, retryMs: 20, onError: (trouble) => told.push(trouble) });
    const { progress, ended } = startProducers(log, 5_000);
    while (told.length === 0) await pause(10);
    await pause(300);
    const stuckAt = sum(progress);
    await pause(300);
    expect({ stuck: sum(progress) - stuckAt, isAll: stuckAt === 20_000 }).toEqual({ stuck: 0, isAll: false });
    expect(log.sink.flushSync(50)).toBe(false);
    rmSync(ballast);
    await ended;
    await log.sink.close();
    const { damaged, missing, counts } = findingsOf(readFileSync(path, 'utf8'), PAD_MAX);
    expect({ damaged, missing, total: sum(counts.values()) }).toEqual({ damaged: [], missing: 0, total: 20_000 });
    expect(told.map(({ code, isOver }) => ({ code, isOver }))).toEqual([
      { code: 'ENOSPC', isOver: false },
      { code: 'ENOSPC', isOver: true },
    ]);
    rmSync(path);
  });

  (isMounted ? test : test.skip)(
    '`drop-oldest` and a close while it is full: what could not be written is counted',
    async () => {
      const path = join(small, 'app.log');
      // Room for less than the ring holds, however late the writer's thread comes to it.
      writeFileSync(join(small, 'ballast'), Buffer.alloc(DISK_BYTES - 16_384));
      const log = startThreadSink({
        path,
        ringBytes: 65_536,
        whenFull: 'drop-oldest',
        retryMs: 20,
        onError: () => undefined,
      });
      const { ended } = startProducers(log, 5_000);
      await ended;
      await log.sink.close();
      const { counts, damaged, unordered } = findingsOf(readFileSync(path, 'utf8'), PAD_MAX);
      const { written, pending, dropped } = log.sink.stats();
      expect({ damaged, unordered, pending, written }).toEqual({
        damaged: [],
        unordered: 0,
        pending: 0,
        written: sum(counts.values()),
      });
      expect(written + dropped.full + dropped.failed).toBe(20_000);
      expect(dropped.failed).toBeGreaterThan(0);
    },
    30_000,
  );
});

function mount(target: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', target], { stdio: 'ignore' });
    return true;
  } catch {
    process.stdout.write('skipped: mounting a file system needs to be root\n');
    return false;
  }
}
