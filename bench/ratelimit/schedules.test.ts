import { expect, test } from '@jest/globals';
import { worstSchedule } from './schedules.ts';

const search = { schedules: 2_000, seed: 1 };

test('a strict window never holds more than its limit', () => {
  expect(worstSchedule('strict', search).ratio).toBe(1);
});

test('the search is mean enough to find twice the limit where windows are fixed, and where buckets refill', () => {
  expect(worstSchedule('fixed', search).admittedMax).toBe(200);
  expect(worstSchedule('gcra', search).admittedMax).toBeGreaterThan(190);
});

test('the same seed finds the same', () => {
  expect(worstSchedule('sliding', search)).toEqual(worstSchedule('sliding', search));
});
