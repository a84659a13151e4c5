/** What is asked of `Holds`, and what it says. */
import type { Charge } from './charge.ts';
import type { PolicySpec } from './policy.ts';

/** A place, or none. */
export interface Hold {
  /** Unique; whoever has it may keep or release the place. */
  readonly id: string;
  readonly isHeld: boolean;
  /** Places that are left. */
  readonly remaining: number;
  /** The present limit: of `adaptive` it moves. */
  readonly limit: number;
  /** When the earliest of those who hold now lets go at the latest; 0 when held, Infinity when it can never be. */
  readonly retryAfterUs: number;
}

export interface HoldAsk {
  /** `concurrency` or `adaptive`; its cost is how many places it takes. 0 looks and takes none. */
  readonly charge: Charge;
  /** The same id once more is the same hold: it is kept for `holdMs` from now, and takes no other place. */
  readonly id: string;
  readonly holdMs: number;
  /** `adaptive`: the class of the request. */
  readonly priority?: string | undefined;
}

/** A hold on its way to another process, as plain data. */
export interface HoldRecord {
  readonly key: string;
  readonly spec: PolicySpec;
  /** Present limit of `adaptive`. */
  readonly limit: number;
  /** Missing: the key has a limit that was found, and no holds. */
  readonly hold?: { readonly id: string; readonly places: number; readonly leftMs: number } | undefined;
}
