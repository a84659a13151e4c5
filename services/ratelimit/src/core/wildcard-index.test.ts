import { expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { matchesWildcard, WildcardIndex } from './wildcard-index.ts';

const matches = (pattern: string, value: string) => matchesWildcard(pattern.split('*'), value);

test.each([
  ['a*', 'a', true],
  ['a*', 'ab', true],
  ['a*', 'ba', false],
  ['*a', 'a', true],
  ['*a', 'ba', true],
  ['*a', 'ab', false],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['ab*ba', 'aba', false],
  ['ab*ba', 'abba', true],
  ['a*b*c', 'abc', true],
  ['a*b*c', 'acb', false],
  ['a*b*b', 'ab', false],
  ['a*b*b', 'abb', true],
  ['*', '', true],
  ['**', '', true],
  ['*aa*aa*', 'aaa', false],
  ['*aa*aa*', 'aaaa', true],
  ['a*ä*🧀', 'a-ä-🧀', true],
])('%s and %j: %s', (pattern, value, expected) => {
  expect(matches(pattern, value)).toBe(expected);
});

test('no value makes a comparison slow', () => {
  const pattern = `${'a*'.repeat(1_000)}b`;
  const startedMs = performance.now();
  expect(matches(pattern, 'a'.repeat(2_048))).toBe(false);
  expect(performance.now() - startedMs).toBeLessThan(50);
});

test('the index finds what trying all of them finds, in the order of writing', () => {
  const random = seededRandom();
  const text = (letters: string[]) => Array.from({ length: random.int(6) }, () => random.pick(letters)).join('');
  for (let round = 0; round < 2_000; round++) {
    const patterns = [...new Set(Array.from({ length: random.int(15) }, () => text(['a', 'b', '*'])))];
    const index = new WildcardIndex<string>();
    for (const pattern of patterns) index.at(pattern, () => pattern);
    const value = text(['a', 'b']);
    const expected = patterns.filter((pattern) => matches(pattern, value));
    expect(index.all(value).map(({ pattern }) => pattern)).toEqual(expected);
    expect(index.first(value)?.pattern).toBe(expected[0]);
  }
});
