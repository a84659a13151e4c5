/**
 * What a sink costs a call: CPU of the whole process (its thread pool too) for a line of 150 bytes, without the making of
 * the line. Every way runs in a process of its own, the ways in turn, and the median of the rounds is shown.
 *
 *   node libs/file-logger/src/file-sink.bench.ts [rounds]
 */
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileSink } from './file-sink.ts';

const LINES = 1_000_000;
const WARM_UP = 100_000;
/** A turn of the event loop so often, as a server has them; the file is cut then, so that the disk is no part of this. */
const TURN_LINES = 2_000;
const CUT_LINES = 200_000;
const KIB = 1_024;

interface Way {
  write(line: string): void;
  cut(): void;
  end(): void;
}

const REST = `,"pid":12345,"hostname":"machine","reqId":"req-1a2b3c","msg":"${'x'.repeat(52)}","ok":true}\n`;
const lineOf = (n: number): string => `{"level":30,"time":${1_790_000_000_000 + n}${REST}`;

function sinkWay(path: string, bufferBytes: number, sync: boolean): Way {
  const sink = new FileSink({ path, bufferBytes, sync });
  return {
    write: (line) => sink.write(line),
    cut: () => truncateSync(path),
    end: () => {
      if (!sink.flushSync()) throw new Error('not all was written');
      if (sink.stats().dropped.full > 0) throw new Error('lines were dropped');
    },
  };
}

/** Each line is encoded into the block when it comes, instead of all at once. */
function eachWay(path: string, bufferBytes: number): Way {
  const fd = openSync(path, 'a');
  const block = Buffer.allocUnsafeSlow(bufferBytes);
  let end = 0;
  const flush = (): void => {
    writeSync(fd, block, 0, end);
    end = 0;
  };
  return {
    write: (line) => {
      if (end + line.length * 3 > bufferBytes) flush();
      end += block.write(line, end);
    },
    cut: () => ftruncateSync(fd),
    end: () => {
      flush();
      closeSync(fd);
    },
  };
}

/** Makes the lines, and looks at them so that they are made. */
function noWay(): Way {
  let bytes = 0;
  return {
    write: (line) => {
      bytes += line.length;
    },
    cut: () => undefined,
    end: () => {
      if (bytes === 0) throw new Error('no lines');
    },
  };
}

function wayOf(name: string, path: string): Way {
  const [kind, kib] = name.split(' ') as [string, string];
  if (kind === 'none') return noWay();
  if (kind === 'each') return eachWay(path, Number(kib) * KIB);
  return sinkWay(path, Number(kib) * KIB, kind === 'sync');
}

async function run(way: Way, lines: number): Promise<void> {
  for (let n = 0; n < lines; n++) {
    way.write(lineOf(n));
    if (n % TURN_LINES === 0) await new Promise((resolve) => setImmediate(resolve));
    if (n % CUT_LINES === 0) way.cut();
  }
}

async function measure(name: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-sink-bench-'));
  const way = wayOf(name, join(folder, 'app.log'));
  await run(way, WARM_UP);
  const before = process.cpuUsage();
  await run(way, LINES);
  way.end();
  const { user, system } = process.cpuUsage(before);
  rmSync(folder, { recursive: true });
  process.stdout.write(`${((user + system) * 1_000) / LINES}\n`);
}

const WAYS = ['none', ...['sync', 'async', 'each'].flatMap((kind) => [16, 64, 256].map((kib) => `${kind} ${kib}`))];

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number;
}

function compare(rounds: number): void {
  const script = fileURLToPath(import.meta.url);
  const figures = new Map<string, number[]>(WAYS.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of WAYS) {
      const said = execFileSync(process.execPath, [script, '--way', name], { encoding: 'utf8' });
      figures.get(name)?.push(Number(said));
    }
  }
  const none = median(figures.get('none') as number[]);
  const rows = WAYS.map((name) => ({ way: name, nsPerLine: Math.round(median(figures.get(name) as number[]) - none) }));
  console.table(rows);
  console.log(JSON.stringify({ bench: 'file-sink', lineBytes: lineOf(0).length, makingNs: Math.round(none), rows }));
}

const [mode, name] = process.argv.slice(2);
if (mode === '--way') await measure(name as string);
else compare(Number(mode ?? 5));
