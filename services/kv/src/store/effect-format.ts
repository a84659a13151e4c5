/**
 * One effect as bytes: a key of a table gets a value, or goes away. The main thread writes effects into a `RowArena`, the
 * writer thread applies copies of its chunks to LMDB. In memory only, read back by the same process.
 *
 * In words of 4 bytes, so that the header is read through an Int32Array:
 *
 *     table | key bytes << 8    value bytes, or REMOVED    hash    same key before    same table before    key value
 *
 * The last two say where the arena has the previous effect on this key and on this table. An effect begins at a whole
 * word and never straddles two chunks.
 */
import { type ByteString, TABLES, type Table } from './store.ts';

export const HEADER_WORDS = 5;
export const HEADER_BYTES = 4 * HEADER_WORDS;
/** In the place of a value's length: the key goes away. */
export const REMOVED = -1;

/** The number of a table in an effect. */
export const TABLE_NUMBERS = Object.fromEntries(TABLES.map((table, number) => [table, number])) as Record<
  Table,
  number
>;

/** Effects on their way to another thread: transfer the `memory` of each. */
export interface EffectChunk {
  memory: ArrayBuffer;
  usedBytes: number;
}

export interface EffectTarget {
  put(key: ByteString, value: Buffer): void;
  remove(key: ByteString): void;
}

/** Applies the effects that a chunk holds for one table, in order. `value` is a view of the chunk. */
export function applyEffects({ memory, usedBytes }: EffectChunk, table: Table, target: EffectTarget): void {
  const bytes = Buffer.from(memory);
  const words = new Int32Array(memory, 0, usedBytes >> 2);
  const wanted = TABLE_NUMBERS[table];
  for (let at = 0; at < words.length; ) {
    const [tableAndKey, valueBytes] = [words[at]!, words[at + 1]!];
    const keyAt = 4 * at + HEADER_BYTES;
    const keyEnd = keyAt + (tableAndKey >>> 8);
    const end = keyEnd + Math.max(0, valueBytes);
    at = wordsFor(end);
    if ((tableAndKey & 0xff) !== wanted) continue;
    const key = bytes.toString('latin1', keyAt, keyEnd);
    if (valueBytes === REMOVED) target.remove(key);
    else target.put(key, bytes.subarray(keyEnd, end));
  }
}

/** Whole words that hold so many bytes. */
export const wordsFor = (bytes: number): number => (bytes + 3) >>> 2;

/** Below this many bytes a loop beats the call into C++ (measured on Node 24: 27 ns against 40 ns for 20 bytes). */
export const LOOP_BYTES_MAX = 48;

/** Writes a byte string at `at` and returns where it ends. */
export function writeByteString(text: ByteString, target: Buffer, at: number): number {
  const length = text.length;
  if (length > LOOP_BYTES_MAX) return at + target.write(text, at, 'latin1');
  for (let i = 0; i < length; i++) target[at + i] = text.charCodeAt(i);
  return at + length;
}
