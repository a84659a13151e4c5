/**
 * Where the states of keys live, and who decides. A backend is the one authority over a key while it can be reached:
 * two replicas that ask for the last unit at once are told yes once.
 *
 * - Order: what one caller asks one after the other is decided in that order.
 * - Atomic: all charges of one `Ask` are taken or none, and nobody sees some of them taken. Where the charges of one
 *   ask live in different places (`owners`, Redis Cluster) nobody gets more than the limit, but for a moment somebody
 *   may be denied what a denied request is about to give back.
 * - Time: the backend's own, never the caller's.
 * - Never throws for a limit that is reached. Rejects with `BackendAway` when it cannot decide; whether what was asked
 *   has happened is then unknown, and it must not be asked again as if it had not.
 */
import type { Charge, Decision, Grant, Hold, HoldAsk, Mode, Outturn } from '@plinth/limiter';

/** One request: its charges, decided together. */
export interface Ask {
  readonly charges: readonly Charge[];
  readonly mode: Mode;
}

export type { Hold, HoldAsk, Outturn };

export interface Backend {
  readonly name: 'memory' | 'owners' | 'redis';

  /** Decides asks in order. An answer at hand is no promise: a caller that need not wait pays for no microtask. */
  decide(asks: readonly Ask[]): Decision[] | Promise<Decision[]>;

  /** Gives back what was taken; never beyond a full state. */
  give(charges: readonly Charge[]): void | Promise<void>;

  /** Forgets the state of keys, blocks included. */
  reset(charges: readonly Charge[]): void | Promise<void>;

  /** Denies keys for so long, whatever their units; 0 ends it. */
  block(charges: readonly Charge[], forMs: number): void | Promise<void>;

  /**
   * Lends units, to be decided over elsewhere: min(want, what is there, max(1, share × what is there)), all debited now.
   * What is not used and not given back is lost, so that nobody ever gets more.
   */
  grant(charge: Charge, want: number, share: number): Grant | Promise<Grant>;

  /** Takes a place. */
  hold(ask: HoldAsk): Hold | Promise<Hold>;
  /** Keeps a place for another while. False: it was lost. */
  keep(charge: Charge, id: string, holdMs: number): boolean | Promise<boolean>;
  /** Frees a place. False: it was lost already. */
  release(charge: Charge, id: string, outturn: Outturn): boolean | Promise<boolean>;

  /** True for the first who claims an id within so many milliseconds, false for all others. `near`: a charge whose key says where. */
  claim(near: Charge, id: string, forMs: number): boolean | Promise<boolean>;

  /** How many replicas share the limits, this one included: the divisor of `onError: local`. */
  replicas(): number;
  /** Undefined when it can decide, else why not. */
  notReady(): string | undefined;
  /** Lines in Prometheus' text format. */
  metrics?(): string;
  /** The service stops: hand over what others should know, take nothing new. */
  drain?(): Promise<void>;
  stop(): Promise<void>;
}

/** The backend could not decide in time. */
export class BackendAway extends Error {
  override name = 'BackendAway';
}
