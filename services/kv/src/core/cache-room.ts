/**
 * Room in buckets that evict: first the past goes, then the least recently used. It is made when a record begins, so
 * that watchers had their turn to see what is then forgotten; a bucket may pass its bound by what a few records write.
 */
import type { Store } from '../store/store.ts';
import { type BucketState, isCrowded, liveBytes, usedBytes } from './bucket.ts';
import { compactBucket } from './compaction.ts';
import type { EntryWriter, Head } from './entry-writer.ts';
import type { Recency } from './recency.ts';

export interface CacheRoomOptions {
  store: Store;
  head: Head;
  writer: EntryWriter;
  recency: Recency | undefined;
  touch: (bucket: BucketState) => void;
}

/** Entries that one record evicts besides as many as the last one wrote: some milliseconds of work. */
const EVICTED_MAX = 1_000;
/** Records visited for each entry that may go. More than 2: one of the write that came, one of the eviction. */
const VISITS_PER_EVICTION = 4;

export class CacheRoom {
  readonly #options: CacheRoomOptions;
  readonly #crowded = new Set<BucketState>();
  #countBefore = 0;

  constructor(options: CacheRoomOptions) {
    this.#options = options;
  }

  /** To be called when a bucket has grown or its bound has changed. */
  look(bucket: BucketState): void {
    if (isCrowded(bucket)) this.#crowded.add(bucket);
  }

  forget(bucket: BucketState): void {
    this.#crowded.delete(bucket);
  }

  get isWanted(): boolean {
    return this.#crowded.size > 0;
  }

  /** Faster than the buckets can grow, yet bounded: what does not fit is for the next record. */
  make(): void {
    const { writer } = this.#options;
    const limit = EVICTED_MAX + writer.count - this.#countBefore;
    for (const bucket of this.#crowded) this.#makeIn(bucket, limit);
    this.#countBefore = writer.count;
  }

  #makeIn(bucket: BucketState, limit: number): void {
    const { store, writer, touch } = this.#options;
    const { count } = writer;
    const removed = compactBucket(store, bucket, bucket.revision, limit * VISITS_PER_EVICTION);
    const isTidy = bucket.visitedRevision >= bucket.revision;
    this.#evict(bucket, excessOf(bucket, isTidy), limit);
    touch(bucket);
    const isStuck = isTidy && removed === 0 && writer.count === count;
    if (isStuck || !isCrowded(bucket)) this.#crowded.delete(bucket);
  }

  #evict(bucket: BucketState, excessBytes: number, limit: number): void {
    const { head, writer, recency } = this.#options;
    const wantedBytes = liveBytes(bucket) - excessBytes;
    for (let left = limit; left > 0 && liveBytes(bucket) > wantedBytes; left--) {
      const key = recency?.oldest(bucket.id);
      const version = key === undefined ? undefined : writer.version(bucket.id, key);
      if (key === undefined || version === undefined) return;
      writer.expire(bucket, key, version, head.revision + 1);
    }
  }
}

/** While some of the past may still go without anybody's loss, only live entries that are too many by themselves. */
const excessOf = (bucket: BucketState, isTidy: boolean): number =>
  (isTidy ? usedBytes(bucket) : liveBytes(bucket)) - (bucket.settings.bytesMax ?? Infinity);
