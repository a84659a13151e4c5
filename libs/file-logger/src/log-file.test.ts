import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { eventually, tempDir } from '@plinth/testkit';
import { LogFile, type LogFileOptions } from './log-file.ts';
import type { LogFileError } from './trouble.ts';

const NOON = Date.parse('2026-11-23T12:00:00.000Z');

function openLog(options: Partial<LogFileOptions> = {}) {
  const path = options.path ?? join(tempDir('log-file'), 'app.log');
  const told: LogFileError[] = [];
  const file = new LogFile({ path, retryMs: 1, onError: (error) => told.push(error), ...options });
  const write = (...lines: string[]) => file.appendSync(Buffer.from(lines.map((line) => `${line}\n`).join('')));
  const rotated = () =>
    readdirSync(join(path, '..'))
      .filter((name) => /^app\.log\.\d/.test(name))
      .sort();
  const readAll = () =>
    [...rotated().map((name) => join(path, '..', name)), path].map((name) => readFileSync(name, 'utf8')).join('');
  return { file, path, told, write, rotated, readAll };
}

const counted = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `{"n":${from + at}}`);

describe('appending', () => {
  test('makes the folder, appends to what is there, and says how much was written', () => {
    const path = join(tempDir(), 'a', 'b', 'app.log');
    const { write, file } = openLog({ path });
    expect(write('{"n":1}')).toBe(8);
    file.closeSync();
    openLog({ path }).write('{"n":2}');
    expect(readFileSync(path, 'utf8')).toBe('{"n":1}\n{"n":2}\n');
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  test('through the thread pool keeps order, and a waiter without an event loop sees it written', async () => {
    const { file, readAll } = openLog();
    const done: number[] = [];
    for (let n = 0; n < 50; n++) {
      file.append(Buffer.from(`${n}\n`), (bytes) => done.push(bytes));
      expect(file.appendSync(Buffer.from('too early\n'))).toBe(0);
      expect(file.waitSync(5_000)).toBe(true);
    }
    await new Promise((resolve) => file.append(Buffer.from('50\n'), resolve));
    expect(readAll()).toBe(Array.from({ length: 51 }, (_, n) => `${n}\n`).join(''));
    expect(done).toHaveLength(50);
    expect(file.stats.errors).toBe(0);
  });

  test('a torn last line is ended, counted and stands alone', () => {
    const path = join(tempDir(), 'app.log');
    writeFileSync(path, '{"n":1}\n{"n":2,"ms');
    const { write, file, readAll } = openLog({ path });
    write('{"n":3}');
    expect(readAll()).toBe('{"n":1}\n{"n":2,"ms\n{"n":3}\n');
    expect(file.stats.tornLines).toBe(1);
    file.closeSync();
    expect(openLog({ path }).file.stats.tornLines).toBe(0);
  });

  test('syncs only what is not synced', () => {
    const { file, write } = openLog();
    expect(file.syncSync()).toBe(true);
    expect(file.stats.syncs).toBe(0);
    write('1');
    expect([file.syncSync(), file.syncSync()]).toEqual([true, true]);
    expect(file.stats.syncs).toBe(1);
  });

  test.each<[Partial<LogFileOptions>, string]>([
    [{ path: '' }, 'path is empty'],
    [{ descriptor: 1 }, 'either a path or a descriptor'],
    [{ path: undefined, descriptor: -1 }, 'descriptor is -1'],
    [{ path: undefined, descriptor: 1, rotation: {} }, 'a descriptor cannot be rotated'],
    [{ rotation: { bytesMax: 0 } }, 'rotation.bytesMax is 0; the least is 1'],
    [{ rotation: { every: 'week' as 'day' } }, 'rotation.every is "week"'],
    [{ rotation: { keepFiles: -1 } }, 'rotation.keepFiles is -1'],
    [{ rotation: { compress: 'lzma' as 'gzip' } }, 'compress is "lzma"'],
  ])('options %j are refused: %s', (options, words) => {
    expect(() => new LogFile({ path: '/nowhere/app.log', ...options })).toThrow(words);
  });
});

describe('rotation', () => {
  test.each([1, 20, 1_000])(
    'by size: no file is longer than its bound, no line lost, written %i at a time',
    (batch) => {
      const { write, readAll, rotated, path, file } = openLog({ rotation: { bytesMax: 1_000 } });
      const lines = counted(0, 1_000);
      for (let at = 0; at < lines.length; at += batch) write(...lines.slice(at, at + batch));
      expect(readAll()).toBe(`${lines.join('\n')}\n`);
      for (const name of rotated()) expect(statSync(join(path, '..', name)).size).toBeLessThanOrEqual(1_000);
      expect(rotated().length).toBe(file.stats.rotations);
      expect(rotated().length).toBeGreaterThanOrEqual(9);
    },
  );

  test('a file may be exactly as long as its bound', () => {
    const { write, rotated } = openLog({ rotation: { bytesMax: 16 } });
    write('1234567', '1234567');
    expect(rotated()).toHaveLength(0);
    write('');
    expect(rotated()).toHaveLength(1);
  });

  test('a line longer than a file may be has a file of its own', () => {
    const { write, path, rotated } = openLog({ rotation: { bytesMax: 10 } });
    write('a', 'x'.repeat(50), 'b');
    expect(rotated().map((name) => readFileSync(join(path, '..', name), 'utf8'))).toEqual([
      'a\n',
      `${'x'.repeat(50)}\n`,
    ]);
    expect(readFileSync(path, 'utf8')).toBe('b\n');
  });

  test('by time, under a clock that jumps: nothing is overwritten, names stay in order', () => {
    const clock = { now: NOON };
    const { write, readAll, rotated } = openLog({ rotation: { every: 'hour' }, now: () => clock.now });
    const steps = [0, 1, 1, -1, 24, -24, 1, 1, -3, 1, 1].map((hours) => hours * 3_600_000);
    steps.forEach((step, n) => {
      clock.now += step;
      write(`{"n":${n}}`);
    });
    expect(readAll()).toBe(`${counted(0, steps.length).join('\n')}\n`);
    expect(rotated().length).toBeGreaterThanOrEqual(5);
  });

  test.each(['gzip', 'zstd'] as const)(
    'compresses by %s, keeps so many files, and every line of those',
    async (compress) => {
      const { write, rotated, path, file } = openLog({
        settleMs: 1,
        rotation: { bytesMax: 800, keepFiles: 5, compress },
      });
      const lines = counted(0, 1_000);
      for (const line of lines) write(line);
      await eventually(() => file.compressing === 0 && rotated().length === 5, { timeoutMs: 10_000 });
      const unpack = compress === 'gzip' ? gunzipSync : zstdDecompressSync;
      const kept = rotated().map((name) => unpack(readFileSync(join(path, '..', name))).toString());
      expect(`${lines.join('\n')}\n`.endsWith(kept.join('') + readFileSync(path, 'utf8'))).toBe(true);
      expect(file.stats.errors).toBe(0);
      await file.close();
    },
  );

  test('a half-compressed file of a killed process is removed, and its original compressed', async () => {
    const path = join(tempDir(), 'app.log');
    const old = `${path}.2026-11-23T12-00-00.000Z`;
    writeFileSync(old, '{"n":1}\n');
    writeFileSync(`${old}.gz.4194999.tmp`, 'half');
    const { rotated } = openLog({ path, settleMs: 1, rotation: { compress: 'gzip' } });
    await eventually(() => rotated().join() === 'app.log.2026-11-23T12-00-00.000Z.gz');
    expect(gunzipSync(readFileSync(`${old}.gz`)).toString()).toBe('{"n":1}\n');
  });
});

describe('what others do to the file', () => {
  test('its folder removed: both are made again, counted, and no later line is lost', () => {
    const { write, readAll, path, file } = openLog({ path: join(tempDir(), 'logs', 'app.log') });
    write('before');
    rmSync(join(path, '..'), { recursive: true });
    // This write finds out, and is done again.
    expect(write('after')).toBe(6);
    expect(readAll()).toBe('after\n');
    expect(file.stats.reopens).toBe(1);
    expect(file.stats.errors).toBe(0);
  });

  test('moved away, as logrotate does: lines go to the new file within 250 ms, or at once by reopenSync', async () => {
    const { write, path, file } = openLog();
    write('1');
    renameSync(path, `${path}.1`);
    write('2');
    await new Promise((resolve) => setTimeout(resolve, 300));
    write('3');
    expect([readFileSync(`${path}.1`, 'utf8'), readFileSync(path, 'utf8')]).toEqual(['1\n2\n', '3\n']);
    renameSync(path, `${path}.2`);
    file.reopenSync();
    write('4');
    expect(readFileSync(path, 'utf8')).toBe('4\n');
  });

  test('cut to nothing, as copytruncate does: it goes on at the start, without a hole', () => {
    const { write, path } = openLog();
    write('x'.repeat(1_000));
    writeFileSync(path, '');
    write('1');
    expect(readFileSync(path, 'utf8')).toBe('1\n');
  });

  test('a folder in the file’s place: told once, tried again, and over once it is gone', () => {
    const path = join(tempDir(), 'app.log');
    mkdirSync(path);
    const { write, told, file } = openLog({ path });
    for (let n = 0; n < 5; n++) expect(write('1')).toBe(0);
    expect(file.retryInMs).toBeGreaterThan(0);
    expect(file.stats.failing).toContain('EISDIR');
    rmSync(path, { recursive: true });
    expect(write('1')).toBe(2);
    expect(file.stats).toMatchObject({ errors: 6, failing: undefined });
    expect(file.retryInMs).toBe(0);
    expect(told.map(({ kind, code, isOver }) => `${kind} ${code} ${isOver}`)).toEqual([
      'open EISDIR false',
      'open EISDIR true',
    ]);
  });

  test('a rotated file that is written to late is compressed with those lines', async () => {
    const { write, path, file, rotated } = openLog({ settleMs: 200, rotation: { compress: 'gzip' } });
    write('1');
    file.rotateSync();
    appendFileSync(join(path, '..', rotated()[0] as string), '2\n');
    await eventually(() => rotated()[0]?.endsWith('.gz') ?? false);
    expect(gunzipSync(readFileSync(join(path, '..', rotated()[0] as string))).toString()).toBe('1\n2\n');
    expect(existsSync(`${path}.lock`)).toBe(false);
  });

  test('a listener that throws harms nobody', () => {
    const path = join(tempDir(), 'app.log');
    mkdirSync(path);
    const file = new LogFile({
      path,
      onError: () => {
        throw new Error('theirs');
      },
    });
    expect(file.appendSync(Buffer.from('1\n'))).toBe(0);
  });
});
