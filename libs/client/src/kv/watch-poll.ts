/**
 * A watch over NATS, which carries no streams: long polls of `changes`, each of which ends at the first change.
 *
 * A request whose service dies is never answered, and nobody says so before its time is up. The notices that a service
 * publishes with every change tell sooner: a poll that has not ended a second after one is asked anew.
 */
import type * as kv from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Caller } from '../caller.ts';
import { replyJson } from '../reply-json.ts';
import { kvEndpoints } from './endpoints.ts';
import type { OpenWatch, WatchLine, WatchOptions, WatchSource, WatchStart } from './watch.ts';

interface Changes {
  events: kv.ChangeEvent[];
  revision: number;
}

/** One request in so long for each quiet watch. */
const WAIT_MS = 20_000;
/** For the way there and back. */
const WAY_MS_MAX = 5_000;
/** From a notice to the answer it calls for. */
const ANSWER_MS_MAX = 1_000;
/** Of the present state; with values of up to 1 MiB the service makes pages smaller by itself. */
const PAGE_ENTRIES = 500;

export class PollSource implements WatchSource {
  readonly #caller: Caller;
  readonly #bucket: string;
  readonly #options: WatchOptions;

  /** @throws Problem `not_acceptable` for `previous`, which a poll cannot tell. */
  constructor(caller: Caller, bucket: string, options: WatchOptions) {
    if (options.previous) throw new Problem('not_acceptable', 'previous entries are told over HTTP only');
    this.#caller = caller;
    this.#bucket = bucket;
    this.#options = options;
  }

  async open(start: WatchStart): Promise<OpenWatch> {
    if (start.initial) {
      const page = await this.#page(undefined);
      return { revision: page.revision, lines: this.#presentAndChanges(page) };
    }
    const since = start.since ?? (await this.#changes(undefined, 0, this.#options.signal)).revision;
    return { revision: since, lines: this.#changesSince(since) };
  }

  async *#presentAndChanges(first: kv.Page): AsyncGenerator<WatchLine[]> {
    let page = first;
    for (;;) {
      yield (page.items ?? []).map((entry) => ({ ...entry, type: 'put', initial: true }) as WatchLine);
      if (page.cursor === undefined) break;
      page = await this.#page(page.cursor);
    }
    yield [{ type: 'sync', revision: first.revision }];
    yield* this.#changesSince(first.revision);
  }

  async *#changesSince(start: number): AsyncGenerator<WatchLine[]> {
    const overdue = new Overdue();
    const subscription = this.#caller.transport.subscribe?.(noticeSubject(this.#bucket), () => overdue.expect());
    try {
      for (let since = start; ; ) {
        const { events, revision } = await this.#nextChanges(since, overdue);
        yield [...events, { type: 'progress', revision }];
        since = revision;
      }
    } finally {
      overdue.clear();
      subscription?.stop();
    }
  }

  async #nextChanges(since: number, overdue: Overdue): Promise<Changes> {
    const { signal } = this.#options;
    for (;;) {
      const late = overdue.signal();
      try {
        return await this.#changes(since, WAIT_MS, signal ? AbortSignal.any([signal, late]) : late);
      } catch (error) {
        if (!late.aborted || signal?.aborted) throw error;
      }
    }
  }

  async #changes(since: number | undefined, waitMs: number, signal: AbortSignal | undefined): Promise<Changes> {
    const { prefix, values } = this.#options;
    const query = { prefix, values, since, wait: `${waitMs}ms` };
    const ask = { endpoint: kvEndpoints.changes, params: { bucket: this.#bucket }, query };
    return replyJson<Changes>(await this.#caller.call(ask, { signal, timeoutMs: waitMs + WAY_MS_MAX }));
  }

  async #page(cursor: string | undefined): Promise<kv.Page> {
    const { prefix, values = true, signal } = this.#options;
    const query = { prefix, values, limit: PAGE_ENTRIES, cursor };
    return replyJson<kv.Page>(
      await this.#caller.call({ endpoint: kvEndpoints.list, params: { bucket: this.#bucket }, query }, { signal }),
    );
  }
}

/** As `changesSubject` of the contract, which would load zod. */
const noticeSubject = (bucket: string): string => `plinth.kv.v1.events.changes.${bucket}`;

/** Aborts a poll some time after an answer to it was to be expected. */
class Overdue {
  #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  /** For the next poll. */
  signal(): AbortSignal {
    this.clear();
    this.#controller = new AbortController();
    return this.#controller.signal;
  }

  expect(): void {
    this.#timer ??= setTimeout(() => this.#controller.abort(), ANSWER_MS_MAX);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
