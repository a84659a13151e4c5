import { describe, expect, test } from '@jest/globals';
import { type Charge, Ledger, type PolicySpec, policyOf } from '@plinth/limiter';
import { Conservatism, type Restart } from './conservatism.ts';
import { slotOf } from './slots.ts';

const spec = { limit: 60, windowMs: 60_000 };

function lost(restart: Restart) {
  const now = { ms: 1_000_000 };
  const ledger = new Ledger({ clock: { nowUs: () => now.ms * 1_000, wallUs: () => 1e15 + now.ms * 1_000 } });
  const conservatism = new Conservatism({ restart, ledger, nowMs: () => now.ms });
  conservatism.begin([slotOf('k')]);
  const left = (of: PolicySpec, key = 'k') => {
    const charge: Charge = { key, policy: policyOf(of), cost: 0 };
    const wish = { kind: 'decide', charges: [charge], mode: 'look' } as const;
    if (conservatism.isOn) conservatism.before(wish);
    return ledger.decide(wish.charges, 'look').outcomes[0]!.remaining;
  };
  return { now, ledger, conservatism, left };
}

describe('keys whose states were lost', () => {
  test('begin empty and refill as if they had been used up then, and after a window as new', () => {
    const { now, left } = lost('conservative');
    expect(left(spec)).toBe(0);
    now.ms += 30_000;
    expect(left(spec)).toBe(30);
    const another = lost('conservative');
    another.now.ms += 59_000;
    expect(another.left(spec)).toBe(59);
    const old = lost('conservative');
    old.now.ms += 60_000;
    expect(old.left(spec)).toBe(60);
  });

  test('auto means strict alone', () => {
    expect(lost('auto').left(spec)).toBe(60);
    expect(lost('auto').left({ ...spec, algorithm: 'strict' })).toBe(0);
    expect(lost('permissive').left({ ...spec, algorithm: 'strict' })).toBe(60);
  });

  test('keys of other slots, long windows and calendars are as they are', () => {
    const { left } = lost('conservative');
    const other = Array.from({ length: 9 }, (_, at) => `o${at}`).find((key) => slotOf(key) !== slotOf('k'))!;
    expect(left(spec, other)).toBe(60);
    expect(left({ limit: 60, windowMs: 3_599_999 })).toBe(0);
    expect(lost('conservative').left({ limit: 60, windowMs: 3_600_000 })).toBe(60);
    expect(lost('conservative').left({ algorithm: 'calendar', limit: 60, period: 'day' })).toBe(60);
  });

  test('one that is known is left alone, and one that is reset is new', () => {
    const { ledger, conservatism, left } = lost('conservative');
    ledger.decide([{ key: 'k', policy: policyOf(spec), cost: 5 }], 'take');
    expect(left(spec)).toBe(55);
    const charge = { key: 'k', policy: policyOf(spec), cost: 0 };
    conservatism.before({ kind: 'reset', charges: [charge] });
    ledger.reset([charge]);
    expect(left(spec)).toBe(60);
  });
});
