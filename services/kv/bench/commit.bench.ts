/**
 * What a durable write costs inside the service, without HTTP: the engine as it is (a log, synced once a group, the
 * store following) against the plain alternative (one flushed LMDB transaction a group). Same machine, same disk, same
 * rows; callers wait for their answer before they write again.
 *
 *   node services/kv/bench/commit.bench.ts [seconds a round]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bucketSettings } from '@plinth/contracts/kv';
import { open } from 'lmdb';
import { Engine } from '../src/core/engine.ts';
import { openLmdbStore } from '../src/store/lmdb-store.ts';
import { openSegmentLog } from '../src/store/segment-log.ts';

const ROUND_MS = Number(process.argv[2] ?? 2) * 1_000;
const ROUNDS = 5;
const CALLERS = [1, 64, 256];
const KEYS = 100_000;
const VALUE = Buffer.alloc(128, 'v');

interface Contender {
  name: string;
  put(key: string): Promise<unknown>;
  stop(): Promise<unknown>;
}

async function engine(folder: string): Promise<Contender> {
  const store = await openLmdbStore(join(folder, 'state'));
  const log = await openSegmentLog(join(folder, 'log'), { sync: 'always', startAt: store.position });
  const engine = await Engine.open({
    store,
    log,
    flushesLater: false,
    now: Date.now,
    report: (what, error) => console.error(what, error),
    checkpoint: { bytes: 16 * 2 ** 20, intervalMs: 5_000, bytesMax: 2 ** 28 },
    commitTimeoutMs: 10_000,
  });
  const settings = bucketSettings.parse({});
  const { bucket } = await engine.submit({ do: 'defineBucket', name: 'bench', settings });
  return {
    name: 'log, LMDB follows',
    put: (key) => engine.submit({ do: 'operation', bucket: bucket!, operation: { op: 'put', key, value: VALUE } }),
    stop: () => engine.stop(),
  };
}

/** The same rows (a record by revision, an index by key), in transactions that LMDB itself groups and flushes. */
async function lmdb(folder: string): Promise<Contender> {
  const root = open({ path: join(folder, 'lmdb'), overlappingSync: false, encoding: 'binary', keyEncoding: 'binary' });
  const records = root.openDB({ name: 'records', encoding: 'binary', keyEncoding: 'uint32' });
  const index = root.openDB({ name: 'index', encoding: 'binary', keyEncoding: 'binary' });
  let revision = 0;
  return {
    name: 'LMDB flushed every group',
    put(key) {
      revision += 1;
      void records.put(revision, VALUE);
      return index.put(Buffer.from(key, 'latin1'), Buffer.from(String(revision)));
    },
    stop: () => root.close(),
  };
}

async function round({ put }: Contender, callers: number): Promise<{ perSecond: number; p99Ms: number }> {
  const latencies: number[] = [];
  const start = performance.now();
  const end = start + ROUND_MS;
  const caller = async () => {
    for (let now = performance.now(); now < end; ) {
      await put(`key-${String(Math.floor(Math.random() * KEYS)).padStart(6, '0')}`);
      const done = performance.now();
      latencies.push(done - now);
      now = done;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  latencies.sort((a, b) => a - b);
  const perSecond = latencies.length / ((performance.now() - start) / 1_000);
  return { perSecond, p99Ms: latencies[Math.floor(latencies.length * 0.99)]! };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

const folder = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'commit-bench-'));
const contenders = [await engine(folder), await lmdb(folder)];
console.log(`| callers | ${contenders.map(({ name }) => `${name}: puts/s | p99 ms`).join(' | ')} | ratio |`);
console.log('|---|---|---|---|---|---|');
for (const callers of CALLERS) {
  const results = contenders.map(() => ({ perSecond: [] as number[], p99Ms: [] as number[] }));
  for (let at = 0; at < ROUNDS; at++) {
    for (const [which, contender] of contenders.entries()) {
      const { perSecond, p99Ms } = await round(contender, callers);
      results[which]!.perSecond.push(perSecond);
      results[which]!.p99Ms.push(p99Ms);
    }
  }
  const cells = results.map(({ perSecond, p99Ms }) => [median(perSecond), median(p99Ms)] as const);
  const text = cells.map(([perSecond, p99Ms]) => `${Math.round(perSecond)} | ${p99Ms.toFixed(2)}`).join(' | ');
  console.log(`| ${callers} | ${text} | ${(cells[0]![0] / cells[1]![0]).toFixed(2)} |`);
}
await Promise.all(contenders.map(({ stop }) => stop()));
rmSync(folder, { recursive: true, force: true });
