import { expect, test } from '@jest/globals';
import { chosen, raceOptions, UsageFault, wholeNumber } from './options.ts';

const plain = { quick: false, json: false, check: false };

test('a race has five rounds of three seconds, a quick one one of one, and what is said wins', () => {
  expect(raceOptions(plain, '/main.ts')).toMatchObject({ rounds: 5, seconds: 3, main: '/main.ts' });
  expect(raceOptions({ ...plain, quick: true }, '/main.ts')).toMatchObject({ rounds: 1, seconds: 1 });
  const said = { ...plain, quick: true, rounds: '7', seconds: '2', main: '/other.ts' };
  expect(raceOptions(said, '/main.ts')).toMatchObject({ rounds: 7, seconds: 2, main: '/other.ts' });
});

test('names are all or those that were chosen, and one that is none is refused with those there are', () => {
  expect([...chosen(['A', 'B'], undefined)]).toEqual(['A', 'B']);
  expect([...chosen(['A', 'B'], 'B')]).toEqual(['B']);
  expect(() => chosen(['A', 'B'], 'B,C')).toThrow('--only knows A, B, not "C"');
});

test.each(['0', '10000', '1.5', 'x', ''])('%j is no whole number from 1 to 9999', (text) => {
  expect(() => wholeNumber('rounds', text)).toThrow(UsageFault);
});
test.each(['1', '9999'])('%j is one', (text) => {
  expect(wholeNumber('rounds', text)).toBe(Number(text));
});
