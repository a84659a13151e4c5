/**
 * Limits in front of a processor of BullMQ: of a customer, a provider, whatever group a job belongs to. BullMQ's own
 * limiter is one for a whole queue.
 *
 * A job over its limit is put aside until it may run and costs no attempt. Those of one group get times one after the
 * other, as far apart as the limit lets them run: else all of them would come back at once, and all but one in vain.
 */
import type { CheckAnswer, PolicySpec } from '@plinth/contracts/ratelimit';
import type { LimitKey } from './check-form.ts';
import { retryAfterMsOf } from './headers.ts';
import { limitProblem } from './limit-problem.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { atItsTurn } from './turn.ts';

/** The part of BullMQ's `Job` that is used. */
export interface LimitedJob {
  readonly name: string;
  readonly data: unknown;
  moveToDelayed(timestampMs: number, token?: string): Promise<void>;
}

export interface BullmqOptions<Job extends LimitedJob> {
  limiter: RateLimiter;
  /** The name of a rule, or a limit. */
  limit: string | PolicySpec;
  /** The group of a job. Undefined: it has none and is not limited. Default: the name of the job. */
  key?: ((job: Job) => LimitKey | undefined) | undefined;
  /** Units. Default 1. */
  cost?: number | ((job: Job) => number) | undefined;
  /**
   * Pauses all of the queue instead, as BullMQ's own limiter does: for a limit that all jobs share, where looking at each
   * would be in vain. Give the queue, or anything with its `rateLimit`.
   */
  queue?: { rateLimit(expireTimeMs: number): Promise<void> } | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  now?: (() => number) | undefined;
}

type Processor<Job, Result> = (job: Job, token?: string, signal?: AbortSignal) => Promise<Result>;

/** Groups with jobs that wait; the oldest is forgotten, and its jobs then come back closer together. */
const GROUPS_MAX = 10_000;

/** @returns A processor for `new Worker(name, …)`. A job that costs more than its limit holds fails. */
export function bullmq<Job extends LimitedJob, Result>(
  options: BullmqOptions<Job>,
  process: Processor<Job, Result>,
): Processor<Job, Result> {
  const { limiter, limit, key: keyOf = (job) => job.name, cost: costOf = 1, queue, now = Date.now } = options;
  const lastTurnMs = new Map<string, number>();
  return async (job, token, signal) => {
    const key = keyOf(job);
    if (key === undefined) return process(job, token, signal);
    const cost = typeof costOf === 'number' ? costOf : costOf(job);
    const answer = await atItsTurn(limiter.take(limit, key, cost, { signal }));
    if (answer.allowed) return process(job, token, signal);
    const waitMs = retryAfterMsOf(answer);
    if (waitMs === undefined) throw limitProblem(answer);
    if (queue !== undefined) {
      await queue.rateLimit(waitMs);
      throw named('RateLimitError', 'bullmq:rateLimitExceeded');
    }
    const turnMs = nextTurn(lastTurnMs, JSON.stringify(key), { nowMs: now(), waitMs, stepMs: stepMsOf(answer, cost) });
    await job.moveToDelayed(turnMs, token);
    throw named('DelayedError', 'bullmq:movedToDelayed');
  };
}

/** How long the limit takes to bring back what a job costs. */
function stepMsOf({ limits }: CheckAnswer, cost: number): number {
  const steps = limits
    .filter(({ allowed }) => !allowed)
    .map(({ limit = 0, windowMs = 0 }) => (limit > 0 ? (windowMs / limit) * cost : 0));
  return Math.max(0, ...steps);
}

function nextTurn(
  lastTurnMs: Map<string, number>,
  group: string,
  { nowMs, waitMs, stepMs }: { nowMs: number; waitMs: number; stepMs: number },
): number {
  const turnMs = Math.ceil(Math.max(nowMs + waitMs, (lastTurnMs.get(group) ?? 0) + stepMs));
  lastTurnMs.delete(group);
  if (lastTurnMs.size >= GROUPS_MAX) lastTurnMs.delete(lastTurnMs.keys().next().value!);
  lastTurnMs.set(group, turnMs);
  return turnMs;
}

/** BullMQ knows its errors by name and message too, so that nothing of it need be loaded here. */
function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}
