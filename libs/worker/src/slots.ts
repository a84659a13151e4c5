/**
 * Where jobs run, and where they wait for their turn.
 *
 * Jobs are held ready (prefetch) so that a handler never waits for the network. But a job that waits here is one that
 * an idle worker elsewhere cannot have. So as many are held as will have their turn in a moment, by what jobs took
 * lately; and those that wait for `waitMsMax`, a part of the lease, all the same are given back.
 */
import type { HeldJob } from './job.ts';

export interface SlotsOptions {
  concurrency: number;
  /** The most jobs that wait here. */
  prefetch: number;
  /** The longest that a job should wait here. */
  waitMsMax: number;
  /** Runs one job to its end. Never rejects. */
  run(job: HeldJob): Promise<void>;
  /** A job has ended, or was taken away: there may be room. */
  onRoom(): void;
  /** Steady milliseconds. */
  now(): number;
}

/** Work that is held ready: many times what a call takes, and no time that anybody would notice. */
const AHEAD_MS = 250;
/** Weight of the latest job in the mean: the last twenty or so decide. */
const MEAN_WEIGHT = 0.1;
/** A handler that never waits would keep the event loop from all else: after so long the others get their turn. */
const TURN_MS_MAX = 5;

export class Slots {
  readonly #options: SlotsOptions;
  #waiting: HeldJob[] = [];
  /** How many of `#waiting` have been taken from its front: cheaper than to shift. */
  #taken = 0;
  readonly #running = new Set<HeldJob>();
  /** Of what a job takes; undefined until one has ended, and nothing is prefetched before. */
  #meanMs: number | undefined;
  #isDispatching = false;
  #turnEndsMs = 0;

  constructor(options: SlotsOptions) {
    this.#options = options;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  get waitingCount(): number {
    return this.#waiting.length - this.#taken;
  }

  get running(): Iterable<HeldJob> {
    return this.#running;
  }

  /** How many jobs may wait here at present. */
  get prefetch(): number {
    const { prefetch, concurrency, waitMsMax } = this.#options;
    if (this.#meanMs === undefined) return 0;
    const aheadMs = Math.min(AHEAD_MS, waitMsMax);
    return Math.min(prefetch, Math.floor((concurrency * aheadMs) / Math.max(this.#meanMs, 0.001)));
  }

  /** How many more jobs may be asked for. Below 0: there are more than there should be. */
  get room(): number {
    return this.#options.concurrency + this.prefetch - this.runningCount - this.waitingCount;
  }

  /** Whether it is worth asking for more: some handlers are idle, or soon will be. */
  get isLow(): boolean {
    const waiting = this.waitingCount;
    return this.room > 0 && (waiting === 0 || waiting * 2 < this.prefetch);
  }

  take(jobs: readonly HeldJob[]): void {
    if (this.#taken > 0) {
      this.#waiting = this.#waiting.slice(this.#taken);
      this.#taken = 0;
    }
    this.#waiting.push(...jobs);
    this.#dispatch();
  }

  /** Takes away those that have not begun: all, or those that match. */
  removeWaiting(matches: (job: HeldJob) => boolean = () => true): HeldJob[] {
    const waiting = this.#waiting.slice(this.#taken);
    const removed = waiting.filter(matches);
    if (removed.length > 0) {
      this.#waiting = waiting.filter((job) => !removed.includes(job));
      this.#taken = 0;
    }
    return removed;
  }

  /** Takes away those whose turn did not come in time. Their like will not be prefetched until jobs are quick again. */
  removeStale(): HeldJob[] {
    const { now, waitMsMax } = this.#options;
    const nowMs = now();
    const stale = this.removeWaiting((job) => nowMs - job.heldSinceMs > waitMsMax);
    if (stale.length > 0) this.#meanMs = Math.max(this.#meanMs ?? 0, waitMsMax);
    return stale;
  }

  /** A job's slot is free again although its handler may still be busy: it was given up. */
  forget(job: HeldJob): void {
    this.#running.delete(job);
  }

  #dispatch(): void {
    if (this.#isDispatching) return;
    if (this.#turnEndsMs === 0) this.#turnEndsMs = this.#options.now() + TURN_MS_MAX;
    while (this.#running.size < this.#options.concurrency && this.#taken < this.#waiting.length) {
      if (this.#options.now() > this.#turnEndsMs) {
        this.#yieldTurn();
        return;
      }
      const job = this.#waiting[this.#taken++]!;
      if (job.state === 'waiting') this.#begin(job);
    }
    if (this.#taken === this.#waiting.length) {
      this.#waiting = [];
      this.#taken = 0;
      this.#turnEndsMs = 0;
    }
  }

  #yieldTurn(): void {
    this.#isDispatching = true;
    setImmediate(() => {
      this.#isDispatching = false;
      this.#turnEndsMs = 0;
      this.#dispatch();
    });
  }

  #begin(job: HeldJob): void {
    const { now, run } = this.#options;
    this.#running.add(job);
    job.state = 'running';
    job.startedMs = now();
    void run(job).then(() => this.#end(job));
  }

  #end(job: HeldJob): void {
    if (this.#running.delete(job)) {
      const tookMs = this.#options.now() - job.startedMs;
      this.#meanMs = this.#meanMs === undefined ? tookMs : this.#meanMs + (tookMs - this.#meanMs) * MEAN_WEIGHT;
    }
    this.#dispatch();
    this.#options.onRoom();
  }
}
