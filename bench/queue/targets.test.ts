import { describe, expect, test } from '@jest/globals';
import type { Contest, Lane, Sample } from './contest.ts';
import { findingOf, type Recovery } from './recovery.ts';
import { outcomesOf, TARGETS, yardstickFor } from './targets.ts';

const laneOf = (contest: Partial<Contest>, name: string, samples: Partial<Sample>[]): Lane => ({
  contest: { row: 'B1', name: 'process', title: '', measure: 'speed', contenders: [], ...contest },
  contender: { name, title: name, cpuOf: '', measure: () => Promise.reject(new Error('not here')) },
  samples: samples.map((sample) => ({
    jobs: 1_000,
    perSecond: 1_000,
    serverMs: 100,
    foreignShare: 0,
    ...sample,
  })),
});

describe('a target of speed', () => {
  const bullmq = laneOf({}, 'bullmq', [
    { perSecond: 100, serverMs: 500 },
    { perSecond: 200, serverMs: 500 },
  ]);

  test('is reached at exactly the ratio, compared round by round', () => {
    const ours = laneOf({}, 'plinth', [{ perSecond: 500 }, { perSecond: 1_000 }]);
    expect(outcomesOf([ours, bullmq], 'wall')[0]).toMatchObject({ wall: { median: 5 }, reached: true });
    const slower = laneOf({}, 'plinth', [{ perSecond: 499 }, { perSecond: 998 }]);
    expect(outcomesOf([slower, bullmq], 'wall')[0]).toMatchObject({ reached: false });
  });

  test('is judged by CPU of a job where the machine is noisy: twice the jobs for the same CPU cost half', () => {
    const ours = laneOf({}, 'plinth', [
      { serverMs: 200, jobs: 2_000, perSecond: 1 },
      { serverMs: 200, jobs: 2_000, perSecond: 1 },
    ]);
    expect(outcomesOf([ours, bullmq], 'cpu')[0]).toMatchObject({ cpu: { median: 5 }, reached: true });
    expect(outcomesOf([ours, bullmq], 'wall')[0]).toMatchObject({ reached: false });
  });

  test('whose figure is missing on one side is not reached, and one that was not run has no outcome', () => {
    const blind = laneOf({}, 'plinth', [{ serverMs: undefined }]);
    expect(outcomesOf([blind, bullmq], 'cpu')[0]).toMatchObject({ cpu: undefined, reached: false });
    expect(outcomesOf([blind], 'cpu')).toEqual([]);
  });
});

test('latency and memory are judged by themselves, on any machine: less is better', () => {
  const latency = { name: 'latency', measure: 'latency' } as const;
  const theirs = laneOf(latency, 'bullmq', [{ p50Ms: 2 }]);
  const at = (p50Ms: number) => outcomesOf([laneOf(latency, 'plinth', [{ p50Ms }]), theirs], 'cpu')[0];
  expect(at(3)).toMatchObject({ wall: { median: 1.5 }, cpu: undefined, reached: true });
  expect(at(3.1)).toMatchObject({ reached: false });
  const memory = { name: 'memory', measure: 'memory' } as const;
  const lanes = [laneOf(memory, 'plinth', [{ bytesPerJob: 280 }]), laneOf(memory, 'bullmq', [{ bytesPerJob: 700 }])];
  expect(outcomesOf(lanes, 'wall')[0]).toMatchObject({ wall: { median: 0.4 }, reached: true });
});

test('a machine is noisy above a tenth taken by others; one that does not tell is judged by the clock', () => {
  expect([0.1, 0.11, undefined].map(yardstickFor)).toEqual(['wall', 'cpu', 'wall']);
});

test('recovery compares what was measured, and only states bounds when nothing was', () => {
  const of = (name: string, boundMs: number, tookMs: number[]): Recovery => ({ name, title: name, boundMs, tookMs });
  const stated = [of('plinth', 31_000, []), of('bullmq', 60_000, [])];
  expect(findingOf(stated, false)).toMatchObject({ ratio: 31 / 60, reached: true });
  const measured = [of('plinth', 31_000, [25_000, 29_000, 27_000]), of('bullmq', 60_000, [40_000, 45_000, 44_000])];
  expect(findingOf(measured, true)).toMatchObject({ ratio: 27 / 44, reached: false });
  expect(findingOf(stated.slice(1), false)).toMatchObject({ ratio: undefined, reached: false });
});

test('no target stands twice', () => {
  const names = TARGETS.map(({ contest, ours, against }) => `${contest} ${ours} ${against}`);
  expect(new Set(names).size).toBe(names.length);
});
