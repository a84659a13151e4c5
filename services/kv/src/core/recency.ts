/**
 * Which keys of a bucket were used last. A `Set` keeps its keys in the order in which they came, so using a key is
 * taking it out and putting it in again. Asking a set for its first key anew each time walks over the places of all
 * that were taken out (measured: 8 µs after 10,000 of them, and growing); one iterator that is kept does not.
 */
import type { ByteString } from '../store/store.ts';

export class Recency {
  readonly #buckets = new Map<number, UsedKeys>();

  use(bucket: number, key: ByteString): void {
    const used = this.#buckets.get(bucket) ?? new UsedKeys();
    this.#buckets.set(bucket, used);
    used.use(key);
  }

  forget(bucket: number, key: ByteString): void {
    this.#buckets.get(bucket)?.forget(key);
  }

  forgetBucket(bucket: number): void {
    this.#buckets.delete(bucket);
  }

  /** The key that was used longest ago. */
  oldest(bucket: number): ByteString | undefined {
    return this.#buckets.get(bucket)?.oldest();
  }
}

class UsedKeys {
  readonly #keys = new Set<ByteString>();
  #walk = this.#keys.values();
  /** What the walk has passed and what is still the oldest. */
  #oldest: ByteString | undefined;

  use(key: ByteString): void {
    this.forget(key);
    this.#keys.add(key);
  }

  forget(key: ByteString): void {
    this.#keys.delete(key);
    if (key === this.#oldest) this.#oldest = undefined;
  }

  oldest(): ByteString | undefined {
    this.#oldest ??= this.#walk.next().value;
    if (this.#oldest !== undefined) return this.#oldest;
    // A walk that has once met the end never goes on.
    this.#walk = this.#keys.values();
    this.#oldest = this.#walk.next().value;
    return this.#oldest;
  }
}
