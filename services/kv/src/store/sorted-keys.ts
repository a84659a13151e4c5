/** The keys of one table of a row arena in byte order, brought up to date when they are asked for. */
import sortedBtree from 'sorted-btree';
import { byBytes, type Pair } from './ordered-table.ts';
import type { Pending, RowArena } from './row-arena.ts';
import type { ByteString, Range, Table } from './store.ts';

// sorted-btree is CommonJS: Node and jest both hand over `module.exports`, whose `default` is the class.
const BTree = sortedBtree.default;

export class SortedKeys {
  readonly #rows: RowArena;
  readonly #table: Table;
  readonly #tree = new BTree<ByteString, undefined>(undefined, byBytes);
  /** The newest effect whose key is in the tree. */
  #seen = -1;

  constructor(rows: RowArena, table: Table) {
    this.#rows = rows;
    this.#table = table;
  }

  /** Pairs of a range. Cost: O(log n) to start, and 0.6 µs for each key that is new since the last call. */
  range(range: Range): Iterator<Pair<Pending>> {
    for (const key of this.#rows.keysSince(this.#table, this.#seen)) this.#tree.set(key, undefined);
    this.#seen = this.#rows.newest(this.#table);
    return range.reverse ? this.#descend(range) : this.#ascend(range);
  }

  *#ascend({ start, end }: Range): Generator<Pair<Pending>> {
    for (const [key] of this.#tree.entries(start, [])) {
      if (end !== undefined && key >= end) return;
      yield { key, value: this.#rows.get(this.#table, key)! };
    }
  }

  *#descend({ start, end }: Range): Generator<Pair<Pending>> {
    for (const [key] of this.#tree.entriesReversed(end, undefined, true)) {
      if (start !== undefined && key < start) return;
      yield { key, value: this.#rows.get(this.#table, key)! };
    }
  }
}
