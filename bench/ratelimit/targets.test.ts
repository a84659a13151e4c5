import { describe, expect, test } from '@jest/globals';
import { type Contest, CPU, type Lane, type Sample } from './contest.ts';
import { COST_TARGETS, costOutcomesOf, outcomesOf, RACE_TARGETS } from './targets.ts';

function laneOf(contest: Pick<Contest, 'name' | 'cost'>, contender: string, samples: Partial<Sample>[]): Lane {
  const filled = samples.map((sample) => ({ decisions: 1_000, perSecond: 1, serverMs: 1, foreignShare: 0, ...sample }));
  return {
    contest: { row: 'A7', title: contest.name, contenders: [], ...contest },
    contender: { name: contender, title: contender, measure: async () => filled[0]! },
    samples: filled,
  };
}

describe('a race', () => {
  const rls = { name: 'rls-1', cost: CPU };
  const envoy = laneOf(rls, 'envoy', [
    { serverMs: 100, p99Ms: 10 },
    { serverMs: 200, p99Ms: 10 },
  ]);

  test('is won by what a decision of theirs costs over one of ours, round by round', () => {
    const ours = laneOf(rls, 'plinth', [
      { serverMs: 50, p99Ms: 10 },
      { serverMs: 50, p99Ms: 5 },
    ]);
    const [outcome] = outcomesOf([ours, envoy]);
    expect(outcome).toMatchObject({
      cost: { median: 3, min: 2, max: 4 },
      p99: { median: 0.75 },
      reached: true,
      p99Reached: true,
    });
  });

  test('counts decisions, not calls: twice as many for the same CPU are half the cost', () => {
    const ours = laneOf(rls, 'plinth', [
      { serverMs: 100, decisions: 2_000 },
      { serverMs: 200, decisions: 2_000 },
    ]);
    expect(outcomesOf([ours, envoy])[0]!.cost!.median).toBe(2);
  });

  test('is missed just below the target, and by a 99th percentile that is worse', () => {
    const ours = laneOf(rls, 'plinth', [
      { serverMs: 50.1, p99Ms: 10.1 },
      { serverMs: 100.2, p99Ms: 10.1 },
    ]);
    expect(outcomesOf([ours, envoy])[0]).toMatchObject({ reached: false, p99Reached: false });
  });

  test('whose opponent or whose cost is missing reaches nothing', () => {
    expect(outcomesOf([laneOf(rls, 'plinth', [{}])])).toEqual([]);
    const blind = laneOf(rls, 'plinth', [{ serverMs: undefined }]);
    expect(outcomesOf([blind, envoy])[0]).toMatchObject({ cost: undefined, reached: false });
  });
});

test('memory is compared by bytes of a key', () => {
  const memory = { name: 'memory', cost: 'bytes/key' } as const;
  const ours = laneOf(memory, 'plinth', [{ bytesPerKey: 100 }]);
  const theirs = laneOf(memory, 'express-rate-limit', [{ bytesPerKey: 199 }]);
  expect(outcomesOf([ours, theirs])[0]).toMatchObject({ cost: { median: 1.99 }, wall: undefined, reached: false });
});

test('what we promise alone is held against an upper limit', () => {
  const bus = { name: 'nats-32', cost: CPU };
  const at = (serverMs: number) => costOutcomesOf([laneOf(bus, 'plinth', [{ serverMs }])])[0];
  expect(at(5)).toMatchObject({ cost: 5, reached: true });
  expect(at(5.1)).toMatchObject({ reached: false });
});

test('no target stands twice', () => {
  const names = [
    ...RACE_TARGETS.map(({ contest, against }) => `${contest} ${against}`),
    ...COST_TARGETS.map(({ contest }) => contest),
  ];
  expect(new Set(names).size).toBe(names.length);
});
