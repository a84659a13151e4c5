/**
 * Keys → slots: small whole numbers by which everything else about a key is found in typed arrays.
 *
 * Linear hashing (Litwin 1980) with chains: whenever there are more keys than chains, one chain is split, so that no
 * key ever waits for a million others to be hashed again, as it would when a `Map` doubles. Records lie in chunks,
 * one cache line for what a look-up reads.
 */
import { KEY_LENGTH_MAX, KeyHeap } from './key-heap.ts';

/** Whole numbers of one slot: hash, next slot of the chain, where the characters are, and three for the table's owner. */
export const WORDS = 6;
export const HASH = 0;
const CHAIN = 1;
const KEY = 2;
export const POLICY = 3;
export const NEXT = 4;
export const PREVIOUS = 5;

/** Slots of a chunk, as a power of two. 1,024: a table of few keys is small, one of ten million has ten thousand chunks. */
export const CHUNK_BITS = 10;
export const CHUNK_MASK = (1 << CHUNK_BITS) - 1;
const HEADS_BITS = 10;
const HEADS_MASK = (1 << HEADS_BITS) - 1;
const NONE = -1;
export class KeyTable {
  readonly #heap = new KeyHeap();
  readonly #heads: Int32Array[] = [new Int32Array(1 << HEADS_BITS).fill(NONE)];
  readonly #chunks: Int32Array[] = [];
  /** Chains: `#low + 1` of them, and those that were split in this round. */
  #low = HEADS_MASK;
  #chains = 1 << HEADS_BITS;
  #slots = 0;
  #firstFree = NONE;
  #size = 0;
  readonly #seed: number;

  /** @param seed - Secret and different in every process, or a caller could choose keys that all share a chain. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Keys that are kept. */
  get size(): number {
    return this.#size;
  }

  /** Slots ever given out: all that are in use are below. */
  get slots(): number {
    return this.#slots;
  }

  /** The words of a slot; they begin at `wordsAt(slot)`. */
  words(slot: number): Int32Array {
    return this.#chunks[slot >> CHUNK_BITS]!;
  }

  /** @returns The slot of a key, or −1. @throws RangeError when it is longer than 4,096 characters. */
  find(key: string): number {
    const hash = hashOf(key, this.#seed);
    const chain = this.#chainOf(hash);
    let slot = this.#heads[chain >> HEADS_BITS]![chain & HEADS_MASK]!;
    while (slot !== NONE) {
      const words = this.#chunks[slot >> CHUNK_BITS]!;
      const at = wordsAt(slot);
      if (words[at] === hash && this.#heap.equals(words[at + KEY]!, key)) return slot;
      slot = words[at + CHAIN]!;
    }
    return NONE;
  }

  /** Keeps a key that is not kept yet. @returns Its slot. */
  add(key: string): number {
    const hash = hashOf(key, this.#seed);
    const slot = this.#slot();
    const words = this.words(slot);
    const at = wordsAt(slot);
    words[at + HASH] = hash;
    words[at + KEY] = this.#heap.write(key);
    this.#size++;
    this.#enchain(slot, this.#chainOf(hash));
    if (this.#size > this.#chains) this.#split();
    return slot;
  }

  remove(slot: number): void {
    const words = this.words(slot);
    const at = wordsAt(slot);
    this.#unchain(slot, words[at + HASH]!);
    this.#heap.drop(words[at + KEY]!);
    words[at + POLICY] = NONE;
    words[at + CHAIN] = this.#firstFree;
    this.#firstFree = slot;
    this.#size--;
  }

  keyOf(slot: number): string {
    return this.#heap.read(this.words(slot)[wordsAt(slot) + KEY]!);
  }

  #slot(): number {
    const slot = this.#firstFree;
    if (slot !== NONE) {
      this.#firstFree = this.words(slot)[wordsAt(slot) + CHAIN]!;
      return slot;
    }
    if (this.#slots >> CHUNK_BITS === this.#chunks.length) this.#chunks.push(new Int32Array(WORDS << CHUNK_BITS));
    return this.#slots++;
  }

  #chainOf(hash: number): number {
    const chain = hash & ((this.#low << 1) | 1);
    return chain < this.#chains ? chain : hash & this.#low;
  }

  #enchain(slot: number, chain: number): void {
    const heads = this.#heads[chain >> HEADS_BITS]!;
    this.words(slot)[wordsAt(slot) + CHAIN] = heads[chain & HEADS_MASK]!;
    heads[chain & HEADS_MASK] = slot;
  }

  #unchain(slot: number, hash: number): void {
    const chain = this.#chainOf(hash);
    const heads = this.#heads[chain >> HEADS_BITS]!;
    const next = this.words(slot)[wordsAt(slot) + CHAIN]!;
    let other = heads[chain & HEADS_MASK]!;
    if (other === slot) {
      heads[chain & HEADS_MASK] = next;
      return;
    }
    while (this.words(other)[wordsAt(other) + CHAIN] !== slot) other = this.words(other)[wordsAt(other) + CHAIN]!;
    this.words(other)[wordsAt(other) + CHAIN] = next;
  }

  /** One more chain, with those keys of its elder that belong there. */
  #split(): void {
    const elder = this.#chains & this.#low;
    if (this.#chains >> HEADS_BITS === this.#heads.length) this.#heads.push(new Int32Array(1 << HEADS_BITS).fill(NONE));
    this.#chains++;
    const heads = this.#heads[elder >> HEADS_BITS]!;
    let slot = heads[elder & HEADS_MASK]!;
    heads[elder & HEADS_MASK] = NONE;
    while (slot !== NONE) {
      const words = this.words(slot);
      const next = words[wordsAt(slot) + CHAIN]!;
      this.#enchain(slot, this.#chainOf(words[wordsAt(slot) + HASH]!));
      slot = next;
    }
    if (this.#chains === (this.#low + 1) * 2) this.#low = this.#chains - 1;
  }
}

export function wordsAt(slot: number): number {
  return (slot & CHUNK_MASK) * WORDS;
}

/**
 * A hash of 32 bits, two characters at a time: FxHash's step (rotate, xor, multiply), then murmur3's finish.
 *
 * @throws RangeError when the key is longer than 4,096 characters.
 */
export function hashOf(key: string, seed: number): number {
  const { length } = key;
  if (length > KEY_LENGTH_MAX) throw new RangeError(`a key has ${length} characters; the most is ${KEY_LENGTH_MAX}`);
  let hash = seed ^ length;
  let index = 1;
  for (; index < length; index += 2) {
    const pair = key.charCodeAt(index - 1) | (key.charCodeAt(index) << 16);
    hash = Math.imul(((hash << 5) | (hash >>> 27)) ^ pair, 0x9e3779b1);
  }
  if (index === length) hash = Math.imul(((hash << 5) | (hash >>> 27)) ^ key.charCodeAt(index - 1), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
