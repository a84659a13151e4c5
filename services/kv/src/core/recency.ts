/** Which keys of a bucket were used last: a `Map` keeps its keys in order of insertion, so using is re-inserting. */
import type { ByteString } from '../store/store.ts';

export class Recency {
  readonly #buckets = new Map<number, Set<ByteString>>();

  use(bucket: number, key: ByteString): void {
    const keys = this.#buckets.get(bucket) ?? new Set();
    this.#buckets.set(bucket, keys);
    keys.delete(key);
    keys.add(key);
  }

  forget(bucket: number, key: ByteString): void {
    this.#buckets.get(bucket)?.delete(key);
  }

  forgetBucket(bucket: number): void {
    this.#buckets.delete(bucket);
  }

  /** The key that was used longest ago. */
  oldest(bucket: number): ByteString | undefined {
    return this.#buckets.get(bucket)?.values().next().value;
  }
}
