/**
 * Checks on their way to the service: those of one turn of the event loop travel as one request, and while one is under
 * way further ones gather for a moment. Nobody waits when nothing is under way.
 *
 * A check may have been counted when its answer is lost, so it is never sent a second time unless the service says that
 * nothing happened.
 */
import type { CheckAnswer, CheckRequest } from '@plinth/contracts/ratelimit';
import { Problem } from '@plinth/problem';
import type { CircuitBreaker } from './circuit-breaker.ts';
import type { PendingDecision } from './pending-decisions.ts';

export interface CheckQueueOptions {
  /** Asks the service, all in one. */
  send(checks: readonly CheckRequest[], timeoutMs: number): Promise<CheckAnswer[]>;
  breaker: CircuitBreaker;
  /** While requests are under way, how long further checks gather at most. */
  gatherMs: number;
  /** Milliseconds of a steady clock. */
  now(): number;
  /** The service is away: what one is told instead. */
  away(check: CheckRequest): CheckAnswer;
}

/** The service takes no more in one request. */
const CHECKS_MAX = 1_000;
/** Requests under way at once: beyond it the service is slower than we ask, and larger batches help it. */
const FLIGHTS_MAX = 8;

/** Refusals that one check of many can bring about. The others, as of an API key, are meant for all. */
const BY_CONTENT: ReadonlySet<string> = new Set(['invalid_request', 'limit_not_found', 'body_too_large']);

export class CheckQueue {
  readonly #options: CheckQueueOptions;
  #waiting: PendingDecision[] = [];
  #flights = 0;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CheckQueueOptions) {
    this.#options = options;
  }

  add(pending: PendingDecision): void {
    this.#waiting.push(pending);
    if (this.#flights === 0 || this.#waiting.length >= CHECKS_MAX) this.#immediate ??= setImmediate(this.#flush);
    else this.#timer ??= setTimeout(this.#flush, this.#options.gatherMs);
  }

  readonly #flush = (): void => {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#immediate = this.#timer = undefined;
    // Those who have gone meanwhile are not asked for; their units would be lost.
    const waiting = this.#waiting.filter((pending) => !pending.isSettled);
    this.#waiting = [];
    while (waiting.length > 0 && this.#flights < FLIGHTS_MAX) void this.#fly(waiting.splice(0, CHECKS_MAX));
    this.#waiting = waiting;
  };

  async #fly(batch: readonly PendingDecision[]): Promise<void> {
    this.#flights++;
    await this.#ask(batch, true);
    this.#flights--;
    if (this.#waiting.length > 0) this.#flush();
  }

  /** Never throws: whoever waits is told. */
  async #ask(batch: readonly PendingDecision[], mayRepeat: boolean): Promise<void> {
    const { breaker, now, send } = this.#options;
    if (!breaker.enter()) return this.#giveUp(batch);
    const leftMs = batch.at(-1)!.deadlineMs - now();
    try {
      const answers = await send(
        batch.map(({ check }) => check),
        Math.max(1, leftMs),
      );
      if (answers.length !== batch.length) throw new Error(`${batch.length} checks got ${answers.length} answers`);
      breaker.succeeded();
      for (const [at, pending] of batch.entries()) pending.settle(answers[at]!);
    } catch (error) {
      await this.#failed(error, batch, mayRepeat);
    }
  }

  async #failed(error: unknown, batch: readonly PendingDecision[], mayRepeat: boolean): Promise<void> {
    const { breaker } = this.#options;
    if (isAnswer(error)) {
      breaker.succeeded();
      return this.#refused(error, batch);
    }
    breaker.failed(error);
    const left = batch.filter((pending) => !pending.isSettled);
    // Another replica may be there, or a new connection to this one: once, for time is short.
    if (mayRepeat && left.length > 0 && hasNotHappened(error)) return this.#ask(left, false);
    this.#giveUp(batch);
  }

  /** One check that is malformed spoils all that travel with it: halves of halves find it. Nothing was counted. */
  async #refused(problem: Problem, batch: readonly PendingDecision[]): Promise<void> {
    if (batch.length === 1 || !BY_CONTENT.has(problem.code)) {
      for (const pending of batch) pending.fail(problem);
      return;
    }
    const left = batch.filter((pending) => !pending.isSettled);
    const middle = left.length >> 1;
    const halves = [left.slice(0, middle), left.slice(middle)].filter((half) => half.length > 0);
    await Promise.all(halves.map((half) => this.#ask(half, false)));
  }

  #giveUp(batch: readonly PendingDecision[]): void {
    for (const pending of batch) if (!pending.isSettled) pending.settle(this.#options.away(pending.check));
  }
}

/** The service has looked at it and says no: the caller's mistake, which nobody else would forgive either. */
export function isAnswer(error: unknown): error is Problem {
  return error instanceof Problem && error.status < 500 && error.code !== 'rate_limited';
}

/** It surely did not happen, and somebody else could do it at once. */
function hasNotHappened(error: unknown): boolean {
  return error instanceof Problem && (error.code === 'unavailable' || error.code === 'stopping');
}
