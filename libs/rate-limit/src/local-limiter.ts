/** All limits decided in this process: no service, no bus. Every call answers at once. */
import type { CheckAnswer, CheckRequest, PolicySpec } from '@plinth/contracts/ratelimit';
import { Problem } from '@plinth/problem';
import { checkOf, type LimitKey, validCheck } from './check-form.ts';
import { LocalDecider, type LocalDeciderOptions } from './local-decider.ts';
import type { Place, RateLimiter } from './rate-limiter.ts';
import { noCounts } from './rate-limiter-counts.ts';

/** States that are as good as none are freed so often. */
const SWEEP_EVERY_MS = 1_000;

export class LocalLimiter implements RateLimiter {
  readonly counts = noCounts();
  readonly #decider: LocalDecider;
  readonly #domain: string | undefined;
  readonly #sweeps: NodeJS.Timeout;

  constructor(options: LocalDeciderOptions, domain: string | undefined) {
    this.#decider = new LocalDecider(options);
    this.#domain = domain;
    this.#sweeps = setInterval(() => this.#decider.sweep(), SWEEP_EVERY_MS).unref();
  }

  take(limit: string | PolicySpec, key: LimitKey, cost = 1): CheckAnswer {
    return this.#decide(checkOf({ limit, key }, cost, this.#domain));
  }

  check(check: CheckRequest): Promise<CheckAnswer>;
  check(checks: readonly CheckRequest[]): Promise<CheckAnswer[]>;
  async check(checks: CheckRequest | readonly CheckRequest[]): Promise<CheckAnswer | CheckAnswer[]> {
    if (!Array.isArray(checks)) return this.#decide(validCheck(checks as CheckRequest));
    return checks.map(validCheck).map((check) => this.#decide(check));
  }

  async peek(check: CheckRequest): Promise<CheckAnswer> {
    return this.#decide(validCheck(check), 'look');
  }

  async report(use: CheckRequest | { reservation: string; cost: number }): Promise<CheckAnswer> {
    if ('reservation' in use) throw new Problem('invalid_request', 'no reservation is made in process');
    return this.#decide(validCheck(use), 'debit');
  }

  async refund(check: CheckRequest): Promise<void> {
    this.#decider.give(validCheck(check));
  }

  async reset(check: CheckRequest): Promise<void> {
    this.#decider.reset(validCheck(check));
  }

  async block({ forMs, ...check }: CheckRequest & { forMs: number }): Promise<void> {
    this.#decider.block(validCheck(check), forMs);
  }

  async acquire(_check: CheckRequest): Promise<Place> {
    throw new Problem(
      'invalid_request',
      'places are counted by the service: a limiter in process has rates and quotas',
    );
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeps);
  }

  #decide(check: CheckRequest, mode: 'take' | 'look' | 'debit' = 'take'): CheckAnswer {
    this.counts.decisions++;
    const answer = this.#decider.decide(check, mode);
    if (answer !== undefined) return answer;
    // No room for one more key: no reason to deny, and none to forget another.
    this.counts.degraded++;
    return { allowed: true, limits: [], degraded: 'open' };
  }
}
