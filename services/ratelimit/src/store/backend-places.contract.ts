/** The part of the battery about places that are held and ids that are claimed. */
import { expect, test } from '@jest/globals';
import type { Charge } from '@plinth/limiter';
import { eventually } from '@plinth/testkit';
import { type Bench, long, of } from './backend-bench.contract.ts';

export function holdsPlaces(bench: Bench): void {
  const places = (limit: number, cost = 1) =>
    bench.charge({ algorithm: 'concurrency', limit, holdMs: 60_000 }, { cost });
  const hold = async (charge: Charge, id: string, holdMs = 60_000) => bench.backend.hold({ charge, id, holdMs });

  test('of 64 that ask at once for 10 places exactly 10 get one', async () => {
    const charge = places(10);
    const holds = await Promise.all(Array.from({ length: 64 }, (_, at) => hold(charge, `h${at}`)));
    const held = holds.filter(({ isHeld }) => isHeld);
    expect(held).toHaveLength(10);
    expect(held.map(({ remaining }) => remaining).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const denied = holds.find(({ isHeld }) => !isHeld)!;
    expect(denied).toMatchObject({ remaining: 0, limit: 10 });
    expect(denied.retryAfterUs).toBeGreaterThan(50_000_000);
    expect(denied.retryAfterUs).toBeLessThanOrEqual(60_000_000);
  });

  test('a place that is released is free, once', async () => {
    const charge = places(1);
    expect(await hold(charge, 'a')).toMatchObject({ isHeld: true, remaining: 0, limit: 1, retryAfterUs: 0 });
    expect((await hold(charge, 'b')).isHeld).toBe(false);
    expect(await bench.backend.release(charge, 'b', {})).toBe(false);
    expect(await bench.backend.release(charge, 'a', {})).toBe(true);
    expect(await bench.backend.release(charge, 'a', {})).toBe(false);
    expect((await hold(charge, 'b')).isHeld).toBe(true);
  });

  test('a place that nobody keeps is free when its time is over, and cannot be kept or released any more', async () => {
    const charge = places(2);
    expect((await hold(charge, 'lost', 1_000)).isHeld).toBe(true);
    expect((await hold(charge, 'kept', 1_000)).isHeld).toBe(true);
    await bench.pass(550);
    expect(await bench.backend.keep(charge, 'kept', 5_000)).toBe(true);
    await bench.pass(550);
    expect(await bench.backend.keep(charge, 'lost', 5_000)).toBe(false);
    expect(await bench.backend.release(charge, 'lost', {})).toBe(false);
    expect((await hold(charge, 'next')).isHeld).toBe(true);
    expect((await hold(charge, 'one too many')).isHeld).toBe(false);
    expect(await bench.backend.release(charge, 'kept', {})).toBe(true);
  });

  test('a cost takes so many places, all or none', async () => {
    const charge = places(5, 3);
    expect(await hold(charge, 'a')).toMatchObject({ isHeld: true, remaining: 2 });
    expect(await hold(charge, 'b')).toMatchObject({ isHeld: false, remaining: 2 });
    expect(await hold(of(charge, 2), 'c')).toMatchObject({ isHeld: true, remaining: 0 });
    expect(await bench.backend.release(charge, 'a', {})).toBe(true);
    expect(await hold(charge, 'b')).toMatchObject({ isHeld: true, remaining: 0 });
    expect(await hold(of(charge, 6), 'd')).toMatchObject({ isHeld: false, retryAfterUs: Number.POSITIVE_INFINITY });
  });

  test('an adaptive limit holds places and takes them back', async () => {
    const charge = bench.charge({ algorithm: 'adaptive', limit: 20, targetMs: 100 });
    const first = await hold(charge, 'a');
    expect(first.isHeld).toBe(true);
    expect(first.limit).toBeLessThanOrEqual(20);
    expect(await bench.backend.release(charge, 'a', { latencyMs: 10 })).toBe(true);
    expect(await bench.backend.release(charge, 'a', { latencyMs: 10 })).toBe(false);
  });
}

export function claims(bench: Bench): void {
  test('an id is claimed by one of 16, until its time is over', async () => {
    const near = bench.charge(long('gcra', 1));
    const claim = async (id: string, forMs: number) => bench.backend.claim(near, id, forMs);
    const claimed = await Promise.all(Array.from({ length: 16 }, () => claim('once', 60_000)));
    expect(claimed.filter(Boolean)).toHaveLength(1);
    expect(await claim('another', 60_000)).toBe(true);
    expect(await claim('short', 200)).toBe(true);
    expect(await claim('short', 200)).toBe(false);
    await bench.pass(250);
    await eventually(() => claim('short', 200));
    expect(await claim('once', 60_000)).toBe(false);
  });
}
