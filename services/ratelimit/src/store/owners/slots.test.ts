import { describe, expect, test } from '@jest/globals';
import { rangesOf, SLOTS, slotOf, slotsIn, slotTable } from './slots.ts';

const members = (count: number) =>
  Array.from({ length: count }, (_, at) => `ratelimit-${at}-${(at * 7919).toString(36)}`);
const share = (owners: readonly string[], id: string) => owners.filter((owner) => owner === id).length;

describe('slots', () => {
  test('keys that differ in one character spread over all slots', () => {
    const counts = new Array<number>(SLOTS).fill(0);
    for (let at = 0; at < 100 * SLOTS; at++) counts[slotOf(`3:api7:user_id8:${at}`)]! += 1;
    // A hundred each, give or take six standard deviations.
    expect(Math.min(...counts)).toBeGreaterThan(40);
    expect(Math.max(...counts)).toBeLessThan(160);
  });

  test('whoever knows the same members comes to the same table, in whatever order it learned of them', () => {
    expect(slotTable(members(5).reverse())).toEqual(slotTable(members(5)));
  });

  test.each([2, 3, 8, 64])('%d members own about the same', (count) => {
    const { owners } = slotTable(members(count));
    const even = SLOTS / count;
    for (const id of members(count)) {
      expect(share(owners, id)).toBeGreaterThan(even - 6 * Math.sqrt(even));
      expect(share(owners, id)).toBeLessThan(even + 6 * Math.sqrt(even));
    }
  });

  test('a member that goes leaves each of its slots to the successor, and no other slot moves', () => {
    const all = slotTable(members(4));
    const gone = members(4)[2]!;
    const rest = slotTable(members(4).filter((id) => id !== gone));
    for (let slot = 0; slot < SLOTS; slot++) {
      const owner = all.owners[slot]!;
      expect(rest.owners[slot]).toBe(owner === gone ? all.successors[slot] : owner);
    }
  });

  test('one member alone owns all and has no successor', () => {
    const { owners, successors } = slotTable(['only']);
    expect(new Set(owners)).toEqual(new Set(['only']));
    expect(new Set(successors)).toEqual(new Set([undefined]));
  });

  test.each([[[]], [[0]], [[SLOTS - 1]], [[3, 4, 5, 9]], [Array.from({ length: SLOTS }, (_, at) => at)]])(
    'slots come back from the ranges they travel as: %j',
    (slots: number[]) => expect(slotsIn(rangesOf([...slots].reverse()))).toEqual(slots),
  );

  test('ranges that say more than there is name no slot that is not there', () => {
    expect(slotsIn([-5, 2, 1_020, 5_000])).toEqual([0, 1, 1_020, 1_021, 1_022, 1_023]);
    expect(slotsIn([7])).toEqual([]);
  });
});
