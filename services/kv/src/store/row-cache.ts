/**
 * Rows of the file that were used lately, so that a busy key costs one look at plain memory instead of a descent through
 * LMDB’s pages: 0.5 µs instead of 1.3–1.9 (`lmdb-store.bench.ts`).
 *
 * A few row arenas, the newest first. What is read is added to the newest; an overlay that has been written becomes the
 * newest as it is, so that no row here is ever older than the file. The oldest is dropped whole when there are too
 * many bytes or too many arenas, and what is found in it is used and therefore taken along.
 */
import { hashOf, type Pending, RowArena } from './row-arena.ts';
import type { ByteString, Table } from './store.ts';

/** The tables whose rows are read by key again and again. */
const CACHED = ['index', 'records'] as const satisfies Table[];
const isCached = (table: Table): boolean => (CACHED as readonly Table[]).includes(table);

/** Each older one costs a look-up that finds nothing in those before it. */
const GENERATIONS_MAX = 4;
/** An overlay of so few keys is copied into the newest arena rather than counted as one. */
const ABSORBED_KEYS_MAX = 2_000;

export class RowCache {
  readonly #bytesMax: number;
  /** Newest first. */
  readonly #generations: RowArena[] = [];
  /** The one that takes what is read, as long as it is the newest. */
  #filling: RowArena | undefined;

  /** @param bytesMax - 0: nothing is kept. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#generations.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  }

  /** What the file has for a key, null when it has nothing; undefined when that is not known here. */
  get(table: Table, key: ByteString, hash = hashOf(table, key)): Pending | undefined {
    const generations = this.#generations;
    for (let age = 0; age < generations.length; age++) {
      const found = generations[age]!.get(table, key, hash);
      if (found === undefined) continue;
      if (age === GENERATIONS_MAX - 1) this.add(table, key, found);
      return found;
    }
    return undefined;
  }

  /** Keeps what was read from the file. */
  add(table: Table, key: ByteString, value: Uint8Array | null): void {
    if (this.#bytesMax > 0 && isCached(table)) this.#room().set(table, key, value);
  }

  /** Takes in what has just become part of the file. The arena must not change any more. */
  written(rows: RowArena): void {
    if (this.#bytesMax === 0) return;
    if (rows.keys > ABSORBED_KEYS_MAX) this.#begin(rows);
    else {
      for (const table of CACHED) {
        for (const { key, value } of rows.rows(table)) this.#room().set(table, key, value);
      }
    }
  }

  /** The arena that takes the next row. */
  #room(): RowArena {
    const newest = this.#generations[0];
    const hasRoom = newest === this.#filling && (newest?.heldBytes ?? Infinity) < this.#bytesMax / GENERATIONS_MAX;
    if (!hasRoom) this.#filling = this.#begin(new RowArena({ copies: false }));
    return this.#filling!;
  }

  #begin(rows: RowArena): RowArena {
    this.#generations.unshift(rows);
    while (this.#generations.length > GENERATIONS_MAX || this.heldBytes > this.#bytesMax) this.#generations.pop();
    return rows;
  }
}
