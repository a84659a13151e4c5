import { describe, expect, test } from '@jest/globals';
import { requestsOf, syntheticVisits, type TrafficPlan, type Visit } from './traffic.ts';

const PLAN: TrafficPlan = {
  domain: 'api',
  subjects: [{ entries: [{ key: 'user', value: 'u-{n}' }] }],
  cost: 1,
  ratePerSecond: 100,
  durationMs: 10_000,
  pattern: 'steady',
  burstSize: 10,
  keys: 4,
  distribution: 'even',
  seed: 7,
  startMs: 1_000_000,
};
const visitsOf = (told: Partial<TrafficPlan> = {}) => [...syntheticVisits({ ...PLAN, ...told })];
const firstValueOf = ({ check }: Visit) => check.subjects[0]!.entries[0]!.value;

function countByValue(visits: readonly Visit[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const visit of visits) counts.set(firstValueOf(visit), (counts.get(firstValueOf(visit)) ?? 0) + 1);
  return counts;
}

describe('described traffic', () => {
  test('is the same for the same seed and another for another', () => {
    for (const pattern of ['steady', 'random', 'bursts'] as const) {
      expect(visitsOf({ pattern })).toEqual(visitsOf({ pattern }));
      expect(visitsOf({ pattern }).map(firstValueOf)).not.toEqual(visitsOf({ pattern, seed: 8 }).map(firstValueOf));
    }
  });

  test.each(['steady', 'random', 'bursts'] as const)(
    'that comes %s goes forward and ends before its end',
    (pattern) => {
      const times = visitsOf({ pattern }).map(({ atMs }) => atMs);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(times[0]).toBeGreaterThanOrEqual(1_000_000);
      expect(times.at(-1)).toBeLessThan(1_010_000);
      expect(Math.abs(times.length - requestsOf(PLAN))).toBeLessThan(120);
    },
  );

  test('that is steady comes evenly', () => {
    expect(visitsOf({ ratePerSecond: 4, durationMs: 1_000 }).map(({ atMs }) => atMs - 1_000_000)).toEqual([
      0, 250, 500, 750,
    ]);
  });

  test('in bursts comes many at once, and no more often than told', () => {
    const times = visitsOf({ pattern: 'bursts', ratePerSecond: 10, burstSize: 5, durationMs: 1_000 });
    expect(times.map(({ atMs }) => atMs - 1_000_000)).toEqual([0, 0, 0, 0, 0, 500, 500, 500, 500, 500]);
  });

  test('has the number of the key where {n} stands, in every value', () => {
    const subjects = [{ entries: [{ key: 'a{n}', value: '{n}/{n}' }] }, { entries: [{ key: 'b', value: 'all' }] }];
    const [visit] = visitsOf({ subjects, keys: 1 });
    expect(visit!.check.subjects.map(({ entries }) => entries)).toEqual([
      [{ key: 'a{n}', value: '0/0' }],
      [{ key: 'b', value: 'all' }],
    ]);
  });

  test('has all of its keys, evenly or few of them often', () => {
    const even = countByValue(visitsOf({ ratePerSecond: 1_000 }));
    expect([...even.keys()].sort()).toEqual(['u-0', 'u-1', 'u-2', 'u-3']);
    for (const count of even.values()) expect(count / 2_500).toBeCloseTo(1, 0.5);
    const skewed = countByValue(visitsOf({ ratePerSecond: 1_000, keys: 100, distribution: 'skewed' }));
    expect(skewed.get('u-0')!).toBeGreaterThan(5 * skewed.get('u-9')!);
    expect(Math.max(...[...skewed.keys()].map((value) => Number(value.slice(2))))).toBeLessThan(100);
  });

  test('uses one key for all subjects of a request', () => {
    const subjects = ['a', 'b'].map((key) => ({ entries: [{ key, value: '{n}' }] }));
    for (const { check } of visitsOf({ subjects, keys: 50 })) {
      expect(check.subjects[0]!.entries[0]!.value).toBe(check.subjects[1]!.entries[0]!.value);
    }
  });
});
