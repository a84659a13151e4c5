import { describe, expect, test } from '@jest/globals';
import { Limiter } from './limiter.ts';
import { ManualClock } from './manual-clock.fixture.ts';
import type { PolicySpec } from './policy.ts';

function limiterOf(spec: PolicySpec): { limiter: Limiter; clock: ManualClock } {
  const clock = new ManualClock({ steady: 60_000_000 });
  return { limiter: new Limiter({ ...spec, clock }), clock };
}

describe('gcra', () => {
  test('the whole burst is there at once, one more is not', () => {
    const { limiter } = limiterOf({ limit: 10, windowMs: 1_000 });
    expect(limiter.take('a', 10)).toEqual({
      isAllowed: true,
      remaining: 0,
      retryAfterUs: 0,
      resetUs: 1_000_000,
      delayUs: 0,
      isBlocked: false,
    });
    expect(limiter.take('a')).toMatchObject({ isAllowed: false, remaining: 0 });
  });

  test('a unit comes back exactly one step later, and not a fiftieth of a step before', () => {
    const { limiter, clock } = limiterOf({ limit: 10, windowMs: 1_000 });
    limiter.take('a', 10);
    clock.passUs(98_000);
    expect(limiter.look('a').isAllowed).toBe(false);
    clock.passUs(2_000);
    expect(limiter.take('a').isAllowed).toBe(true);
    expect(limiter.take('a').isAllowed).toBe(false);
  });

  test('a burst of its own bounds what is there at once, the rate stays that of the limit', () => {
    const { limiter, clock } = limiterOf({ limit: 10, windowMs: 1_000, burst: 2 });
    expect(limiter.take('a', 3)).toMatchObject({ isAllowed: false, retryAfterUs: Number.POSITIVE_INFINITY });
    expect(limiter.take('a', 2).isAllowed).toBe(true);
    clock.passMs(1_000);
    expect(limiter.look('a').remaining).toBe(2);
  });

  test('units that are given back can be taken again, and never more than a full bucket', () => {
    const { limiter } = limiterOf({ limit: 10, windowMs: 1_000 });
    limiter.take('a', 4);
    limiter.give('a', 3);
    expect(limiter.look('a').remaining).toBe(9);
    limiter.give('a', 100);
    expect(limiter.look('a', 10)).toMatchObject({ isAllowed: true, remaining: 10 });
    expect(limiter.size).toBe(0);
  });
});

describe('strict', () => {
  const spec = { algorithm: 'strict', limit: 10, windowMs: 60_000 } as const;

  test('what was taken counts until its whole sub-bucket has left the window', () => {
    const { limiter, clock } = limiterOf(spec);
    clock.passMs(999);
    limiter.take('a', 10);
    expect(limiter.take('a')).toMatchObject({ isAllowed: false, retryAfterUs: 60_001_000 });
    clock.passUs(60_000_999);
    expect(limiter.take('a').isAllowed).toBe(false);
    clock.passUs(1);
    expect(limiter.take('a', 10).isAllowed).toBe(true);
  });

  test('what is given back late never frees what was taken later', () => {
    const { limiter, clock } = limiterOf(spec);
    limiter.take('a', 4);
    clock.passMs(30_000);
    limiter.take('a', 6);
    limiter.give('a', 4);
    clock.passMs(31_000);
    // The first four have left the window, given back or not; the six are still in it.
    expect(limiter.look('a').remaining).toBe(4);
  });
});

describe('sliding', () => {
  const spec = { algorithm: 'sliding', limit: 10, windowMs: 1_000 } as const;

  test('the window before fades evenly', () => {
    const { limiter, clock } = limiterOf(spec);
    limiter.take('a', 10);
    clock.passMs(1_000);
    expect(limiter.look('a').remaining).toBe(0);
    clock.passMs(500);
    expect(limiter.look('a').remaining).toBe(5);
    clock.passMs(500);
    expect(limiter.look('a').remaining).toBe(10);
  });
});

describe('fixed', () => {
  const spec = { algorithm: 'fixed', limit: 10, windowMs: 1_000 } as const;

  test('all is there again with the next window of the clock, not a microsecond before', () => {
    const { limiter, clock } = limiterOf(spec);
    clock.passUs(400_000);
    limiter.take('a', 10);
    expect(limiter.take('a')).toMatchObject({ isAllowed: false, retryAfterUs: 600_000, resetUs: 600_000 });
    clock.passUs(599_999);
    expect(limiter.take('a').isAllowed).toBe(false);
    clock.passUs(1);
    expect(limiter.take('a', 10).isAllowed).toBe(true);
  });
});

describe('calendar', () => {
  test('a day ends at the midnight of its place, and the quota with it', () => {
    const { limiter, clock } = limiterOf({
      algorithm: 'calendar',
      limit: 3,
      period: 'day',
      timeZone: 'Asia/Kathmandu',
    });
    clock.wall = Date.parse('2024-05-01T18:14:59Z') * 1_000;
    limiter.take('a', 3);
    expect(limiter.take('a')).toMatchObject({ isAllowed: false, retryAfterUs: 1_000_000 });
    clock.passUs(999_999);
    expect(limiter.take('a').isAllowed).toBe(false);
    clock.passUs(1);
    expect(limiter.take('a', 3).isAllowed).toBe(true);
  });
});

describe('leaky', () => {
  test('each one waits for the turns of those before it, and one who finds no place is denied', () => {
    const { limiter } = limiterOf({ algorithm: 'leaky', limit: 10, windowMs: 1_000, burst: 3 });
    const delays = [1, 2, 3, 4].map(() => limiter.take('a'));
    expect(delays.map(({ delayUs }) => delayUs)).toEqual([0, 100_000, 200_000, 300_000]);
    expect(delays.map(({ isAllowed }) => isAllowed)).toEqual([true, true, true, false]);
  });
});

describe.each(['gcra', 'strict', 'sliding', 'fixed', 'leaky'] as const)('%s, as all', (algorithm) => {
  const spec = { algorithm, limit: 7, windowMs: 3_000 };

  test('a limit of 0 denies everything, for ever', () => {
    const { limiter } = limiterOf({ ...spec, limit: 0 });
    expect(limiter.take('a')).toMatchObject({ isAllowed: false, remaining: 0, retryAfterUs: Number.POSITIVE_INFINITY });
    expect(limiter.size).toBe(0);
  });

  test('a limit of 1 lets one through, and another after the time that it was told', () => {
    const { limiter, clock } = limiterOf({ ...spec, limit: 1 });
    expect(limiter.take('a').isAllowed).toBe(true);
    const { isAllowed, retryAfterUs } = limiter.take('a');
    expect(isAllowed).toBe(false);
    clock.passUs(Math.ceil(retryAfterUs));
    expect(limiter.take('a').isAllowed).toBe(true);
  });

  test('a cost beyond the limit can never be, a cost of 0 takes nothing', () => {
    const { limiter } = limiterOf(spec);
    expect(limiter.take('a', 8)).toMatchObject({
      isAllowed: false,
      remaining: 7,
      retryAfterUs: Number.POSITIVE_INFINITY,
    });
    expect(limiter.take('a', 0)).toMatchObject({ isAllowed: true, remaining: 7 });
    expect(limiter.size).toBe(0);
  });

  test('a debt is paid before anything is there again; what is left is never below 0', () => {
    const { limiter } = limiterOf(spec);
    expect(limiter.debit('a', 20)).toMatchObject({ isAllowed: false, remaining: 0 });
    expect(limiter.look('a')).toMatchObject({ isAllowed: false, remaining: 0 });
    expect(limiter.look('a').retryAfterUs).toBeGreaterThan(0);
  });

  test('a clock that stands still or goes back ten minutes gives nothing away', () => {
    const { limiter, clock } = limiterOf(spec);
    limiter.take('a', 7);
    for (const backMs of [0, 1, 3_000, 600_000]) {
      clock.passMs(-backMs);
      expect(limiter.take('a').isAllowed).toBe(false);
      clock.passMs(backMs);
    }
    clock.passMs(600_000);
    expect(limiter.take('a', 7).isAllowed).toBe(true);
    clock.passMs(-600_000);
    expect(limiter.take('a').isAllowed).toBe(false);
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 1_000_000_001])(
    'a cost of %p is refused, and nothing is counted',
    (cost) => {
      const { limiter } = limiterOf(spec);
      expect(() => limiter.take('a', cost)).toThrow(RangeError);
      expect(limiter.size).toBe(0);
    },
  );

  test('keys that are no ASCII, empty or of 4,096 characters are keys like others; longer ones are refused', () => {
    const { limiter } = limiterOf(spec);
    const keys = ['', 'é', '\u0000', '😀', 'ключ', 'x'.repeat(4_096), '\ud800', 'ÿ', 'Ā'];
    for (const key of keys) expect(limiter.take(key, 7).isAllowed).toBe(true);
    for (const key of keys) expect(limiter.take(key).isAllowed).toBe(false);
    expect(limiter.size).toBe(keys.length);
    expect(() => limiter.take('x'.repeat(4_097))).toThrow(RangeError);
  });
});
