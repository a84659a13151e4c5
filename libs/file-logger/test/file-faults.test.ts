import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { FileSink, type FileSinkOptions } from '../src/file-sink.ts';
import { countInOrder, parseLines } from './file-victim-process.ts';

/** Removed below: not before what is mounted in it is let go. */
const dir = mkdtempSync(join(tmpdir(), 'plinth-file-faults-'));
const runs = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;
const mounted: string[] = [];

/** A file system of its own. Undefined where this user may not mount. */
function mount(name: string, ...args: string[]): string | undefined {
  const folder = join(dir, name);
  mkdirSync(folder);
  if (!runs('mount', ...args, folder)) return undefined;
  mounted.push(folder);
  return folder;
}

afterAll(() => {
  for (const folder of mounted) runs('umount', '-l', folder);
  rmSync(dir, { recursive: true, force: true });
});

const small = mount('small', '-t', 'tmpfs', '-o', 'size=256k', 'tmpfs');
const skipped = 'skipped: mounting a file system needs to be root';
const line = (n: number) => `{"by":"a","n":${n},"pad":"${'x'.repeat(30)}"}\n`;

function openSink(path: string, options: FileSinkOptions = {}) {
  const told: string[] = [];
  const sink = new FileSink({
    path,
    retryMs: 5,
    bufferBytes: 8_192,
    buffersMax: 4,
    onError: ({ kind, code, isOver }) => told.push(`${kind} ${code} ${isOver ? 'over' : 'begins'}`),
    ...options,
  });
  return { sink, told };
}

/** Lines that count, and how many the notices say were dropped. */
function readBack(path: string) {
  const all = parseLines(readFileSync(path, 'utf8')) as unknown as { n?: number; by?: string; msg?: string }[];
  const notices = all.flatMap(({ msg }) => /^(\d+) lines? w/.exec(msg ?? '')?.[1] ?? []).map(Number);
  return { numbers: all.flatMap(({ n }) => n ?? []), dropped: notices.reduce((sum, count) => sum + count, 0) };
}

(small === undefined ? describe.skip : describe)(small === undefined ? skipped : 'a full disk', () => {
  afterEach(() => {
    for (const name of readdirSync(small as string)) rmSync(join(small as string, name));
  });

  test.each<FileSinkOptions>([
    {},
    { sync: false },
    { whenFull: 'drop-oldest' },
    { whenFull: 'drop-newest', durability: 'interval' },
    { durability: 'always' },
  ])('holds lines within a bound, counts and tells what is lost, never throws, recovers: %j', async (options) => {
    const path = join(small as string, 'app.log');
    const ballast = join(small as string, 'ballast');
    writeFileSync(ballast, Buffer.alloc(100_000));
    const { sink, told } = openSink(path, options);
    let n = 0;
    const startMs = performance.now();
    while (n < 6_000 || sink.file.stats.failing === undefined) {
      for (let left = 100; left > 0; left--) sink.write(line(n++));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(sink.stats().pending).toBeLessThanOrEqual((5 * 8_192) / 50);
    expect(readFileSync(path, 'utf8').endsWith('\n')).toBe(true);
    expect(told).toEqual(['write ENOSPC begins']);
    rmSync(ballast);
    await eventually(() => sink.stats().pending === 0 && sink.file.trouble === undefined);
    await sink.close();
    const { numbers, dropped } = readBack(path);
    const stats = sink.stats();
    expect(told).toEqual(['write ENOSPC begins', 'write ENOSPC over']);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers.length).toBe(stats.written);
    expect(stats.written + stats.dropped.full).toBe(n);
    expect(dropped).toBe(stats.dropped.full);
    expect(dropped).toBeGreaterThan(0);
  });

  test('that stays full: close gives up, and every line is counted', async () => {
    const path = join(small as string, 'app.log');
    writeFileSync(join(small as string, 'ballast'), Buffer.alloc(200_000));
    const { sink } = openSink(path);
    for (let n = 0; n < 3_000; n++) sink.write(line(n));
    await sink.close();
    const { written, pending, dropped } = sink.stats();
    expect(pending).toBe(0);
    expect(written).toBe(countInOrder(parseLines(readFileSync(path, 'utf8'))));
    expect(written + dropped.full + dropped.failed).toBe(3_000);
  });
});

describe('a folder', () => {
  test('removed while running is made again; what was not yet written is kept', async () => {
    const path = join(dir, 'removed', 'app.log');
    const { sink } = openSink(path, { lingerMs: 10_000 });
    for (let n = 0; n < 100; n++) sink.write(line(n));
    sink.flushSync();
    for (let n = 0; n < 50; n++) sink.write(line(n));
    rmSync(join(dir, 'removed'), { recursive: true });
    for (let n = 50; n < 100; n++) sink.write(line(n));
    sink.flushSync();
    expect(countInOrder(parseLines(readFileSync(path, 'utf8')))).toBe(100);
    expect(sink.file.stats).toMatchObject({ reopens: 1, errors: 0 });
    expect(sink.stats()).toMatchObject({ written: 200, pending: 0 });
    await sink.close();
  });

  test('removed a hundred times under load loses at most what was in the removed files', async () => {
    const path = join(dir, 'again', 'app.log');
    const { sink } = openSink(path, { sync: false });
    let n = 0;
    for (let round = 0; round < 100; round++) {
      rmSync(join(dir, 'again'), { recursive: true, force: true });
      for (let left = 100; left > 0; left--) sink.write(line(n++));
      await new Promise((resolve) => sink.flush(resolve));
      const found = parseLines(readFileSync(path, 'utf8')).map((each) => each.n);
      expect(found).toEqual(Array.from({ length: 100 }, (_, at) => n - 100 + at));
    }
    expect(sink.file.stats.reopens).toBe(100);
    expect(sink.stats()).toMatchObject({ written: 10_000, errors: 0 });
    await sink.close();
  });

  const readOnly = mount('read-only', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs');
  (readOnly === undefined ? test.skip : test)(
    'on a disk that turns read-only and back: told, kept, and written then',
    async () => {
      const folder = readOnly as string;
      expect(runs('mount', '-o', 'remount,ro', folder)).toBe(true);
      const path = join(folder, 'app.log');
      const { sink, told } = openSink(path);
      for (let n = 0; n < 100; n++) sink.write(line(n));
      await eventually(() => sink.file.stats.errors > 2);
      expect(sink.stats()).toMatchObject({ written: 0, pending: 100 });
      expect(sink.file.stats.failing).toContain('EROFS');
      expect(runs('mount', '-o', 'remount,rw', folder)).toBe(true);
      await eventually(() => sink.stats().pending === 0, { timeoutMs: 10_000 });
      expect(countInOrder(parseLines(readFileSync(path, 'utf8')))).toBe(100);
      expect(told).toEqual(['open EROFS begins', 'open EROFS over']);
      await sink.close();
    },
  );

  const canChattr = (() => {
    const probe = join(dir, 'probe');
    writeFileSync(probe, '');
    const can = runs('chattr', '+a', probe);
    return can && runs('chattr', '-a', probe);
  })();
  (canChattr ? test : test.skip)(
    'that allows no rotation: the log goes on in its file, and rotates when it may',
    async () => {
      const folder = join(dir, 'locked');
      mkdirSync(folder);
      const path = join(folder, 'app.log');
      const { sink, told } = openSink(path, { rotation: { bytesMax: 10_000 } });
      sink.write(line(0));
      sink.flushSync();
      expect(runs('chattr', '+i', folder)).toBe(true);
      for (let n = 1; n < 1_000; n++) sink.write(line(n));
      expect(sink.flushSync()).toBe(true);
      runs('chattr', '-i', folder);
      expect(countInOrder(parseLines(readFileSync(path, 'utf8')))).toBe(1_000);
      expect(told).toHaveLength(1);
      expect(told[0]).toMatch(/^rotate (EPERM|EACCES) begins$/);
      sink.file.rotateSync();
      await sink.close();
    },
  );

  (canChattr ? test : test.skip)(
    'with a file that may not be written to: told, kept, and written when it may',
    async () => {
      const path = join(dir, 'immutable.log');
      writeFileSync(path, '');
      expect(runs('chattr', '+i', path)).toBe(true);
      const { sink } = openSink(path, { durability: 'always' });
      for (let n = 0; n < 100; n++) sink.write(line(n));
      expect(sink.stats()).toMatchObject({ written: 0, pending: 100 });
      expect(sink.file.stats.failing).toMatch(/EPERM/);
      runs('chattr', '-i', path);
      await eventually(() => sink.stats().pending === 0);
      expect(countInOrder(parseLines(readFileSync(path, 'utf8')))).toBe(100);
      await sink.close();
    },
  );
});
