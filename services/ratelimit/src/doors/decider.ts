/** What the doors ask for decisions: the engine, seen from here. */
import type { Check, Verdict } from '../core/verdict.ts';

export interface CheckOptions {
  /** When the caller no longer cares; what cannot be decided by then, `onError` decides. */
  readonly deadlineMs?: number | undefined;
  /** The trace to make spans below, as `@plinth/telemetry` has it. */
  readonly trace?: unknown;
}

export interface Decider {
  /**
   * Verdicts in the order of the checks. Never rejects for a limit or for a store that is away; at once when it can.
   *
   * @throws Problem when a check is no legal one: nothing of what was asked is counted then.
   */
  check(checks: readonly Check[], options?: CheckOptions): Verdict[] | Promise<Verdict[]>;
}
