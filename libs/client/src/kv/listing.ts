/** A range of keys, page by page. */
import type * as kv from '@plinth/contracts/kv';
import type { Caller, CallOptions } from '../caller.ts';
import { replyJson } from '../reply-json.ts';
import { kvEndpoints } from './endpoints.ts';
import { type Entry, entryOfJson } from './entry.ts';
import type { Range } from './operations.ts';

/** A point in the past; one of the two. Problem `revision_compacted` when it is no longer kept. */
export interface Past {
  /** As it was at this revision. */
  rev?: number;
  /** As it was at this time; as text in RFC 3339. */
  at?: Date | string;
}

export interface ListOptions extends CallOptions, Range, Past {
  /** From the last key to the first. */
  reverse?: boolean;
  /** Entries a page, 1 to 10,000; 100 unless told. A page may hold fewer, when they are large. */
  limit?: number;
  /** Keys that go on behind it are folded into `prefixes`, as folders are. */
  delimiter?: string;
  /** With values, content types and metadata. */
  values?: boolean;
}

export interface EntryPage {
  entries: Entry[];
  /** With `delimiter`: what the folded keys begin with. */
  prefixes: string[];
  /** Of the whole listing: all its pages show the bucket as it was then. */
  revision: number;
  /** Where the next page begins; undefined on the last one. */
  cursor: string | undefined;
}

/** Lazy: nothing is asked before it is read. Each loop over it begins anew, at the revision of then. */
export class Listing implements AsyncIterable<EntryPage> {
  readonly #caller: Caller;
  readonly #bucket: string;
  readonly #options: ListOptions;

  constructor(caller: Caller, bucket: string, options: ListOptions) {
    this.#caller = caller;
    this.#bucket = bucket;
    this.#options = options;
  }

  /** One page. @param cursor - Of the page before; omitted: the first page. @throws Problem `invalid_cursor`. */
  async page(cursor?: string): Promise<EntryPage> {
    const { signal, timeoutMs, at, ...query } = this.#options;
    const ask = {
      endpoint: kvEndpoints.list,
      params: { bucket: this.#bucket },
      query: { ...query, at: timeText(at), cursor },
    };
    const page = replyJson<kv.Page>(await this.#caller.call(ask, { signal, timeoutMs }));
    const { items = [], prefixes = [], revision } = page;
    return { entries: items.map(entryOfJson), prefixes, revision, cursor: page.cursor };
  }

  /** Pages, one after the other; the deadline holds for each. */
  async *[Symbol.asyncIterator](): AsyncGenerator<EntryPage> {
    let cursor: string | undefined;
    do {
      const page = await this.page(cursor);
      yield page;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** The entries of all pages. */
  async *entries(): AsyncGenerator<Entry> {
    for await (const page of this) yield* page.entries;
  }
}

export const timeText = (at: Date | string | undefined): string | undefined =>
  at instanceof Date ? at.toISOString() : at;
