/**
 * What every algorithm answers. The state of a key is a few numbers in a Float64Array, from `at` on; all of them zero
 * means that nothing was taken, so a fresh slot is a fresh key. Nothing here reads a clock: `nowUs` is microseconds
 * since any moment and the same clock for all calls on one state. A clock that goes back frees nothing.
 */
import type { Policy } from './policy.ts';

export type Cells = Float64Array;

export interface Algorithm {
  /** Numbers that the state of one key takes. */
  readonly cells: number;

  /** Whole units that could be taken now: 0 … capacity; below 0 while a debt is open. May tidy the state, never change what it means. */
  available(cells: Cells, at: number, policy: Policy, nowUs: number): number;

  /** Takes units, also more than are available: a debt that later ones wait for. */
  take(cells: Cells, at: number, policy: Policy, nowUs: number, units: number): void;

  /**
   * Gives units back that were taken at `takenUs` or before, as if they never had been; never beyond a full state.
   * Those that have come back by themselves since are not given a second time.
   */
  give(cells: Cells, at: number, policy: Policy, nowUs: number, units: number, takenUs: number): void;

  /** Microseconds until `units` are available if nobody takes any; 0 now, Infinity when they never are. */
  waitUs(cells: Cells, at: number, policy: Policy, nowUs: number, units: number): number;

  /** When this state will be equal to none, if nobody takes any more: until then it must be kept. */
  freshAtUs(cells: Cells, at: number, policy: Policy): number;

  /**
   * Moves a state to a clock that shows `byUs` more. It was tidied by `available` at the present of the old clock. A
   * state on a grid comes back no sooner than it would have, and up to one grid step later.
   */
  shift(cells: Cells, at: number, policy: Policy, byUs: number): void;

  /**
   * When units that are debited now must have been used, for the promise to hold with units that are lent: the end of
   * the stretch of time that they are counted in. Infinity where time has no grid.
   */
  useUntilUs(policy: Policy, nowUs: number): number;

  /** How long one who takes a unit now has to wait for its turn. Omitted: no algorithm but `leaky` makes wait. */
  delayUs?(cells: Cells, at: number, policy: Policy, nowUs: number): number;
}
