/**
 * Long polls of one queue, in a line: first come, first served.
 *
 * Who finds the queue empty stands in line. The line is *dry* while nothing is known that could be leased; a wake
 * (an enqueue here or on another replica, a release, a tick, a time that was told) ends that, and the line asks the
 * store for its head. Several asks may be under way: the window opens with each that brought jobs and closes with
 * the first that brought none, so one new job costs one ask however many wait, and a flood is taken at full width.
 * A slow poll finds what no wake has told of.
 *
 * A lease is never left with somebody who has gone: what arrives for one is given back at once.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Problem } from '@plinth/problem';
import type { LeaseAnswer, LeaseAsk } from '../store/lane.ts';
import type { LeasedJob } from './job.ts';

export interface Patience {
  /** 0: an answer at once. */
  readonly waitMs: number;
  /** Whoever asked has gone. */
  readonly signal: AbortSignal;
}

export interface WaitingLineOptions {
  lease(ask: LeaseAsk): Promise<LeaseAnswer>;
  /** Jobs that came for somebody who has gone. Never throws. */
  giveBack(jobs: readonly LeasedJob[]): void;
  /** An answer said when something may be due. */
  dueIn(ms: number): void;
  /** Counts those who wait in all lines: false says there are too many. */
  admit(): boolean;
  leave(): void;
}

/** Who is next in a dry line. Exactly one of the two is called. */
export interface Head {
  readonly ask: LeaseAsk;
  answer(answer: Pick<LeaseAnswer, 'jobs' | 'nextInMs'>): void;
  fail(error: unknown): void;
}

interface Waiter {
  readonly ask: LeaseAsk;
  isAsking: boolean;
  /** Gone without a word: the signal. */
  hasGone: boolean;
  /** Its time is over; an ask that is under way is still waited for. */
  isOver: boolean;
  resolve(jobs: readonly LeasedJob[]): void;
  reject(error: unknown): void;
}

/** Asks under way at once for those in line: enough to hide the way to the store, few enough to stay fair. */
const WINDOW_MAX = 16;
/** What no wake told of is found so late at the most. */
export const POLL_MS = 1_000;
/** The store is away: how soon it is asked again. */
const FAULT_PAUSE_MS = 250;
/** Who asks again and again while the service stops shall not do so without a breath. */
const CLOSED_PAUSE_MS = 200;

export class WaitingLine {
  readonly #options: WaitingLineOptions;
  readonly #waiters = new Set<Waiter>();
  #asking = 0;
  #window = 1;
  #isDry = true;
  /** Grows with each wake: an empty answer says nothing about what came after its ask. */
  #wakes = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** So the last ask failed; undefined: it did not. */
  #fault: unknown;

  constructor(options: WaitingLineOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#waiters.size;
  }

  /**
   * Leases, waiting as patience says.
   *
   * @returns Nothing when the time is over, or the service stops.
   * @throws Problem `overloaded` when too many wait; what the store threw, when it did so to the end.
   */
  async lease(ask: LeaseAsk, patience: Patience): Promise<readonly LeasedJob[]> {
    const mayWait = patience.waitMs > 0 && !this.#isClosed;
    if (mayWait && this.#waiters.size > 0) return this.#stand(ask, patience);
    const wakes = this.#wakes;
    const first = await this.#askOnce(ask, mayWait);
    if (first.jobs.length > 0) return this.#handOver(first.jobs, patience.signal);
    if (this.#isClosed && patience.waitMs > 0) await pause(Math.min(patience.waitMs, CLOSED_PAUSE_MS));
    if (!mayWait || this.#isClosed || patience.signal.aborted) return [];
    return this.wait(ask, patience, wakes === this.#wakes ? first.nextInMs : 0);
  }

  /** As `lease`, for one who has just asked in vain and was told to come again. */
  wait(ask: LeaseAsk, patience: Patience, nextInMs: number | undefined): Promise<readonly LeasedJob[]> {
    if (this.#isClosed || patience.waitMs <= 0 || patience.signal.aborted) return Promise.resolve([]);
    const standing = this.#stand(ask, patience);
    if (nextInMs === 0) this.wake();
    else if (nextInMs !== undefined) this.#options.dueIn(nextInMs);
    return standing;
  }

  /**
   * Somebody who waits and for whom nobody asks: the call that brings jobs may lease for him. Undefined: nobody does, or
   * the line is asking by itself, or will.
   */
  head(): Head | undefined {
    if (!this.#isDry || this.#asking > 0 || this.#isClosed) return undefined;
    const [waiter] = this.#waiters;
    return waiter && { ask: waiter.ask, ...this.#beginAsk(waiter) };
  }

  /** Something may be there now. Cheap when nobody waits. */
  wake(): void {
    this.#wakes += 1;
    this.#isDry = false;
    this.#pump();
  }

  /** Ends all waiting with an empty answer; who comes later waits for a moment at the most. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const waiter of [...this.#waiters]) this.#end(waiter);
  }

  /** What came for somebody is his, unless he has gone. */
  #handOver(jobs: readonly LeasedJob[], signal: AbortSignal): readonly LeasedJob[] {
    if (!signal.aborted) return jobs;
    this.#options.giveBack(jobs);
    return [];
  }

  /** With patience a store that is away is only a reason to wait. */
  async #askOnce(ask: LeaseAsk, mayWait: boolean): Promise<Pick<LeaseAnswer, 'jobs' | 'nextInMs'>> {
    try {
      const answer = await this.#options.lease(ask);
      this.#fault = undefined;
      return answer;
    } catch (error) {
      if (!mayWait || (error instanceof Problem && error.code !== 'unavailable')) throw error;
      this.#fault = error;
      return { jobs: [], nextInMs: FAULT_PAUSE_MS };
    }
  }

  #stand(ask: LeaseAsk, { waitMs, signal }: Patience): Promise<readonly LeasedJob[]> {
    if (signal.aborted) return Promise.resolve([]);
    if (!this.#options.admit())
      return Promise.reject(
        new Problem('overloaded', 'too many requests wait for jobs here already', { retryAfterMs: 1_000 }),
      );
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { ask, isAsking: false, hasGone: false, isOver: false, resolve, reject };
      const timer = setTimeout(() => this.#end(waiter), waitMs);
      const go = () => {
        waiter.hasGone = true;
        this.#end(waiter);
      };
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', go);
        this.#options.leave();
      };
      waiter.resolve = (jobs) => {
        done();
        resolve(jobs);
      };
      waiter.reject = (error) => {
        done();
        reject(error);
      };
      signal.addEventListener('abort', go, { once: true });
      this.#waiters.add(waiter);
      this.#pump();
      this.#poll();
    });
  }

  /** The waiting is over. While an ask is under way its answer is waited for: jobs may be in it. */
  #end(waiter: Waiter): void {
    waiter.isOver = true;
    if (waiter.isAsking || !this.#waiters.delete(waiter)) return;
    if (this.#fault === undefined || waiter.hasGone || this.#isClosed) waiter.resolve([]);
    else waiter.reject(this.#fault);
  }

  #pump(): void {
    if (this.#isDry || this.#isClosed) return;
    for (const waiter of this.#waiters) {
      if (this.#asking >= this.#window) return;
      if (!waiter.isAsking) void this.#askFor(waiter);
    }
  }

  async #askFor(waiter: Waiter): Promise<void> {
    const { answer, fail } = this.#beginAsk(waiter);
    await this.#options.lease(waiter.ask).then(answer, fail);
  }

  #beginAsk(waiter: Waiter): Omit<Head, 'ask'> {
    const wakes = this.#wakes;
    waiter.isAsking = true;
    this.#asking += 1;
    return {
      answer: ({ jobs, nextInMs }) => {
        this.#fault = undefined;
        this.#answered(waiter, jobs, wakes, nextInMs);
      },
      fail: (error) => {
        this.#fault = error;
        this.#answered(waiter, [], wakes, FAULT_PAUSE_MS);
      },
    };
  }

  #answered(waiter: Waiter, jobs: readonly LeasedJob[], wakes: number, nextInMs: number | undefined): void {
    waiter.isAsking = false;
    this.#asking -= 1;
    if (jobs.length > 0) {
      this.#window = Math.min(this.#window * 2, WINDOW_MAX);
      this.#waiters.delete(waiter);
      if (waiter.hasGone) this.#options.giveBack(jobs);
      waiter.resolve(waiter.hasGone ? [] : jobs);
    } else {
      this.#window = 1;
      if (wakes === this.#wakes) this.#isDry = true;
      if (nextInMs !== undefined) this.#options.dueIn(nextInMs);
      if (waiter.isOver) this.#end(waiter);
    }
    this.#pump();
  }

  #poll(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#waiters.size === 0) return;
      this.wake();
      this.#poll();
    }, POLL_MS);
    this.#timer.unref();
  }
}
