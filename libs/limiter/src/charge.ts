/** What is asked of a ledger, and what it says. */
import type { Policy } from './policy.ts';

/** So many units of one key, under one policy. */
export interface Charge {
  /** Whatever tells the key apart, rule and domain included; see `stateKey`. At most 4,096 characters. */
  readonly key: string;
  /** By rate or quota; `concurrency` and `adaptive` are decided by `Holds`. */
  readonly policy: Policy;
  /** Whole units, 0 … UNITS_MAX. 0 looks and takes nothing. */
  readonly cost: number;
  /** Counted and told, but it never denies the request it belongs to. */
  readonly isShadow?: boolean | undefined;
  /** After so many denials the key is blocked for a while. */
  readonly penalty?: Penalty | undefined;
  /**
   * For `give`: the units were taken so long ago or less. What came back by itself since is not given twice: where
   * units belong to a window or a period that is over, nothing is. Default 0.
   */
  readonly agoUs?: number | undefined;
}

export interface Penalty {
  /** Denials within `withinMs` that bring it. */
  readonly denials: number;
  readonly withinMs: number;
  readonly blockMs: number;
}

/** What a decision says of one charge. */
export interface Outcome {
  /** This charge alone: could it be taken? */
  isAllowed: boolean;
  /** Units left behind this decision; never below 0. */
  remaining: number;
  /** Until `cost` units are there; 0 when allowed, Infinity when never. */
  retryAfterUs: number;
  /** Until the key is as good as new. */
  resetUs: number;
  /** Time to wait for its turn (`leaky`). */
  delayUs: number;
  /** Denied for it is blocked, whatever its units. */
  isBlocked: boolean;
}

/** How a request is decided. `take`: all or nothing. `look`: nothing is taken. `debit`: all is taken, whatever is left. */
export type Mode = 'take' | 'look' | 'debit';

/** What `decide` says: the request is allowed when every charge that is no shadow is. Outcomes in the order of charges. */
export interface Decision {
  isAllowed: boolean;
  outcomes: Outcome[];
  /** Nothing was decided and nothing counted: there was no room for a new state. */
  isUndecided?: boolean | undefined;
}

/** Tokens lent to a holder. */
export interface Grant {
  /** 0: none, ask again after `retryAfterUs`. */
  units: number;
  retryAfterUs: number;
  /** What the limit has left behind this grant. */
  remaining: number;
  resetUs: number;
  /**
   * The units must be used within so long of the grant, whatever the holder's own time: to the end of the sub-bucket
   * (`strict`), window or period that they were debited in. Missing: the algorithm does not mind.
   */
  lifeUs?: number | undefined;
}
