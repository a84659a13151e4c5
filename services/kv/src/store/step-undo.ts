/**
 * What makes a step all or nothing in memory: the values its changes replaced, in order, put back in reverse when the
 * step throws. The three lists are reused from step to step, so a step that succeeds allocates nothing here.
 */
import type { OrderedTable } from './ordered-table.ts';
import type { ByteString } from './store.ts';

export class StepUndo<V> {
  readonly #tables: OrderedTable<V>[] = [];
  readonly #keys: ByteString[] = [];
  readonly #previous: (V | undefined)[] = [];
  #isOpen = false;

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Runs `change`; when it throws, puts every recorded value back and throws on. Steps do not nest. */
  run<T>(change: () => T): T {
    if (this.#isOpen) throw new Error('a step is already running');
    this.#isOpen = true;
    try {
      return change();
    } catch (error) {
      this.#rollBack();
      throw error;
    } finally {
      this.#close();
    }
  }

  /** Changes are only allowed inside a step: without one, nothing would say where they stand in the log. */
  assertOpen(): void {
    if (!this.#isOpen) throw new Error('put and remove are only allowed inside step');
  }

  /** Remembers what a change replaced; `previous` undefined means the key was absent. */
  record(table: OrderedTable<V>, key: ByteString, previous: V | undefined): void {
    this.#tables.push(table);
    this.#keys.push(key);
    this.#previous.push(previous);
  }

  #rollBack(): void {
    for (let i = this.#keys.length - 1; i >= 0; i--) {
      const previous = this.#previous[i];
      if (previous === undefined) this.#tables[i]!.delete(this.#keys[i]!);
      else this.#tables[i]!.set(this.#keys[i]!, previous);
    }
  }

  #close(): void {
    this.#isOpen = false;
    this.#tables.length = 0;
    this.#keys.length = 0;
    this.#previous.length = 0;
  }
}
