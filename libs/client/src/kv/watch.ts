/**
 * Watching a bucket: a place in the order of revisions that survives lost connections.
 *
 * A `WatchSource` gives lines for as long as it can; the watch remembers the last whole revision and opens the next
 * source there. Events of a revision that broke off in the middle are forgotten and come again, so what is handed out
 * is always whole, in order, and never twice.
 */
import type * as kv from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import { backoffMs } from '../backoff.ts';
import { pause } from '../caller.ts';
import { type Change, changeOfJson } from './change.ts';

export interface WatchOptions {
  /** Only keys that begin with it. */
  prefix?: string;
  /** Everything after this revision. Omitted: from now on. */
  since?: number;
  /** First the present entries, then `sync`, then changes. Not together with `since`. */
  initial?: boolean;
  /** With values; true unless told. */
  values?: boolean;
  /** With the entry that was there before. HTTP only. */
  previous?: boolean;
  /**
   * When the place was lost, because it is no longer kept (410), begin again by itself: `reset`, then the present
   * entries, `sync`, and changes. Otherwise Problem `revision_compacted` is thrown.
   */
  resync?: boolean;
  /** Ends the watch: the loop throws the signal's reason. */
  signal?: AbortSignal;
}

/**
 * - `revision`: all changes of one revision, that is of one write or transaction.
 * - `initial`: entries that are there already, as `put`s; each with the revision it was written in.
 * - `sync`: the present state is complete as of this revision; changes follow.
 * - `reset`: forget what was told so far; the present state follows.
 */
export interface WatchItem {
  type: 'revision' | 'initial' | 'sync' | 'reset';
  revision: number;
  /** Empty for `sync` and `reset`. */
  events: readonly Change[];
}

/** One line of the wire. `progress` and `end` are bookmarks: nothing is missing up to their revision. */
export type WatchLine =
  | kv.ChangeEvent
  | { type: 'sync' | 'progress' | 'end'; revision: number }
  | { type: 'gone'; problem: unknown };

export interface WatchSource {
  /** @throws Problem when it cannot be opened, after the caller's usual repeats. */
  open(start: WatchStart): Promise<OpenWatch>;
}

/** The present state first, or else what follows a revision; undefined: what follows now. */
export type WatchStart = { initial: true } | { initial: false; since: number | undefined };

export interface OpenWatch {
  /** Where it begins. */
  revision: number;
  /** Lines as they come, some at a time. Ends or throws when the connection does. */
  lines: AsyncIterable<WatchLine[]>;
}

/**
 * An async iterable of what happens: `for await (const { revision, events } of watch)`. A second loop over it goes on
 * where the first was left.
 */
export class Watch implements AsyncIterable<WatchItem> {
  readonly #source: WatchSource;
  readonly #options: WatchOptions;
  #start: WatchStart;
  #opening: Promise<OpenWatch> | undefined;
  #hasOpened = false;
  /** Connections in a row that gave nothing. */
  #failures = 0;
  /** What is there of a revision that is not complete. */
  #pending: Change[] = [];
  #isAmidInitial = false;

  /** @throws TypeError when `initial` and `since` are both given. */
  constructor(source: WatchSource, options: WatchOptions) {
    if (options.initial && options.since !== undefined) throw new TypeError('give one of initial and since');
    this.#source = source;
    this.#options = options;
    this.#start = options.initial ? { initial: true } : { initial: false, since: options.since };
  }

  /** Everything up to this revision was handed out: `since` of a watch that goes on from here. Undefined until known. */
  get revision(): number | undefined {
    return this.#start.initial ? undefined : this.#start.since;
  }

  /** Resolves when the watch stands: nothing that is written from now on is missed. Read it, or it stays open. */
  async opened(): Promise<this> {
    if (!this.#hasOpened) await this.#connection();
    return this;
  }

  /**
   * @throws Problem `revision_compacted` unless `resync`; `bucket_not_found` when the bucket is deleted; what opening it
   * threw, the first time; later it is opened anew for as long as it takes.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<WatchItem, void, void> {
    for (;;) {
      let reset: WatchItem | undefined;
      try {
        const { lines } = await this.#connection();
        for await (const some of lines) yield* this.#take(some);
        reset = this.#resume();
      } catch (error) {
        reset = this.#resumeAfter(error);
      }
      if (reset !== undefined) yield reset;
    }
  }

  #connection(): Promise<OpenWatch> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<OpenWatch> {
    if (this.#hasOpened) await pause(backoffMs(this.#failures++, Math.random()), this.#options.signal);
    const open = await this.#source.open(this.#start);
    this.#hasOpened = true;
    if (!this.#start.initial) this.#start = { initial: false, since: this.#start.since ?? open.revision };
    return open;
  }

  *#take(lines: readonly WatchLine[]): Generator<WatchItem> {
    this.#failures = 0;
    for (const line of lines) {
      const item = this.#itemOf(line);
      if (item !== undefined) yield item;
    }
  }

  #itemOf(line: WatchLine): WatchItem | undefined {
    switch (line.type) {
      case 'gone':
        throw Problem.fromBody(line.problem);
      case 'sync':
        this.#reach(line.revision);
        return { type: 'sync', revision: line.revision, events: [] };
      case 'progress':
      case 'end':
        this.#reach(line.revision);
        return undefined;
      default:
        return this.#eventItem(line);
    }
  }

  #eventItem(event: kv.ChangeEvent): WatchItem | undefined {
    const { revision } = event;
    if (event.initial) {
      this.#isAmidInitial = true;
      return { type: 'initial', revision, events: [changeOfJson(event)] };
    }
    this.#pending.push(changeOfJson(event));
    if (event.more) return undefined;
    const events = this.#pending;
    this.#reach(revision);
    return { type: 'revision', revision, events };
  }

  #reach(revision: number): void {
    this.#pending = [];
    this.#isAmidInitial = false;
    this.#start = { initial: false, since: revision };
  }

  /** @throws What no new connection would change. */
  #resumeAfter(error: unknown): WatchItem | undefined {
    if (!(error instanceof Problem) || this.#options.signal?.aborted) throw error;
    if (error.code === 'revision_compacted' && this.#options.resync) return this.#startOver();
    if (error.kind.retryable === 'no' || !this.#hasOpened) throw error;
    return this.#resume();
  }

  /** Half of the present state is of no use: a key of it may be deleted by now, and nothing would tell. */
  #resume(): WatchItem | undefined {
    this.#opening = undefined;
    this.#pending = [];
    return this.#isAmidInitial ? this.#startOver() : undefined;
  }

  #startOver(): WatchItem {
    const revision = this.revision ?? 0;
    this.#opening = undefined;
    this.#pending = [];
    this.#isAmidInitial = false;
    this.#start = { initial: true };
    return { type: 'reset', revision, events: [] };
  }
}
