/**
 * Many lines from eight threads through one ring into a log that rotates, read back on the fly: each thread's numbers must
 * come one after another without a gap. Prints memory as it goes.
 *
 *   node libs/file-logger/test/threads-soak.ts [lines] [folder]
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { startThreadSink } from '../src/threads/threads.ts';
import type { SoakOrder } from './threads-soak-thread.ts';

const THREADS = 8;
const PAD_MAX = 120;
/** Of the lines, how many between two looks at the memory. */
const LOOKS = 20;
const MIB = 1 << 20;
/** Small heaps, so that a leak shows: one of 64 MiB ends the run. */
const HEAP = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 };

const lines = Number(process.argv[2] ?? 1_000_000);
const folder = mkdtempSync(join(process.argv[3] ?? tmpdir(), 'threads-soak-'));
const path = join(folder, 'app.log');
const table = new Int32Array(new SharedArrayBuffer((2 * THREADS + 1) * 4));
const log = startThreadSink({
  path,
  ringBytes: MIB,
  rotation: { bytesMax: 16 * MIB, keepFiles: 24 },
  // Positions wrap on the way.
  startPosition: 2 ** 32 - 1_000_000,
});
// The reader needs a file to follow.
while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));

function start(thread: number | undefined): Promise<unknown> {
  const order = {
    handle: log.handle,
    path,
    threads: THREADS,
    linesEach: Math.ceil(lines / THREADS),
    padMax: PAD_MAX,
    table,
  };
  const workerData: SoakOrder = { ...order, thread };
  const worker = new Worker(new URL('./threads-soak-thread.ts', import.meta.url), {
    workerData,
    execArgv: [],
    resourceLimits: HEAP,
  });
  return new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
}

const sum = (from: number): number => table.subarray(from, from + THREADS).reduce((total, count) => total + count, 0);
const rssMib = (): number => Math.round(process.memoryUsage.rss() / MIB);

const startMs = performance.now();
const ended = Promise.all([undefined, ...Array(THREADS).keys()].map(start));
const rss: number[] = [];
const timer = setInterval(() => {
  if (sum(THREADS) < ((rss.length + 1) * lines) / LOOKS) return;
  rss.push(rssMib());
  const files = readdirSync(folder).length;
  console.log(
    `${sum(THREADS)} lines read back, ${rss.at(-1)} MiB resident, ${files} files, ${table[2 * THREADS]} faults`,
  );
}, 20);
await ended;
clearInterval(timer);
await log.sink.close();
const { written, pending, dropped, writtenBytes } = log.sink.stats();
const seconds = Math.round(performance.now() - startMs) / 1_000;
const result = { lines, readBack: sum(THREADS), faults: table[2 * THREADS], written, pending, dropped };
console.log(JSON.stringify({ ...result, mib: Math.round(writtenBytes / MIB), seconds, rssMib: rss }));
rmSync(folder, { recursive: true });
const isRight = result.faults === 0 && result.readBack === result.written && pending === 0;
process.exitCode = isRight ? 0 : 1;
