/**
 * How long to wait before trying again: exponential with full jitter, which of the usual ways makes the fewest calls
 * for the same time to success (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 */
import type { Problem } from '@plinth/problem';

/** A service that was busy for a moment is asked again before a person notices; four repeats span 1.5 s at most. */
const FIRST_MS_MAX = 100;
/** Long enough that thousands of waiting clients do not hold down a service that comes back. */
const LATER_MS_MAX = 5_000;

/** @param attempt - 0 before the first repeat. @param random - From 0 to 1. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(LATER_MS_MAX, FIRST_MS_MAX * 2 ** Math.min(attempt, 30));
}

/** As `backoffMs`, not before the time the service asked for; jitter comes on top, or all would return at once. */
export function waitMsAfter(problem: Problem, attempt: number, random: number): number {
  return (problem.retryAfterMs ?? 0) + backoffMs(attempt, random);
}
