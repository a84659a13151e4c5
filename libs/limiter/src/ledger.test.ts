import { describe, expect, test } from '@jest/globals';
import type { Charge } from './charge.ts';
import { Ledger } from './ledger.ts';
import { ManualClock } from './manual-clock.fixture.ts';
import { policyOf } from './policy.ts';
import { LedgerFull } from './states.ts';

const TEN = policyOf({ limit: 10, windowMs: 10_000 });
const FIVE = policyOf({ algorithm: 'fixed', limit: 5, windowMs: 10_000 });

function ledgerOf(statesMax?: number): { ledger: Ledger; clock: ManualClock } {
  const clock = new ManualClock({ steady: 100_000_000 });
  return { ledger: new Ledger({ clock, statesMax }), clock };
}

const charge = (key: string, cost = 1, more: Partial<Charge> = {}): Charge => ({ key, policy: TEN, cost, ...more });
const left = (ledger: Ledger, one: Charge): number => ledger.decideOne({ ...one, cost: 0 }, 'look').remaining;

describe('several charges', () => {
  test('one that is denied takes nothing of the others, and says what is left of them', () => {
    const { ledger } = ledgerOf();
    ledger.decide([charge('b', 5, { policy: FIVE })], 'take');
    const { isAllowed, outcomes } = ledger.decide([charge('a', 3), charge('b', 1, { policy: FIVE })], 'take');
    expect(isAllowed).toBe(false);
    expect(outcomes.map((outcome) => outcome.isAllowed)).toEqual([true, false]);
    expect(outcomes.map(({ remaining }) => remaining)).toEqual([10, 0]);
    expect(ledger.size).toBe(1);
  });

  test('all are taken when all can be', () => {
    const { ledger } = ledgerOf();
    const { isAllowed, outcomes } = ledger.decide([charge('a', 3), charge('b', 2, { policy: FIVE })], 'take');
    expect(isAllowed).toBe(true);
    expect(outcomes.map(({ remaining }) => remaining)).toEqual([7, 3]);
  });

  test('the same key twice pays for both: 3 and 3 on 5 left are denied, 3 and 2 are not', () => {
    for (const policy of [TEN, FIVE]) {
      const { ledger } = ledgerOf();
      if (policy === TEN) ledger.decide([charge('a', 5)], 'take');
      const twice = (one: number, other: number) =>
        ledger.decide([charge('a', one, { policy }), charge('a', other, { policy })], 'take');
      const denied = twice(3, 3);
      expect(denied.outcomes.map(({ isAllowed }) => isAllowed)).toEqual([true, false]);
      expect(denied.isAllowed).toBe(false);
      expect(denied.outcomes[1]!.retryAfterUs).toBeGreaterThan(0);
      expect(left(ledger, charge('a', 0, { policy }))).toBe(5);
      expect(twice(3, 2).outcomes.map(({ remaining }) => remaining)).toEqual([0, 0]);
      expect(twice(1, 0).isAllowed).toBe(false);
    }
  });

  test('one key under two algorithms has two states', () => {
    const { ledger } = ledgerOf();
    expect(ledger.decide([charge('a', 5), charge('a', 5, { policy: FIVE })], 'take').isAllowed).toBe(true);
    expect([left(ledger, charge('a')), left(ledger, charge('a', 0, { policy: FIVE }))]).toEqual([5, 0]);
  });

  test('looking takes nothing, debiting takes all, whatever is left', () => {
    const { ledger } = ledgerOf();
    const both = [charge('a', 3), charge('b', 6, { policy: FIVE })];
    expect(ledger.decide(both, 'look').isAllowed).toBe(false);
    expect(ledger.size).toBe(0);
    expect(ledger.decide(both, 'debit').isAllowed).toBe(false);
    expect([left(ledger, both[0]!), left(ledger, both[1]!)]).toEqual([7, 0]);
  });

  test('nothing asked is nothing denied', () => {
    expect(ledgerOf().ledger.decide([], 'take')).toEqual({ isAllowed: true, outcomes: [] });
  });

  test('a cost that is none is refused before anything is taken', () => {
    const { ledger } = ledgerOf();
    expect(() => ledger.decide([charge('a', 1), charge('b', -1)], 'take')).toThrow(RangeError);
    expect(ledger.size).toBe(0);
  });

  test('a limit of concurrency is not decided here', () => {
    const policy = policyOf({ algorithm: 'concurrency', limit: 1 });
    expect(() => ledgerOf().ledger.decide([charge('a', 1, { policy })], 'take')).toThrow(TypeError);
  });
});

describe('shadows', () => {
  test('one that is over its limit denies nobody, and says that it would have', () => {
    const { ledger } = ledgerOf();
    const shadow = charge('s', 5, { policy: FIVE, isShadow: true });
    expect(ledger.decide([charge('a'), shadow], 'take').isAllowed).toBe(true);
    const over = ledger.decide([charge('a'), shadow], 'take');
    expect(over.isAllowed).toBe(true);
    expect(over.outcomes.map(({ isAllowed }) => isAllowed)).toEqual([true, false]);
    expect(ledger.decide([shadow], 'take')).toMatchObject({ isAllowed: true, outcomes: [{ isAllowed: false }] });
  });

  test('a denied request takes nothing of a shadow', () => {
    const { ledger } = ledgerOf();
    const shadow = charge('s', 1, { isShadow: true });
    expect(ledger.decide([shadow, charge('a', 11)], 'take').isAllowed).toBe(false);
    expect(left(ledger, shadow)).toBe(10);
  });
});

describe('penalties and blocks', () => {
  const penalty = { denials: 3, withinMs: 5_000, blockMs: 60_000 };

  test('the third denial blocks for exactly a minute, also what would be allowed', () => {
    const { ledger, clock } = ledgerOf();
    const one = charge('a', 10, { penalty });
    ledger.decideOne(one, 'take');
    expect(ledger.decideOne(one, 'take')).toMatchObject({ isAllowed: false, isBlocked: false });
    ledger.decideOne(one, 'take');
    expect(ledger.decideOne(one, 'take')).toMatchObject({ isBlocked: true, retryAfterUs: 60_000_000, remaining: 0 });
    clock.passUs(59_999_999);
    expect(ledger.decideOne(one, 'take')).toMatchObject({ isAllowed: false, isBlocked: true, retryAfterUs: 1 });
    clock.passUs(1);
    expect(ledger.decideOne(one, 'take')).toMatchObject({ isAllowed: true, isBlocked: false });
  });

  test('denials that lie too far apart do not add up, nor do looks', () => {
    const { ledger, clock } = ledgerOf();
    const one = charge('a', 11, { penalty });
    for (let times = 0; times < 10; times++) {
      expect(ledger.decideOne(one, 'take').isBlocked).toBe(false);
      expect(ledger.decideOne(one, 'look').isBlocked).toBe(false);
      clock.passMs(2_501);
    }
  });

  test('a block denies all charges together, whichever it is', () => {
    const { ledger } = ledgerOf();
    ledger.block([charge('b')], 1_000);
    const { isAllowed, outcomes } = ledger.decide([charge('a'), charge('b')], 'take');
    expect(isAllowed).toBe(false);
    expect(outcomes.map(({ isBlocked }) => isBlocked)).toEqual([false, true]);
    expect(ledger.grant(charge('b'), 5, 1)).toMatchObject({ units: 0, retryAfterUs: 1_000_000 });
  });

  test('a block ends by itself, by a block of 0 and by a reset, which also forgets what was taken', () => {
    const { ledger, clock } = ledgerOf();
    const isBlocked = () => ledger.decideOne(charge('a', 0), 'look').isBlocked;
    ledger.block([charge('a')], 1);
    clock.passMs(1);
    expect(isBlocked()).toBe(false);
    ledger.block([charge('a')], 1_000);
    ledger.block([charge('a')], 0);
    expect(isBlocked()).toBe(false);
    ledger.decideOne(charge('a', 10), 'take');
    ledger.block([charge('a')], 1_000);
    ledger.reset([charge('a')]);
    expect(ledger.decideOne(charge('a', 10), 'take')).toMatchObject({ isAllowed: true, isBlocked: false });
  });
});

describe('grants', () => {
  test('lend no more than was wanted, than is there, than the share of it; but one at least', () => {
    const { ledger } = ledgerOf();
    expect(ledger.grant(charge('a'), 3, 1)).toMatchObject({ units: 3, remaining: 7 });
    expect(ledger.grant(charge('a'), 100, 0.5)).toMatchObject({ units: 3, remaining: 4 });
    expect(ledger.grant(charge('a'), 100, 0.01)).toMatchObject({ units: 1, remaining: 3 });
    expect(ledger.grant(charge('a'), 100, 1)).toMatchObject({ units: 3, remaining: 0 });
    expect(ledger.grant(charge('a'), 1, 1)).toMatchObject({ units: 0, retryAfterUs: expect.any(Number) });
  });

  test('of a strict limit live to the end of their sub-bucket, of a fixed one to that of its window', () => {
    const { ledger, clock } = ledgerOf();
    clock.passUs(300_000);
    const strict = policyOf({ algorithm: 'strict', limit: 100, windowMs: 60_000 });
    expect(ledger.grant(charge('a', 1, { policy: strict }), 10, 1).lifeUs).toBe(700_000);
    expect(ledger.grant(charge('a', 1, { policy: FIVE }), 10, 1).lifeUs).toBe(9_700_000);
    expect(ledger.grant(charge('a'), 10, 1).lifeUs).toBeUndefined();
  });
});

describe('giving back', () => {
  test.each(['fixed', 'strict', 'sliding'] as const)(
    '%s: what was taken in an earlier window is not given twice',
    (algorithm) => {
      const { ledger, clock } = ledgerOf();
      const policy = policyOf({ algorithm, limit: 10, windowMs: 10_000 });
      const one = (cost: number, agoUs = 0) => charge('a', cost, { policy, agoUs });
      ledger.decideOne(one(10), 'take');
      clock.passMs(25_000);
      ledger.decideOne(one(8), 'take');
      ledger.give([one(5, 25_000_000)]);
      expect(left(ledger, one(0))).toBe(2);
      ledger.give([one(5)]);
      expect(left(ledger, one(0))).toBe(7);
    },
  );

  test('of a key that nothing was taken of is nothing', () => {
    const { ledger } = ledgerOf();
    ledger.give([charge('a', 5)]);
    expect(ledger.size).toBe(0);
  });
});

describe('a limit that changes', () => {
  test.each([
    ['gcra', { limit: 10, windowMs: 10_000 }, { limit: 20, windowMs: 10_000 }, 14],
    ['gcra', { limit: 10, windowMs: 10_000 }, { limit: 4, windowMs: 1_000 }, 0],
    ['strict', { limit: 10, windowMs: 10_000 }, { limit: 20, windowMs: 3_000 }, 14],
    ['fixed', { limit: 10, windowMs: 10_000 }, { limit: 7, windowMs: 60_000 }, 1],
  ] as const)('%s: what is used stays used', (algorithm, before, after, expected) => {
    const { ledger } = ledgerOf();
    ledger.decideOne(charge('a', 6, { policy: policyOf({ algorithm, ...before }) }), 'take');
    const policy = policyOf({ algorithm, ...after });
    expect(left(ledger, charge('a', 0, { policy }))).toBe(expected);
    // Looking has changed nothing: the old limit goes on as it was.
    expect(left(ledger, charge('a', 0, { policy: policyOf({ algorithm, ...before }) }))).toBe(4);
    if (expected > 0) ledger.decideOne(charge('a', 1, { policy }), 'take');
    expect(left(ledger, charge('a', 0, { policy }))).toBe(Math.max(0, expected - 1));
  });

  test('the same limit written again is the same limit, also after thousands of others', () => {
    const { ledger } = ledgerOf();
    for (let limit = 100; limit < 3_000; limit++) {
      ledger.decideOne(charge(`k${limit}`, 1, { policy: policyOf({ limit, windowMs: 60_000 }) }), 'take');
    }
    for (let limit = 100; limit < 3_000; limit++) {
      const policy = policyOf({ limit, windowMs: 60_000 });
      expect(ledger.decideOne(charge(`k${limit}`, 1, { policy }), 'take').remaining).toBe(limit - 2);
    }
  });
});

describe('room', () => {
  test('when it is full, keys that are limited stay limited, new ones are refused, nothing is taken of either', () => {
    const { ledger, clock } = ledgerOf(3);
    for (const key of ['a', 'b', 'c']) ledger.decideOne(charge(key, 10), 'take');
    expect(() => ledger.decideOne(charge('d'), 'take')).toThrow(LedgerFull);
    expect(() => ledger.decide([charge('a', 0), charge('d')], 'take')).toThrow(LedgerFull);
    expect(ledger.decideOne(charge('d'), 'look').isAllowed).toBe(true);
    for (const key of ['a', 'b', 'c']) expect(ledger.decideOne(charge(key), 'take').isAllowed).toBe(false);
    clock.passMs(1_000);
    expect(ledger.decideOne(charge('a'), 'take').isAllowed).toBe(true);
    clock.passMs(10_500);
    expect(ledger.decideOne(charge('d'), 'take').isAllowed).toBe(true);
  });

  test('several that do not all fit take nothing', () => {
    const { ledger } = ledgerOf(3);
    ledger.decideOne(charge('a'), 'take');
    expect(() =>
      ledger.decide(
        ['b', 'c', 'd'].map((key) => charge(key)),
        'take',
      ),
    ).toThrow(LedgerFull);
    expect(ledger.size).toBe(1);
    expect(
      ledger.decide(
        ['b', 'c', 'a'].map((key) => charge(key)),
        'take',
      ).isAllowed,
    ).toBe(true);
  });

  test('what is as good as new is swept away, what is not stays', () => {
    const { ledger, clock } = ledgerOf();
    ledger.decideOne(charge('slow', 10), 'take');
    for (let count = 0; count < 1_000; count++) ledger.decideOne(charge(`k${count}`), 'take');
    clock.passMs(1_500);
    expect(ledger.sweep()).toBe(1_000);
    expect(ledger.size).toBe(1);
    expect(ledger.decideOne(charge('slow', 2), 'take').isAllowed).toBe(false);
    clock.passMs(40 * 86_400_000);
    expect(ledger.sweep()).toBe(1);
  });

  test('a bounded sweep goes on where it stopped', () => {
    const { ledger, clock } = ledgerOf();
    for (let count = 0; count < 1_000; count++) ledger.decideOne(charge(`k${count}`), 'take');
    clock.passMs(1_500);
    const freed = Array.from({ length: 11 }, () => ledger.sweep(100));
    expect(freed.reduce((sum, one) => sum + one, 0)).toBe(1_000);
    expect(Math.max(...freed)).toBe(100);
  });

  test('windows of a year are kept for a year', () => {
    const { ledger, clock } = ledgerOf();
    const policy = policyOf({ algorithm: 'calendar', limit: 1, period: 'year' });
    clock.wall = Date.parse('2024-01-01T00:00Z') * 1_000;
    ledger.decideOne(charge('a', 1, { policy }), 'take');
    for (let day = 0; day < 365; day++) {
      clock.passMs(86_400_000);
      ledger.sweep();
      expect(ledger.decideOne(charge('a', 1, { policy }), 'take').isAllowed).toBe(false);
    }
    clock.passMs(86_400_000);
    ledger.sweep();
    expect(ledger.size).toBe(0);
  });
});
