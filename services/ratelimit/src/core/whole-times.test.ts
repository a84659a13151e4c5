import { expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { ceilMs, ceilSeconds, retryMs } from './whole-times.ts';

test('a part of a unit is a whole one, nothing is nothing, and what is over is nothing', () => {
  expect([1, 999, 1_000, 1_001, 0, -5].map(ceilMs)).toEqual([1, 1, 1, 2, 0, 0]);
  expect([1, 1_000_000, 1_000_001, 0, -5].map(ceilSeconds)).toEqual([1, 1, 2, 0, 0]);
  expect([1_500, 0, Number.POSITIVE_INFINITY].map(retryMs)).toEqual([2, 0, null]);
});

test('what was added to a clock and taken off again is what it was', () => {
  const random = seededRandom();
  for (let round = 0; round < 10_000; round++) {
    const nowUs = random.int(1_000_000_000) + random.int(1_000) / 1_000 + 1e-7 * random.int(1_000);
    expect(ceilSeconds(nowUs + 3_600e6 - nowUs)).toBe(3_600);
    expect(ceilMs(nowUs + 3_600e6 - nowUs)).toBe(3_600_000);
  }
});
