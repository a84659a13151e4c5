/** What a store's failure means to a caller: it did not happen, or nobody knows. */
import { Problem } from '@plinth/problem';
import type { Lane } from '../store/lane.ts';

/** Of a bug, not of a connection. */
const BUGS: readonly (new () => Error)[] = [TypeError, RangeError, ReferenceError, SyntaxError];

/** `change`: whether it happened matters, and cannot be known once it was sent. `repeatable`: ask again. */
export type Effect = 'change' | 'repeatable';

/**
 * Calls the store.
 *
 * @throws Problem `unavailable` when the store is away: nothing happened; `outcome_unknown` when it went away while a
 * change was under way. Problems and bugs stay what they are.
 */
export async function callStore<T>(lane: Lane, effect: Effect, work: () => Promise<T>): Promise<T> {
  const reason = lane.notReady();
  if (reason !== undefined) throw away(reason);
  try {
    return await work();
  } catch (error) {
    throw storeProblem(error, effect);
  }
}

/** As `callStore` makes of it. */
export function storeProblem(error: unknown, effect: Effect): unknown {
  if (error instanceof Problem || BUGS.some((bug) => error instanceof bug)) return error;
  // The store knows best, where it says so.
  const isUnknown = (error as { isOutcomeUnknown?: unknown } | undefined)?.isOutcomeUnknown;
  const words = error instanceof Error ? error.message : String(error);
  // Redis refuses before it does anything; what else it says of a script is a bug of ours.
  if (/^(OOM|READONLY|LOADING|MISCONF|CLUSTERDOWN|NOREPLICAS|MASTERDOWN)\b/.test(words)) return away(words, error);
  if (error instanceof Error && error.name === 'ReplyError') return error;
  if (isUnknown === false || effect === 'repeatable') return away(words, error);
  return new Problem('outcome_unknown', `the store went away while it was asked: ${words}`, { cause: error });
}

function away(reason: string, cause?: unknown): Problem {
  return new Problem('unavailable', reason, { retryAfterMs: 1_000, cause });
}
