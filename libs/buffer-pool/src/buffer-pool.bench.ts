/**
 * What memory for a moment costs: blocks of a pool beside `Buffer.allocUnsafe`, `allocUnsafeSlow` and `alloc`.
 *
 *     node libs/buffer-pool/src/buffer-pool.bench.ts [rounds]
 *
 * - `alone`: a buffer is taken, its first byte written, and given back (or forgotten), again and again.
 * - `pressure`: as in a server. 200,000 small objects live, a few are replaced at every call, and each buffer stays
 *   held while the next 256 are taken. The garbage collector then has to tell what lives from what does not.
 *
 * Every measurement is made in a process of its own, in turns; told are medians. CPU: of all threads of the process, as
 * the collector works on several. MB/s: memory handed out per second of CPU. Then each does the same number of calls,
 * in turns of the event loop, and PerformanceObserver tells every pause of the collector in them.
 */
import { execFileSync } from 'node:child_process';
import { type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { BlockPool, SlabPool } from './buffer-pool.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const SIZES = [64, 256, 1024, 4096, 16_384, 65_536];
const SETTINGS = ['alone', 'pressure'] as const;
const HELD = 256;
const LIVING = 200_000;
const CPU_MS = 400;
const WARM_UP_MS = 150;
const BATCH = 2_000;
/** For the pauses: 2 GiB handed out, or a million calls. */
const PAUSE_BYTES = 2 ** 31;
const PAUSE_CALLS_MAX = 1_000_000;

type Setting = (typeof SETTINGS)[number];
/** Does so many calls. */
type Run = (calls: number) => void;

/** As the same code would else be compiled once for all subjects, each has its own loops. */
const SUBJECTS: Record<string, (bytes: number, setting: Setting) => Run> = {
  BlockPool(bytes, setting) {
    const pool = new BlockPool({ blockBytes: bytes, blocksMax: HELD + 1 });
    if (setting === 'alone') return loop(() => withFirstByte(pool.acquire()).release());
    const held = Array.from({ length: HELD }, () => pool.acquire());
    return loop((at) => {
      held[at % HELD]!.release();
      held[at % HELD] = withFirstByte(pool.acquire());
    }, livingObjects());
  },
  SlabPool(bytes, setting) {
    const pool = new SlabPool({ bytesMax: 2 ** 26 });
    if (setting === 'alone') return loop(() => withFirstByte(pool.acquire(bytes)).release());
    const held = Array.from({ length: HELD }, () => pool.acquire(bytes));
    return loop((at) => {
      held[at % HELD]!.release();
      held[at % HELD] = withFirstByte(pool.acquire(bytes));
    }, livingObjects());
  },
  allocUnsafe: (bytes, setting) => buffers(() => Buffer.allocUnsafe(bytes), setting),
  allocUnsafeSlow: (bytes, setting) => buffers(() => Buffer.allocUnsafeSlow(bytes), setting),
  alloc: (bytes, setting) => buffers(() => Buffer.alloc(bytes), setting),
  // What the harness itself costs; it is subtracted from the others.
  nothing(_bytes, setting) {
    const one = { bytes: Buffer.alloc(1) };
    if (setting === 'alone') return loop(() => withFirstByte(one));
    const held = Array.from({ length: HELD }, () => one);
    return loop((at) => {
      held[at % HELD] = withFirstByte(one);
    }, livingObjects());
  },
};

function withFirstByte<T extends { bytes: Buffer }>(block: T): T {
  block.bytes[0] = 1;
  return block;
}

function buffers(make: () => Buffer, setting: Setting): Run {
  const held: Buffer[] = Array.from({ length: HELD }, make);
  const last = (at: number) => (setting === 'alone' ? 0 : at % HELD);
  return loop(
    (at) => {
      const buffer = make();
      buffer[0] = 1;
      held[last(at)] = buffer;
    },
    setting === 'alone' ? undefined : livingObjects(),
  );
}

interface Living {
  id: number;
  name: string;
  tags: number[];
}

const livingObject = (id: number): Living => ({ id, name: `user-${id}`, tags: [id, id + 1] });
const livingObjects = (): Living[] => Array.from({ length: LIVING }, (_, id) => livingObject(id));

function loop(call: (at: number) => void, living?: Living[]): Run {
  let at = 0;
  return (calls) => {
    for (let done = 0; done < calls; done++) {
      call(at++);
      // One object in 32 calls: a stride that visits all of them.
      if (living !== undefined && (at & 31) === 0) living[(at * 7919) % LIVING] = livingObject(at);
    }
  };
}

interface Measured {
  ns: number;
  pauses: number;
  pauseMsSum: number;
  pauseMsP999: number;
  pauseMsMax: number;
  rssMb: number;
}

async function measure(subject: string, bytes: number, setting: Setting): Promise<Measured> {
  const run = SUBJECTS[subject]!(bytes, setting);
  await runFor(run, WARM_UP_MS);
  // What the preparation left is not what is measured.
  (globalThis as { gc?: () => void }).gc!();
  const { calls, cpuMs } = await runFor(run, CPU_MS);
  const pauses = await pausesOf(run, Math.min(PAUSE_CALLS_MAX, PAUSE_BYTES / bytes));
  return {
    ns: (cpuMs * 1e6) / calls,
    pauses: pauses.length,
    pauseMsSum: pauses.reduce((sum, ms) => sum + ms, 0),
    pauseMsP999: pauses[Math.ceil(pauses.length * 0.999) - 1] ?? 0,
    pauseMsMax: pauses.at(-1) ?? 0,
    rssMb: process.memoryUsage.rss() / 2 ** 20,
  };
}

/** In milliseconds, the shortest first. */
async function pausesOf(run: Run, calls: number): Promise<number[]> {
  (globalThis as { gc?: () => void }).gc!();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const pauses: number[] = [];
  const note = (entries: PerformanceEntry[]) => pauses.push(...entries.map(({ duration }) => duration));
  const observer = new PerformanceObserver((list) => note(list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  for (let done = 0; done < calls; done += BATCH) {
    run(Math.min(BATCH, calls - done));
    await new Promise(setImmediate);
  }
  note(observer.takeRecords());
  observer.disconnect();
  return pauses.sort((a, b) => a - b);
}

/** Runs until so much CPU was used, in turns of the event loop as a server has them: the observer is told only then. */
async function runFor(run: Run, ms: number): Promise<{ calls: number; cpuMs: number }> {
  const before = process.cpuUsage();
  for (let calls = BATCH; ; calls += BATCH) {
    run(BATCH);
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1e3;
    if (cpuMs >= ms) return { calls, cpuMs };
    if (calls % (BATCH * 8) === 0) await new Promise(setImmediate);
  }
}

function measured(subject: string, bytes: number, setting: Setting): Measured {
  const args = ['--expose-gc', import.meta.filename, '--subject', subject, String(bytes), setting];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 }));
}

function medians(found: Measured[]): Measured {
  const names = Object.keys(found[0]!) as (keyof Measured)[];
  const median = (name: keyof Measured) => found.map((one) => one[name]).sort((a, b) => a - b)[found.length >> 1]!;
  return Object.fromEntries(names.map((name) => [name, median(name)])) as unknown as Measured;
}

/** Of all subjects, each with its harness's own cost, which is that of `nothing`. */
function inTurns(bytes: number, setting: Setting): Map<string, Measured> {
  const found = new Map<string, Measured[]>(Object.keys(SUBJECTS).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, all] of found) all.push(measured(name, bytes, setting));
  }
  return new Map([...found].map(([name, all]) => [name, medians(all)]));
}

const rounded = (number: number, digits: number): number => Number(number.toFixed(digits));

function row(told: Measured, costNs: number, bytes: number) {
  return {
    'CPU ns': rounded(costNs, 1),
    'MB/s': Math.round((bytes * 1e3) / costNs),
    'GC pauses': told.pauses,
    'sum ms': rounded(told.pauseMsSum, 1),
    'p99.9 ms': rounded(told.pauseMsP999, 2),
    'max ms': rounded(told.pauseMsMax, 2),
    'RSS MB': Math.round(told.rssMb),
  };
}

function report(): void {
  const ratios: Record<string, number> = {};
  for (const setting of SETTINGS) {
    for (const bytes of SIZES) {
      const told = inTurns(bytes, setting);
      const harnessNs = told.get('nothing')!.ns;
      told.delete('nothing');
      const costOf = (name: string) => Math.max(0.1, told.get(name)!.ns - harnessNs);
      // The harness counts for both here, so the ratio is rather too high than too low.
      ratios[`${setting} ${bytes}`] = rounded(told.get('BlockPool')!.ns / told.get('allocUnsafe')!.ns, 4);
      console.log(`\n${bytes} bytes, ${setting} (the loop's own ${harnessNs.toFixed(1)} ns are taken off)`);
      console.table(Object.fromEntries([...told].map(([name, one]) => [name, row(one, costOf(name), bytes)])));
    }
  }
  console.log(
    JSON.stringify({ bench: 'buffer-pool', node: process.version, rounds: ROUNDS, poolToAllocUnsafe: ratios }),
  );
}

if (process.argv[2] === '--subject') {
  const [subject, bytes, setting] = process.argv.slice(3) as [string, string, Setting];
  console.log(JSON.stringify(await measure(subject, Number(bytes), setting)));
} else report();
