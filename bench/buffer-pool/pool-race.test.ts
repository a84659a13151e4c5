import { expect, test } from '@jest/globals';
import { type Lane, outcomesOf, type Sample } from './pool-race.ts';

const lane = (subject: Lane['subject'], ns: number[], bytes = 4_096): Lane => ({
  bytes,
  setting: 'alone',
  subject,
  samples: ns.map((one) => ({ ns: one }) as Sample),
});

test('a block of 4 KiB is held against allocUnsafe round by round, and reaches the target at exactly a twentieth', () => {
  const theirs = lane('allocUnsafe', [100, 200]);
  expect(outcomesOf([lane('BlockPool', [5, 10]), theirs])).toMatchObject([{ ratio: { median: 0.05 }, reached: true }]);
  expect(outcomesOf([lane('BlockPool', [6, 12]), theirs])).toMatchObject([{ ratio: { median: 0.06 }, reached: false }]);
});

test('other sizes have no target', () => {
  expect(outcomesOf([lane('BlockPool', [5], 64), lane('allocUnsafe', [1], 64)])).toEqual([]);
});
