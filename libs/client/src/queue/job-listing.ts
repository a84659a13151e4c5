/** Jobs of a queue, page by page, newest first. */
import type * as contract from '@plinth/contracts/queue';
import type { Caller, CallOptions } from '../caller.ts';
import { queueEndpoints } from './endpoints.ts';
import { callQueue } from './queue-call.ts';

export interface JobListOptions extends CallOptions {
  /** In one of these; all unless told. */
  states?: readonly contract.State[];
  name?: string;
  group?: string;
  tag?: string;
  /** Enqueued then or later, and before. Text in RFC 3339. */
  from?: Date | string;
  until?: Date | string;
  /** Jobs a page, 1 to 1,000; 100 unless told. */
  limit?: number;
}

export interface JobPage {
  jobs: contract.JobAnswer[];
  /** Where the next page begins; undefined on the last one. A page may be short, or empty, before the last. */
  cursor?: string | undefined;
}

/** Lazy: nothing is asked before it is read. Each loop over it begins anew. */
export class JobListing implements AsyncIterable<JobPage> {
  readonly #caller: Caller;
  readonly #queue: string;
  readonly #options: JobListOptions;

  constructor(caller: Caller, queue: string, options: JobListOptions) {
    this.#caller = caller;
    this.#queue = queue;
    this.#options = options;
  }

  /** One page. @param cursor - Of the page before; omitted: the first page. @throws Problem `invalid_cursor`. */
  page(cursor?: string): Promise<JobPage> {
    const { signal, timeoutMs, states, from, until, ...rest } = this.#options;
    const query = { ...rest, state: states?.join(), from: momentText(from), until: momentText(until), cursor };
    const ask = { params: { queue: this.#queue }, query };
    return callQueue(this.#caller, queueEndpoints.listJobs, ask, { signal, timeoutMs });
  }

  /** Pages, one after the other; the deadline holds for each. */
  async *[Symbol.asyncIterator](): AsyncGenerator<JobPage> {
    let cursor: string | undefined;
    do {
      const page = await this.page(cursor);
      yield page;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** The jobs of all pages. */
  async *jobs(): AsyncGenerator<contract.JobAnswer> {
    for await (const page of this) yield* page.jobs;
  }
}

const momentText = (moment: Date | string | undefined): string | undefined =>
  moment instanceof Date ? moment.toISOString() : moment;
