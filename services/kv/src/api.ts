/** The doors of the service: every operation of the contract with its handler. */
import type { Operation, Served } from '@plinth/contracts';
import { LIMITS } from '@plinth/contracts/kv';
import { bucketOperations } from './api/buckets.ts';
import { keyOperations } from './api/keys.ts';
import { rangeOperations } from './api/ranges.ts';
import { ReadThrough } from './api/read-through.ts';
import { snapshotOperations } from './api/snapshots.ts';
import { transactionOperations } from './api/transactions.ts';
import { transferOperations } from './api/transfer.ts';
import type { Waker } from './api/waker.ts';
import { watchOperations } from './api/watch.ts';
import type { KvConfig } from './config.ts';
import type { Catalog } from './core/catalog.ts';
import type { Snapshots } from './snapshots.ts';

export interface Rooms {
  config: KvConfig;
  catalog: Catalog;
  snapshots: Snapshots;
  waker: Waker;
  now: () => number;
}

export function operations({ config, catalog, snapshots, waker, now }: Rooms): Served[] {
  const readThrough = new ReadThrough(now);
  return [
    ...keyOperations({ catalog, readThrough, now }),
    ...rangeOperations({ catalog, cacheBytes: config.cacheBytes / 2 }),
    ...transactionOperations({ catalog, now }),
    ...watchOperations({ catalog, waker, heartbeatMs: config.watchHeartbeatMs, stallMs: config.watchStallMs }),
    ...bucketOperations({ catalog }),
    ...transferOperations({ catalog, now }),
    ...snapshotOperations(snapshots),
  ];
}

/** A value, or as much JSON as a batch or transaction may be. */
export const bodyBytesMax = ({ body }: Operation): number =>
  body.kind === 'json' ? LIMITS.transactionBytesMax : LIMITS.valueBytesMax;
