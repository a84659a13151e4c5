/** What is asked of the owner of some keys, and what it answers. */
import { type Charge, type Decision, type Grant, type Mode, UNITS_MAX } from '@plinth/limiter';
import type { Hold, Outturn } from '../backend.ts';

export type Wish =
  | { readonly kind: 'decide'; readonly charges: readonly Charge[]; readonly mode: Mode }
  | { readonly kind: 'give' | 'reset'; readonly charges: readonly Charge[] }
  | { readonly kind: 'block'; readonly charges: readonly Charge[]; readonly forMs: number }
  | { readonly kind: 'grant'; readonly charges: readonly Charge[]; readonly want: number; readonly share: number }
  | {
      readonly kind: 'hold';
      readonly charges: readonly Charge[];
      readonly id: string;
      readonly holdMs: number;
      readonly priority: string | undefined;
    }
  | { readonly kind: 'keep'; readonly charges: readonly Charge[]; readonly id: string; readonly holdMs: number }
  | { readonly kind: 'release'; readonly charges: readonly Charge[]; readonly id: string; readonly outturn: Outturn }
  | { readonly kind: 'claim'; readonly charges: readonly Charge[]; readonly id: string; readonly forMs: number };

export type WishOf<K extends Wish['kind']> = Extract<Wish, { kind: K }>;

/** What comes of each wish. */
export interface Results {
  decide: Decision;
  give: undefined;
  reset: undefined;
  block: undefined;
  grant: Grant;
  hold: Hold;
  keep: boolean;
  release: boolean;
  claim: boolean;
}
export type Result = Results[Wish['kind']];

/** The keys are not this member's, or on their way to it. Nothing happened: it may be asked again. */
export const MOVED = Symbol('moved');
/** There was no room for a new state. Nothing happened. */
export const FULL = Symbol('full');
/** Nobody knows whether it happened: it must not be asked again. */
export const UNKNOWN = Symbol('unknown');

export type Reply = Result | typeof MOVED | typeof FULL;

const KEY_LENGTH_MAX = 4_096;
const OF_HOLDS: ReadonlySet<string> = new Set(['hold', 'keep', 'release']);

/**
 * What the ledger would refuse, refused before anything is sent or counted.
 *
 * @throws RangeError for a cost or key that is none, TypeError for a limit that is decided otherwise.
 */
export function assertSound({ kind, charges }: Wish): void {
  const isOfHolds = OF_HOLDS.has(kind);
  for (const { key, cost, policy } of charges) {
    if (cost >>> 0 !== cost || cost > UNITS_MAX) {
      throw new RangeError(`cost is ${cost}; it must be a whole number from 0 to ${UNITS_MAX}`);
    }
    if (key.length > KEY_LENGTH_MAX) {
      throw new RangeError(`a key is ${key.length} characters long; the most is ${KEY_LENGTH_MAX}`);
    }
    if (kind === 'claim' || (policy.algorithm === undefined) === isOfHolds) continue;
    throw new TypeError(
      `a limit of ${policy.name} is ${isOfHolds ? 'not one of places' : 'one of places: it is held, not decided'}`,
    );
  }
  if (charges.length !== 1 && (isOfHolds || kind === 'grant' || kind === 'claim')) {
    throw new RangeError(`${kind} is for one charge, not for ${charges.length}`);
  }
}
