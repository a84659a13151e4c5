import { describe, expect, test } from '@jest/globals';
import { hashOf, KeyTable, POLICY, wordsAt } from './key-table.ts';
import { drawer, freshSeed } from './manual-clock.fixture.ts';
import { stateKey } from './state-key.ts';

describe('keys and slots', () => {
  test('random keys come, go and are found as a Map finds them', () => {
    const seed = freshSeed();
    const draw = drawer(seed);
    const table = new KeyTable(seed);
    const slots = new Map<string, number>();
    const letters = ['a', 'b', 'é', 'ÿ', 'Ā', '😀', '\0'];
    const keyOf = () => Array.from({ length: draw(4) === 0 ? draw(90) : draw(5) }, () => letters[draw(7)]).join('');
    for (let step = 0; step < 20_000; step++) {
      const key = keyOf();
      const slot = slots.get(key);
      if ((slot ?? -1) !== table.find(key)) throw new Error(`seed ${seed}, step ${step}: ${JSON.stringify(key)}`);
      if (slot === undefined) {
        const added = table.add(key);
        table.words(added)[wordsAt(added) + POLICY] = 0;
        slots.set(key, added);
      } else if (draw(step < 12_000 ? 3 : 2) === 0) {
        table.remove(slot);
        slots.delete(key);
      }
    }
    expect(table.size).toBe(slots.size);
    expect(new Set(slots.values()).size).toBe(slots.size);
    for (const [key, slot] of slots) expect([table.find(key), table.keyOf(slot)]).toEqual([slot, key]);
  });

  test('a freed slot is given out again, and its key is not known any more', () => {
    const table = new KeyTable(1);
    const slot = table.add('a');
    expect(table.find('a')).toBe(slot);
    table.remove(slot);
    expect(table.find('a')).toBe(-1);
    expect(table.add('b')).toBe(slot);
    expect([table.find('a'), table.find('b')]).toEqual([-1, slot]);
  });

  test('200,000 keys that differ in one digit share chains as chance would have it', () => {
    const chains = new Map<number, number>();
    for (let number = 0; number < 200_000; number++) {
      const chain = hashOf(`user-${number}`, 77) & 0x3ffff;
      chains.set(chain, (chains.get(chain) ?? 0) + 1);
    }
    // 0.76 keys in a chain: by Poisson 53 % of chains have one, and none in 10 million has more than 11.
    expect([...chains.values()].reduce((most, one) => Math.max(most, one))).toBeLessThan(12);
    expect(chains.size / 2 ** 18).toBeCloseTo(1 - Math.exp(-200_000 / 2 ** 18), 2);
  });

  test('keys that collide under one seed do not under another', () => {
    const byHash = new Map<number, string>();
    const pairs: [string, string][] = [];
    for (let number = 0; pairs.length < 1; number++) {
      const key = `attack-${number}`;
      const hash = hashOf(key, 1);
      if (byHash.has(hash)) pairs.push([byHash.get(hash)!, key]);
      byHash.set(hash, key);
    }
    for (const [one, other] of pairs) expect(hashOf(one, 2)).not.toBe(hashOf(other, 2));
  });
});

describe('stateKey', () => {
  test('no two lists of parts give one key, whatever they are made of', () => {
    const parts = [
      '',
      '0',
      '1:',
      '0:',
      '1:0',
      ':',
      'a',
      '1:a',
      '2:ab',
      'ab',
      '1:a1:b',
      'b',
      '_',
      'user=x_role_admin',
      '\0',
    ];
    const lists: string[][] = [[]];
    for (const one of parts) {
      lists.push([one]);
      for (const two of parts) {
        lists.push([one, two]);
        for (const three of parts) lists.push([one, two, three]);
      }
    }
    expect(new Set(lists.map(stateKey)).size).toBe(lists.length);
  });
});
