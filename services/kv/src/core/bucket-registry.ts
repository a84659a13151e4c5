/** The buckets of a machine: which there are, what they are set to, and their rows in the store. */
import { type BucketSettings, LIMITS } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Store } from '../store/store.ts';
import { type BucketState, decodeBucket, encodeBucket, newBucket } from './bucket.ts';
import { key32 } from './byte-codec.ts';

export class BucketRegistry {
  readonly all = new Map<number, BucketState>();
  /** The id that the next bucket gets: greater than any that was ever given. */
  nextId = 1;
  readonly #store: Store;
  /** Buckets whose row has to be written at the end of the step. */
  readonly #touched = new Set<BucketState>();

  constructor(store: Store) {
    this.#store = store;
    for (const { value } of store.range('buckets', {})) {
      const bucket = decodeBucket(value);
      this.all.set(bucket.id, bucket);
    }
  }

  /** The bucket unless it is dropped. */
  find(id: number): BucketState | undefined {
    const bucket = this.all.get(id);
    return bucket?.dropped ? undefined : bucket;
  }

  named(name: string): BucketState | undefined {
    for (const bucket of this.all.values()) if (bucket.name === name && !bucket.dropped) return bucket;
    return undefined;
  }

  /**
   * Makes a bucket, or changes the settings of the one there is.
   *
   * @param id - Where another machine has given it, and has counted.
   */
  define(
    { name, settings, id }: { name: string; settings: BucketSettings; id?: number | undefined },
    at: { timeMs: number; revision: number },
  ): { bucket: BucketState; created: boolean } | Problem {
    const known = id === undefined ? this.named(name) : this.all.get(id);
    if (known !== undefined) return redefine(known, settings) ?? { bucket: this.touch(known), created: false };
    if (id === undefined && this.all.size >= LIMITS.bucketsMax) {
      return new Problem('quota_exceeded', `there are ${LIMITS.bucketsMax} buckets; that is the most`);
    }
    const bucket = newBucket(id ?? this.nextId, name, settings, at);
    this.reserve(bucket.id);
    this.all.set(bucket.id, bucket);
    return { bucket: this.touch(bucket), created: true };
  }

  /** Ids up to this one are never given again. */
  reserve(id: number): void {
    this.nextId = Math.max(this.nextId, id + 1);
  }

  touch(bucket: BucketState): BucketState {
    this.#touched.add(bucket);
    return bucket;
  }

  /** Removes a dropped bucket that has no rows left. */
  remove(id: number): void {
    this.all.delete(id);
    this.#store.remove('buckets', key32(id));
  }

  /** Writes the rows of the buckets that were touched. */
  save(): void {
    for (const bucket of this.#touched) {
      if (this.all.has(bucket.id)) this.#store.put('buckets', key32(bucket.id), encodeBucket(bucket));
    }
    this.#touched.clear();
  }
}

function redefine(known: BucketState, settings: BucketSettings): Problem | undefined {
  const { mode } = known.settings;
  if (mode !== settings.mode) {
    return new Problem('conflict', `bucket ${known.name} is ${mode}; the mode is fixed when it is made`);
  }
  known.settings = settings;
  return undefined;
}
