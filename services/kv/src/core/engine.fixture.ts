/** Engines on a clock of the test, on real stores and logs or on a log that does what the test says. */
import { join } from 'node:path';
import type { BucketSettings } from '@plinth/contracts/kv';
import { ManualClock } from '@plinth/testkit';
import { openLmdbStore } from '../store/lmdb-store.ts';
import { openMemoryStore } from '../store/memory-store.ts';
import { openSegmentLog } from '../store/segment-log.ts';
import type { Done, Operation } from './command.ts';
import { Engine, type EngineOptions } from './engine.ts';
import { bytes, settingsOf, textOf } from './machine.fixture.ts';

export interface EngineUnderTest {
  engine: Engine;
  clock: ManualClock;
  reports: string[];
  define(settings?: Partial<BucketSettings>, name?: string): Promise<number>;
  run(operation: Operation, bucket?: number): Promise<Done>;
  put(key: string, value?: string, more?: object): Promise<Done>;
  read(key: string): string | undefined;
}

const CHECKPOINT = { bytes: 16 * 1_048_576, intervalMs: 60_000, bytesMax: 64 * 1_048_576 };

/** Bucket 1 is the one that operations go to. */
export async function openEngine(
  some: Partial<EngineOptions> = {},
  clock: ManualClock = new ManualClock(),
): Promise<EngineUnderTest> {
  const reports: string[] = [];
  const engine = await Engine.open({
    store: openMemoryStore(),
    log: undefined,
    flushesLater: false,
    now: clock.now,
    report: (what, error) => void reports.push(`${what}: ${error}`),
    checkpoint: CHECKPOINT,
    commitTimeoutMs: 10_000,
    ...some,
  });
  const run = (operation: Operation, bucket = 1) => engine.submit({ do: 'operation', bucket, operation });
  return {
    engine,
    clock,
    reports,
    define: async (settings = {}, name = 'test') =>
      (await engine.submit({ do: 'defineBucket', name, settings: settingsOf(settings) })).bucket!,
    run,
    put: (key, value = 'v', more = {}) => run({ op: 'put', key, value: bytes(value), ...more }),
    read: (key) => textOf(engine.read(1, key)?.record.value),
  };
}

/** An engine as the service opens it, in a folder. Segments are so large that no file of the log comes or goes. */
export async function openOnDisk(
  folder: string,
  some: Partial<EngineOptions> = {},
  { clock, segmentBytes = 16 * 1_048_576 }: { clock?: ManualClock; segmentBytes?: number } = {},
) {
  const store = await openLmdbStore(join(folder, 'state'));
  const log = await openSegmentLog(join(folder, 'log'), { sync: 'none', segmentBytes, startAt: store.position });
  return { ...(await openEngine({ store, log, ...some }, clock)), log };
}
