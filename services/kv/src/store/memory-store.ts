/**
 * The store that forgets: an ordered table per table name, no disk. For tests, and for deployments whose log is the
 * only memory they want.
 */
import { OrderedTable } from './ordered-table.ts';
import { StepUndo } from './step-undo.ts';
import { type ByteString, type Entry, type LogPosition, type Range, type Store, TABLES, type Table } from './store.ts';

/** Opens an empty store at position 0. */
export const openMemoryStore = (): Store => new MemoryStore();

export class MemoryStore implements Store {
  readonly #tables = Object.fromEntries(TABLES.map((table) => [table, new OrderedTable<Uint8Array>()])) as Record<
    Table,
    OrderedTable<Uint8Array>
  >;
  readonly #undo = new StepUndo<Uint8Array>();
  #position: LogPosition = 0;

  get(table: Table, key: ByteString): Uint8Array | undefined {
    return this.#tables[table].get(key);
  }

  range(table: Table, range: Range): Iterable<Entry> {
    return { [Symbol.iterator]: () => this.#tables[table].range(range) };
  }

  put(table: Table, key: ByteString, value: Uint8Array): void {
    this.#undo.assertOpen();
    const target = this.#tables[table];
    this.#undo.record(target, key, target.set(key, Buffer.from(value)));
  }

  remove(table: Table, key: ByteString): void {
    this.#undo.assertOpen();
    const target = this.#tables[table];
    const previous = target.delete(key);
    if (previous !== undefined) this.#undo.record(target, key, previous);
  }

  step<T>(position: LogPosition, change: () => T): T {
    if (position < this.#position) throw new RangeError(`step ends at ${position}, before ${this.#position}`);
    const result = this.#undo.run(change);
    this.#position = position;
    return result;
  }

  get position(): LogPosition {
    return this.#position;
  }

  get durablePosition(): LogPosition {
    return this.#position;
  }

  get pendingBytes(): number {
    return 0;
  }

  async checkpoint(): Promise<LogPosition> {
    return this.#position;
  }

  async copyTo(_target: string): Promise<LogPosition> {
    throw new Error('a memory store has nothing on disk to copy');
  }

  async close(): Promise<void> {}
}
