/** One limit, in one process: the library without a service. */
import type { Charge, Grant, Outcome } from './charge.ts';
import { type LimiterClock, processClock } from './clock.ts';
import { Ledger } from './ledger.ts';
import { type Policy, type PolicySpec, policyOf } from './policy.ts';

export type LimiterOptions = PolicySpec & {
  /** The most keys that are limited at once. Default 10,000,000. */
  statesMax?: number | undefined;
  /** Default: `performance.now()` and, for calendar quotas, `Date.now()`. */
  clock?: LimiterClock | undefined;
};

/**
 * Limits keys: `new Limiter({ limit: 100, windowMs: 60_000 }).take('alice').isAllowed`. There is no timer: keys that are
 * as good as new are forgotten while others come.
 *
 * @throws RangeError for a limit that is none; `take` throws LedgerFull when all keys there is room for are limited.
 */
export class Limiter {
  readonly policy: Policy;
  readonly #ledger: Ledger;

  constructor({ statesMax, clock = processClock(), ...spec }: LimiterOptions) {
    this.policy = policyOf(spec);
    if (this.policy.algorithm === undefined)
      throw new RangeError(`${this.policy.name} is for Holds, not for a Limiter`);
    this.#ledger = new Ledger({ clock, statesMax });
  }

  /** Keys that are not as good as new. */
  get size(): number {
    return this.#ledger.size;
  }

  /** Takes so many units, or none of them. */
  take(key: string, cost = 1): Outcome {
    return this.#ledger.decideOne(this.#charge(key, cost), 'take');
  }

  /** What `take` would say; takes nothing. */
  look(key: string, cost = 1): Outcome {
    return this.#ledger.decideOne(this.#charge(key, cost), 'look');
  }

  /** Takes so many units, whatever is left: what a request cost turned out only afterwards. */
  debit(key: string, cost: number): Outcome {
    return this.#ledger.decideOne(this.#charge(key, cost), 'debit');
  }

  /** Gives units back that were taken. */
  give(key: string, units: number): void {
    this.#ledger.give([this.#charge(key, units)]);
  }

  /** Lends units, at most `share` of what is there; for a `LeaseHolder`. */
  grant(key: string, want: number, share: number): Grant {
    return this.#ledger.grant(this.#charge(key, 0), want, share);
  }

  /** As good as new from now on, blocked or not. */
  reset(key: string): void {
    this.#ledger.reset([this.#charge(key, 0)]);
  }

  /** Denies a key for so long, whatever its units; 0 ends it. */
  block(key: string, forMs: number): void {
    this.#ledger.block([this.#charge(key, 0)], forMs);
  }

  /** Forgets keys that are as good as new, also while no others come. @returns How many. */
  sweep(budget?: number): number {
    return this.#ledger.sweep(budget);
  }

  #charge(key: string, cost: number): Charge {
    return { key, policy: this.policy, cost };
  }
}
