/**
 * A store of express-rate-limit 7 and 8 that counts in the rate limiter: change one line, and all processes share limits.
 *
 * `rateLimit({ windowMs: 60_000, limit: 100, store: new ExpressRateLimitStore({ limiter, name: 'api' }) })`
 */
import type { CheckAnswer, CheckRequest, PolicySpec } from '@plinth/contracts/ratelimit';
import { limitProblem } from './limit-problem.ts';
import type { RateLimiter } from './rate-limiter.ts';

export interface ExpressRateLimitStoreOptions {
  limiter: RateLimiter;
  /** Part of every key: two limiters with stores of different names share nothing. */
  name: string;
  /** How it is counted. Default `strict`: never more than the limit in any window. */
  algorithm?: PolicySpec['algorithm'] | undefined;
}

export interface HitCount {
  totalHits: number;
  resetTime: Date | undefined;
}

/** Hand it to `rateLimit` as `store`; it counts by the limit and window that are given there. */
export class ExpressRateLimitStore {
  /** Keys are shared with other processes. */
  readonly localKeys = false;
  readonly prefix: string;
  readonly #options: ExpressRateLimitStoreOptions;
  #policy: PolicySpec | undefined;

  constructor(options: ExpressRateLimitStoreOptions) {
    this.#options = options;
    this.prefix = options.name;
  }

  /** @throws RangeError when the limit is a function: it has to be a number that all processes know. */
  init({ windowMs, limit }: { windowMs: number; limit: unknown }): void {
    if (typeof limit !== 'number') throw new RangeError('limit is a function; with this store it is a number');
    this.#policy = { algorithm: this.#options.algorithm ?? 'strict', limit, windowMs };
  }

  /** @throws Problem `unavailable` where the limiter is away and was to deny then. */
  async increment(key: string): Promise<HitCount> {
    return this.#hitsOf(await this.#options.limiter.take(this.#known(), [this.prefix, key]));
  }

  async get(key: string): Promise<HitCount | undefined> {
    return this.#hitsOf(await this.#options.limiter.peek({ ...this.#subject(key), cost: 0 }));
  }

  async decrement(key: string): Promise<void> {
    await this.#options.limiter.refund(this.#subject(key));
  }

  async resetKey(key: string): Promise<void> {
    await this.#options.limiter.reset(this.#subject(key));
  }

  #subject(key: string): CheckRequest {
    return { limit: this.#known(), key: [this.prefix, key] };
  }

  #known(): PolicySpec {
    if (this.#policy === undefined) throw new Error('express-rate-limit has not called init');
    return this.#policy;
  }

  #hitsOf(answer: CheckAnswer): HitCount {
    if (answer.degraded === 'closed') throw limitProblem(answer);
    const { limit } = this.#known();
    const [told] = answer.limits;
    // Let in without a limit, as the first of a window is.
    if (told === undefined) return { totalHits: 1, resetTime: undefined };
    const resetTime = new Date(Date.now() + ((answer.allowed ? told.resetMs : told.retryAfterMs) ?? told.resetMs ?? 0));
    return { totalHits: answer.allowed ? limit - (told.remaining ?? 0) : limit + 1, resetTime };
  }
}
