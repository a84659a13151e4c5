import { describe, expect, test } from '@jest/globals';
import { admissionsByKey, type Decided, differences, excessOver, maxInAnyWindow, referenceOf } from './oracle.ts';

const at = (...times: number[]) => times.map((atUs) => ({ atUs, units: 1 }));

describe('the judge', () => {
  test('counts a window from any moment up to, but without, its end', () => {
    expect(maxInAnyWindow([], 10)).toBe(0);
    expect(maxInAnyWindow(at(0, 5, 9), 10)).toBe(3);
    expect(maxInAnyWindow(at(0, 5, 10), 10)).toBe(2);
    expect(maxInAnyWindow(at(10, 0, 9, 19), 10)).toBe(2);
    expect(maxInAnyWindow([{ atUs: 3, units: 7 }], 10)).toBe(7);
  });

  test('measures by how much the worst interval passes burst and rate', () => {
    const law = { burst: 2, perUs: 0.1 };
    expect(excessOver(at(0, 0), law)).toBe(0);
    expect(excessOver(at(0, 0, 0), law)).toBe(1);
    expect(excessOver(at(0, 0, 10), law)).toBe(0);
    expect(excessOver(at(0, 0, 5), law)).toBeCloseTo(0.5);
    // An empty past saves nothing beyond the burst.
    expect(excessOver(at(0, 1_000, 1_000, 1_000), law)).toBe(1);
  });

  test('sees what was decided against the definition, and nothing else', () => {
    const decided = (atUs: number, isAllowed: boolean): Decided => ({ atUs, key: 'a', cost: 1, isAllowed });
    const spec = { limit: 1, windowMs: 1 };
    expect(differences(spec, [decided(0, true), decided(500, false), decided(1_000, true)])).toEqual([]);
    expect(differences(spec, [decided(0, true), decided(500, true)])).toEqual([decided(500, true)]);
    expect(differences(spec, [decided(0, false)])).toEqual([decided(0, false)]);
  });

  test('looks at each key by itself, and at what came through alone', () => {
    const log = ['a', 'b', 'a'].map((key, atUs): Decided => ({ atUs, key, cost: 2, isAllowed: atUs < 2 }));
    expect([...admissionsByKey(log)]).toEqual([
      ['a', [{ atUs: 0, units: 2 }]],
      ['b', [{ atUs: 1, units: 2 }]],
    ]);
  });

  test('has no definition of places that are held', () => {
    expect(() => referenceOf({ algorithm: 'concurrency', limit: 1 })).toThrow(RangeError);
  });
});
