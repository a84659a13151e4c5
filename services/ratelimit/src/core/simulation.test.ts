import { describe, expect, test } from '@jest/globals';
import { parseRules } from '../rules/parse-rules.ts';
import { checkOf } from './decisions.fixture.ts';
import { Rehearsal } from './rehearsal.ts';
import { RuleBook } from './rule-book.ts';
import { bucketMsFor, Simulation } from './simulation.ts';
import { syntheticVisits, type Visit } from './traffic.ts';

const book = (...rules: string[]) =>
  new RuleBook(rules.length === 0 ? [] : [parseRules(['domain: api', 'rules:', ...rules].join('\n'), 'test.yaml')]);
const perUser = (limit: number, more = '') =>
  `  - {name: user, match: {user: "*"}, limit: ${limit}, window: 10s, algorithm: fixed${more}}`;
const START_MS = 1_000_000;

/** One a second for a user, from the start. */
const everySecond = (count: number, user = 'ann'): Visit[] =>
  Array.from({ length: count }, (_, at) => ({ atMs: START_MS + at * 1_000, check: checkOf([user]) }));

function simulated(visits: readonly Visit[], rules: { candidate: RuleBook; present?: RuleBook }) {
  const fromMs = visits[0]?.atMs ?? 0;
  const untilMs = visits.at(-1)?.atMs ?? 0;
  const candidate = new Rehearsal(rules.candidate, fromMs);
  const present = rules.present && new Rehearsal(rules.present, fromMs);
  const simulation = new Simulation({ visits, fromMs, untilMs, candidate, present, show: (value) => `<${value}>` });
  while (simulation.step(7)) void 0;
  return simulation.answer('given');
}

describe('a simulation', () => {
  test('goes by the time of the traffic, not by its own', () => {
    const { requests, rules } = simulated(everySecond(25), { candidate: book(perUser(5)) });
    // Five in ten seconds: at 0–4, 10–14 and 20–24.
    expect(requests).toEqual({ allowed: 15, denied: 10, unmatched: 0 });
    expect(rules).toEqual([{ domain: 'api', rule: 'user', allowed: 15, denied: 10, shadowDenied: 0 }]);
  });

  test('goes by the calendar of the traffic too', () => {
    const quota = '  - {match: {user: "*"}, limit: 2, period: day}';
    const dayMs = 86_400_000;
    const visits = [0, 1, 2, dayMs, dayMs + 1].map((sinceMs) => ({
      atMs: dayMs * 100 + sinceMs,
      check: checkOf(['a']),
    }));
    expect(simulated(visits, { candidate: book(quota) }).requests).toMatchObject({ allowed: 4, denied: 1 });
  });

  test('compares with the present rules, request by request', () => {
    const { requests, difference, rules, examples } = simulated(everySecond(10), {
      candidate: book(perUser(3)),
      present: book(perUser(8)),
    });
    expect(requests).toEqual({ allowed: 3, denied: 7, unmatched: 0, presentDenied: 2 });
    expect(difference).toEqual({ present: { newlyDenied: 5, newlyAllowed: 0 } });
    expect(rules).toMatchObject([{ denied: 7, present: { allowed: 8, denied: 2, shadowDenied: 0 } }]);
    expect(examples.changed[0]).toEqual({
      atMs: START_MS + 3_000,
      domain: 'api',
      descriptors: [[{ key: 'user', value: '<ann>' }]],
      cost: 1,
      allowed: false,
      rules: ['user'],
      retryAfterMs: expect.any(Number),
      presentAllowed: true,
    });
    expect([examples.changed.length, examples.denied.length]).toEqual([5, 7]);
  });

  test('the other way round the same requests are newly allowed, with the rules that denied them', () => {
    const { difference, examples } = simulated(everySecond(10), {
      candidate: book(perUser(8)),
      present: book(perUser(3)),
    });
    expect(difference).toEqual({ present: { newlyDenied: 0, newlyAllowed: 5 } });
    expect(examples.changed[0]).toMatchObject({ allowed: true, presentAllowed: false, rules: ['user'] });
    expect(examples.changed[0]).not.toHaveProperty('retryAfterMs');
  });

  test('compares with what really happened where that is known, by rule', () => {
    const real = (wasAllowed: boolean) => ({
      wasAllowed,
      wasDenied: (subject: number) => !wasAllowed && subject === 0,
    });
    const visits = everySecond(10).map((visit, at) => ({ ...visit, real: real(at >= 4) }));
    const { requests, difference, rules, timeline } = simulated(visits, { candidate: book(perUser(5)) });
    expect(requests).toMatchObject({ denied: 5, reallyDenied: 4 });
    expect(difference).toEqual({ real: { newlyDenied: 5, newlyAllowed: 4 } });
    expect(rules).toMatchObject([{ rule: 'user', reallyDenied: 4 }]);
    expect(timeline.buckets.reduce((sum, bucket) => sum + bucket.reallyDenied!, 0)).toBe(4);
  });

  test('names rules that are gone and rules that are new', () => {
    const { rules } = simulated(everySecond(3), {
      candidate: book(perUser(1).replace('user,', 'people,')),
      present: book(perUser(1)),
    });
    expect(Object.fromEntries(rules.map((row) => [row.rule, [row.denied, row.present!.denied]]))).toEqual({
      people: [2, 0],
      user: [0, 2],
    });
  });

  test('a shadow denies nobody and says whom it would have', () => {
    const { requests, rules } = simulated(everySecond(5), { candidate: book(perUser(2, ', shadow: true')) });
    expect(requests).toMatchObject({ allowed: 5, denied: 0 });
    expect(rules).toMatchObject([{ allowed: 2, denied: 0, shadowDenied: 3 }]);
  });

  test('a request that is denied takes nothing, as it is for the service', () => {
    const twice = '  - {name: all, match: {tier: free}, limit: 3, window: 10s, algorithm: fixed}';
    const both = (user: string, at: number): Visit => {
      const subjects = [...checkOf([user]).subjects, { entries: [{ key: 'tier', value: 'free' }] }];
      return { atMs: START_MS + at, check: { ...checkOf([]), subjects } };
    };
    const visits = ['ann', 'ann', 'bob', 'bob', 'cid', 'dan'].map(both);
    const { rules, requests } = simulated(visits, { candidate: book(perUser(1), twice) });
    expect(requests).toMatchObject({ allowed: 3, denied: 3 });
    expect(Object.fromEntries(rules.map((row) => [row.rule, row.denied]))).toEqual({ user: 2, all: 1 });
  });

  test('no rule means allowed, and that is told', () => {
    expect(simulated(everySecond(3), { candidate: book() }).requests).toEqual({ allowed: 3, denied: 0, unmatched: 3 });
  });

  test('a limit asked for by a name that these rules lack limits nothing', () => {
    const check = checkOf(['ann', 'bob']);
    const named = {
      ...check,
      subjects: check.subjects.map((subject, at) => ({ ...subject, ...(at === 0 && { ruleName: 'gone' }) })),
    };
    const visits = [0, 1].map((at) => ({ atMs: START_MS + at, check: named }));
    const { requests, rules } = simulated(visits, { candidate: book(perUser(1)) });
    expect(requests).toMatchObject({ allowed: 1, denied: 1 });
    expect(rules).toMatchObject([{ rule: 'user', allowed: 1, denied: 1 }]);
  });

  test('says which limits it cannot judge', () => {
    const places = '  - {name: places, match: {user: "*"}, algorithm: concurrency, limit: 1}';
    const { notSimulated, requests } = simulated(everySecond(3), { candidate: book(places) });
    expect(notSimulated).toEqual(['places']);
    expect(requests.denied).toBe(0);
  });

  test('of a key that is too long is refused, as the service would', () => {
    const long = '  - {match: {a: "*", b: "*", c: "*"}, limit: 1, window: 10s}';
    const entries = ['a', 'b', 'c'].map((key) => ({ key, value: 'x'.repeat(2_000) }));
    const visits = [{ atMs: START_MS, check: { ...checkOf([]), subjects: [{ entries }] } }];
    expect(() => simulated(visits, { candidate: book(long) })).toThrow(/key/);
  });

  test('puts each request into its piece of time, the last one included', () => {
    const { timeline } = simulated(everySecond(101), { candidate: book(perUser(1_000)) });
    expect(timeline.bucketMs).toBe(1_000);
    expect(timeline.buckets.map(({ allowed }) => allowed)).toEqual(Array.from({ length: 101 }, () => 1));
    expect(timeline.buckets.at(-1)!.atMs).toBe(START_MS + 100_000);
  });

  test('a clock that was set back while it was recorded breaks nothing', () => {
    const visits = [...everySecond(3), { atMs: START_MS - 5_000, check: checkOf(['ann']) }, ...everySecond(1)];
    expect(simulated(visits, { candidate: book(perUser(1)) }).requests).toMatchObject({ allowed: 1, denied: 4 });
  });

  test('of nothing is empty', () => {
    const { traffic, rules, timeline } = simulated([], { candidate: book(perUser(1)) });
    expect([traffic.requests, rules]).toEqual([0, []]);
    expect(timeline.buckets.map(({ allowed, denied }) => allowed + denied)).toEqual([0]);
  });

  test('begins with nothing taken each time: the same traffic meets the same', () => {
    const plan = { domain: 'api', subjects: [{ entries: [{ key: 'user', value: '{n}' }] }], cost: 1, burstSize: 10 };
    const more = { ratePerSecond: 500, durationMs: 20_000, keys: 50, seed: 3, startMs: START_MS };
    const described = [...syntheticVisits({ ...plan, ...more, pattern: 'random', distribution: 'skewed' })];
    const once = simulated(described, { candidate: book(perUser(20)) });
    expect(once).toEqual(simulated(described, { candidate: book(perUser(20)) }));
    expect(once.requests.denied).toBeGreaterThan(1_000);
  });
});

test.each([0, 1, 118, 119, 120, 1_000, 59_999, 3_600_000, 7 * 86_400_000])(
  'a span of %d ms has at most 120 pieces, also when it begins within one',
  (spanMs) => {
    const bucketMs = bucketMsFor(spanMs);
    expect(Math.floor((bucketMs - 1 + spanMs) / bucketMs) + 1).toBeLessThanOrEqual(121);
    expect(spanMs / bucketMs).toBeGreaterThanOrEqual(spanMs < 119 ? 0 : 119 / 2.51);
    expect(String(bucketMs)).toMatch(/^[125]0*$/);
  },
);
