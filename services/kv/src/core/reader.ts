/**
 * Reading the state: now, at a revision, at a time. A view fixes both: what was written up to `revision`, and of that
 * what was alive at `timeMs`. Everything a page or a watch needs is found by key, so nothing is held open between
 * turns of the event loop.
 */
import { Problem } from '@plinth/problem';
import type { ByteString, Store } from '../store/store.ts';
import type { BucketState } from './bucket.ts';
import { afterPrefix, key32, key56 } from './byte-codec.ts';
import {
  type ChangeRecord,
  decodeRecord,
  decodeVersion,
  indexKey,
  isLive,
  parseExpiryKey,
  parseRecordKey,
  recordKey,
  recordsFrom,
  userKeyOf,
  type Version,
  versionKey,
} from './layout.ts';

/** A point in the history of a bucket. */
export interface View {
  revision: number;
  timeMs: number;
}

export interface KeyRange {
  /** First key, inclusive; '' is the smallest. */
  start: ByteString;
  /** Bound, exclusive; undefined: to the largest. */
  end: ByteString | undefined;
  reverse: boolean;
}

export interface Listed {
  key: ByteString;
  version: Version;
}

/** A version together with what it holds. The value is a view into the store, good for this turn. */
export interface Entry extends Listed {
  record: ChangeRecord;
}

/** The part of `range` that begins with `prefix`. */
export function withinPrefix(prefix: ByteString, range: KeyRange): KeyRange {
  const end = afterPrefix(prefix);
  return {
    start: range.start > prefix ? range.start : prefix,
    end: range.end === undefined || (end !== undefined && end < range.end) ? end : range.end,
    reverse: range.reverse,
  };
}

/** Cost: two look-ups. */
export function readEntry(store: Store, bucket: number, key: ByteString, timeMs: number): Entry | undefined {
  const row = store.get('index', indexKey(bucket, key));
  if (row === undefined) return undefined;
  const version = decodeVersion(row);
  return isLive(version, timeMs) ? { key, version, record: readRecord(store, bucket, version, key) } : undefined;
}

/** @param key - When it is known already, it is not read again. */
export function readRecord(
  store: Store,
  bucket: number,
  { revision, sequence }: Version,
  key?: ByteString,
): ChangeRecord {
  const row = store.get('records', recordKey(bucket, revision, sequence));
  if (row === undefined) throw new Error(`no record at revision ${revision}.${sequence} of bucket ${bucket}`);
  return decodeRecord(row, key);
}

/**
 * The version of a key that a view shows, live or not.
 *
 * @throws Problem `revision_compacted` when it may have been forgotten.
 */
export function versionAt(store: Store, bucket: BucketState, key: ByteString, revision: number): Version | undefined {
  const row = store.get('index', indexKey(bucket.id, key));
  const present = row && decodeVersion(row);
  if (present !== undefined && present.revision <= revision) return present;
  const past = present && pastVersion(store, bucket.id, key, revision);
  if (past === undefined) refuseCompacted(bucket, revision);
  return past;
}

/** The newest superseded version of a key at or before `revision`. Cost: one seek. */
function pastVersion(store: Store, bucket: number, key: ByteString, revision: number): Version | undefined {
  const rows = { start: versionKey(bucket, key, 0), end: versionKey(bucket, key, revision + 1), reverse: true };
  for (const { value } of store.range('versions', rows)) return decodeVersion(value);
  return undefined;
}

/** Versions of a key, newest first, deletions included. */
export function history(store: Store, bucket: number, key: ByteString, limit: number): Entry[] {
  const row = store.get('index', indexKey(bucket, key));
  if (row === undefined) return [];
  const versions = [decodeVersion(row)];
  const past = { start: versionKey(bucket, key, 0), end: `${key32(bucket)}${key}\x01`, reverse: true };
  for (const { value } of store.range('versions', past)) {
    if (versions.length >= limit) break;
    versions.push(decodeVersion(value));
  }
  return versions.map((version) => ({ key, version, record: readRecord(store, bucket, version) }));
}

export interface ScanLimits {
  /** Stop after so many entries. */
  entries: number;
  /** Stop after looking at so many rows, found or not: some milliseconds. */
  rows: number;
}

export interface Scan {
  found: Listed[];
  /** Where to go on; undefined: the range is exhausted. */
  next: KeyRange | undefined;
}

/**
 * Live keys of a range as a view shows them, in order, a bounded piece of it. Going on with `next` in a later turn
 * finds the same state: what was superseded meanwhile is looked up among the past versions.
 *
 * @throws Problem `revision_compacted` when the view is no longer whole.
 */
export function scan(store: Store, bucket: BucketState, view: View, range: KeyRange, limits: ScanLimits): Scan {
  refuseCompacted(bucket, view.revision);
  const found: Listed[] = [];
  const superseded: Listed[] = [];
  let rows = 0;
  let last: ByteString | undefined;
  for (const row of store.range('index', rowsOf(bucket.id, range))) {
    if (found.length >= limits.entries || rows >= limits.rows) {
      return { found: resolvePast(store, bucket, view, found, superseded), next: behind(range, last!) };
    }
    rows += 1;
    last = userKeyOf(row.key);
    const version = decodeVersion(row.value);
    const listed = { key: last, version };
    if (version.revision > view.revision) superseded.push(listed);
    else if (!isLive(version, view.timeMs)) continue;
    found.push(listed);
  }
  return { found: resolvePast(store, bucket, view, found, superseded), next: undefined };
}

function rowsOf(bucket: number, { start, end, reverse }: KeyRange) {
  return {
    start: indexKey(bucket, start),
    end: end === undefined ? key32(bucket + 1) : indexKey(bucket, end),
    reverse,
  };
}

/** What is left of a range behind its last key seen. */
export function behind(range: KeyRange, last: ByteString): KeyRange {
  return range.reverse ? { ...range, end: last } : { ...range, start: `${last}\0` };
}

/** Replaces rows that are too new for the view by the version it shows, and drops those that did not live then. */
function resolvePast(store: Store, bucket: BucketState, view: View, found: Listed[], superseded: Listed[]): Listed[] {
  if (superseded.length === 0) return found;
  for (const listed of superseded) {
    const past = pastVersion(store, bucket.id, listed.key, view.revision);
    listed.version = past !== undefined && isLive(past, view.timeMs) ? past : ABSENT;
  }
  return found.filter(({ version }) => version !== ABSENT);
}

const ABSENT: Version = {
  revision: 0,
  sequence: 0,
  createRevision: 0,
  version: 0,
  expiresAtMs: 0,
  sizeBytes: 0,
  deleted: true,
};

/** Live keys of the whole bucket. Cost: the rows that are due but not yet swept. */
export function countLive(store: Store, bucket: BucketState, timeMs: number): number {
  let due = 0;
  for (const { key } of store.range('expiry', { end: key56(timeMs + 1) })) {
    if (parseExpiryKey(key).bucket === bucket.id) due += 1;
  }
  return bucket.keys - due;
}

// ---------------------------------------------------------------- changes

export interface ChangeRow {
  revision: number;
  sequence: number;
  /** The value is a view into the store, good for this turn. */
  record: ChangeRecord;
  more: boolean;
}

/**
 * Changes after `since` in order: at most about `limit` or `bytesMax`, whole revisions only.
 *
 * @returns `next`: the revision up to which everything was looked at.
 * @throws Problem `revision_compacted`.
 */
export function changesSince(
  store: Store,
  bucket: BucketState,
  since: number,
  { limit, bytesMax }: { limit: number; bytesMax: number },
): { rows: ChangeRow[]; next: number; more: boolean } {
  refuseCompacted(bucket, since);
  const rows: ChangeRow[] = [];
  let bytes = 0;
  for (const { key, value } of store.range('records', recordRows(bucket.id, since + 1))) {
    const at = parseRecordKey(key);
    const last = rows.at(-1);
    if (last !== undefined && last.revision !== at.revision && (rows.length >= limit || bytes >= bytesMax)) {
      return { rows, next: last.revision, more: true };
    }
    if (last !== undefined) last.more = last.revision === at.revision;
    rows.push({ ...at, record: decodeRecord(value), more: false });
    bytes += value.length;
  }
  return { rows, next: Math.max(since, bucket.revision), more: false };
}

const recordRows = (bucket: number, revision: number) => ({
  start: recordsFrom(bucket, revision),
  end: key32(bucket + 1),
});

/**
 * Refuses a revision whose past is not whole: compacted away, or from before the bucket was made, when its name may
 * have meant another one. Revision 0 is the beginning of any bucket.
 *
 * @throws Problem `revision_compacted` with the first revision from which everything is there.
 */
export function refuseCompacted(bucket: BucketState, revision: number): void {
  const isForeign = revision > 0 && revision < bucket.bornRevision;
  if (revision >= bucket.compactedRevision && !isForeign) return;
  const compactedRevision = Math.max(bucket.compactedRevision, bucket.bornRevision);
  throw new Problem(
    'revision_compacted',
    `revision ${revision} of bucket ${bucket.name} is forgotten; everything from ${compactedRevision} on is kept`,
    { members: { compactedRevision, revision: bucket.revision } },
  );
}

// ---------------------------------------------------------------- points in time

/** What a bucket looked like at a revision: as time stood when it was given, whatever has expired since. */
export function viewAtRevision(store: Store, bucket: BucketState, revision: number): View {
  const rows = { start: key32(bucket.id), end: recordsFrom(bucket.id, revision + 1), reverse: true };
  for (const { value } of store.range('records', rows)) return { revision, timeMs: decodeRecord(value).timeMs };
  return { revision, timeMs: 0 };
}

/**
 * The view of a moment: the last revision written by then. Revisions and times grow together, so it is a binary search
 * over revisions: some 50 seeks.
 *
 * @throws Problem `revision_compacted` when that moment is forgotten.
 */
export function viewAtTime(store: Store, bucket: BucketState, timeMs: number, now: View): View {
  if (timeMs >= now.timeMs) return { revision: now.revision, timeMs: now.timeMs };
  if (timeMs < bucket.compactedTimeMs) refuseCompacted(bucket, bucket.compactedRevision - 1);
  let before = bucket.compactedRevision;
  let after = bucket.revision + 1;
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    const row = firstRecord(store, bucket.id, middle);
    if (row === undefined || row.timeMs > timeMs) after = middle;
    else before = row.revision;
  }
  return { revision: before, timeMs };
}

function firstRecord(store: Store, bucket: number, from: number): { revision: number; timeMs: number } | undefined {
  for (const { key, value } of store.range('records', recordRows(bucket, from))) {
    return { revision: parseRecordKey(key).revision, timeMs: decodeRecord(value).timeMs };
  }
  return undefined;
}
