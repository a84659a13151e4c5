/**
 * Changes that are not on disk yet, twice: as ordered tables that reads look into first, and as the effect buffer that
 * the writer thread will apply. A removed key is a null in its table, so that it hides what the disk still has.
 */
import { EffectBuffer } from './effect-buffer.ts';
import { OrderedTable } from './ordered-table.ts';
import { StepUndo } from './step-undo.ts';
import { type ByteString, type LogPosition, TABLES, type Table } from './store.ts';

/** The new value of a key; null: removed. */
export type Pending = Uint8Array | null;

/**
 * What one effect costs besides its bytes in the buffer and in the value it keeps: a node, its places in the map and
 * the tree, the headers of a string and a Buffer. Measured on Node 24 with `lmdb-store.bench.ts` ("heap per effect").
 */
const EFFECT_OVERHEAD_BYTES = 320;

export class Overlay {
  readonly tables = Object.fromEntries(TABLES.map((table) => [table, new OrderedTable<Pending>()])) as Record<
    Table,
    OrderedTable<Pending>
  >;
  readonly effects = new EffectBuffer();
  readonly #undo = new StepUndo<Pending>();
  position: LogPosition;

  constructor(position: LogPosition) {
    this.position = position;
  }

  get isInStep(): boolean {
    return this.#undo.isOpen;
  }

  /** An upper bound: a value that was replaced since is still counted. */
  get heldBytes(): number {
    return 2 * this.effects.usedBytes + this.effects.count * EFFECT_OVERHEAD_BYTES;
  }

  /** Sets a key, or removes it with null. Cost: about 0.5 µs, see `lmdb-store.bench.ts`. */
  set(table: Table, key: ByteString, value: Pending): void {
    this.#undo.assertOpen();
    const target = this.tables[table];
    this.#undo.record(target, key, target.set(key, value));
    this.effects.append(table, key, value);
  }

  step<T>(position: LogPosition, change: () => T): T {
    if (position < this.position) throw new RangeError(`step ends at ${position}, before ${this.position}`);
    this.effects.mark();
    try {
      const result = this.#undo.run(change);
      this.position = position;
      return result;
    } catch (error) {
      this.effects.rewind();
      throw error;
    }
  }

  /**
   * Takes over the changes of a newer overlay, and writes the effects anew because they were given away.
   * Cost: under a microsecond per key of both, on the main thread; paid only after a failed checkpoint.
   */
  absorb(newer: Overlay): void {
    for (const table of TABLES) {
      for (const { key, value } of newer.tables[table].pairs()) this.tables[table].set(key, value);
    }
    this.position = newer.position;
    this.effects.take();
    for (const table of TABLES) {
      for (const { key, value } of this.tables[table].pairs()) this.effects.append(table, key, value);
    }
  }
}
