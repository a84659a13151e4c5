/**
 * Tells the ends of jobs to the URLs that they were enqueued with.
 *
 * A callback is a job itself, on a queue of the service's own, so that it is tried again and outlives a crash:
 * - When a job ends, its replica enqueues a `deliver` at once. A second one about the same end is dropped (dedup).
 * - That replica may die between the end and this. So with the job a `watch` is enqueued, before the enqueue is
 *   answered: it looks after a minute, and then ever more seldom (2, 4 … 60 minutes) until the job has ended, and
 *   enqueues the same `deliver`. Its price is one more small job for each that asks for callbacks.
 *
 * So each acknowledged job's end is told at least once, with a `webhook-id` that is the same each time; while all goes
 * well, once. A job that ends a second time in the same state within three hours (after a redrive) is not told again.
 */
import type { Added, JobView, LeasedJob, NewJob } from '../core/job.ts';
import { isEnd, type JobEvent } from '../core/job-event.ts';
import { readHttpUrl } from './address-guard.ts';
import type { PushClock, PushEngine, PushLog } from './push-engine.ts';

/** Queues whose names begin so are the service's own. */
export const CALLBACK_QUEUE = 'plinth-callbacks';

const WATCH_FIRST_MS = 60_000;
const WATCH_MS_MAX = 3_600_000;
/** Longer than the longest pause between two looks: a `deliver` is still known when the last look comes. */
const TOLD_TTL_MS = 3 * WATCH_MS_MAX;
/** 5 s, 10 s … 1 h: with 16 attempts a receiver may be away for about 7 hours. */
const DELIVERY = {
  attempts: 16,
  backoff: { type: 'exponential', delayMs: 5_000, factor: 2, maxMs: 3_600_000, jitter: 0.5 },
} as const;

export interface Watch {
  readonly kind: 'watch';
  readonly queue: string;
  readonly id: string;
  readonly callbackUrl?: string | undefined;
  readonly failureCallbackUrl?: string | undefined;
  /** How often it has looked. */
  readonly looks: number;
}

export interface Delivery {
  readonly kind: 'deliver';
  readonly queue: string;
  readonly id: string;
  /** How it ended, as far as a receiver's and our own dedup go. */
  readonly told: string;
  readonly url: string;
  /** JSON text, as it is sent. */
  readonly body: string;
}

type Urls = Pick<Watch, 'callbackUrl' | 'failureCallbackUrl'>;

/** What is told of an end. `forgotten`: it ended, but was not kept long enough to tell how. */
type End = Pick<JobEvent, 'result' | 'error' | 'reason'> & {
  readonly state: JobView['state'] | 'forgotten';
  readonly atMs: number;
};

export interface CallbacksOptions {
  readonly engine: PushEngine;
  readonly clock: PushClock;
  readonly log: PushLog;
}

export class Callbacks {
  readonly #options: CallbacksOptions;
  readonly #telling = new Set<Promise<void>>();
  #deafen: () => void = () => {};

  constructor(options: CallbacksOptions) {
    this.#options = options;
  }

  /** Listens for jobs that come, and for their ends. The queue of callbacks must be there. */
  start(): void {
    this.#options.engine.onAccepted((queue, jobs, added) => this.#accepted(queue, jobs, added));
    this.#deafen = this.#options.engine.onDelivery((event) => {
      if (!isEnd(event.kind) || event.deliveries === undefined || event.queue === CALLBACK_QUEUE) return;
      const telling = this.#tell(event, event.deliveries).finally(() => this.#telling.delete(telling));
      this.#telling.add(telling);
    });
  }

  async stop(): Promise<void> {
    this.#deafen();
    await Promise.all(this.#telling);
  }

  /** What it throws, whoever enqueued is told: the jobs are there, but their ends may not be told. */
  async #accepted(queue: string, jobs: readonly NewJob[], added: readonly Added[]): Promise<void> {
    const watches = jobs.flatMap((job, at) => {
      const { callbackUrl, failureCallbackUrl } = job;
      const one = added[at]!;
      if ((callbackUrl === undefined && failureCallbackUrl === undefined) || 'refused' in one || one.isDuplicate)
        return [];
      const startsAtMs = Math.max(job.runAtMs, this.#options.clock.now());
      const watch: Watch = { kind: 'watch', queue, id: one.id, callbackUrl, failureCallbackUrl, looks: 0 };
      return [watchJob(watch, startsAtMs + WATCH_FIRST_MS)];
    });
    if (watches.length > 0) await this.#options.engine.enqueue(CALLBACK_QUEUE, watches);
  }

  /** One look of a watch. A crash in its midst repeats it, and what it enqueued is dropped the second time. */
  async look(watch: Watch): Promise<void> {
    const { engine, clock } = this.#options;
    const view = await engine.job(watch.queue, watch.id);
    if (view !== undefined && !isEnd(view.state)) {
      const inMs = Math.min(WATCH_FIRST_MS * 2 ** (watch.looks + 1), WATCH_MS_MAX);
      await engine.enqueue(CALLBACK_QUEUE, [watchJob({ ...watch, looks: watch.looks + 1 }, clock.now() + inMs)]);
      return;
    }
    const end =
      view === undefined
        ? ({ state: 'forgotten', atMs: clock.now() } as const)
        : { ...view, atMs: view.finishedAtMs ?? clock.now() };
    await this.#deliver(watch, watch, end, view);
  }

  async #tell(event: JobEvent, urls: Urls): Promise<void> {
    const { engine, log } = this.#options;
    try {
      if (urlFor(urls, event.state) === undefined) return;
      // The event has the result even of a job that is kept not at all; the rest is in the job, if it is there.
      const view = await engine.job(event.queue, event.id);
      await this.#deliver(event, urls, event, view);
    } catch (error) {
      log.warn('a callback will come later', { queue: event.queue, id: event.id, error: String(error) });
    }
  }

  async #deliver(job: { queue: string; id: string }, urls: Urls, end: End, view: JobView | undefined): Promise<void> {
    const url = urlFor(urls, end.state);
    if (url === undefined) return;
    const { queue, id } = job;
    const told = end.state === 'forgotten' ? 'completed' : end.state;
    const delivery: Delivery = { kind: 'deliver', queue, id, told, url, body: bodyOf(job, end, view) };
    await this.#options.engine.enqueue(CALLBACK_QUEUE, [deliverJob(delivery, view)]);
  }
}

/** What a job of the callbacks' queue asks for. */
export function readCallback(job: LeasedJob): Watch | Delivery {
  return JSON.parse(job.data) as Watch | Delivery;
}

/** Of what is forgotten it is known only that it is no failure: those are kept much longer. */
const urlFor = (urls: Urls, state: End['state']): string | undefined =>
  state === 'completed' || state === 'forgotten' ? urls.callbackUrl : urls.failureCallbackUrl;

function bodyOf({ queue, id }: { queue: string; id: string }, end: End, view: JobView | undefined): string {
  const { state, error, reason, atMs } = end;
  const { name, group, tags, attempt, attempts } = view ?? {};
  const finishedAt = new Date(atMs).toISOString();
  const told = { id, queue, state, name, group, tags, attempt, attempts, finishedAt, reason };
  const failure = error === undefined ? undefined : { type: error.type, message: error.message };
  const head = JSON.stringify({ ...told, error: failure });
  // The result goes in as the text that it is.
  return end.result === undefined ? head : `${head.slice(0, -1)},"result":${end.result}}`;
}

function watchJob(watch: Watch, runAtMs: number): NewJob {
  const dedupId = `watch/${watch.looks}/${watch.queue}/${watch.id}`;
  return {
    ...internalJob(watch, undefined),
    runAtMs,
    dedup: { id: dedupId, mode: 'throttle', ttlMs: TOLD_TTL_MS },
    retain: { count: 0, ageMs: 0 },
  };
}

function deliverJob(delivery: Delivery, view: JobView | undefined): NewJob {
  const { told, queue, id } = delivery;
  return {
    ...internalJob(delivery, view?.traceparent),
    dedup: { id: `${told}/${queue}/${id}`, mode: 'throttle', ttlMs: TOLD_TTL_MS },
    group: hostOf(delivery.url),
  };
}

function internalJob(data: Watch | Delivery, traceparent: string | undefined): NewJob {
  return {
    ...DELIVERY,
    name: data.kind,
    data: JSON.stringify(data),
    runAtMs: 0,
    priority: 0,
    timeoutMs: 0,
    expiresAtMs: 0,
    dedup: undefined,
    group: '',
    tags: [],
    retain: { count: 1_000, ageMs: 3_600_000 },
    callbackUrl: undefined,
    failureCallbackUrl: undefined,
    resultTo: undefined,
    traceparent,
    tracestate: undefined,
  };
}

/** One receiver is one group: a slow one takes its share, and no more. */
function hostOf(url: string): string {
  const read = readHttpUrl(url);
  return 'fault' in read ? '' : read.url.host;
}
