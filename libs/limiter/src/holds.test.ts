import { describe, expect, test } from '@jest/globals';
import type { Charge } from './charge.ts';
import { Holds, HoldsFull } from './holds.ts';
import { drawer, freshSeed, ManualClock } from './manual-clock.fixture.ts';
import { type PolicySpec, policyOf } from './policy.ts';

function holdsOf(spec: Partial<PolicySpec> = {}, holdsMax?: number) {
  const clock = new ManualClock();
  const policy = policyOf({ algorithm: 'concurrency', limit: 2, ...spec });
  const holds = new Holds({ clock, holdsMax });
  const charge = (key = 'a', cost = 1): Charge => ({ key, policy, cost });
  const hold = (id: string, { key = 'a', cost = 1, holdMs = 1_000, priority = undefined as string | undefined } = {}) =>
    holds.hold({ charge: charge(key, cost), id, holdMs, priority });
  return { clock, holds, charge, hold, policy };
}

describe('places', () => {
  test('as many as the limit are held at once, one more is told when the earliest ends', () => {
    const { hold, clock } = holdsOf();
    expect(hold('1')).toEqual({ id: '1', isHeld: true, remaining: 1, limit: 2, retryAfterUs: 0 });
    clock.passMs(100);
    expect(hold('2')).toMatchObject({ isHeld: true, remaining: 0 });
    expect(hold('3')).toEqual({ id: '3', isHeld: false, remaining: 0, limit: 2, retryAfterUs: 900_000 });
  });

  test('a place ends exactly at its deadline, and not a microsecond before', () => {
    const { hold, clock, holds, charge } = holdsOf({ limit: 1 });
    hold('1');
    clock.passUs(999_999);
    expect(hold('2').isHeld).toBe(false);
    clock.passUs(1);
    expect(hold('2').isHeld).toBe(true);
    expect(holds.keep(charge(), '1', 1_000)).toBe(false);
    expect(holds.release(charge(), '1')).toBe(false);
  });

  test('a heartbeat keeps a place for another while, and no longer', () => {
    const { hold, clock, holds, charge } = holdsOf({ limit: 1 });
    hold('1');
    clock.passUs(999_999);
    expect(holds.keep(charge(), '1', 500)).toBe(true);
    clock.passUs(499_999);
    expect(hold('2').isHeld).toBe(false);
    clock.passUs(1);
    expect(hold('2').isHeld).toBe(true);
  });

  test('what is released is free at once, and only once', () => {
    const { hold, holds, charge } = holdsOf();
    hold('1');
    hold('2');
    expect(holds.release(charge(), '1')).toBe(true);
    expect(holds.release(charge(), '1')).toBe(false);
    expect(hold('3').isHeld).toBe(true);
    expect(hold('4').isHeld).toBe(false);
  });

  test('an id that is held already is the same hold', () => {
    const { hold, holds } = holdsOf();
    hold('1');
    expect(hold('1')).toMatchObject({ isHeld: true, remaining: 1 });
    expect(holds.size).toBe(1);
  });

  test('several places are taken together or not at all; more than there are can never be', () => {
    const { hold } = holdsOf({ limit: 3 });
    hold('1', { cost: 2 });
    expect(hold('2', { cost: 2 })).toMatchObject({ isHeld: false, remaining: 1 });
    expect(hold('3', { cost: 4 })).toMatchObject({ isHeld: false, retryAfterUs: Number.POSITIVE_INFINITY });
    expect(hold('4', { cost: 0 })).toMatchObject({ isHeld: true, remaining: 1 });
    expect(hold('5').isHeld).toBe(true);
  });

  test('a limit of 0 lets nobody in', () => {
    expect(holdsOf({ limit: 0 }).hold('1')).toMatchObject({ isHeld: false, retryAfterUs: Number.POSITIVE_INFINITY });
  });

  test('a limit by rate is not decided here', () => {
    const { holds } = holdsOf();
    const charge = { key: 'a', policy: policyOf({ limit: 1, windowMs: 1 }), cost: 1 };
    expect(() => holds.hold({ charge, id: '1', holdMs: 1 })).toThrow(TypeError);
  });

  test('there is room for so many over all keys; those that have ended make room', () => {
    const { hold, clock, holds } = holdsOf({}, 2);
    hold('1', { key: 'a' });
    hold('1', { key: 'b' });
    expect(() => hold('1', { key: 'c' })).toThrow(HoldsFull);
    expect(holds.keys).toBe(2);
    clock.passMs(1_000);
    expect(hold('1', { key: 'c' }).isHeld).toBe(true);
    expect([holds.size, holds.keys]).toEqual([1, 1]);
  });

  test('sweeping frees what nobody asks for any more, and nothing else', () => {
    const { hold, clock, holds } = holdsOf();
    for (let key = 0; key < 100; key++) hold('1', { key: `k${key}`, holdMs: key < 60 ? 1_000 : 2_000 });
    clock.passMs(1_000);
    expect([holds.sweep(), holds.size, holds.keys]).toEqual([60, 40, 40]);
  });

  test('holds go on in another process', () => {
    const { hold, clock, holds, charge } = holdsOf();
    hold('1', { holdMs: 1_000 });
    hold('2', { holdMs: 2_000 });
    clock.passMs(500);
    const otherClock = new ManualClock({ steady: 9e12 });
    const other = new Holds({ clock: otherClock });
    other.import(JSON.parse(JSON.stringify([...holds.export()])));
    expect(other.hold({ charge: charge(), id: '3', holdMs: 1 })).toMatchObject({
      isHeld: false,
      retryAfterUs: 500_000,
    });
    otherClock.passMs(500);
    expect(other.hold({ charge: charge(), id: '3', holdMs: 1 }).isHeld).toBe(true);
    expect(other.keep(charge(), '2', 1_000)).toBe(true);
  });

  test('random holds, heartbeats and releases: what is held is what a list of deadlines says', () => {
    const seed = freshSeed();
    const draw = drawer(seed);
    const { hold, clock, holds, charge } = holdsOf({ limit: 8 });
    const deadlines = new Map<string, number>();
    for (let step = 0; step < 20_000; step++) {
      clock.passUs(draw(40_000));
      for (const [name, until] of deadlines) if (until <= clock.steady) deadlines.delete(name);
      const key = `k${draw(3)}`;
      const id = `${draw(12)}`;
      const name = `${key} ${id}`;
      const held = [...deadlines.keys()].filter((other) => other.startsWith(key)).length;
      const holdMs = 1 + draw(1_000);
      const known = deadlines.has(name);
      const choice = draw(4);
      let found: boolean;
      let wanted = known;
      if (choice < 2) {
        found = hold(id, { key, holdMs }).isHeld;
        wanted = known || held < 8;
      } else if (choice === 2) found = holds.keep(charge(key), id, holdMs);
      else found = holds.release(charge(key), id);
      expect({ seed, step, found }).toEqual({ seed, step, found: wanted });
      if (choice === 3) deadlines.delete(name);
      else if (wanted) deadlines.set(name, clock.steady + holdMs * 1_000);
      if (draw(50) === 0) holds.sweep(draw(3));
    }
  });
});

describe('adaptive', () => {
  const spec = {
    algorithm: 'adaptive',
    limit: 100,
    limitMin: 5,
    targetMs: 50,
    shares: { batch: 0.5, normal: 0.8 },
  } as const;

  /** Work of so many places at once, until the limit has settled. @returns Where it did. */
  function settledAt(latencyMs: (held: number) => number, isOverload: (held: number) => boolean = () => false): number {
    const { hold, holds, charge, clock } = holdsOf(spec);
    let limit = 0;
    for (let round = 0; round < 300; round++) {
      const ids: string[] = [];
      for (let id = 0; id < 120; id++) {
        const one = hold(`${round}-${id}`, { holdMs: 10_000 });
        limit = one.limit;
        if (one.isHeld) ids.push(one.id);
      }
      const held = ids.length;
      clock.passMs(100);
      for (const id of ids) holds.release(charge(), id, { latencyMs: latencyMs(held), isOverload: isOverload(held) });
    }
    return limit;
  }

  test('stays at the most while latency is within the target', () => {
    expect(settledAt(() => 50)).toBe(100);
  });

  test('finds the number of places at which latency meets its target', () => {
    // Two milliseconds for each that is held: 50 ms at 25.
    const found = settledAt((held) => held * 2);
    expect(found).toBeGreaterThan(20);
    expect(found).toBeLessThan(30);
  });

  test('goes down on overload alone, and no lower than the least', () => {
    const found = settledAt(
      () => 1,
      (held) => held > 40,
    );
    expect(found).toBeGreaterThan(30);
    expect(found).toBeLessThan(46);
    expect(settledAt(() => 5_000)).toBe(5);
  });

  test('does not rise while nobody needs it to', () => {
    const { hold, holds, charge, clock } = holdsOf(spec);
    const work = (latencyMs: number, places: number, rounds: number) => {
      let limit = 0;
      for (let round = 0; round < rounds; round++) {
        for (let id = 0; id < places; id++) limit = hold(`${round}-${id}`, { holdMs: 10_000 }).limit;
        clock.passMs(100);
        for (let id = 0; id < places; id++) holds.release(charge(), `${round}-${id}`, { latencyMs });
      }
      return limit;
    };
    work(500, 100, 60);
    const low = work(10, 2, 1);
    expect(low).toBe(5);
    expect(work(10, 2, 200)).toBe(low);
    expect(work(10, 100, 100)).toBe(100);
  });

  test('a class takes a place only while less than its share is held, the critical one while there is any', () => {
    const { hold } = holdsOf({ ...spec, limit: 10, limitMin: 1 });
    const take = (priority: string, times: number) =>
      Array.from({ length: times }, (_, id) => hold(`${priority}-${id}`, { priority })).filter(({ isHeld }) => isHeld)
        .length;
    expect(take('batch', 10)).toBe(5);
    expect(take('normal', 10)).toBe(3);
    expect(take('critical', 10)).toBe(2);
    expect(take('another', 10)).toBe(0);
  });

  test('the limit that was found is remembered while nobody holds, and goes along to another process', () => {
    const { hold, holds, charge, clock } = holdsOf(spec);
    for (let round = 0; round < 10; round++) {
      for (let id = 0; id < 20; id++) hold(`${id}`);
      clock.passMs(100);
      for (let id = 0; id < 20; id++) holds.release(charge(), `${id}`, { latencyMs: 500 });
    }
    const { limit } = hold('look', { cost: 0 });
    expect(limit).toBeLessThan(60);
    clock.passMs(60_000);
    holds.sweep();
    expect(hold('look', { cost: 0 }).limit).toBe(limit);
    const other = new Holds({ clock });
    other.import(JSON.parse(JSON.stringify([...holds.export()])));
    expect(other.hold({ charge: charge('a', 0), id: 'x', holdMs: 1 }).limit).toBe(limit);
    clock.passMs(600_000);
    holds.sweep();
    expect([holds.keys, hold('look', { cost: 0 }).limit]).toEqual([0, 100]);
  });
});
