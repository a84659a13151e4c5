import { describe, expect, test } from '@jest/globals';
import type { Charge } from './charge.ts';
import { Ledger } from './ledger.ts';
import { drawer, freshSeed, ManualClock } from './manual-clock.fixture.ts';
import { maxInAnyWindow } from './oracle.ts';
import { policyOf, type RateAlgorithm } from './policy.ts';

const ALGORITHMS = ['gcra', 'strict', 'sliding', 'fixed', 'leaky', 'calendar'] as const;

function chargeOf(algorithm: RateAlgorithm, cost = 1): Charge {
  const spec = algorithm === 'calendar' ? { period: 'month' as const } : { windowMs: 10_000 };
  return { key: 'a', policy: policyOf({ algorithm, limit: 10, ...spec }), cost };
}

/** Two processes that see one wall clock; their steady clocks began at different moments. */
function twoLedgers(steady: number, otherSteady: number) {
  const clocks = [new ManualClock({ steady }), new ManualClock({ steady: otherSteady })] as const;
  const ledgers = clocks.map((clock) => new Ledger({ clock })) as [Ledger, Ledger];
  return { clocks, ledgers };
}

const carried = (from: Ledger) => JSON.parse(JSON.stringify([...from.export()]));

describe.each(ALGORITHMS)('%s', (algorithm) => {
  test.each([
    [5_000_000, 900_000_000_000],
    [900_000_000_000, 7],
    [900_000_123_456, 77_123_789],
  ])('a state goes on in another process, as JSON: clocks at %d and %d', (steady, otherSteady) => {
    const { ledgers, clocks } = twoLedgers(steady, otherSteady);
    ledgers[0].decideOne(chargeOf(algorithm, 7), 'take');
    ledgers[1].import(carried(ledgers[0]));
    expect(ledgers[1].decideOne(chargeOf(algorithm, 4), 'take').isAllowed).toBe(false);
    expect(ledgers[1].decideOne(chargeOf(algorithm, 3), 'take').isAllowed).toBe(true);
    // As good as new in the end, a grid step later at the latest.
    for (const clock of clocks) clock.passMs(algorithm === 'calendar' ? 32 * 86_400_000 : 30_001);
    expect(ledgers[1].decideOne(chargeOf(algorithm, 10), 'take').isAllowed).toBe(true);
  });

  test('what was taken in both counts', () => {
    const { ledgers } = twoLedgers(5_000_000, 50_000_000);
    for (const ledger of ledgers) ledger.decideOne(chargeOf(algorithm, 4), 'take');
    ledgers[1].import(carried(ledgers[0]));
    expect(ledgers[1].decideOne(chargeOf(algorithm, 3), 'take').isAllowed).toBe(false);
    expect(ledgers[1].decideOne(chargeOf(algorithm, 2), 'take').isAllowed).toBe(true);
  });
});

test('strict stays strict over hand-overs at random moments between clocks that know nothing of each other', () => {
  const seed = freshSeed();
  const draw = drawer(seed);
  const policy = policyOf({ algorithm: 'strict', limit: 10, windowMs: 6_000 });
  for (let schedule = 0; schedule < 100; schedule++) {
    let clock = new ManualClock({ steady: draw(1e9) });
    let ledger = new Ledger({ clock, seed });
    let atUs = 0;
    const admissions = [];
    for (let step = 0; step < 200; step++) {
      const passUs = draw(4) === 0 ? draw(7_000_000) : draw(300_000);
      atUs += passUs;
      clock.passUs(passUs);
      if (draw(20) === 0) {
        clock = new ManualClock({ steady: draw(1e10) });
        const next = new Ledger({ clock, seed });
        next.import(carried(ledger));
        ledger = next;
      }
      const cost = 1 + draw(4);
      if (ledger.decideOne({ key: 'a', policy, cost }, 'take').isAllowed) admissions.push({ atUs, units: cost });
    }
    expect({ seed, most: maxInAnyWindow(admissions, 6_000_000) > 10 }).toEqual({ seed, most: false });
  }
});

test('blocks and denials go along; keys that are filtered out do not', () => {
  const { ledgers, clocks } = twoLedgers(5_000_000, 77);
  const penalty = { denials: 2, withinMs: 10_000, blockMs: 5_000 };
  const one = (key: string, cost: number): Charge => ({ ...chargeOf('gcra', cost), key, penalty });
  ledgers[0].block([one('blocked', 0)], 5_000);
  ledgers[0].decideOne(one('denied once', 11), 'take');
  ledgers[0].decideOne(one('other', 5), 'take');
  ledgers[1].import(JSON.parse(JSON.stringify([...ledgers[0].export((key) => key !== 'other')])));
  expect(ledgers[1].size).toBe(2);
  expect(ledgers[1].decideOne(one('blocked', 1), 'take')).toMatchObject({ isBlocked: true, retryAfterUs: 5_000_000 });
  expect(ledgers[1].decideOne(one('denied once', 11), 'take').isBlocked).toBe(true);
  clocks[1].passMs(5_000);
  expect(ledgers[1].decideOne(one('blocked', 1), 'take').isAllowed).toBe(true);
});

test('a record that is none is refused', () => {
  const { ledgers } = twoLedgers(0, 0);
  const spec = { limit: 1, windowMs: 1 };
  for (const cells of [[], [1, 2], [Number.NaN], ['1']] as number[][]) {
    expect(() => ledgers[0].import([{ key: 'a', spec, cells, nowUs: 0 }])).toThrow(RangeError);
  }
  expect(() => ledgers[0].import([{ key: 'a', spec: { limit: -1 }, cells: [1], nowUs: 0 }])).toThrow(RangeError);
});

test('single keys can be carried, with their blocks and under each algorithm, and all of some keys be dropped', () => {
  const { ledgers } = twoLedgers(5_000_000, 77);
  const of = (key: string, algorithm: RateAlgorithm): Charge => ({ ...chargeOf(algorithm, 4), key });
  for (const key of ['a', 'b', 'c']) ledgers[0].decide([of(key, 'gcra'), of(key, 'strict')], 'take');
  ledgers[0].block([of('b', 'gcra')], 5_000);
  const records = [...ledgers[0].exportKeys(['b', 'nobody', 'c'])];
  expect(records.map(({ key, spec }) => [key, spec?.algorithm])).toEqual([
    ['b', 'gcra'],
    ['b', 'strict'],
    ['b', undefined],
    ['c', 'gcra'],
    ['c', 'strict'],
  ]);
  ledgers[0].drop((key) => key !== 'a');
  expect(ledgers[0].size).toBe(2);
  expect(ledgers[0].decideOne({ ...of('b', 'gcra'), cost: 10 }, 'take')).toMatchObject({ isAllowed: true });
  expect(ledgers[0].decideOne({ ...of('a', 'gcra'), cost: 7 }, 'take')).toMatchObject({ isAllowed: false });
});
