import { expect, test } from '@jest/globals';
import { ordinal, RestartPolicy } from './restart-policy.ts';

test('the wait doubles from 200 ms to 10 s and stays there', () => {
  const policy = new RestartPolicy();
  const delays = Array.from({ length: 8 }, () => policy.crashed({ nowMs: 0, upMs: 0 }));
  expect(delays).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
});

test.each([
  ['29.999 s of health change nothing', 29_999, 400],
  ['30 s of health start anew', 30_000, 200],
])('%s', (_, upMs, expected) => {
  const policy = new RestartPolicy();
  policy.crashed({ nowMs: 0, upMs: 0 });
  expect(policy.crashed({ nowMs: 60_000, upMs })).toBe(expected);
});

test('the table says how often, and in what time', () => {
  const policy = new RestartPolicy();
  for (const nowMs of [1_000, 5_000, 20_000]) policy.crashed({ nowMs, upMs: 0 });
  expect(policy.describe(21_000)).toBe('3rd in 20 s');
});

test('ordinals are English', () => {
  expect([1, 2, 3, 4, 11, 12, 13, 21, 111].map(ordinal)).toEqual([
    '1st',
    '2nd',
    '3rd',
    '4th',
    '11th',
    '12th',
    '13th',
    '21st',
    '111th',
  ]);
});
