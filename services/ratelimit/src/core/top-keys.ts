/**
 * Which keys come most often, in a bounded memory: the Space-Saving sketch (Metwally, Agrawal and El Abbadi, "Efficient
 * Computation of Frequent and Top-k Elements in Data Streams", 2005).
 *
 * A sketch watches a fixed number of keys. One that is not watched takes the place of the one with the lowest count and
 * goes on from that count, which becomes its error. So a count is never below the truth and at most `error` above it;
 * no error is above total / capacity; and whoever comes more often than that is in the list for certain.
 *
 * Keys of one count hang together in a bucket, and buckets are chained by count: to count one more is to move a key to
 * the bucket next door. All links are numbers in typed arrays, so that the garbage collector has nothing to follow.
 */

/** A key with how often it came: between `count - error` and `count` times. */
export interface CountedKey {
  readonly key: string;
  readonly count: number;
  readonly error: number;
}

/** What a sketch says at one moment. */
export interface Summary {
  /** Most frequent first. */
  readonly keys: readonly CountedKey[];
  /** The most that a key may have which is not listed. */
  readonly unlistedMax: number;
  /** Everything that was counted, of all keys. */
  readonly total: number;
}

const NONE = -1;
export const NOTHING_YET: Summary = { keys: [], unlistedMax: 0, total: 0 };

/** The sketch. Cost of `count`: 25–140 ns, the latter when every key is new (`observatory.bench.ts`). */
export class SpaceSaving {
  readonly capacity: number;
  readonly #slotOf = new Map<string, number>();
  readonly #keys: string[] = [];
  readonly #errors: Float64Array;
  /** By slot: its bucket and its neighbours there. */
  readonly #bucket: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** By bucket: the count of its keys, the first of them, and the buckets of the next higher and lower count. */
  readonly #counts: Float64Array;
  readonly #first: Int32Array;
  readonly #higher: Int32Array;
  readonly #lower: Int32Array;
  readonly #freeBuckets: number[] = [];
  #lowest = NONE;
  #total = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#errors = new Float64Array(capacity);
    this.#bucket = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    // One more than keys: a key that moves is in none while its new bucket is made.
    this.#counts = new Float64Array(capacity + 1);
    this.#first = new Int32Array(capacity + 1);
    this.#higher = new Int32Array(capacity + 1);
    this.#lower = new Int32Array(capacity + 1);
    this.clear();
  }

  count(key: string): void {
    this.#total++;
    const slot = this.#slotOf.get(key);
    if (slot !== undefined) this.#raise(slot);
    else if (this.#keys.length < this.capacity) this.#watch(key);
    else this.#replaceLowest(key);
  }

  clear(): void {
    this.#slotOf.clear();
    this.#keys.length = 0;
    this.#freeBuckets.length = 0;
    for (let bucket = this.capacity; bucket >= 0; bucket--) this.#freeBuckets.push(bucket);
    this.#lowest = NONE;
    this.#total = 0;
  }

  /** Cost: as many steps as there are keys. */
  summary(): Summary {
    const keys: CountedKey[] = [];
    for (let bucket = this.#lowest; bucket !== NONE; bucket = this.#higher[bucket]!) {
      for (let slot = this.#first[bucket]!; slot !== NONE; slot = this.#next[slot]!) {
        keys.push({ key: this.#keys[slot]!, count: this.#counts[bucket]!, error: this.#errors[slot]! });
      }
    }
    const isFull = keys.length === this.capacity;
    return { keys: keys.reverse(), unlistedMax: isFull ? this.#counts[this.#lowest]! : 0, total: this.#total };
  }

  #watch(key: string): void {
    const slot = this.#keys.push(key) - 1;
    this.#slotOf.set(key, slot);
    this.#errors[slot] = 0;
    const isThere = this.#lowest !== NONE && this.#counts[this.#lowest] === 1;
    this.#attach(slot, isThere ? this.#lowest : this.#newBucket(1, NONE, this.#lowest));
  }

  #replaceLowest(key: string): void {
    const slot = this.#first[this.#lowest]!;
    this.#slotOf.delete(this.#keys[slot]!);
    this.#slotOf.set(key, slot);
    this.#keys[slot] = key;
    this.#errors[slot] = this.#counts[this.#lowest]!;
    this.#raise(slot);
  }

  #raise(slot: number): void {
    const bucket = this.#bucket[slot]!;
    const count = this.#counts[bucket]! + 1;
    const higher = this.#higher[bucket]!;
    const isMet = higher !== NONE && this.#counts[higher] === count;
    const isAlone = this.#first[bucket] === slot && this.#next[slot] === NONE;
    if (isAlone && !isMet) {
      this.#counts[bucket] = count;
      return;
    }
    const target = isMet ? higher : this.#newBucket(count, bucket, higher);
    this.#detach(slot);
    if (isAlone) this.#dropBucket(bucket);
    this.#attach(slot, target);
  }

  #attach(slot: number, bucket: number): void {
    const first = this.#first[bucket]!;
    this.#bucket[slot] = bucket;
    this.#next[slot] = first;
    this.#previous[slot] = NONE;
    if (first !== NONE) this.#previous[first] = slot;
    this.#first[bucket] = slot;
  }

  #detach(slot: number): void {
    const next = this.#next[slot]!;
    const previous = this.#previous[slot]!;
    if (previous === NONE) this.#first[this.#bucket[slot]!] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
  }

  #newBucket(count: number, lower: number, higher: number): number {
    const bucket = this.#freeBuckets.pop()!;
    this.#counts[bucket] = count;
    this.#first[bucket] = NONE;
    this.#link(lower, bucket);
    this.#link(bucket, higher);
    return bucket;
  }

  #dropBucket(bucket: number): void {
    this.#link(this.#lower[bucket]!, this.#higher[bucket]!);
    this.#freeBuckets.push(bucket);
  }

  #link(lower: number, higher: number): void {
    if (lower === NONE) this.#lowest = higher;
    else this.#higher[lower] = higher;
    if (higher !== NONE) this.#lower[higher] = lower;
  }
}

/**
 * Two summaries as one, with the same bounds: a key that one of them does not list may have had `unlistedMax` there.
 *
 * @param keysMax - The most keys of the result.
 */
export function merged(a: Summary, b: Summary, keysMax: number): Summary {
  const sums = new Map<string, CountedKey>();
  for (const { key, count, error } of a.keys) {
    sums.set(key, { key, count: count + b.unlistedMax, error: error + b.unlistedMax });
  }
  for (const { key, count, error } of b.keys) {
    const other = sums.get(key);
    const before = other === undefined ? a.unlistedMax : other.count - b.unlistedMax;
    const doubt = other === undefined ? a.unlistedMax : other.error - b.unlistedMax;
    sums.set(key, { key, count: count + before, error: error + doubt });
  }
  const keys = [...sums.values()].sort((one, two) => two.count - one.count);
  const unlistedMax = Math.max(a.unlistedMax + b.unlistedMax, keys[keysMax]?.count ?? 0);
  return { keys: keys.slice(0, keysMax), unlistedMax, total: a.total + b.total };
}

/** Keys watched at once: errors stay below a thousandth of what was counted. */
const KEYS_MAX = 1_000;
/** A minute is long enough for a list to be steady and short enough to be of now. */
const WINDOW_MS = 60_000;

/** The most frequent keys of the last one to two minutes, and since the start. */
export class TopKeys {
  readonly #keysMax: number;
  readonly #present: SpaceSaving;
  #presentSinceMs: number;
  #previous: Summary = NOTHING_YET;
  #previousSinceMs: number;
  /** Of all windows that are over. */
  #past: Summary = NOTHING_YET;
  readonly startedMs: number;

  constructor(nowMs: number, keysMax = KEYS_MAX) {
    this.#keysMax = keysMax;
    this.#present = new SpaceSaving(keysMax);
    this.startedMs = nowMs;
    this.#presentSinceMs = nowMs;
    this.#previousSinceMs = nowMs;
  }

  count(key: string): void {
    this.#present.count(key);
  }

  /** To be called about once a second: begins a new window when the present one is over. Cost then: about 1 ms. */
  tick(nowMs: number): void {
    if (nowMs - this.#presentSinceMs < WINDOW_MS) return;
    this.#previous = this.#present.summary();
    this.#previousSinceMs = this.#presentSinceMs;
    this.#past = merged(this.#past, this.#previous, this.#keysMax);
    this.#present.clear();
    this.#presentSinceMs = nowMs;
  }

  /** @returns The last one to two minutes, and since when that is. */
  recent(): Summary & { sinceMs: number } {
    return { ...merged(this.#previous, this.#present.summary(), this.#keysMax), sinceMs: this.#previousSinceMs };
  }

  /** @returns Everything since the start. */
  all(): Summary & { sinceMs: number } {
    return { ...merged(this.#past, this.#present.summary(), this.#keysMax), sinceMs: this.startedMs };
  }
}
