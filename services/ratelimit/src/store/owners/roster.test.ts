import { describe, expect, test } from '@jest/globals';
import { Roster } from './roster.ts';

const joins = { since: 0, isLeaving: false, life: 'l' };
const beats = (since: number) => ({ since, isLeaving: false, life: 'l' });
const leaves = { since: 0, isLeaving: true, life: 'l' };

describe('a roster', () => {
  test('changes when one comes, announces to leave, and goes; a heartbeat changes nothing', () => {
    const roster = new Roster(0);
    expect(roster.put('a', 1, joins, 0)).toBe(true);
    expect(roster.put('b', 2, joins, 0)).toBe(true);
    expect(roster.put('a', 3, beats(1), 0)).toBe(false);
    expect(roster.view).toEqual({ epoch: 2, members: ['a', 'b'], active: ['a', 'b'] });
    expect(roster.put('a', 4, leaves, 0)).toBe(true);
    expect(roster.view).toEqual({ epoch: 4, members: ['a', 'b'], active: ['b'] });
    expect(roster.put('a', 5, { ...leaves, since: 4 }, 0)).toBe(false);
    expect(roster.remove('a', 6)).toBe(true);
    expect(roster.view).toEqual({ epoch: 6, members: ['b'], active: ['b'] });
    expect(roster.revision).toBe(6);
  });

  test('one who reads only the latest of each comes to the epoch of one who saw all', () => {
    const late = new Roster(0);
    late.put('b', 7, beats(2), 0);
    late.put('c', 9, beats(8), 0);
    late.remove('a', 6);
    expect(late.view).toEqual({ epoch: 8, members: ['b', 'c'], active: ['b', 'c'] });
  });

  test('one who went and came again while nobody looked is a change', () => {
    const roster = new Roster(0);
    roster.put('a', 1, joins, 0);
    expect(roster.put('a', 9, beats(8), 0)).toBe(true);
    expect(roster.view.epoch).toBe(8);
  });

  test('when all are leaving the slots stay with them', () => {
    const roster = new Roster(0);
    roster.put('a', 1, leaves, 0);
    roster.put('b', 2, leaves, 0);
    expect(roster.view.active).toEqual(['a', 'b']);
  });

  test('the silent are those whose latest heartbeat is older than that, to the millisecond', () => {
    const roster = new Roster(0);
    roster.put('a', 1, joins, 1_000);
    roster.put('b', 2, joins, 1_001);
    expect(roster.silentSince(1_001)).toEqual([{ id: 'a', revision: 1 }]);
    roster.put('a', 3, beats(1), 2_000);
    expect(roster.silentSince(1_002)).toEqual([{ id: 'b', revision: 2 }]);
    roster.forgive(5_000);
    expect(roster.silentSince(5_000)).toEqual([]);
  });

  test('reading anew makes nobody younger whose heartbeat was known already', () => {
    const [before, after] = [new Roster(0), new Roster(0)];
    before.put('a', 1, joins, 1_000);
    before.put('b', 2, joins, 1_000);
    after.put('a', 1, joins, 9_000);
    after.put('b', 5, beats(2), 9_000);
    after.keepAges(before);
    expect(after.silentSince(2_000)).toEqual([{ id: 'a', revision: 1 }]);
  });
});
