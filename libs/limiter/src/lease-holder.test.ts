import { describe, expect, test } from '@jest/globals';
import type { Grant, Outcome } from './charge.ts';
import { LeaseHolder, type LeaseTerms } from './lease-holder.ts';
import { policyOf } from './policy.ts';

const TERMS: LeaseTerms = { policy: policyOf({ limit: 1_000, windowMs: 1_000 }), share: 0.1, ttlUs: 100_000 };
const DENIED: Outcome = {
  isAllowed: false,
  remaining: 0,
  retryAfterUs: 50_000,
  resetUs: 1,
  delayUs: 0,
  isBlocked: false,
};

const granted = (units: number, more: Partial<Grant> = {}): Grant => ({
  units,
  retryAfterUs: 0,
  remaining: 1,
  resetUs: 1,
  ...more,
});

/** A holder that has met so many asks in the second before `nowUs`. */
function busy(asks = 1_000, terms = TERMS): { holder: LeaseHolder; nowUs: number } {
  const holder = new LeaseHolder();
  holder.want('a', terms, 0);
  for (let ask = 0; ask < asks; ask++) holder.take('a', 1, 0);
  return { holder, nowUs: 1_000_000 };
}

describe('borrowing', () => {
  test('a key that is new is asked for, and one that is seldom asked for is not worth a lease', () => {
    const holder = new LeaseHolder();
    expect(holder.take('a', 1, 0)).toBe('ask');
    expect(holder.want('a', TERMS, 0)).toBe(0);
    expect(busy(10).holder.want('a', TERMS, 1_000_000)).toBe(0);
  });

  test('a busy one wants what it needs for one lease, and never more than its share of the limit', () => {
    const { holder, nowUs } = busy(500);
    const want = holder.want('a', TERMS, nowUs);
    expect(want).toBeGreaterThan(20);
    expect(want).toBeLessThan(60);
    expect(busy(100_000).holder.want('a', TERMS, nowUs)).toBe(100);
    expect(busy(100_000).holder.want('a', { ...TERMS, share: 0.0001 }, nowUs)).toBe(0);
  });

  test('at most one request per key is under way, until its answer or its failure is told', () => {
    const { holder, nowUs } = busy();
    expect(holder.want('a', TERMS, nowUs)).toBeGreaterThan(0);
    expect(holder.want('a', TERMS, nowUs)).toBe(0);
    holder.failed('a');
    expect(holder.want('a', TERMS, nowUs)).toBeGreaterThan(0);
  });

  test('an answer that nobody asked for gives nothing', () => {
    const { holder, nowUs } = busy();
    holder.granted('a', granted(50), nowUs);
    expect(holder.take('a', 1, nowUs)).toBe('ask');
  });
});

describe('spending', () => {
  test('units are spent one by one, and when a quarter is left it is time to ask', () => {
    const { holder, nowUs } = busy();
    const want = holder.want('a', TERMS, nowUs);
    holder.granted('a', granted(want), nowUs + 1_000);
    const verdicts = Array.from({ length: want + 1 }, () => holder.take('a', 1, nowUs + 1_000));
    expect(verdicts.filter((verdict) => verdict === 'yes')).toHaveLength(want - Math.floor(want / 4) - 1);
    expect(verdicts.filter((verdict) => verdict === 'low')).toHaveLength(Math.floor(want / 4) + 1);
    expect(verdicts.at(-1)).toBe('ask');
  });

  test('a lease ends so long after it was asked for, however late the answer came', () => {
    const { holder, nowUs } = busy();
    const want = holder.want('a', TERMS, nowUs);
    holder.granted('a', granted(want), nowUs + 60_000);
    expect(holder.take('a', 1, nowUs + 99_999)).toBe('yes');
    expect(holder.take('a', 1, nowUs + 100_000)).toBe('ask');
  });

  test('a lease ends with the life that the authority gave it, when that is sooner', () => {
    const { holder, nowUs } = busy();
    holder.granted('a', granted(holder.want('a', TERMS, nowUs), { lifeUs: 20_000 }), nowUs + 1_000);
    expect(holder.take('a', 1, nowUs + 19_999)).toBe('yes');
    expect(holder.take('a', 1, nowUs + 20_000)).toBe('ask');
  });

  test('an answer that comes after the end of its lease is given back whole', () => {
    const { holder, nowUs } = busy();
    const want = holder.want('a', TERMS, nowUs);
    holder.granted('a', granted(want), nowUs + 100_000);
    expect(holder.take('a', 1, nowUs + 100_000)).toBe('ask');
    expect(holder.returns(nowUs + 100_000)).toEqual([{ key: 'a', policy: TERMS.policy, units: want, agoUs: 100_000 }]);
  });

  test('the elder of two lots is spent first, each ends at its own time, and no third is asked for', () => {
    const { holder, nowUs } = busy(100_000);
    holder.granted('a', granted(holder.want('a', TERMS, nowUs)), nowUs);
    for (let unit = 0; unit < 80; unit++) holder.take('a', 1, nowUs);
    expect(holder.want('a', TERMS, nowUs + 50_000)).toBe(80);
    holder.granted('a', granted(80), nowUs + 51_000);
    expect(holder.tokens('a', nowUs + 51_000)).toBe(100);
    expect(holder.want('a', TERMS, nowUs + 52_000)).toBe(0);
    expect(holder.tokens('a', nowUs + 100_000)).toBe(80);
    expect(holder.returns(nowUs + 100_000)).toMatchObject([{ units: 20, agoUs: 100_000 }]);
    expect(holder.take('a', 1, nowUs + 149_999)).toBe('yes');
    expect(holder.take('a', 1, nowUs + 150_000)).toBe('ask');
    expect(holder.returns(nowUs + 150_000)).toMatchObject([{ units: 79, agoUs: 100_000 }]);
    expect(holder.returns(nowUs + 1_000_000)).toEqual([]);
  });

  test('a cost that the lease cannot pay is asked for, smaller ones are still paid', () => {
    const { holder, nowUs } = busy();
    const want = holder.want('a', TERMS, nowUs);
    holder.granted('a', granted(5), nowUs);
    expect(want).toBeGreaterThan(5);
    expect(holder.take('a', 6, nowUs)).toBe('ask');
    expect(holder.take('a', 5, nowUs)).toBe('low');
  });

  test('what was taken for a request that another limit denied is put back', () => {
    const { holder, nowUs } = busy();
    holder.want('a', TERMS, nowUs);
    holder.granted('a', granted(5), nowUs);
    holder.take('a', 5, nowUs);
    holder.untake('a', 5);
    expect(holder.tokens('a', nowUs)).toBe(5);
  });
});

describe('denials', () => {
  test('one that was denied is denied here until it could be had, without asking', () => {
    const holder = new LeaseHolder();
    holder.denied('a', TERMS, 1, DENIED, 1_000_000);
    expect(holder.take('a', 1, 1_049_999)).toBe('no');
    expect(holder.denial('a', 1_049_999)).toMatchObject({ isAllowed: false, retryAfterUs: 1, remaining: 0 });
    expect(holder.want('a', TERMS, 1_049_999)).toBe(0);
    expect(holder.take('a', 1, 1_050_000)).toBe('ask');
  });

  test('a denied cost of 5 denies 5 and more, not less', () => {
    const holder = new LeaseHolder();
    holder.denied('a', TERMS, 5, { ...DENIED, remaining: 3 }, 0);
    expect([4, 5, 6].map((cost) => holder.take('a', cost, 1))).toEqual(['ask', 'no', 'no']);
  });

  test('a block denies any cost', () => {
    const holder = new LeaseHolder();
    holder.denied('a', TERMS, 5, { ...DENIED, isBlocked: true }, 0);
    expect(holder.take('a', 1, 1)).toBe('no');
    expect(holder.denial('a', 1).isBlocked).toBe(true);
  });

  test('a denial of a month is believed for a second: somebody may have given units meanwhile', () => {
    const holder = new LeaseHolder();
    holder.denied('a', TERMS, 1, { ...DENIED, retryAfterUs: 30 * 86_400e6 }, 0);
    expect(holder.take('a', 1, 999_999)).toBe('no');
    expect(holder.denial('a', 999_999).retryAfterUs).toBe(30 * 86_400e6 - 999_999);
    expect(holder.take('a', 1, 1_000_000)).toBe('ask');
  });

  test('a grant of nothing is a denial, and one of something ends it', () => {
    const { holder, nowUs } = busy();
    holder.want('a', TERMS, nowUs);
    holder.granted('a', granted(0, { retryAfterUs: 10_000, remaining: 0 }), nowUs);
    expect(holder.take('a', 1, nowUs + 9_999)).toBe('no');
    expect(holder.want('a', TERMS, nowUs + 10_000)).toBeGreaterThan(0);
    holder.granted('a', granted(50), nowUs + 10_000);
    expect(holder.take('a', 1, nowUs + 10_000)).toBe('yes');
  });
});

describe('bounds', () => {
  test('no more keys are known than may be; the others are asked for', () => {
    const holder = new LeaseHolder({ keysMax: 3 });
    for (let key = 0; key < 10; key++) holder.want(`k${key}`, TERMS, 0);
    holder.denied('k9', TERMS, 1, DENIED, 0);
    expect([holder.size, holder.take('k9', 1, 1)]).toEqual([3, 'ask']);
  });

  test('a key that nobody asks for is forgotten, one that somebody asks for is not', () => {
    const holder = new LeaseHolder();
    holder.want('idle', TERMS, 0);
    holder.want('busy', TERMS, 0);
    for (let second = 1; second <= 60; second++) {
      holder.take('busy', 1, second * 1_000_000);
      holder.returns(second * 1_000_000);
    }
    expect(holder.size).toBe(1);
    expect(holder.take('idle', 1, 60_000_000)).toBe('ask');
  });

  test('what is here is given back when the process stops, once', () => {
    const { holder, nowUs } = busy();
    const want = holder.want('a', TERMS, nowUs);
    holder.granted('a', granted(want), nowUs);
    holder.take('a', 3, nowUs);
    expect(holder.drain(nowUs + 5)).toMatchObject([{ key: 'a', units: want - 3, agoUs: 5 }]);
    expect(holder.drain(nowUs + 5)).toEqual([]);
    expect(holder.size).toBe(0);
  });
});

describe('units on their way back', () => {
  const transitMaxUs = 1_000_000;

  /** All of one lot of 100 has expired unspent; `nowUs` is then. */
  function expired(): { holder: LeaseHolder; nowUs: number } {
    const { holder, nowUs } = busy(100_000);
    expect(holder.want('a', TERMS, nowUs)).toBe(100);
    holder.granted('a', granted(100), nowUs);
    for (let ask = 0; ask < 100_000; ask++) holder.take('a', 200, nowUs + 100_000);
    return { holder, nowUs: nowUs + 100_000 };
  }

  test('count as had until they are told and can have arrived, so that a slow return is no second lease', () => {
    const { holder, nowUs } = expired();
    expect(holder.want('a', TERMS, nowUs)).toBe(0);
    expect(holder.returns(nowUs)).toMatchObject([{ units: 100 }]);
    expect(holder.want('a', TERMS, nowUs + transitMaxUs - 1)).toBe(0);
    for (let ask = 0; ask < 1_000; ask++) holder.take('a', 1_000, nowUs + transitMaxUs);
    expect(holder.want('a', TERMS, nowUs + transitMaxUs)).toBe(100);
  });

  test('a key that is forgotten gives its units back, and may be borrowed again when they have arrived', () => {
    const { holder, nowUs } = busy(100_000);
    holder.granted('a', granted(holder.want('a', TERMS, nowUs)), nowUs);
    holder.forget('a', nowUs);
    expect(holder.take('a', 1, nowUs)).toBe('ask');
    expect(holder.want('a', TERMS, nowUs)).toBe(0);
    expect(holder.returns(nowUs)).toMatchObject([{ units: 100 }]);
  });
});
