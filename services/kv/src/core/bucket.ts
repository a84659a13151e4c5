/** What the machine knows of a bucket besides its entries: settings, counters, and how far the past is kept. */
import type { BucketSettings } from '@plinth/contracts/kv';
import { grouped, Problem } from '@plinth/problem';
import { decodeStored, encodeStored } from './command.ts';

export interface BucketState {
  id: number;
  name: string;
  settings: BucketSettings;
  createdAtMs: number;
  /** What was the last revision when it was made: earlier ones belong to what had its name before, or to nobody. */
  bornRevision: number;
  /** Live keys, and those that are due but not yet swept. */
  keys: number;
  /** Bytes of their keys and values. */
  bytes: number;
  /** Superseded versions that are still kept, and the bytes of their values. */
  pastVersions: number;
  pastBytes: number;
  /** The last revision that changed this bucket. */
  revision: number;
  /** Reads and watches from before this revision find nothing whole; 0: everything is still there. */
  compactedRevision: number;
  compactedTimeMs: number;
  /** How far compaction has come in removing what may go: never ahead of `compactedRevision` or `revision`. */
  visitedRevision: number;
  /** Deleted; its rows are being removed. */
  dropped: boolean;
}

/** @param at - The machine's time and revision. */
export const newBucket = (
  id: number,
  name: string,
  settings: BucketSettings,
  at: { timeMs: number; revision: number },
): BucketState => ({
  id,
  name,
  settings,
  createdAtMs: at.timeMs,
  bornRevision: at.revision,
  keys: 0,
  bytes: 0,
  pastVersions: 0,
  pastBytes: 0,
  revision: 0,
  compactedRevision: 0,
  compactedTimeMs: 0,
  visitedRevision: 0,
  dropped: false,
});

export const encodeBucket = (bucket: BucketState): Uint8Array => encodeStored({ ...bucket });
export const decodeBucket = (bytes: Uint8Array): BucketState => decodeStored(bytes) as BucketState;

/** A bucket whose full store makes room instead of refusing. */
export const evicts = ({ settings }: BucketState): boolean =>
  settings.mode === 'cache' || settings.mode === 'read-through';

/**
 * What a version counts besides its key and value: rows, tree nodes and objects. `machine.bench.ts` measures 660 for a
 * live entry and 800 for a past version on Node 24.
 */
export const VERSION_BYTES = 700;

export const liveBytes = ({ bytes, keys }: BucketState): number => bytes + keys * VERSION_BYTES;

/** The past takes memory as well, however small its values. */
export const usedBytes = (bucket: BucketState): number =>
  liveBytes(bucket) + bucket.pastBytes + bucket.pastVersions * VERSION_BYTES;

/** Past its bound, where that means making room. */
export const isCrowded = (bucket: BucketState): boolean =>
  evicts(bucket) && bucket.settings.bytesMax !== undefined && usedBytes(bucket) > bucket.settings.bytesMax;

/** What a command would change of the counters. */
export interface Growth {
  keys: number;
  bytes: number;
}

/** @returns A problem when `growth` would pass a quota of the bucket. Shrinking is always allowed. */
export function overQuota(bucket: BucketState, growth: Growth): Problem | undefined {
  if (evicts(bucket)) return undefined;
  return (
    overLimit(bucket, 'keysMax', bucket.keys, growth.keys, 'keys') ??
    overLimit(bucket, 'bytesMax', bucket.bytes, growth.bytes, 'bytes of keys and values')
  );
}

function overLimit(
  { name, settings }: BucketState,
  quota: 'keysMax' | 'bytesMax',
  present: number,
  growth: number,
  words: string,
): Problem | undefined {
  const limit = settings[quota];
  if (limit === undefined || growth <= 0 || present + growth <= limit) return undefined;
  const detail = `bucket ${name} would have ${grouped(present + growth)} ${words}; the most is ${grouped(limit)}`;
  return new Problem('quota_exceeded', detail, { members: { bucket: name, quota, limit, present } });
}
