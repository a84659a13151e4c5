/** Takes jobs of one queue as long as there is room, keeps their leases while they are worked on, and ends in order. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobError, LeasedJob } from '../core/job.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { PushEngine, PushLog } from './push-engine.ts';
import { SettleBatch } from './settle-batch.ts';

/** How long one ask for jobs waits for some to come. */
const ASK_MS = 20_000;
/** As many as the engine leases at a time. */
const LEASE_MAX = 1_000;
/** After an ask that brought nothing though it did not wait: the engine is stopping, or there is no such queue yet. */
const EMPTY_PAUSE_MS = 100;
/** After the engine failed. */
const ENGINE_PAUSE_MS = 1_000;

/** How many jobs may be taken; when none, in how many milliseconds to ask again (undefined: when one has ended). */
export interface Room {
  readonly count: number;
  readonly waitMs: number | undefined;
}

export interface JobPumpOptions {
  readonly queue: string;
  readonly engine: PushEngine;
  readonly log: PushLog;
  /** Who asks; for people. */
  readonly worker: string;
  readonly leaseMs?: number | undefined;
  /** Asked before each lease; 0 once more when the jobs are there (a pause has begun meanwhile): they go back. */
  room(): Room;
  /** Works on a job, and says what became of it by `settle`. `signal`: it is not this one's any more, or all stops. */
  work(job: LeasedJob, signal: AbortSignal): Promise<void>;
}

export class JobPump {
  readonly #options: JobPumpOptions;
  readonly #leases: LeaseKeeper;
  readonly #settles: SettleBatch;
  readonly #works = new Set<Promise<void>>();
  #isStopping = false;
  /** Of the present ask for jobs. */
  #ask = new AbortController();
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;

  constructor(options: JobPumpOptions) {
    this.#options = options;
    this.#leases = new LeaseKeeper(options);
    this.#settles = new SettleBatch(options);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Takes no more jobs. What is being worked on goes on. */
  close(): void {
    this.#isStopping = true;
    this.interrupt();
    this.#wake();
  }

  /** Closes; works may end within `graceMs`, then they are told to give up. */
  async stop(graceMs: number): Promise<void> {
    this.close();
    await this.#running;
    const timer = setTimeout(() => this.#leases.abortAll('the service is stopping'), graceMs);
    await Promise.all(this.#works);
    clearTimeout(timer);
    await this.#settles.idle();
  }

  /** Ends the ask under way: what it would bring could not be worked on now. */
  interrupt(): void {
    this.#ask.abort();
  }

  /** Its lease is no longer kept here: somebody else settles it. */
  letGo(job: LeasedJob): void {
    this.#leases.drop(job);
  }

  ack({ id, token }: LeasedJob, result: string | undefined): void {
    this.#settles.add({ kind: 'ack', id, token, result });
  }

  release({ id, token }: LeasedJob): void {
    this.#settles.add({ kind: 'release', id, token });
  }

  fail({ id, token }: LeasedJob, error: JobError, how?: { isFinal: boolean; retryAfterMs: number | undefined }): void {
    const { isFinal = false, retryAfterMs } = how ?? {};
    this.#settles.add({ kind: 'fail', id, token, error, isFinal, retryAfterMs });
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      const { count, waitMs } = this.#options.room();
      if (count === 0) {
        await this.#change(waitMs);
        continue;
      }
      const askedAtMs = performance.now();
      const jobs = await this.#lease(count);
      for (const job of jobs) this.#take(job);
      if (jobs.length === 0 && performance.now() - askedAtMs < EMPTY_PAUSE_MS) await this.#change(EMPTY_PAUSE_MS);
    }
  }

  async #lease(count: number): Promise<readonly LeasedJob[]> {
    const { queue, engine, log, worker } = this.#options;
    this.#ask = new AbortController();
    const ask = { max: Math.min(count, LEASE_MAX), leaseMs: this.#leases.leaseMs, worker };
    try {
      return await engine.lease(queue, ask, { waitMs: ASK_MS, signal: this.#ask.signal });
    } catch (error) {
      log.warn('no jobs could be taken to be pushed', { queue, error: String(error) });
      await this.#change(ENGINE_PAUSE_MS);
      return [];
    }
  }

  /** Until a work has ended, the pump is closed, or so long. */
  async #change(waitMs: number | undefined): Promise<void> {
    if (this.#isStopping) return;
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const passed = waitMs === undefined ? [] : [sleep(waitMs, undefined, { signal: timer.signal }).catch(() => {})];
    await Promise.race([woken, ...passed]);
    timer.abort();
  }

  #take(job: LeasedJob): void {
    if (this.#isStopping || this.#options.room().count === 0) {
      this.release(job);
      return;
    }
    const work = this.#work(job).finally(() => {
      this.#works.delete(work);
      this.#wake();
    });
    this.#works.add(work);
  }

  async #work(job: LeasedJob): Promise<void> {
    const { work, queue, log } = this.#options;
    try {
      await work(job, this.#leases.keep(job));
    } catch (error) {
      // A bug of ours, or the store is away: the job is not lost by it, but tried again.
      log.warn('a job could not be pushed', { queue, id: job.id, error: String(error) });
      this.fail(job, { type: 'internal', message: 'the call could not be made', stack: undefined });
    } finally {
      this.#leases.drop(job);
    }
  }
}
