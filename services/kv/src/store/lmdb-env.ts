/**
 * The LMDB file: how both threads open it, and what is inside.
 *
 * One named database per table, and one more for the store's own note of where it stands in the log. Keys are written
 * by our own encoder straight into LMDB's key buffer, so a `get` allocates nothing for its key; LMDB compares them with
 * memcmp, which is the order of byte strings. Within one process lmdb-js shares one environment between all threads
 * that open the same file.
 */
import { type Database, open, type RootDatabase } from 'lmdb';
import { writeByteString } from './effect-format.ts';
import type { Pair } from './ordered-table.ts';
import { type ByteString, type LogPosition, type Range, TABLES, type Table } from './store.ts';

/**
 * Address space reserved for the map, not memory and not disk: 1 TiB of virtual size costs no RSS (measured: 0.3 MB to
 * open with either size). Reserving it once matters because lmdb-js would otherwise grow the map by mapping the file
 * again and keeping the old maps, each of which counts the pages it touched.
 */
export const MAP_SIZE_BYTES = 2 ** 40;

type Bytes = Database<Buffer, ByteString>;

export interface LmdbEnv {
  readonly root: RootDatabase<Buffer, ByteString>;
  readonly tables: Readonly<Record<Table, Bytes>>;
  readonly bookmark: Bytes;
}

const keyEncoder = {
  writeKey: writeByteString,
  readKey: (source: Buffer, start: number, end: number): ByteString => source.toString('latin1', start, end),
};

/**
 * lmdb-js reads into one buffer that the next read overwrites, and lies about its `length`; the contract promises more,
 * so every value is copied out, into Node's pool. Measured at 128 bytes: no dearer than not copying within the noise, and
 * less than half the price of the library's own `getBinary`.
 */
const valueCodec = {
  encode: (value: Uint8Array): Uint8Array => value,
  decode(shared: Buffer): Buffer {
    const length = shared.length;
    const value = Buffer.allocUnsafe(length);
    shared.copy(value, 0, 0, length);
    return value;
  },
};

const FORMAT = { keyEncoder, encoder: valueCodec, encoding: 'binary' } as const;

/**
 * Opens the environment and creates what is missing in one durable transaction.
 *
 * Durability is LMDB's default, and `overlappingSync: false` keeps it: pages are written and synced before the meta page
 * that makes them visible is, so any subset of unsynced pages may be lost at any instant and the file is still the one
 * before or the one after.
 */
export function openLmdbEnv({ file, mapSizeBytes }: { file: string; mapSizeBytes: number }): LmdbEnv {
  const root = open<Buffer, ByteString>(file, {
    ...FORMAT,
    mapSize: mapSizeBytes,
    maxDbs: TABLES.length + 1,
    overlappingSync: false,
  });
  return root.transactionSync(() => ({
    root,
    tables: Object.fromEntries(TABLES.map((name) => [name, root.openDB({ ...FORMAT, name })])) as Record<Table, Bytes>,
    bookmark: root.openDB({ ...FORMAT, name: '#bookmark' }),
  }));
}

const POSITION_KEY = 'position';

/** The log position of the last committed transaction, 0 for a new file. */
export function readPosition({ bookmark }: LmdbEnv): LogPosition {
  return bookmark.get(POSITION_KEY)?.readDoubleLE() ?? 0;
}

/** To be called inside the transaction whose changes it describes. */
export function writePosition({ bookmark }: LmdbEnv, position: LogPosition): void {
  const value = Buffer.alloc(8);
  value.writeDoubleLE(position);
  bookmark.put(POSITION_KEY, value);
}

/** Entries of a non-empty range as of the current read transaction. Must end within one turn of the event loop. */
export function rangeOf(table: Bytes, { start, end, reverse }: Range): Iterator<Pair<Buffer>> {
  // lmdb-js counts from `start` towards `end` in either direction, so for a reverse walk the two trade places and the
  // open end moves with them. Both names must be present: left out, they stand for a key of ordered-binary.
  const options = reverse
    ? { start: end, end: start, reverse, exclusiveStart: true, inclusiveEnd: true }
    : { start, end };
  return table.getRange(options)[Symbol.iterator]();
}
