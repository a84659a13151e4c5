/** The names that rate-limiter-flexible has for what the limiter does, so that a program can move call by call. */
import type { CheckAnswer, CheckRequest, PolicySpec } from '@plinth/contracts/ratelimit';
import { retryAfterMsOf } from './headers.ts';
import { limitProblem } from './limit-problem.ts';
import type { RateLimiter } from './rate-limiter.ts';

export interface FlexibleLimiterOptions {
  limiter: RateLimiter;
  /** Part of every key. Default `rlflx`. */
  keyPrefix?: string | undefined;
  points: number;
  /** Seconds. */
  duration: number;
  /** Default `strict`: never more than `points` in any window. */
  algorithm?: PolicySpec['algorithm'] | undefined;
}

/** What `consume` resolves with, and rejects with when there are not enough points. */
export interface FlexibleResult {
  remainingPoints: number;
  consumedPoints: number;
  msBeforeNext: number;
  isFirstInDuration: boolean;
}

/** One limit, as a class of rate-limiter-flexible is; answers and rejections have its form. */
export class FlexibleLimiter {
  readonly #limiter: RateLimiter;
  readonly #prefix: string;
  readonly #policy: PolicySpec;

  constructor({ limiter, keyPrefix = 'rlflx', points, duration, algorithm = 'strict' }: FlexibleLimiterOptions) {
    this.#limiter = limiter;
    this.#prefix = keyPrefix;
    this.#policy = { algorithm, limit: points, windowMs: duration * 1_000 };
  }

  /** @throws FlexibleResult when it is denied; Problem `unavailable` where the limiter is away and was to deny then. */
  async consume(key: string | number, points = 1): Promise<FlexibleResult> {
    const answer = await this.#limiter.take(this.#policy, [this.#prefix, String(key)], points);
    if (answer.degraded === 'closed') throw limitProblem(answer);
    const result = this.#resultOf(answer);
    // It is their contract to reject with what is no Error.
    if (!answer.allowed) throw result;
    return result;
  }

  async get(key: string | number): Promise<FlexibleResult | null> {
    const result = this.#resultOf(await this.#limiter.peek({ ...this.#subject(key), cost: 0 }));
    return result.consumedPoints === 0 ? null : result;
  }

  /** Takes points whatever is left. */
  async penalty(key: string | number, points = 1): Promise<FlexibleResult> {
    return this.#resultOf(await this.#limiter.report({ ...this.#subject(key), cost: points }));
  }

  /** Gives points back. */
  async reward(key: string | number, points = 1): Promise<void> {
    await this.#limiter.refund({ ...this.#subject(key), cost: points });
  }

  async block(key: string | number, seconds: number): Promise<void> {
    await this.#limiter.block({ ...this.#subject(key), forMs: seconds * 1_000 });
  }

  async delete(key: string | number): Promise<boolean> {
    await this.#limiter.reset(this.#subject(key));
    return true;
  }

  #subject(key: string | number): CheckRequest {
    return { limit: this.#policy, key: [this.#prefix, String(key)] };
  }

  #resultOf(answer: CheckAnswer): FlexibleResult {
    const [told] = answer.limits;
    const remainingPoints = told?.remaining ?? this.#policy.limit;
    const consumedPoints = this.#policy.limit - remainingPoints;
    const msBeforeNext = answer.allowed ? (told?.resetMs ?? 0) : (retryAfterMsOf(answer) ?? told?.resetMs ?? 0);
    return { remainingPoints, consumedPoints, msBeforeNext, isFirstInDuration: consumedPoints <= 1 };
  }
}
