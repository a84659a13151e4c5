import { expect, test } from '@jest/globals';
import { ManualClock } from './testkit.ts';

test('a manual clock stands still until it is moved', () => {
  const { now, ...rest } = new ManualClock(1_000);
  expect(rest).toEqual({});
  expect([now(), now()]).toEqual([1_000, 1_000]);
});

test('a manual clock moves by what it is told, also backwards', () => {
  const clock = new ManualClock(1_000);
  clock.advance(500);
  expect(clock.now()).toBe(1_500);
  clock.advance(-1_000);
  expect(clock.now()).toBe(500);
  clock.set(7);
  expect(clock.now()).toBe(7);
});
