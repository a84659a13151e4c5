/**
 * Who works: what workers tell of themselves. Soft state, in memory on every replica: each beat is passed on, so that
 * whichever replica is asked knows all, and a beat to any of them brings the order that was given on another.
 */
import { Problem } from '@plinth/problem';

/** `quiet`: take no new job; `terminate`: also end when those at hand are done. */
export type WorkerOrder = 'run' | 'quiet' | 'terminate';

export interface Beat {
  readonly queues: readonly string[];
  /** Jobs that it may have at a time, and has. */
  readonly slots: number;
  readonly used: number;
  readonly rssBytes?: number | undefined;
  readonly host?: string | undefined;
}

export interface WorkerView extends Beat {
  readonly worker: string;
  readonly state: WorkerOrder;
  readonly firstSeenAtMs: number;
  readonly lastSeenAtMs: number;
}

/** What replicas tell each other. */
export type WorkerNews =
  | { readonly kind: 'beat'; readonly worker: string; readonly beat: Beat }
  | { readonly kind: 'order'; readonly worker: string; readonly order: WorkerOrder };

export interface WorkersOptions {
  now(): number;
  /** Passes news on to the other replicas; may lose some. */
  share(news: WorkerNews): void;
}

/** Without a word for so long a worker is gone: six beats. */
export const FORGET_MS = 60_000;
/** Names are free: without a bound anybody could fill the memory. */
export const WORKERS_MAX = 10_000;

export class Workers {
  readonly #options: WorkersOptions;
  /** In the order of their last words. */
  readonly #workers = new Map<string, WorkerView>();

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  /** @returns What it should do. @throws Problem `overloaded` with too many workers. */
  beat(worker: string, beat: Beat): { state: WorkerOrder } {
    const { state } = this.#heard(worker, beat);
    this.#options.share({ kind: 'beat', worker, beat });
    return { state };
  }

  /** Those not forgotten, by name; of one queue, if it is given. */
  list(queue?: string): WorkerView[] {
    this.#forget();
    const all = [...this.#workers.values()];
    const found = queue === undefined ? all : all.filter(({ queues }) => queues.includes(queue));
    return found.sort((one, other) => (one.worker < other.worker ? -1 : 1));
  }

  /** It hears of it with its next beat. An order is not taken back but by a new name. @throws Problem `worker_not_found`. */
  order(worker: string, order: 'quiet' | 'terminate'): { state: WorkerOrder } {
    this.#forget();
    if (!this.#workers.has(worker)) throw new Problem('worker_not_found', `no worker ${worker} has told of itself`);
    const state = this.#ordered(worker, order);
    this.#options.share({ kind: 'order', worker, order: state });
    return { state };
  }

  /** News of another replica. */
  hear(news: WorkerNews): void {
    if (news.kind === 'order') this.#ordered(news.worker, news.order);
    else if (this.#workers.has(news.worker) || this.#workers.size < WORKERS_MAX) this.#heard(news.worker, news.beat);
  }

  /** Slots of the workers of one queue, or of all. A worker of several queues counts whole for each. */
  slots(queue?: string): { count: number; used: number; total: number } {
    const workers = this.list(queue);
    const sum = (of: (worker: WorkerView) => number) => workers.reduce((all, worker) => all + of(worker), 0);
    return { count: workers.length, used: sum(({ used }) => used), total: sum(({ slots }) => slots) };
  }

  #heard(worker: string, beat: Beat): WorkerView {
    this.#forget();
    const nowMs = this.#options.now();
    const known = this.#workers.get(worker);
    if (known === undefined && this.#workers.size >= WORKERS_MAX)
      throw new Problem('overloaded', `${WORKERS_MAX} workers are known already`, { retryAfterMs: FORGET_MS });
    const { state = 'run', firstSeenAtMs = nowMs } = known ?? {};
    const view: WorkerView = { ...beat, worker, state, firstSeenAtMs, lastSeenAtMs: nowMs };
    this.#workers.delete(worker);
    this.#workers.set(worker, view);
    return view;
  }

  /** Who is to terminate does not merely become quiet. */
  #ordered(worker: string, order: WorkerOrder): WorkerOrder {
    const known = this.#workers.get(worker);
    if (known === undefined) return order;
    const state = known.state === 'terminate' ? 'terminate' : order;
    // Its place in the order of last words stays.
    this.#workers.set(worker, { ...known, state });
    return state;
  }

  #forget(): void {
    const oldestMs = this.#options.now() - FORGET_MS;
    for (const [worker, { lastSeenAtMs }] of this.#workers) {
      if (lastSeenAtMs > oldestMs) return;
      this.#workers.delete(worker);
    }
  }
}
