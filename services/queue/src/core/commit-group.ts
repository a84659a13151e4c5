/**
 * Group commit: what arrives while one call is under way is gathered, and goes with the next one. With one caller at a
 * time nothing waits; with many, they share round trips, and the store sees batches.
 *
 * Round trips are short, and what gathers during one is a few calls only. So behind a call that was shared by several
 * the next one waits as long as each turn of the event loop brings more: in a crowd a call of thirty costs hardly more
 * than one of five, and nobody waits while there is nothing to do.
 */
import { Problem } from '@plinth/problem';

interface Part<Item, Result> {
  readonly items: readonly Item[];
  resolve(results: Result[]): void;
  reject(error: unknown): void;
}

export interface CommitGroupOptions<Item, Result> {
  /** Gives back one result an item, in order. */
  commit(items: readonly Item[]): Promise<Result[]>;
  /** Of one call. A part that alone is longer is a call of its own. */
  itemsMax: number;
  /** Items that wait for their call; more are refused. */
  waitingMax: number;
  /** What they are, for words: `jobs`. */
  noun: string;
}

/** So many parts in a call are a crowd. */
const CROWD = 4;
/** Turns of the event loop that a call waits for more, at the most. */
const TURNS_MAX = 32;

export class CommitGroup<Item, Result> {
  readonly #options: CommitGroupOptions<Item, Result>;
  #parts: Part<Item, Result>[] = [];
  #waiting = 0;
  #running: Promise<void> | undefined;
  /** In the last call. */
  #partsBefore = 0;

  constructor(options: CommitGroupOptions<Item, Result>) {
    this.#options = options;
  }

  /** Items that wait, without those under way. */
  get waiting(): number {
    return this.#waiting;
  }

  get isIdle(): boolean {
    return this.#running === undefined;
  }

  /**
   * @returns The results of these items, in order.
   * @throws Problem `overloaded` when too many wait; nothing of it happened. Else what `commit` threw.
   */
  add(items: readonly Item[]): Promise<Result[]> {
    const { waitingMax, noun } = this.#options;
    if (items.length === 0) return Promise.resolve([]);
    if (this.#waiting > 0 && this.#waiting + items.length > waitingMax)
      return Promise.reject(
        new Problem('overloaded', `${this.#waiting} ${noun} wait for the store already; the most is ${waitingMax}`, {
          retryAfterMs: 1_000,
        }),
      );
    return new Promise((resolve, reject) => {
      this.#parts.push({ items, resolve, reject });
      this.#waiting += items.length;
      this.#running ??= this.#run();
    });
  }

  /** Resolves when all that was added is committed or refused. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // What arrives in the same turn of the event loop goes together: requests of one socket read come so.
    await Promise.resolve();
    while (this.#parts.length > 0) {
      if (this.#partsBefore >= CROWD) await this.#linger();
      await this.#commitNext();
    }
    this.#running = undefined;
  }

  async #linger(): Promise<void> {
    let before = 0;
    for (let turn = 0; turn < TURNS_MAX && this.#waiting < this.#options.itemsMax; turn++) {
      if (this.#parts.length === before) return;
      before = this.#parts.length;
      await new Promise(setImmediate);
    }
  }

  async #commitNext(): Promise<void> {
    const parts = this.#take();
    this.#partsBefore = parts.length;
    try {
      const results = await this.#options.commit(parts.length === 1 ? parts[0]!.items : parts.flatMap((p) => p.items));
      let from = 0;
      for (const { items, resolve } of parts) {
        resolve(parts.length === 1 ? results : results.slice(from, from + items.length));
        from += items.length;
      }
    } catch (error) {
      for (const { reject } of parts) reject(error);
    }
  }

  #take(): Part<Item, Result>[] {
    let count = 0;
    let items = 0;
    for (const part of this.#parts) {
      if (count > 0 && items + part.items.length > this.#options.itemsMax) break;
      items += part.items.length;
      count += 1;
    }
    this.#waiting -= items;
    return this.#parts.splice(0, count);
  }
}
