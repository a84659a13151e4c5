/**
 * The line to one queue: one call for jobs at a time, which takes along what has become of earlier ones. As long as there
 * are more jobs than are asked for it is two, so that the service works on one while the other is worked off here.
 *
 * While a call waits at the service for jobs to come, outcomes go by calls of their own, or they would wait with it.
 */
import { waitMsAfter } from '@plinth/client/backoff';
import { toProblem } from '@plinth/problem';
import type { Allowance } from './allowance.ts';
import type { HeldJob } from './job.ts';
import { type Entry, Outbox, type Outcome, type Parcel, refusedOf } from './outbox.ts';
import type { LeasedJob, QueueDoor, Settled } from './queue-door.ts';
import type { WorkerSettings } from './settings.ts';
import { factsOfJob, type WorkerEvent } from './worker-event.ts';

export interface LineOptions {
  queue: string;
  door: QueueDoor;
  settings: Pick<WorkerSettings, 'leaseMs' | 'waitMs' | 'worker'>;
  /** How many jobs may be asked for now, and whether they are wanted: handlers are idle, or soon will be. */
  allowance(line: Line): Allowance;
  onLeased(queue: string, jobs: LeasedJob[]): void;
  tell: ((event: WorkerEvent) => void) | undefined;
  /** Steady milliseconds. */
  now(): number;
  random(): number;
}

/** Outcomes are gathered so long, or until so many are there: a call costs more than the items in it. */
const GATHER_MS_MAX = 5;
const GATHER_COUNT_MAX = 100;
/** As long as there are more jobs than are asked for, the call under way will be back at once: what waits goes with the next. */
const GATHER_MS_MAX_IN_FLOW = 25;
const CALLS_MAX_IN_FLOW = 2;
const NOTHING: Allowance = { max: 0, isWanted: false, isIdle: false };
/** For the service to answer, beyond what it may wait for jobs. */
const ANSWER_MS_MAX = 5_000;
/** A call that began less than so long ago may have jobs on their way. */
const HANG_UP_MS = 250;

export class Line {
  readonly queue: string;
  /** The last call brought nothing: it need not be asked for many. */
  isEmpty = true;
  /** How many jobs the calls under way ask for; 0: none is under way. */
  asked = 0;
  readonly #options: LineOptions;
  readonly #outbox = new Outbox();
  /** The last call brought all that it asked for. */
  #isInFlow = false;
  #isLeasing = false;
  #isSettling = false;
  readonly #calls = new Set<AbortController>();
  #calledAtMs = 0;
  #failures = 0;
  #retryAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;
  #onIdle: (() => void)[] = [];

  constructor(options: LineOptions) {
    this.queue = options.queue;
    this.#options = options;
  }

  /** Says what has become of a job. */
  add(job: HeldJob, outcome: Outcome): void {
    const nowMs = this.#options.now();
    const expiresMs = nowMs + this.#options.settings.leaseMs;
    this.#outbox.add({ job, outcome, expiresMs, wasSent: false, isSuspect: false }, nowMs);
  }

  lease(isLeasing: boolean): void {
    this.#isLeasing = isLeasing;
  }

  /** Begins what is due. Cheap when nothing is: it is asked after each job. */
  pump(): void {
    const nowMs = this.#options.now();
    if (nowMs < this.#retryAtMs) {
      this.#wakeAt(this.#retryAtMs);
      return;
    }
    // What may be asked for is not worth finding out when nothing may be.
    const mayAsk = this.#isLeasing && this.#calls.size < (this.#isInFlow ? CALLS_MAX_IN_FLOW : 1);
    const { max, isWanted, isIdle } = mayAsk ? this.#options.allowance(this) : NOTHING;
    const isDue = this.#isDue(nowMs, isIdle);
    if (max > 0 && (isWanted || (isDue && this.asked === 0))) void this.#next(max);
    else if (isDue && !this.#isSettling) void this.#settle();
    if (this.#outbox.size > 0 && !this.#isSettling) this.#wakeAt(nowMs + this.#gatherMs);
  }

  /**
   * Ends a call that waits for jobs. One that has just begun is let be for a moment: jobs that are on their way arrive
   * and are given back. Those of a call that is broken off would come back to the queue only when their leases end.
   */
  hangUp(): void {
    const leftMs = this.#calledAtMs + HANG_UP_MS - this.#options.now();
    if (leftMs > 0) setTimeout(() => this.breakOff(), leftMs);
    else this.breakOff();
  }

  /** As `hangUp`, at once: what is given back now must not come here again. */
  breakOff(): void {
    for (const call of this.#calls) call.abort(new Error('the worker stops'));
  }

  /** Resolves when all outcomes are told, or nobody can take them any more. */
  async flushed(): Promise<void> {
    while (this.#outbox.size > 0 || this.#isSettling || this.asked > 0) {
      this.pump();
      await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    }
  }

  /** Ends everything, told or not. */
  close(): void {
    clearTimeout(this.#timer);
    this.#isLeasing = false;
    this.#giveUp(this.#outbox.removeExpired(Infinity), 'the worker has stopped');
    this.#awaken();
  }

  get #gatherMs(): number {
    return this.#isInFlow && this.asked > 0 ? GATHER_MS_MAX_IN_FLOW : GATHER_MS_MAX;
  }

  #isDue(nowMs: number, isIdle: boolean): boolean {
    const { size } = this.#outbox;
    if (size === 0) return false;
    if (!this.#isLeasing || this.#outbox.ageMs(nowMs) >= this.#gatherMs) return true;
    // A call that is under way may be back any moment, and the next one takes them along.
    return this.asked === 0 && (isIdle || size >= GATHER_COUNT_MAX);
  }

  async #next(max: number): Promise<void> {
    const { door, settings, now, onLeased } = this.#options;
    const { leaseMs, worker } = settings;
    const parcel = this.#outbox.takeParcel(now());
    // The outcomes that it carries must be known to have arrived well before their leases end.
    const waitMs = parcel.entries.length === 0 ? settings.waitMs : Math.min(settings.waitMs, Math.floor(leaseMs / 4));
    const call = new AbortController();
    this.#calls.add(call);
    this.asked += max;
    this.#calledAtMs = now();
    const patience = { timeoutMs: waitMs + ANSWER_MS_MAX, signal: call.signal };
    const ended = () => {
      if (this.#calls.delete(call)) this.asked -= max;
    };
    try {
      const { settled, jobs } = await door.next(
        this.queue,
        parcel.settlements,
        { max, leaseMs, worker, waitMs },
        patience,
      );
      this.#succeeded(parcel, settled);
      this.isEmpty = jobs.length === 0;
      this.#isInFlow = jobs.length >= max;
      ended();
      if (jobs.length > 0) onLeased(this.queue, jobs);
    } catch (error) {
      this.#failed(parcel, error, 'next', call.signal.aborted);
    } finally {
      ended();
      this.#awaken();
      this.pump();
    }
  }

  async #settle(): Promise<void> {
    const { door, now } = this.#options;
    const parcel = this.#outbox.takeParcel(now());
    this.#isSettling = true;
    try {
      const settled = await door.settle(this.queue, parcel.settlements, { timeoutMs: ANSWER_MS_MAX });
      this.#succeeded(parcel, settled);
    } catch (error) {
      this.#failed(parcel, error, 'settle', false);
    } finally {
      this.#isSettling = false;
      this.#awaken();
      this.pump();
    }
  }

  #succeeded(parcel: Parcel, settled: readonly Settled[]): void {
    this.#failures = 0;
    for (const { entry, problem } of refusedOf(parcel, settled)) {
      const { code = 'internal', detail = code } = problem;
      if (code === 'lease_lost' || code === 'job_not_found') this.#noteLost(entry, detail);
      else this.#refused(entry, { code, detail });
    }
  }

  /** The lease had ended. After a lost answer this is most likely the echo of our own success. */
  #noteLost({ job, wasSent }: Entry, reason: string): void {
    if (!wasSent) this.#options.tell?.({ type: 'lost', reason, ...factsOfJob(job) });
  }

  /** A result that the service does not take is a failure that no repeat mends. */
  #refused(entry: Entry, { code, detail }: { code: string; detail: string }): void {
    if (entry.outcome.kind !== 'ack') {
      this.#giveUp([entry], detail);
      return;
    }
    const error = { type: code, message: detail, isFinal: true };
    this.#outbox.add({ ...entry, outcome: { kind: 'fail', error }, isSuspect: false }, this.#options.now());
  }

  #failed(parcel: Parcel, error: unknown, call: 'next' | 'settle', isOurDoing: boolean): void {
    const { now, random, tell } = this.#options;
    const nowMs = now();
    const problem = toProblem(error);
    const isRefusal = !isOurDoing && problem.kind.retryable === 'no' && problem.code !== 'internal';
    const [alone] = parcel.entries;
    if (isRefusal && parcel.entries.length === 1 && alone?.isSuspect) {
      this.#refused(alone, { code: problem.code, detail: problem.message });
    } else {
      const again = { wasSent: problem.kind.retryable !== 'safe', isSuspect: isRefusal };
      this.#outbox.putBack(
        parcel.entries.map((entry) => ({
          ...entry,
          wasSent: entry.wasSent || again.wasSent,
          isSuspect: again.isSuspect,
        })),
        nowMs,
      );
    }
    this.#giveUp(this.#outbox.removeExpired(nowMs), problem.message);
    if (isOurDoing) return;
    const retryInMs = waitMsAfter(problem, this.#failures++, random());
    this.#retryAtMs = nowMs + retryInMs;
    tell?.({ type: 'trouble', call, error, retryInMs });
  }

  #giveUp(entries: readonly Entry[], reason: string): void {
    for (const { job, outcome } of entries) {
      this.#options.tell?.({ type: 'undelivered', outcome: outcome.kind, reason, ...factsOfJob(job) });
    }
  }

  #awaken(): void {
    const waiting = this.#onIdle;
    this.#onIdle = [];
    for (const resolve of waiting) resolve();
  }

  #wakeAt(atMs: number): void {
    if (this.#timerAtMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#timerAtMs = Infinity;
        this.pump();
      },
      Math.max(0, atMs - this.#options.now()),
    );
  }
}
