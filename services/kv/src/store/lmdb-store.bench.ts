/**
 * What the store costs: `node --expose-gc services/kv/src/store/lmdb-store.bench.ts`. Times are the best of several
 * rounds, because the machine has other work; memory is what this process grew by.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import sortedBtree from 'sorted-btree';

const EFFECTS = 60_000;
const PUTS_PER_STEP = 3;
const ROUNDS = 5;
const VALUE = Buffer.alloc(128, 7);
const CACHE_BYTES = 64 * 1_048_576;

const collect = (): void => (globalThis as { gc?: () => void }).gc?.();
const say = (name: string, amount: number, unit: string) =>
  console.log(`${name.padEnd(44)} ${amount.toFixed(1)} ${unit}`);

/** 20 bytes, spread over the key space, as fresh strings that nobody has hashed or flattened before. */
const keyOf = (i: number): string =>
  `k${((i * 0x9e37_79b1) >>> 0).toString(16).padStart(8, '0')}${i.toString().padStart(11, '0')}`;
const KEYS = Array.from({ length: EFFECTS }, (_, i) => keyOf(i));
const freshKeys = (): string[] => KEYS.map((key) => Buffer.from(key).toString('latin1'));

function bestNs(name: string, operations: number, prepare: () => string[], run: (keys: string[]) => void): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const keys = prepare();
    const started = process.hrtime.bigint();
    run(keys);
    best = Math.min(best, Number(process.hrtime.bigint() - started) / operations);
  }
  say(name, best, 'ns');
}

const rssMb = (): number => {
  collect();
  return process.memoryUsage.rss() / 1e6;
};

async function benchMemory() {
  const bare = rssMb();
  await import('lmdb');
  const imported = rssMb();
  say('rss: import lmdb', imported - bare, 'MB');
  const { openLmdbStore } = await import('./lmdb-store.ts');
  const folder = await mkdtemp(join(tmpdir(), 'lmdb-bench-'));
  const store = await openLmdbStore(folder, { cacheBytes: CACHE_BYTES });
  const opened = rssMb();
  say('rss: our modules and an open store', opened - imported, 'MB');
  store.step(1, () => store.put('meta', 'a', VALUE));
  await store.checkpoint();
  say('rss: writer thread, after one checkpoint', rssMb() - opened, 'MB');
  return { store, folder };
}

type OpenStore = Awaited<ReturnType<typeof benchMemory>>['store'];

function putAll(store: OpenStore, keys: readonly string[]): void {
  for (let i = 0; i < keys.length; i += PUTS_PER_STEP) {
    store.step(store.position + 1, () => {
      for (let n = i; n < i + PUTS_PER_STEP; n++) store.put('versions', keys[n]!, VALUE);
    });
  }
}

async function benchSteps(store: OpenStore): Promise<void> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const keys = freshKeys();
    const started = process.hrtime.bigint();
    putAll(store, keys);
    best = Math.min(best, Number(process.hrtime.bigint() - started));
    if (round < ROUNDS - 1) await store.checkpoint();
  }
  say('step of 3 puts, new keys', best / (EFFECTS / PUTS_PER_STEP), 'ns');
  say('  per put', best / EFFECTS, 'ns');
  bestNs('  per put, keys already in the overlay', EFFECTS, freshKeys, (keys) => putAll(store, keys));
}

function benchReads(store: OpenStore, where: string): void {
  bestNs(`get, ${where}`, EFFECTS, freshKeys, (keys) => {
    for (const key of keys) store.get('versions', key);
  });
  bestNs(`get of no key, ${where}`, EFFECTS, freshKeys, (keys) => {
    for (const key of keys) store.get('index', key);
  });
  for (const reverse of [false, true]) {
    bestNs(`range of 100${reverse ? ' reverse' : ''}, per entry, ${where}`, EFFECTS, freshKeys, (keys) => {
      for (let i = 0; i < EFFECTS / 100; i++) walk100(store, keys[i]!, reverse);
    });
  }
}

function walk100(store: OpenStore, key: string, reverse: boolean): void {
  let left = 100;
  for (const _ of store.range('versions', reverse ? { end: key, reverse } : { start: key })) {
    if (--left === 0) break;
  }
}

async function benchCheckpoint(store: OpenStore): Promise<void> {
  for (let round = 0; round < 3; round++) {
    putAll(store, freshKeys());
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const started = performance.now();
    const running = store.checkpoint();
    const handOverMs = performance.now() - started;
    await running;
    delay.disable();
    say(`checkpoint of ${EFFECTS} effects`, performance.now() - started, 'ms');
    say('  main thread: handing over', handOverMs, 'ms');
    // The monitor ticks every millisecond; what is above that is a stall.
    say('  main thread: longest stall, less 1 ms', delay.max / 1e6 - 1, 'ms');
  }
}

function benchHeap(store: OpenStore): void {
  const heldMb = () => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = heldMb();
  const pendingBefore = store.pendingBytes;
  for (const key of freshKeys())
    store.step(store.position + 1, () => store.put('records', `x${key}`, Buffer.from(VALUE)));
  say('heap per effect of 20 + 128 bytes', (heldMb() - before) / EFFECTS, 'bytes');
  say('  as pendingBytes counts it', (store.pendingBytes - pendingBefore) / EFFECTS, 'bytes');
}

/** The opponent of `ordered-table.ts`: the tree that answers everything alone. */
async function benchTables(): Promise<void> {
  const { OrderedTable } = await import('./ordered-table.ts');
  const byBytes = (a: string, b: string) => (a < b ? -1 : a === b ? 0 : 1);
  let tree = new sortedBtree.default<string, Buffer>(undefined, byBytes);
  let table = new OrderedTable<Buffer>();
  const opponents = {
    'b+ tree alone: put that knows the old value': (key: string) => tree.get(key) ?? tree.set(key, VALUE),
    'b+ tree alone: get': (key: string) => tree.get(key),
    'ordered table: put that knows the old value': (key: string) => table.set(key, VALUE),
    'ordered table: get': (key: string) => table.get(key),
  };
  for (const [name, operation] of Object.entries(opponents)) {
    const prepare = () => {
      if (name.includes('put')) [tree, table] = [new sortedBtree.default(undefined, byBytes), new OrderedTable()];
      return freshKeys();
    };
    bestNs(name, EFFECTS, prepare, (keys) => {
      for (const key of keys) operation(key);
    });
  }
  bestNs('ordered table: sorting it once, per key', EFFECTS, freshKeys, (keys) => {
    table = new OrderedTable();
    for (const key of keys) table.set(key, VALUE);
    table.range({}).next();
  });
}

const { store, folder } = await benchMemory();
await benchSteps(store);
benchReads(store, 'overlay');
for (const key of KEYS) store.step(store.position + 1, () => store.put('records', key, VALUE));
await store.checkpoint();
benchReads(store, 'LMDB');
bestNs('get of a row that is kept', EFFECTS, freshKeys, (keys) => {
  for (const key of keys) store.get('records', key);
});
await benchCheckpoint(store);
say('rss: after these checkpoints', rssMb(), 'MB in all');
benchHeap(store);
await store.close();
await rm(folder, { recursive: true });
await benchTables();
