import { describe, expect, test } from '@jest/globals';
import { checkOf, limitOf, ruleOf, verdictOf } from './decisions.fixture.ts';
import { Observatory } from './observatory.ts';

const rule = ruleOf('user');
const observatory = (show = (value: string) => value) => new Observatory({ nowMs: 0, show });
const allowed = (user: string) => verdictOf([limitOf(rule, user)]);
const denied = (user: string) => verdictOf([limitOf(rule, user, { isAllowed: false, retryAfterUs: 1_500_001 })]);
const eventsOf = ({ events }: Observatory) =>
  events.after(0, 1_000).map(({ type, data }) => ({ type, ...(JSON.parse(data) as object) }));
const keysOf = ({ keys }: { keys: readonly { key: string; count: number }[] }) =>
  Object.fromEntries(keys.map(({ key, count }) => [key, count]));

describe('an observatory', () => {
  test('tells every decision to the counts, the sketches and the recorder', () => {
    const watch = observatory();
    for (const user of ['ann', 'ann', 'bob']) watch.decided(checkOf([user]), allowed(user), 5);
    watch.decided(checkOf(['ann']), denied('ann'), 6);
    watch.decided(checkOf(['nobody']), verdictOf([undefined]), 7);
    expect(watch.counts.requests).toEqual({ allowed: 4, denied: 1, degraded: 0, unmatched: 1 });
    expect(watch.counts.all()).toMatchObject([{ rule: 'user', allowed: 3, denied: 1 }]);
    expect(keysOf(watch.hits.recent())).toEqual({ 'api/user/ann': 3, 'api/user/bob': 1 });
    expect(keysOf(watch.denied.recent())).toEqual({ 'api/user/ann': 1 });
    expect(watch.recorder.kept).toMatchObject({ decisions: 5, fromMs: 5, untilMs: 7 });
  });

  test('takes no notice of looks', () => {
    const watch = observatory();
    watch.decided(checkOf(['ann'], { mode: 'look' }), allowed('ann'), 0);
    watch.decided(checkOf(['ann'], { cost: 0 }), denied('ann'), 0);
    const half = { ...checkOf(['ann', 'bob']), cost: 0 };
    const subjects = [half.subjects[0]!, { ...half.subjects[1]!, cost: 2 }];
    watch.decided({ ...half, subjects }, verdictOf([limitOf(rule, 'ann'), limitOf(rule, 'bob')]), 0);
    expect(watch.counts.requests.allowed).toBe(1);
    expect(keysOf(watch.hits.recent())).toEqual({ 'api/user/bob': 1 });
    expect(watch.recorder.kept.decisions).toBe(1);
  });

  test('tells once a second what came in it, also when nothing came', () => {
    const watch = observatory();
    watch.decided(checkOf(['ann']), allowed('ann'), 5);
    watch.decided(checkOf(['ann']), verdictOf([limitOf(rule, 'ann')], { degraded: 'open' }), 5);
    watch.tick(1_000);
    watch.tick(2_000);
    expect(eventsOf(watch)).toEqual([
      {
        type: 'counts',
        atMs: 1_000,
        requests: { allowed: 2, denied: 0, degraded: 1, unmatched: 0 },
        rules: [{ domain: 'api', rule: 'user', allowed: 2, denied: 0, shadowDenied: 0, degraded: 1, nearLimit: 0 }],
      },
      { type: 'counts', atMs: 2_000, requests: { allowed: 0, denied: 0, degraded: 0, unmatched: 0 }, rules: [] },
    ]);
  });

  test('shows ten denials of a second, their keys as it is told to', () => {
    const watch = observatory((value) => `<${value}>`);
    for (let at = 0; at < 11; at++) watch.decided(checkOf(['ann']), denied('ann'), at);
    watch.tick(1_000);
    const samples = eventsOf(watch).filter(({ type }) => type === 'denied');
    expect(samples.length).toBe(10);
    expect(samples[0]).toEqual({
      type: 'denied',
      atMs: 0,
      domain: 'api',
      rule: 'user',
      descriptor: [{ key: 'user', value: '<ann>' }],
      retryAfterMs: 1_501,
    });
    const never = verdictOf([limitOf(rule, 'ann', { isAllowed: false, retryAfterUs: Number.POSITIVE_INFINITY })]);
    watch.decided(checkOf(['ann']), never, 1_001);
    watch.tick(2_000);
    expect(eventsOf(watch).at(-2)).toMatchObject({ type: 'denied', retryAfterMs: null });
  });

  test('names the busiest 200 rules of a second and says how many more there were', () => {
    const watch = observatory();
    for (let at = 0; at < 205; at++) {
      const each = ruleOf(`r${at}`);
      for (let times = 0; times < (at === 204 ? 3 : 1); times++) {
        watch.decided(checkOf(['ann']), verdictOf([limitOf(each, 'ann')]), 0);
      }
    }
    watch.tick(1_000);
    const [event] = eventsOf(watch) as unknown as { rules: { rule: string }[]; more: number }[];
    expect([event!.rules.length, event!.rules[0]!.rule, event!.more]).toEqual([200, 'r204', 5]);
  });

  test('tells when the rules change, and counts on under their names', () => {
    const watch = observatory();
    watch.decided(checkOf(['ann']), allowed('ann'), 0);
    watch.rulesChanged({ version: 2, domains: ['api'] }, 500);
    watch.decided(checkOf(['ann']), verdictOf([limitOf(ruleOf('user'), 'ann')]), 600);
    expect(eventsOf(watch)).toEqual([{ type: 'rules', atMs: 500, version: 2, domains: ['api'] }]);
    expect(watch.counts.all()).toMatchObject([{ rule: 'user', allowed: 2 }]);
  });
});
