import { expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { backoffMs, waitMsAfter } from './backoff.ts';

test('waits grow twofold up to a bound, and are anything from nothing to that', () => {
  expect([0, 1, 2, 3].map((attempt) => backoffMs(attempt, 1))).toEqual([100, 200, 400, 800]);
  expect(backoffMs(6, 1)).toBe(5_000);
  expect(backoffMs(5_000, 1)).toBe(5_000);
  expect(backoffMs(3, 0)).toBe(0);
});

test('the time a service asks for is waited in full, and jitter comes on top', () => {
  const problem = new Problem('overloaded', 'busy', { retryAfterMs: 2_000 });
  expect(waitMsAfter(problem, 0, 0)).toBe(2_000);
  expect(waitMsAfter(problem, 0, 1)).toBe(2_100);
});
