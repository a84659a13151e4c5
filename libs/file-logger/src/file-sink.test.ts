import { execFileSync } from 'node:child_process';
import { constants, openSync, readFileSync, readSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { eventually, seededRandom, tempDir } from '@plinth/testkit';
import { FileSink, type FileSinkOptions } from './file-sink.ts';

const dir = tempDir('file-sink');
let files = 0;

function openSink(options: FileSinkOptions = {}) {
  const path = join(dir, `${files++}.log`);
  const sink = new FileSink({ path, ...options });
  return { sink, path, read: () => readFileSync(path, 'utf8') };
}

const flushed = (sink: FileSink) =>
  new Promise<Error | undefined>((resolve) => {
    sink.flush(resolve);
  });

describe('lines', () => {
  test.each<FileSinkOptions>([{}, { sync: false }, { durability: 'interval' }, { durability: 'always' }])(
    'of any length and any characters are written once and in order, with %j',
    async (options) => {
      const random = seededRandom();
      const { sink, read } = openSink({ bufferBytes: 1_024, buffersMax: 4, lineBytesMax: 50_000, ...options });
      const lines = Array.from(
        { length: 500 },
        (_, n) =>
          `${n} ${random.pick(['x', 'é', '€', '😀', '\ud800']).repeat(random.int(random.pick([10, 300, 3_000])))}\n`,
      );
      for (const line of lines) sink.write(line);
      expect(await flushed(sink)).toBeUndefined();
      // Half a character has no bytes of its own: it is written as U+FFFD.
      expect(read()).toBe(lines.join('').toWellFormed());
      expect(sink.stats()).toMatchObject({
        written: 500,
        pending: 0,
        errors: 0,
        dropped: { full: 0, tooLong: 0, failed: 0 },
      });
      await sink.close();
    },
  );

  test('wait no longer than the linger, and are written when the buffer is full', async () => {
    const { sink, read } = openSink({ lingerMs: 30 });
    sink.write('1\n');
    expect(read()).toBe('');
    await eventually(() => read() === '1\n', { timeoutMs: 1_000 });
    for (let n = 0; n < 100_000; n++) sink.write('12345678\n');
    // No turn of the event loop lies between.
    expect(read().length).toBeGreaterThan(800_000);
    await sink.close();
    expect(read().length).toBe(900_002);
  });

  test('are not dropped by `block` while another program cuts the file under the thread pool', async () => {
    const { sink, path } = openSink({ sync: false, bufferBytes: 4_096, buffersMax: 4 });
    for (let n = 0; n < 50_000; n++) {
      sink.write(`${n} ${'x'.repeat(100)}\n`);
      if (n % 1_000 === 0) truncateSync(path);
      if (n % 5_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await sink.close();
    expect(sink.stats()).toMatchObject({ written: 50_000, pending: 0, errors: 0, dropped: { full: 0, failed: 0 } });
  });

  test('a longer one than allowed is counted, and told in its place', async () => {
    const { sink, read } = openSink({ lineBytesMax: 2_000, bufferBytes: 1_024 });
    sink.write(`${'x'.repeat(1_999)}\n`);
    sink.write(`${'y'.repeat(2_000)}\n`);
    sink.write('after\n');
    await sink.close();
    const [first, notice, last] = read().split('\n') as [string, string, string];
    expect([first.length, last]).toEqual([1_999, 'after']);
    expect(JSON.parse(notice)).toMatchObject({ level: 40, msg: '1 line was dropped', reason: 'tooLong' });
    expect(sink.stats()).toMatchObject({ written: 2, dropped: { tooLong: 1 } });
  });

  test('after close are counted as failed', async () => {
    const { sink, read } = openSink();
    sink.write('1\n');
    await sink.close();
    sink.write('2\n');
    sink.write('3\n');
    expect(read()).toBe('1\n');
    expect(sink.stats()).toMatchObject({ written: 1, pending: 0, dropped: { failed: 2 } });
    expect(sink.flushSync(10)).toBe(true);
    await sink.close();
  });

  test('flush calls back at once when there is nothing to write, and flushSync writes all', async () => {
    const { sink, read } = openSink({ sync: false, durability: 'interval' });
    expect(await flushed(sink)).toBeUndefined();
    sink.write('1\n');
    const done = flushed(sink);
    sink.write('2\n');
    expect(sink.flushSync()).toBe(true);
    expect(read()).toBe('1\n2\n');
    expect(await done).toBeUndefined();
    expect(sink.file.stats.syncs).toBeGreaterThanOrEqual(1);
    await sink.close();
  });

  test('durability interval syncs by its time, and not while nothing is written', async () => {
    const { sink } = openSink({ durability: 'interval', intervalMs: 40 });
    for (let n = 0; n < 30; n++) {
      sink.write(`${n}\n`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await eventually(() => sink.stats().pending === 0);
    const { syncs } = sink.file.stats;
    expect(syncs).toBeGreaterThanOrEqual(3);
    expect(syncs).toBeLessThanOrEqual(12);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(sink.file.stats.syncs).toBeLessThanOrEqual(syncs + 1);
    await sink.close();
  });

  test.each<[FileSinkOptions, string]>([
    [{ bufferBytes: 1_023 }, 'bufferBytes is 1023; the least is 1024'],
    [{ buffersMax: 1 }, 'buffersMax is 1; the least is 2'],
    [{ whenFull: 'wait' as 'block' }, 'whenFull is "wait"; it may be block, drop-newest, drop-oldest'],
    [{ durability: 'some' as 'none' }, 'durability is "some"'],
    [{ lingerMs: -1 }, 'lingerMs is -1'],
  ])('options %j are refused: %s', (options, words) => {
    expect(() => openSink(options)).toThrow(words);
  });
});

/** A FIFO that is only read when the test says so. */
function openFifo(options: FileSinkOptions) {
  const path = join(dir, `${files++}.fifo`);
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const sink = new FileSink({ path, bufferBytes: 4_096, buffersMax: 4, ...options });
  let text = '';
  const readSome = () => {
    const bytes = Buffer.alloc(65_536);
    try {
      text += bytes.toString('utf8', 0, readSync(fd, bytes));
    } catch {
      // Empty for now.
    }
    return text;
  };
  return { sink, readSome };
}

const numbersIn = (text: string) =>
  text
    .split('\n')
    .flatMap((line) => /^(\d+) x/.exec(line)?.[1] ?? [])
    .map(Number);

describe.each<['drop-newest' | 'drop-oldest']>([['drop-newest'], ['drop-oldest']])(
  'a reader that does not read, %s',
  (whenFull) => {
    test('never holds the caller, keeps a bounded number, counts the rest, tells it once there is room', async () => {
      const { sink, readSome } = openFifo({ whenFull });
      const longestMs: number[] = [];
      for (let n = 0; n < 20_000; n++) {
        const startMs = performance.now();
        sink.write(`${n} ${'x'.repeat(40)}\n`);
        longestMs.push(performance.now() - startMs);
      }
      const { pending, dropped, written } = sink.stats();
      expect(pending).toBeLessThanOrEqual((5 * 4_096) / 43);
      expect(written + dropped.full + pending).toBe(20_000);
      expect(dropped.full).toBeGreaterThan(15_000);
      // A collection of garbage or another process may take the turn: one in 2,000 may be late.
      expect(longestMs.sort((a, b) => a - b)[19_990]).toBeLessThan(10);
      await eventually(() => /dropped/.test(readSome()) && sink.stats().pending === 0);
      const found = numbersIn(readSome());
      expect(found).toEqual([...found].sort((a, b) => a - b));
      expect(found.length).toBe(sink.stats().written);
      expect(found[0]).toBe(0);
      expect(found.includes(19_999)).toBe(whenFull === 'drop-oldest');
      const told = [...readSome().matchAll(/"msg":"(\d+) lines? (?:was|were) dropped","reason":"full"/g)];
      expect(told.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(sink.stats().dropped.full);
      expect(sink.stats().errors).toBe(0);
      await sink.close();
    });
  },
);

test('a reader that goes away is an error told once; one that comes back is served', async () => {
  const told: string[] = [];
  const path = join(dir, 'away.fifo');
  execFileSync('mkfifo', [path]);
  const sink = new FileSink({ path, retryMs: 5, onError: ({ code, isOver }) => told.push(`${code} ${isOver}`) });
  sink.write('1\n');
  expect((await flushed(sink))?.message).toContain('ENXIO');
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  await eventually(() => sink.stats().pending === 0);
  const bytes = Buffer.alloc(10);
  expect(bytes.toString('utf8', 0, readSync(fd, bytes))).toBe('1\n');
  expect(told).toEqual(['ENXIO false', 'ENXIO true']);
  await sink.close();
});
