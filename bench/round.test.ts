import { expect, test } from '@jest/globals';
import { turns } from './round.ts';

test('opponents of a case are neighbours in time, and each round begins with another one', () => {
  const heats = [
    { case: 'put', opponents: ['A', 'B'] },
    { case: 'get', opponents: ['A', 'B', 'C'] },
  ];
  const order = [...turns(2, heats)].map((turn) => `${turn.round} ${turn.case} ${turn.opponent}`);
  expect(order).toEqual([
    '0 put A',
    '0 put B',
    '0 get A',
    '0 get B',
    '0 get C',
    '1 put B',
    '1 put A',
    '1 get B',
    '1 get C',
    '1 get A',
  ]);
});

test('no rounds, no turns', () => {
  expect([...turns(0, [{ case: 'put', opponents: ['A'] }])]).toEqual([]);
});
