/**
 * The log against its opponent, a plain file with append + fdatasync, in one run on one disk:
 *
 *     node services/kv/src/store/segment-log.bench.ts [folder]
 *
 * Appends one after the other, as the log is used. Rows of `sync: always` and of the naive file promise the same;
 * `none` shows what is left when durability is not asked for. Rounds alternate, because a disk has moods.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSegmentLog, type SegmentLogOptions } from './segment-log.ts';

const ROUNDS = 3;
const APPENDS_PER_ROUND = 2_000;
const BODY_BYTES = [200, 20_000];

interface Contender {
  append(parts: Uint8Array[]): Promise<unknown>;
  close(): Promise<void>;
}

async function openNaive(folder: string): Promise<Contender> {
  const handle = await open(join(folder, 'naive'), 'a');
  const append = async (parts: Uint8Array[]): Promise<void> => {
    await handle.writev(parts);
    await handle.datasync();
  };
  return { append, close: () => handle.close() };
}

const segmentLog =
  (options: SegmentLogOptions) =>
  (folder: string): Promise<Contender> =>
    openSegmentLog(join(folder, 'log'), options);

const CONTENDERS: Record<string, (folder: string) => Promise<Contender>> = {
  'append + fdatasync': openNaive,
  'log, always': segmentLog({ sync: 'always' }),
  'log, always, no O_DSYNC': segmentLog({ sync: 'always', useDsync: false }),
  'log, none': segmentLog({ sync: 'none' }),
};

/** Latencies in milliseconds of one round in a fresh folder. */
async function measureRound(openContender: (folder: string) => Promise<Contender>, bytes: number): Promise<number[]> {
  const folder = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'segment-log-bench-'));
  const contender = await openContender(folder);
  const parts = [Buffer.alloc(bytes / 2, 1), Buffer.alloc(bytes / 2, 2)];
  const latenciesMs: number[] = [];
  for (let index = 0; index < APPENDS_PER_ROUND; index++) {
    const startedMs = performance.now();
    await contender.append(parts);
    latenciesMs.push(performance.now() - startedMs);
  }
  await contender.close();
  await rm(folder, { recursive: true });
  return latenciesMs;
}

function summary(latenciesMs: readonly number[]): Record<string, number> {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const quantileMs = (share: number): number => Number((sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(3));
  const totalMs = sorted.reduce((sum, latencyMs) => sum + latencyMs, 0);
  const perSecond = Math.round((sorted.length * 1_000) / totalMs);
  return {
    'appends/s': perSecond,
    'p50 ms': quantileMs(0.5),
    'p99 ms': quantileMs(0.99),
    'max ms': quantileMs(1 - 1e-9),
  };
}

for (const bytes of BODY_BYTES) {
  const latenciesMs: Record<string, number[]> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, openContender] of Object.entries(CONTENDERS)) {
      const measured = await measureRound(openContender, bytes);
      latenciesMs[name] = [...(latenciesMs[name] ?? []), ...measured];
    }
  }
  console.log(`${bytes} bytes a record`);
  console.table(Object.fromEntries(Object.entries(latenciesMs).map(([name, list]) => [name, summary(list)])));
}
