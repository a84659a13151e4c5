/**
 * Writing entries: a draft becomes a revision, a due entry becomes a tombstone. Every change of a key goes through
 * `#writeVersion`, and every counter of a bucket is kept here and in `compaction.ts`.
 */
import type { ByteString, Store } from '../store/store.ts';
import type { BucketState } from './bucket.ts';
import { ByteWriter } from './byte-codec.ts';
import type { Change, Content, Draft, Pending } from './draft.ts';
import {
  type ChangeType,
  decodeVersion,
  encodeRecord,
  encodeVersion,
  expiryKey,
  indexKey,
  isLive,
  recordKey,
  type Version,
  versionKey,
} from './layout.ts';
import type { Recency } from './recency.ts';

/** How far the machine has come. */
export interface Head {
  /** The highest revision given. */
  revision: number;
  /** The time of the last record. */
  timeMs: number;
  /** No entry and no idempotency key is due before; not part of the state, only what is known of it. */
  quietUntilMs: number;
}

export interface EntryWriterOptions {
  store: Store;
  head: Head;
  recency: Recency | undefined;
  /** Told of every bucket that changed. */
  changed: (bucket: BucketState) => void;
}

interface At {
  revision: number;
  sequence: number;
}

const EMPTY = new Uint8Array(0);
const NOTHING: Content = { value: EMPTY, contentType: '', metadata: '' };

export class EntryWriter {
  readonly #store: Store;
  readonly #head: Head;
  readonly #recency: Recency | undefined;
  readonly #changed: (bucket: BucketState) => void;
  readonly #bytes = new ByteWriter();
  /** Changes of keys so far: a measure of work. */
  count = 0;

  constructor({ store, head, recency, changed }: EntryWriterOptions) {
    this.#store = store;
    this.#head = head;
    this.#recency = recency;
    this.#changed = changed;
  }

  /** The row of a key in the index, live or not. */
  version(bucket: number, key: ByteString): Version | undefined {
    const row = this.#store.get('index', indexKey(bucket, key));
    return row && decodeVersion(row);
  }

  /** Makes the changes of a draft as one revision; entries that were due before it get one each first. */
  commit(bucket: BucketState, draft: Draft, revision: number): void {
    let next = revision;
    for (const [key, pending] of draft.pending) {
      if (pending.change === undefined || !isDue(pending.before, draft.timeMs)) continue;
      this.expire(bucket, key, pending.before!, next++);
      pending.before = this.version(bucket.id, key);
    }
    let sequence = 0;
    for (const [key, pending] of draft.pending) {
      const { before, change } = pending;
      if (!isChange(before, change)) continue;
      const at = { revision: next, sequence: sequence++ };
      if (change!.type === 'put') pending.after = this.#put(bucket, key, before, change!, at);
      else this.#bury(bucket, key, before!, 'delete', at);
    }
  }

  /** Ends an entry that is due, or that has to make room. */
  expire(bucket: BucketState, key: ByteString, before: Version, revision: number): void {
    this.#bury(bucket, key, before, 'expire', { revision, sequence: 0 });
  }

  #put(
    bucket: BucketState,
    key: ByteString,
    before: Version | undefined,
    change: Change & { type: 'put' },
    at: At,
  ): Version {
    const { content, expiresAtMs } = change;
    const replaces = before !== undefined && !before.deleted;
    const version: Version = {
      ...at,
      createRevision: replaces ? before.createRevision : at.revision,
      version: replaces ? before.version + 1 : 1,
      expiresAtMs,
      sizeBytes: content.value.length,
      deleted: false,
    };
    this.#writeVersion(bucket, key, before, version, 'put', content);
    if (replaces) this.#forget(bucket, key, before);
    if (expiresAtMs > 0) {
      this.#store.put('expiry', expiryKey(expiresAtMs, bucket.id, key), EMPTY);
      this.#head.quietUntilMs = Math.min(this.#head.quietUntilMs, expiresAtMs);
    }
    bucket.keys += 1;
    bucket.bytes += key.length + version.sizeBytes;
    this.#recency?.use(bucket.id, key);
    return version;
  }

  #bury(bucket: BucketState, key: ByteString, before: Version, type: 'delete' | 'expire', at: At): void {
    const grave: Version = { ...before, ...at, expiresAtMs: 0, sizeBytes: 0, deleted: true };
    this.#writeVersion(bucket, key, before, grave, type, NOTHING);
    this.#forget(bucket, key, before);
    this.#recency?.forget(bucket.id, key);
  }

  #writeVersion(
    bucket: BucketState,
    key: ByteString,
    before: Version | undefined,
    version: Version,
    type: ChangeType,
    { value, contentType, metadata }: Content,
  ): void {
    const { revision, sequence, createRevision, expiresAtMs } = version;
    const record = encodeRecord(this.#bytes, {
      type,
      key,
      timeMs: this.#head.timeMs,
      createRevision,
      version: version.version,
      expiresAtMs,
      previousRevision: before?.revision ?? 0,
      previousSequence: before?.sequence ?? 0,
      contentType,
      metadata,
      value,
    });
    this.#store.put('records', recordKey(bucket.id, revision, sequence), record);
    if (before !== undefined) {
      this.#store.put('versions', versionKey(bucket.id, key, before.revision), encodeVersion(this.#bytes, before));
      bucket.pastVersions += 1;
      bucket.pastBytes += before.sizeBytes;
    }
    this.#store.put('index', indexKey(bucket.id, key), encodeVersion(this.#bytes, version));
    this.#head.revision = revision;
    bucket.revision = revision;
    this.count += 1;
    this.#changed(bucket);
  }

  /** Takes a version that was live out of the counters and the order of expiry. */
  #forget(bucket: BucketState, key: ByteString, before: Version): void {
    bucket.keys -= 1;
    bucket.bytes -= key.length + before.sizeBytes;
    if (before.expiresAtMs > 0) this.#store.remove('expiry', expiryKey(before.expiresAtMs, bucket.id, key));
  }
}

const isDue = (version: Version | undefined, timeMs: number): boolean =>
  version !== undefined && !version.deleted && !isLive(version, timeMs);

/** Deleting what is not there changes nothing. */
const isChange = (before: Version | undefined, change: Pending['change']): boolean =>
  change !== undefined && (change.type === 'put' || (before !== undefined && !before.deleted));

/** What a draft would change of the counters. Entries that are due count until they are swept. */
export function growthOf(draft: Draft): { keys: number; bytes: number } {
  const growth = { keys: 0, bytes: 0 };
  for (const [key, { before, change }] of draft.pending) {
    if (change === undefined) continue;
    if (before !== undefined && !before.deleted) {
      growth.keys -= 1;
      growth.bytes -= key.length + before.sizeBytes;
    }
    if (change.type === 'put') {
      growth.keys += 1;
      growth.bytes += key.length + change.content.value.length;
    }
  }
  return growth;
}
