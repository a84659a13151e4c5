/**
 * Forgetting the past. Compacting a bucket to revision C makes everything before C unreadable, in order, a bounded
 * number of records at a time. Visiting the record of a revision r ≤ C removes what r superseded: `historyCount`
 * versions back along the chain of predecessors, so that the newest `historyCount` versions at C stay. A deletion
 * ends a key's history: its tombstone and all before it go.
 */
import type { ByteString, Store } from '../store/store.ts';
import type { BucketState } from './bucket.ts';
import { key32 } from './byte-codec.ts';
import {
  type ChangeRecord,
  decodeRecord,
  decodeVersion,
  expiryKey,
  indexKey,
  parseRecordKey,
  recordKey,
  recordsFrom,
  userKeyOf,
  versionKey,
} from './layout.ts';

interface Visited {
  revision: number;
  sequence: number;
  record: ChangeRecord;
}

/**
 * Moves the bucket's compacted revision towards `target`, visiting about `limit` records: whole revisions only.
 *
 * @returns How many versions were removed.
 */
export function compactBucket(store: Store, bucket: BucketState, target: number, limit: number): number {
  const goal = Math.min(target, bucket.revision);
  const visited = visit(store, bucket, goal, limit);
  let removed = 0;
  for (const at of visited) removed += forgetBefore(store, bucket, at);
  const last = visited.at(-1);
  const reached = visited.length < limit || last === undefined ? goal : last.revision;
  bucket.visitedRevision = Math.max(bucket.visitedRevision, reached);
  bucket.compactedRevision = Math.max(bucket.compactedRevision, reached);
  bucket.compactedTimeMs = Math.max(bucket.compactedTimeMs, last?.record.timeMs ?? 0);
  return removed;
}

function visit(store: Store, bucket: BucketState, target: number, limit: number): Visited[] {
  const visited: Visited[] = [];
  const rows = store.range('records', {
    start: recordsFrom(bucket.id, bucket.visitedRevision + 1),
    end: recordsFrom(bucket.id, target + 1),
  });
  for (const { key, value } of rows) {
    const at = parseRecordKey(key);
    if (visited.length >= limit && at.revision !== visited.at(-1)!.revision) break;
    visited.push({ ...at, record: { ...decodeRecord(value), value: NO_VALUE } });
  }
  return visited;
}

const NO_VALUE = new Uint8Array(0);

function forgetBefore(store: Store, bucket: BucketState, { revision, sequence, record }: Visited): number {
  const { key } = record;
  if (record.type === 'put') return forgetChain(store, bucket, key, record, bucket.settings.historyCount - 1);
  const removed = forgetChain(store, bucket, key, record, 0);
  forgetTombstone(store, bucket, key, revision, sequence);
  return removed + 1;
}

/** Walks back from a record, keeps `keep` predecessors and removes those behind them. */
function forgetChain(store: Store, bucket: BucketState, key: ByteString, from: ChangeRecord, keep: number): number {
  let removed = 0;
  let { previousRevision: revision, previousSequence: sequence } = from;
  for (let depth = 0; revision > 0; depth++) {
    const row = store.get('records', recordKey(bucket.id, revision, sequence));
    if (row === undefined) break;
    const record = decodeRecord(row);
    if (depth >= keep) {
      bucket.pastVersions -= 1;
      bucket.pastBytes -= record.value.length;
      forgetVersion(store, bucket.id, key, revision, sequence);
      removed += 1;
    }
    ({ previousRevision: revision, previousSequence: sequence } = record);
  }
  return removed;
}

function forgetTombstone(store: Store, bucket: BucketState, key: ByteString, revision: number, sequence: number): void {
  const row = store.get('index', indexKey(bucket.id, key));
  if (row !== undefined && decodeVersion(row).revision === revision) store.remove('index', indexKey(bucket.id, key));
  else bucket.pastVersions -= 1;
  forgetVersion(store, bucket.id, key, revision, sequence);
}

function forgetVersion(store: Store, bucket: number, key: ByteString, revision: number, sequence: number): void {
  store.remove('records', recordKey(bucket, revision, sequence));
  store.remove('versions', versionKey(bucket, key, revision));
}

/** Removes up to `limit` rows of a dropped bucket. Idempotency keys are at last forgotten in the order of their end. */
export function sweepBucket(store: Store, bucket: number, limit: number): number {
  let removed = removeEntries(store, bucket, limit);
  for (const table of ['versions', 'records'] as const) {
    removed += removeFirst(store, table, key32(bucket), key32(bucket + 1), limit - removed);
  }
  return removed + removeFirst(store, 'idempotency', `k${key32(bucket)}`, `k${key32(bucket + 1)}`, limit - removed);
}

/** Rows of the index, each with its place in the order of expiry: that may be a hundred years away. */
function removeEntries(store: Store, bucket: number, limit: number): number {
  const entries: { key: ByteString; expiresAtMs: number }[] = [];
  for (const { key, value } of store.range('index', { start: key32(bucket), end: key32(bucket + 1) })) {
    if (entries.push({ key, expiresAtMs: decodeVersion(value).expiresAtMs }) >= limit) break;
  }
  for (const { key, expiresAtMs } of entries) {
    store.remove('index', key);
    if (expiresAtMs > 0) store.remove('expiry', expiryKey(expiresAtMs, bucket, userKeyOf(key)));
  }
  return entries.length;
}

function removeFirst(
  store: Store,
  table: 'versions' | 'records' | 'idempotency',
  start: ByteString,
  end: ByteString,
  limit: number,
): number {
  if (limit <= 0) return 0;
  const keys: ByteString[] = [];
  for (const { key } of store.range(table, { start, end })) if (keys.push(key) >= limit) break;
  for (const key of keys) store.remove(table, key);
  return keys.length;
}
