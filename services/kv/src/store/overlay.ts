/**
 * Changes that are not on disk yet: a row arena that reads look into first, whose effects the writer thread will apply,
 * and, of the tables somebody walks, the keys in order. A removed key is a null, so that it hides what the disk has.
 *
 * Keys are put in order when somebody asks for the order: most of a busy overlay are never walked. They are put,
 * perhaps read, and dropped after a checkpoint.
 */
import type { EffectChunk } from './effect-format.ts';
import type { Pair } from './ordered-table.ts';
import { type Pending, RowArena } from './row-arena.ts';
import { SortedKeys } from './sorted-keys.ts';
import { type ByteString, type LogPosition, type Range, TABLES, type Table } from './store.ts';

export class Overlay {
  readonly rows: RowArena;
  #sorted = new Map<Table, SortedKeys>();
  #isInStep = false;
  position: LogPosition;

  /** @param keys - About how many there will be. */
  constructor(position: LogPosition, keys = 0) {
    this.rows = new RowArena({ copies: true, keys });
    this.position = position;
  }

  get isInStep(): boolean {
    return this.#isInStep;
  }

  /** An upper bound: a value that was replaced since is still counted. Twice, for the copy that the writer gets. */
  get heldBytes(): number {
    return 2 * this.rows.heldBytes;
  }

  get(table: Table, key: ByteString, hash: number): Pending | undefined {
    return this.rows.get(table, key, hash);
  }

  /** Sets a key, or removes it with null. */
  set(table: Table, key: ByteString, value: Uint8Array | null): void {
    // Without a step nothing would say where the change stands in the log.
    if (!this.#isInStep) throw new Error('put and remove are only allowed inside step');
    this.rows.set(table, key, value);
  }

  /** Pairs of a range in byte order; undefined when the table has none. It must not change meanwhile. */
  range(table: Table, range: Range): Iterator<Pair<Pending>> | undefined {
    if (this.rows.keyCount(table) === 0) return undefined;
    const sorted = this.#sorted.get(table) ?? new SortedKeys(this.rows, table);
    this.#sorted.set(table, sorted);
    return sorted.range(range);
  }

  /** Runs `change` all or not at all. Steps do not nest. */
  step<T>(position: LogPosition, change: () => T): T {
    if (position < this.position) throw new RangeError(`step ends at ${position}, before ${this.position}`);
    if (this.#isInStep) throw new Error('a step is already running');
    this.#isInStep = true;
    this.rows.mark();
    try {
      const result = change();
      this.position = position;
      return result;
    } catch (error) {
      this.rows.rewind();
      this.#sorted.clear();
      throw error;
    } finally {
      this.#isInStep = false;
    }
  }

  /** What the writer applies. */
  copyEffects(): EffectChunk[] {
    return this.rows.copyChunks();
  }

  /** Takes over the changes of a newer overlay. Cost: 0.3 µs a key of it; paid only after a failed checkpoint. */
  absorb(newer: Overlay): void {
    for (const table of TABLES) {
      for (const { key, value } of newer.rows.rows(table)) this.rows.set(table, key, value);
    }
    this.position = newer.position;
  }
}
