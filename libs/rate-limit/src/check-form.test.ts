import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { checkOf, SubjectIds, subjectOf, validCheck } from './check-form.ts';

describe('a check that cannot be meant is refused before it is sent', () => {
  test.each([
    [-1, 'cost is -1; it is a whole number from 0 to 1,000,000,000'],
    [0.5, 'cost is 0.5; it is a whole number from 0 to 1,000,000,000'],
    [Number.NaN, 'cost is NaN; it is a whole number from 0 to 1,000,000,000'],
    [1_000_000_001, 'cost is 1000000001; it is a whole number from 0 to 1,000,000,000'],
  ])('a cost of %d', (cost, words) => {
    expect(() => checkOf({ limit: 'a', key: 'b' }, cost, undefined)).toThrow(new RangeError(words));
  });

  test('a cost of 0 and the largest pass', () => {
    for (const cost of [0, 1_000_000_000]) expect(checkOf({ limit: 'a', key: 'b' }, cost, 'd').cost).toBe(cost);
  });

  test.each([
    ['', 'key has 0 characters; it has 1 to 2,048'],
    ['x'.repeat(2_049), 'key has 2,049 characters; it has 1 to 2,048'],
    [[], 'key has 0 words; it has 1 to 16'],
    [Array.from({ length: 17 }, () => 'x'), 'key has 17 words; it has 1 to 16'],
    [['a', ''], 'key has 0 characters; it has 1 to 2,048'],
    [[undefined as unknown as string], 'key is a undefined; it is a text'],
  ])('a key that is none', (key, words) => {
    expect(() => validCheck({ limit: 'a', key })).toThrow(new RangeError(words));
  });

  test('keys of 2,048 characters and of 16 words pass', () => {
    validCheck({ limit: 'a', key: 'x'.repeat(2_048) });
    validCheck({ limit: 'a', key: Array.from({ length: 16 }, () => 'x') });
  });
});

describe('the text of a subject', () => {
  test('is of no other subject, and leads back to it', () => {
    const random = seededRandom();
    const ids = new SubjectIds();
    const seen = new Map<string, string>();
    const word = () => Array.from({ length: 1 + random.int(4) }, () => random.pick([...':;|!19a{}"'])).join('');
    for (let round = 0; round < 20_000; round++) {
      const limit = random() < 0.8 ? word() : { limit: random.int(3), windowMs: 1_000 };
      const key = random() < 0.5 ? word() : Array.from({ length: 1 + random.int(3) }, word);
      const id = ids.idOf(limit, key);
      const text = JSON.stringify([limit, key]);
      expect(seen.get(id) ?? text).toBe(text);
      seen.set(id, text);
      expect(subjectOf(id)).toEqual({ limit, key });
    }
  });
});
