import { describe, expect, test } from '@jest/globals';
import { Histogram } from './histogram.ts';
import type { LeasedJob, Settlement } from './job.ts';
import { QueueFigures } from './queue-figures.ts';
import { RateMeter } from './rate-meter.ts';

describe('a histogram', () => {
  test('counts a value that is a bound into the bucket of that bound, and cumulates', () => {
    const histogram = new Histogram();
    for (const ms of [1, 1.1, 2.5, 3_600_000]) histogram.record(ms);
    const lines = histogram.lines('x', 'queue="q"').split('\n');
    expect(lines.slice(0, 3)).toEqual([
      'x_bucket{queue="q",le="0.001"} 1',
      'x_bucket{queue="q",le="0.0025"} 3',
      'x_bucket{queue="q",le="0.005"} 3',
    ]);
    expect(lines.slice(-4)).toEqual([
      'x_bucket{queue="q",le="+Inf"} 4',
      'x_sum{queue="q"} 3600.0046',
      'x_count{queue="q"} 4',
      '',
    ]);
  });

  test('a clock that is behind counts as no time, and percentiles are bounds of buckets', () => {
    const histogram = new Histogram();
    expect(histogram.percentiles()).toEqual({ count: 0, meanMs: 0, p50Ms: 0, p99Ms: 0 });
    for (let at = 0; at < 98; at++) histogram.record(-5);
    histogram.record(40);
    histogram.record(40);
    expect(histogram.percentiles()).toEqual({ count: 100, meanMs: 0.8, p50Ms: 1, p99Ms: 50 });
  });
});

describe('a rate', () => {
  test('is that of the last ten seconds, and of a shorter life of that life', () => {
    const meter = new RateMeter();
    expect(meter.perSecond(5_000)).toBe(0);
    meter.add(1_000_000, 30);
    expect(meter.perSecond(1_000_999)).toBe(30);
    expect(meter.perSecond(1_002_000)).toBe(10);
    expect(meter.perSecond(1_009_999)).toBe(3);
    expect(meter.perSecond(1_010_000)).toBe(0);
  });
});

describe('figures of a queue', () => {
  const job = (token: string, dueAtMs: number) => ({ token, dueAtMs }) as LeasedJob;

  const ack = (token: string): Settlement => ({ id: token, token, kind: 'ack', result: undefined });

  test('time from due to lease', () => {
    const figures = new QueueFigures();
    figures.leased([job('1', 900)], 1_000);
    const { waitMs, counts } = figures.snapshot(1_040);
    expect([waitMs.meanMs, counts.leased]).toEqual([100, 1]);
  });

  test('a second ack is told from a lease that was lost', () => {
    const figures = new QueueFigures();
    figures.leased([job('1', 0), job('2', 0)], 0);
    figures.settled([ack('1')]);
    figures.refused('1', 2);
    figures.refused('2', 2);
    expect(figures.counts).toMatchObject({ duplicateAcks: 1, leasesLost: 1 });
  });
});
