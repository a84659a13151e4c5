/** A job in a worker's hands: what its handler sees, and what the worker knows of it besides. */
import type { LeasedJob } from './queue-door.ts';

/** What a handler gets. Its members may be taken apart: `async ({ data, signal }) => …`. */
export interface Job<Data = unknown> {
  readonly id: string;
  readonly queue: string;
  readonly name: string;
  readonly data: Data;
  /** 1 for the first; a crash of a worker does not count. */
  readonly attempt: number;
  readonly attempts: number;
  /** Leases that ended without a word. */
  readonly stalls: number;
  readonly group: string;
  readonly tags: readonly string[];
  /** The fencing token: a store that refuses a lower one than it has seen is safe from a worker that lost its lease. */
  readonly token: string;
  readonly enqueuedAt: Date;
  /** By when the attempt must be over (`timeoutMs`); undefined: no end, the lease is renewed as long as it takes. */
  readonly deadline: Date | undefined;
  /**
   * Aborts when the job was cancelled (`JobCancelled`), ran too long (`JobTimeout`), is no longer this worker's
   * (`LeaseLost`), or is given back because the worker stops (`WorkerStopping`). Hand it to `fetch` and the like.
   */
  readonly signal: AbortSignal;
  /** Tells how far it is: any JSON value, the latest counts. Sent within a fifth of a second. */
  progress(value: unknown): void;
  /** Adds a line to the job's log: at most 1,024 characters, and 100 lines. */
  log(line: string): void;
}

/** Does the work of one job: what it returns is the result (JSON, 64 KiB), what it throws fails the attempt. */
export type Handler<Data = unknown, Result = unknown> = (job: Job<Data>) => Promise<Result> | Result;

/** What a handler has told since it was last sent. */
export interface News {
  hasProgress: boolean;
  progress: unknown;
  log: string[];
}

const NO_TAGS: readonly string[] = [];
const LINE_CHARS_MAX = 1_024;
const LINES_MAX = 100;

/** `gone`: somebody else's, or ended: whatever the handler still says is not heard. */
export type HeldState = 'waiting' | 'running' | 'settled' | 'gone';

/** Jobs that came with one call. */
export interface HeldBatch {
  readonly number: number;
  readonly queue: string;
  /** By token, those that are still held: what is done must not keep its data in memory because another takes long. */
  readonly jobs: Map<string, HeldJob>;
  /** Tokens of those that are not, and that the heartbeat does not know of yet. */
  readonly dropped: string[];
}

export interface HeldJobOptions {
  queue: string;
  leased: LeasedJob;
  /** Steady milliseconds at which the lease came. */
  heldSinceMs: number;
  /** Called when the handler has told something that is not on its way yet. */
  onNews(job: HeldJob): void;
}

export class HeldJob implements Job {
  readonly queue: string;
  readonly leased: LeasedJob;
  readonly heldSinceMs: number;
  state: HeldState = 'waiting';
  batch: HeldBatch | undefined;
  /** When the handler was called; steady milliseconds. */
  startedMs = 0;
  readonly #onNews: (job: HeldJob) => void;
  readonly #deadlineMs: number | undefined;
  #news: News | undefined;
  #lineCount = 0;
  /** Made when it is asked for: most handlers never do, and one costs more than the rest of a small job. */
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;

  constructor({ queue, leased, heldSinceMs, onNews }: HeldJobOptions) {
    this.queue = queue;
    this.leased = leased;
    this.heldSinceMs = heldSinceMs;
    this.#onNews = onNews;
    this.#deadlineMs = leased.timeoutMs ? Date.now() + leased.timeoutMs : undefined;
  }

  get id(): string {
    return this.leased.id;
  }
  get token(): string {
    return this.leased.token;
  }
  get name(): string {
    return this.leased.name;
  }
  get data(): unknown {
    return this.leased.data;
  }
  get attempt(): number {
    return this.leased.attempt;
  }
  get attempts(): number {
    return this.leased.attempts;
  }
  get stalls(): number {
    return this.leased.stalls ?? 0;
  }
  get group(): string {
    return this.leased.group ?? '';
  }
  get tags(): readonly string[] {
    return this.leased.tags ?? NO_TAGS;
  }
  get enqueuedAt(): Date {
    return new Date(this.leased.enqueuedAtMs);
  }
  get deadline(): Date | undefined {
    return this.#deadlineMs === undefined ? undefined : new Date(this.#deadlineMs);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Why the signal was aborted, if it was. */
  get abortReason(): Error | undefined {
    return this.#abortReason;
  }

  /** The first reason stays. */
  abort(reason: Error): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  // As members, since handlers take them out of the job.
  readonly progress = (value: unknown): void => {
    const news = this.#openNews();
    news.hasProgress = true;
    news.progress = value;
  };

  readonly log = (line: string): void => {
    if (++this.#lineCount > LINES_MAX) return;
    this.#openNews().log.push(String(line).slice(0, LINE_CHARS_MAX));
  };

  /** What was told since the last call; undefined: nothing. */
  takeNews(): News | undefined {
    const news = this.#news;
    this.#news = undefined;
    return news;
  }

  get hasNews(): boolean {
    return this.#news !== undefined;
  }

  #openNews(): News {
    if (this.#news === undefined) {
      this.#news = { hasProgress: false, progress: undefined, log: [] };
      if (this.state === 'running') this.#onNews(this);
    }
    return this.#news;
  }
}
