import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { eventually, tempDir } from '@plinth/testkit';
import { FileSink, type FileSinkOptions } from '../src/file-sink.ts';
import { LogFile } from '../src/log-file.ts';
import { countInOrder, parseLines, readLog, startVictim } from './file-victim-process.ts';

const compressedIn = (dir: string) => readdirSync(dir).filter((name) => name.endsWith('.gz')).length;

test('rotation many times a second, compressed behind the writer: 200,000 lines, each once and in order', async () => {
  const dir = tempDir('file-rotation');
  const path = join(dir, 'app.log');
  const sink = new FileSink({ path, sync: false, settleMs: 20, rotation: { bytesMax: 100_000, compress: 'gzip' } });
  for (let n = 0; n < 200_000; n++) {
    sink.write(`{"by":"a","n":${n},"pad":"${'x'.repeat(30)}"}\n`);
    if (n % 2_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => sink.flush(resolve));
  await eventually(() => sink.file.compressing === 0, { timeoutMs: 15_000 });
  await sink.close();
  expect(countInOrder(parseLines(readLog(path)))).toBe(200_000);
  expect(sink.stats()).toMatchObject({ written: 200_000, pending: 0, errors: 0 });
  expect(compressedIn(dir)).toBe(sink.file.stats.rotations);
  expect(compressedIn(dir)).toBeGreaterThan(80);
}, 40_000);

test('two processes on one file that both rotate and compress: every line of both once, whole, and in order', async () => {
  const dir = tempDir('file-two');
  const path = join(dir, 'app.log');
  const rotation = { bytesMax: 200_000, compress: 'gzip' as const };
  const sink: FileSinkOptions = { path, rotation, settleMs: 700, bufferBytes: 8_192 };
  const victims = ['a', 'b'].map((by) => startVictim({ sink, by, lines: 60_000, padding: 30, ending: 'close' }));
  for (const victim of victims) expect((await victim.exited).code).toBe(0);
  const lines = parseLines(readLog(path));
  expect(
    ['a', 'b'].map((by) =>
      countInOrder(
        lines.sort((x, y) => (x.by < y.by ? -1 : x.by > y.by ? 1 : 0)),
        by,
      ),
    ),
  ).toEqual([60_000, 60_000]);
  expect(lines.length).toBe(120_000);
  // Each looks only now and then whether the other has moved the file, so that how many there are is the machine's to say.
  expect(readdirSync(dir).length).toBeGreaterThan(5);
  expect(readdirSync(dir)).not.toContain('app.log.lock');
  const next = new LogFile({ path, rotation, settleMs: 1 });
  await eventually(() => next.compressing === 0, { timeoutMs: 10_000 });
  await next.close();
  expect(parseLines(readLog(path)).length).toBe(120_000);
}, 40_000);
