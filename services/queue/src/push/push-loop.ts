/**
 * Pushes the jobs of one queue to its target, for as long as both are what they were when it was made.
 *
 * It leases only as many as the target may be given at once, so that what waits stays with the queue: there its order,
 * its fairness and its limits hold. Each job is delivered at least once: after a crash, a stop in the midst of a call,
 * or an answer that came too late it is sent again, with the same `webhook-id`.
 */
import type { LeasedJob } from '../core/job.ts';
import type { PushTarget } from '../core/queue-definition.ts';
import { JobPump } from './job-pump.ts';
import { callTarget } from './push-call.ts';
import type { PushClock, PushEngine, PushLog } from './push-engine.ts';
import { TargetGate } from './target-gate.ts';
import type { Throttle, Verdict } from './verdict.ts';
import type { WebhookClient } from './webhook-client.ts';

export interface PushLoopOptions {
  readonly queue: string;
  readonly target: PushTarget;
  readonly engine: PushEngine;
  readonly client: WebhookClient;
  readonly clock: PushClock;
  readonly log: PushLog;
  readonly leaseMs?: number | undefined;
  /** The target has said that it is gone for good. Called once. */
  onGone(reason: string): void;
}

/** What a loop has done since it began, and does now. */
export interface PushFigures {
  readonly running: number;
  /** Calls that the target may be given at a time at present: less than its concurrency while it recovers. */
  readonly window: number;
  readonly pausedMs: number;
  readonly totals: Readonly<Record<Verdict['kind'] | 'givenUp', number>>;
}

export class PushLoop {
  readonly #options: PushLoopOptions;
  readonly #gate: TargetGate;
  readonly #pump: JobPump;
  readonly #totals = { ack: 0, later: 0, gone: 0, fail: 0, givenUp: 0 };

  constructor(options: PushLoopOptions) {
    const { queue, engine, log, leaseMs, clock, target } = options;
    const { concurrency, ratePerSecond } = target;
    const gate = new TargetGate({ concurrency, ratePerSecond, now: () => clock.now(), random: () => clock.random() });
    this.#options = options;
    this.#gate = gate;
    this.#pump = new JobPump({
      queue,
      engine,
      log,
      leaseMs,
      worker: `push:${new URL(target.url).host}`,
      room: () => gate.room(),
      work: (job, signal) => this.#call(job, signal),
    });
  }

  get target(): PushTarget {
    return this.#options.target;
  }

  start(): void {
    this.#pump.start();
  }

  figures(): PushFigures {
    const { running, window, pausedMs } = this.#gate;
    return { running, window, pausedMs, totals: { ...this.#totals } };
  }

  /** Takes no more jobs; calls under way may end within `graceMs`, then they are given up and their jobs given back. */
  stop(graceMs: number): Promise<void> {
    return this.#pump.stop(graceMs);
  }

  async #call(job: LeasedJob, signal: AbortSignal): Promise<void> {
    const { queue, target, client, clock } = this.#options;
    const startedAtMs = clock.now();
    let isGood = false;
    this.#gate.begin();
    try {
      const verdict = await callTarget(client, { queue, job, target, signal }, () => clock.now());
      isGood = isWell(verdict) && !signal.aborted;
      if (verdict.kind === 'fail') this.#throttle(verdict.throttle, startedAtMs);
      if (verdict.kind === 'fail' && signal.aborted) {
        this.#totals.givenUp += 1;
        this.#pump.release(job);
      } else await this.#heed(job, verdict);
    } finally {
      this.#gate.end(isGood, startedAtMs);
    }
  }

  async #heed(job: LeasedJob, verdict: Verdict): Promise<void> {
    this.#totals[verdict.kind] += 1;
    if (verdict.kind === 'ack') this.#pump.ack(job, verdict.result);
    else if (verdict.kind === 'later') await this.#leave(job, verdict.leaseMs);
    else if (verdict.kind === 'fail') this.#pump.fail(job, verdict.error, verdict);
    else {
      this.#pump.close();
      // Not the job's fault: it waits until there is another target.
      this.#pump.release(job);
      if (this.#totals.gone === 1) this.#options.onGone(verdict.reason);
    }
  }

  #throttle(throttle: Throttle, startedAtMs: number): void {
    if (throttle === undefined) return;
    if (throttle === 'growing') this.#gate.pauseGrowing(startedAtMs);
    else this.#gate.pauseFor(throttle.forMs);
    this.#pump.interrupt();
  }

  /** The lease passes to the target, which renews and settles it from now on. */
  async #leave(job: LeasedJob, leaseMs: number): Promise<void> {
    const { queue, engine, log } = this.#options;
    const { id, token } = job;
    // Before the renewal, so that no shorter one comes behind it.
    this.#pump.letGo(job);
    try {
      await engine.renew(queue, [{ id, token, leaseMs, progress: undefined, log: [] }]);
    } catch (error) {
      log.warn('the lease of a job that its target has could not be made longer', { queue, error: String(error) });
    }
  }
}

/** Is the target well, whatever it said of the job? */
const isWell = (verdict: Verdict): boolean =>
  verdict.kind !== 'gone' && !(verdict.kind === 'fail' && verdict.throttle !== undefined);
