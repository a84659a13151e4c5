import { describe, expect, test } from '@jest/globals';
import { median, medianKnown, pairedRatio } from './median.ts';

describe('median', () => {
  test('of an odd count is the middle value, whatever the order', () => {
    expect(median([9, 1, 5])).toBe(5);
  });

  test('of an even count is the mean of the two in the middle', () => {
    expect(median([4, 1, 100, 2])).toBe(3);
  });

  test('of one value is that value, of none an error', () => {
    expect(median([7])).toBe(7);
    expect(() => median([])).toThrow(RangeError);
  });

  test('leaves out rounds without the figure', () => {
    expect(medianKnown([undefined, 3, 1, undefined, 2])).toBe(2);
    expect(medianKnown([undefined])).toBeUndefined();
  });
});

describe('pairedRatio', () => {
  test('compares within a round, so that a slow round of both changes nothing', () => {
    expect(pairedRatio({ of: [50, 10, 55], to: [10, 2, 10] })).toEqual({ median: 5, min: 5, max: 5.5 });
  });

  test('passes over rounds in which one of the two has no figure', () => {
    expect(pairedRatio({ of: [4, undefined, 9], to: [2, 1, 0] })).toEqual({ median: 2, min: 2, max: 2 });
    expect(pairedRatio({ of: [undefined], to: [1] })).toBeUndefined();
  });
});
