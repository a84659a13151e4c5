/**
 * Rows of several tables in plain memory: effects one behind the other, and a hash index that finds the newest of a key.
 *
 * Why not a `Map` of objects. The rows of a busy overlay live for some seconds: long enough to be copied by every
 * collection of young objects and then to die old. With objects that was a quarter of all processor time of a put
 * (the `put` rows of `npm run bench -- kv`); here a row is bytes and one slot of 4 bytes, and the collector sees neither.
 *
 * Positions. An effect is known by the number of its chunk and its first word in it, in one whole number that grows
 * with every append. The index is open addressing with linear probing, at most half full; nothing is ever taken out of
 * it: a removed key is an effect like any other, and `rewind`, which only a bug makes necessary, builds it anew.
 */
import { randomInt } from 'node:crypto';
import {
  type EffectChunk,
  HEADER_BYTES,
  LOOP_BYTES_MAX,
  REMOVED,
  TABLE_NUMBERS,
  wordsFor,
  writeByteString,
} from './effect-format.ts';
import { type ByteString, STORE_KEY_BYTES_MAX, TABLES, type Table } from './store.ts';

/** What a key has: bytes, or null where it was removed. */
export type Pending = Buffer | null;

/** A value of nearly 1 MiB gets a chunk of its own size. */
const CHUNK_BYTES = 1024 * 1024;
const WORD_BITS = 18;
const WORD_MASK = 2 ** WORD_BITS - 1;
const SLOTS_MIN = 1_024;
const NONE = -1;
/** Differs between processes, so that nobody can prepare keys that all meet in one place. */
const SEED = randomInt(2 ** 32) | 0;

/** Where an arena stood. */
interface Mark {
  chunks: number;
  /** Of the last chunk. */
  usedBytes: number;
  newest: Int32Array;
}

export class RowArena {
  readonly #copies: boolean;
  readonly #bytes: Buffer[] = [];
  readonly #words: Int32Array[] = [];
  /** Bytes used of each chunk. */
  readonly #used: number[] = [];
  /** Copies of full chunks, made as they fill so that nobody waits for all of them at once. */
  readonly #sealed: (ArrayBuffer | undefined)[] = [];
  /** Position of the newest effect of each table. */
  readonly #newest = new Int32Array(TABLES.length).fill(NONE);
  /** Different keys of each table. */
  readonly #keyCounts = new Int32Array(TABLES.length);
  /** Position + 1 of the newest effect of a key; 0: free. */
  #slots: Int32Array;
  #keys = 0;
  #usedBytes = 0;
  #mark: Mark | undefined;

  /**
   * @param copies - True when the chunks will be asked for by `copyChunks`.
   * @param keys - How many there will be, if that is known, so that the index need not grow.
   */
  constructor({ copies, keys = 0 }: { copies: boolean; keys?: number }) {
    this.#copies = copies;
    this.#slots = new Int32Array(Math.max(SLOTS_MIN, 2 ** Math.ceil(Math.log2(2 * keys + 1))));
  }

  /** Different keys of a table. */
  keyCount(table: Table): number {
    return this.#keyCounts[TABLE_NUMBERS[table]]!;
  }

  /** Different keys of all tables. */
  get keys(): number {
    return this.#keys;
  }

  /** Bytes of effects and index; copies not counted. */
  get heldBytes(): number {
    return this.#usedBytes === 0 ? 0 : this.#usedBytes + 4 * this.#slots.length;
  }

  /**
   * What a key has, undefined when it is not here. A view, valid as long as anyone holds it.
   *
   * @param hash - Of table and key, where several arenas are asked.
   * Cost: 0.2–0.5 µs, by how far away the memory is; 0.05 µs when the key is not here.
   */
  get(table: Table, key: ByteString, hash = hashOf(table, key)): Pending | undefined {
    if (this.#keys === 0) return undefined;
    const number = TABLE_NUMBERS[table];
    const found = this.#slots[this.#slotOf(hash, number, key)]!;
    return found === 0 ? undefined : this.#valueAt(found - 1);
  }

  /** Sets a key, or removes it with null. Copies both. Cost: 0.15 µs for 20 + 128 bytes. @throws RangeError */
  set(table: Table, key: ByteString, value: Uint8Array | null): void {
    // A key LMDB cannot store would poison every later checkpoint, so it is refused where it enters.
    if (key.length === 0 || key.length > STORE_KEY_BYTES_MAX) {
      throw new RangeError(`key is ${key.length} bytes; it must be 1 to ${STORE_KEY_BYTES_MAX}`);
    }
    const number = TABLE_NUMBERS[table];
    const hash = hashOf(table, key);
    const slot = this.#slotOf(hash, number, key);
    const chunk = this.#roomFor(HEADER_BYTES + key.length + (value?.length ?? 0));
    const start = this.#used[chunk]!;
    const end = writeEffect(this.#bytes[chunk]!, start, key, value);
    const words = this.#words[chunk]!;
    const at = start >>> 2;
    words[at] = number | (key.length << 8);
    words[at + 1] = value === null ? REMOVED : value.length;
    words[at + 2] = hash;
    words[at + 3] = this.#slots[slot]! - 1;
    words[at + 4] = this.#newest[number]!;
    this.#used[chunk] = end;
    this.#usedBytes += end - start;
    this.#newest[number] = (chunk << WORD_BITS) | at;
    if (this.#slots[slot] === 0) this.#count(number);
    this.#slots[slot] = this.#newest[number]! + 1;
    if (2 * this.#keys > this.#slots.length) this.#grow();
  }

  /** Where the newest effect of a table is; it and every one before it have been seen, as `keysSince` takes it. */
  newest(table: Table): number {
    return this.#newest[TABLE_NUMBERS[table]]!;
  }

  /** Keys of a table that came in after a position, newest first, each once. */
  *keysSince(table: Table, position: number): Generator<ByteString> {
    for (let at = this.newest(table); at > position; at = this.#word(at, 4)) {
      if (this.#word(at, 3) === NONE) yield this.#keyAt(at);
    }
  }

  /** Every key of a table with what it has, in no particular order. */
  *rows(table: Table): Generator<{ key: ByteString; value: Pending }> {
    for (const key of this.keysSince(table, NONE)) yield { key, value: this.get(table, key)! };
  }

  /** Remembers where the arena stands, for `rewind`. */
  mark(): void {
    const { length: chunks } = this.#bytes;
    this.#mark = { chunks, usedBytes: this.#used[chunks - 1] ?? 0, newest: this.#newest.slice() };
  }

  /** Forgets the effects since `mark`. Cost: a walk over all of them; only bugs need it. */
  rewind(): void {
    const { chunks, usedBytes, newest } = this.#mark!;
    for (const list of [this.#bytes, this.#words, this.#used, this.#sealed]) list.length = chunks;
    if (chunks > 0) {
      this.#used[chunks - 1] = usedBytes;
      this.#sealed[chunks - 1] = undefined;
    }
    this.#usedBytes = this.#used.reduce((sum, used) => sum + used, 0);
    this.#newest.set(newest);
    this.#reindex();
  }

  /** Copies of all effects, in order. */
  copyChunks(): EffectChunk[] {
    return this.#bytes.map((bytes, chunk) => {
      const usedBytes = this.#used[chunk]!;
      const memory = this.#sealed[chunk] ?? copyOf(bytes, usedBytes);
      this.#sealed[chunk] = undefined;
      return { memory, usedBytes };
    });
  }

  // ------------------------------------------------------------ the index

  /** Where the index has a key, or would have it. */
  #slotOf(hash: number, table: number, key: ByteString): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let entry = slots[slot]!; entry !== 0; entry = slots[slot]!) {
      if (this.#isOf(entry - 1, hash, table, key)) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #isOf(position: number, hash: number, table: number, key: ByteString): boolean {
    const chunk = position >>> WORD_BITS;
    const words = this.#words[chunk]!;
    const at = position & WORD_MASK;
    if (words[at + 2] !== hash || words[at] !== (table | (key.length << 8))) return false;
    return isKeyAt(this.#bytes[chunk]!, 4 * at + HEADER_BYTES, key);
  }

  #count(table: number): void {
    this.#keyCounts[table]!++;
    this.#keys++;
  }

  /** Twice as many slots. Every key has one already, so nothing needs to be compared. Cost: some 20 ns a key. */
  #grow(): void {
    const grown = new Int32Array(2 * this.#slots.length);
    const mask = grown.length - 1;
    for (const entry of this.#slots) {
      if (entry === 0) continue;
      let slot = this.#word(entry - 1, 2) & mask;
      while (grown[slot] !== 0) slot = (slot + 1) & mask;
      grown[slot] = entry;
    }
    this.#slots = grown;
  }

  /** Finds every key anew from the effects there are. */
  #reindex(): void {
    this.#slots.fill(0);
    this.#keyCounts.fill(0);
    this.#keys = 0;
    for (const [table, newest] of this.#newest.entries()) {
      for (let at = newest; at !== NONE; at = this.#word(at, 4)) {
        const slot = this.#slotOf(this.#word(at, 2), table, this.#keyAt(at));
        if (this.#slots[slot] !== 0) continue;
        this.#slots[slot] = at + 1;
        this.#count(table);
      }
    }
  }

  // ------------------------------------------------------------ the effects

  /** A word of the header of an effect. */
  #word(position: number, word: number): number {
    return this.#words[position >>> WORD_BITS]![(position & WORD_MASK) + word]!;
  }

  #keyAt(position: number): ByteString {
    const start = 4 * (position & WORD_MASK) + HEADER_BYTES;
    return this.#bytes[position >>> WORD_BITS]!.toString('latin1', start, start + (this.#word(position, 0) >>> 8));
  }

  #valueAt(position: number): Pending {
    const words = this.#words[position >>> WORD_BITS]!;
    const at = position & WORD_MASK;
    const valueBytes = words[at + 1]!;
    if (valueBytes === REMOVED) return null;
    const start = 4 * at + HEADER_BYTES + (words[at]! >>> 8);
    return this.#bytes[position >>> WORD_BITS]!.subarray(start, start + valueBytes);
  }

  /** The chunk that takes the next effect, a new one when the last is too full. */
  #roomFor(bytesNeeded: number): number {
    const last = this.#bytes.length - 1;
    if (last >= 0 && this.#used[last]! + bytesNeeded <= this.#bytes[last]!.length) return last;
    if (last >= 0 && this.#copies) this.#sealed[last] = copyOf(this.#bytes[last]!, this.#used[last]!);
    const memory = new ArrayBuffer(Math.max(CHUNK_BYTES, 4 * wordsFor(bytesNeeded)));
    this.#bytes.push(Buffer.from(memory));
    this.#words.push(new Int32Array(memory));
    this.#used.push(0);
    return last + 1;
  }
}

/** FNV-1a over table and key, finished so that its low bits are as good as its high ones. Cost: 1 ns a byte. */
export function hashOf(table: Table, key: ByteString): number {
  let hash = SEED ^ TABLE_NUMBERS[table];
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d);
  return hash ^ (hash >>> 13);
}

function isKeyAt(bytes: Buffer, at: number, key: ByteString): boolean {
  if (key.length > LOOP_BYTES_MAX) return bytes.toString('latin1', at, at + key.length) === key;
  for (let i = 0; i < key.length; i++) if (bytes[at + i] !== key.charCodeAt(i)) return false;
  return true;
}

/** Key and value behind the header. @returns Where the next effect begins. */
function writeEffect(bytes: Buffer, start: number, key: ByteString, value: Uint8Array | null): number {
  const keyEnd = writeByteString(key, bytes, start + HEADER_BYTES);
  if (value === null) return 4 * wordsFor(keyEnd);
  bytes.set(value, keyEnd);
  return 4 * wordsFor(keyEnd + value.length);
}

const copyOf = (bytes: Buffer, usedBytes: number): ArrayBuffer => (bytes.buffer as ArrayBuffer).slice(0, usedBytes);
