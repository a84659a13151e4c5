import { describe, expect, test } from '@jest/globals';
import { limitOf, PER_MINUTE, ruleOf } from './decisions.fixture.ts';
import { LiveCounts } from './live-counts.ts';

const rule = ruleOf('user');
const yes = limitOf(rule, 'ann');
const no = limitOf(rule, 'ann', { isAllowed: false, remaining: 0 });
const NOTHING = { allowed: 0, denied: 0, shadowDenied: 0, degraded: 0, nearLimit: 0 };

describe('counts of rules', () => {
  test('tell yes from no, and a shadow that says no from both', () => {
    const counts = new LiveCounts();
    const shadow = limitOf(ruleOf('shadow', { shadow: true }), 'ann', { isAllowed: false });
    for (const limit of [yes, yes, no, shadow]) counts.count(limit, false);
    counts.count(yes, true);
    expect(counts.all()).toMatchObject([
      { domain: 'api', rule: 'user', ...NOTHING, allowed: 3, denied: 1, degraded: 1 },
      { domain: 'api', rule: 'shadow', ...NOTHING, shadowDenied: 1 },
    ]);
  });

  test('a limit is near when less than a fifth is left', () => {
    const counts = new LiveCounts();
    expect(PER_MINUTE.capacity).toBe(10);
    for (const remaining of [10, 3, 2, 1, 0]) counts.count(limitOf(rule, 'ann', { remaining }), false);
    expect(counts.all()).toMatchObject([{ allowed: 5, nearLimit: 2 }]);
    const unlimited = limitOf(ruleOf('free', { policy: undefined }), 'ann', { remaining: Number.POSITIVE_INFINITY });
    counts.count(unlimited, false);
    expect(counts.all()[1]).toMatchObject({ rule: 'free', allowed: 1, nearLimit: 0 });
  });

  test('go on when the rule of the same name is loaded anew', () => {
    const counts = new LiveCounts();
    counts.count(yes, false);
    counts.forgetIdentities();
    counts.count(limitOf(ruleOf('user'), 'ann'), false);
    counts.count(limitOf(ruleOf('user', { domain: 'web' }), 'ann'), false);
    expect(counts.all()).toMatchObject([
      { domain: 'api', allowed: 2 },
      { domain: 'web', allowed: 1 },
    ]);
  });

  test('changes are what came since they were told last', () => {
    const counts = new LiveCounts();
    expect(counts.changes()).toEqual([]);
    counts.count(yes, false);
    counts.count(no, true);
    expect(counts.changes()).toEqual([{ domain: 'api', rule: 'user', ...NOTHING, allowed: 1, denied: 1, degraded: 1 }]);
    expect(counts.changes()).toEqual([]);
    counts.count(no, false);
    expect(counts.changes()).toEqual([{ domain: 'api', rule: 'user', ...NOTHING, denied: 1 }]);
  });

  test('of more rules than are told apart are counted together, so that nothing is lost', () => {
    const counts = new LiveCounts();
    for (let at = 0; at < 10_003; at++) counts.count(limitOf(ruleOf(`r${at}`), 'ann'), false);
    const all = counts.all();
    expect(all.length).toBe(10_001);
    expect(all.at(-1)).toMatchObject({ domain: '', rule: 'other', allowed: 3 });
  });

  test('limits that came with requests are one row', () => {
    const counts = new LiveCounts();
    counts.count(limitOf(rule, 'ann', { rule: undefined, name: 'inline' }), false);
    expect(counts.all()).toMatchObject([{ domain: '', rule: 'inline', allowed: 1 }]);
  });

  test('read as metrics by rule, whatever a rule is called', () => {
    const counts = new LiveCounts();
    counts.count(limitOf(ruleOf('a"b\\c\nd', { domain: 'é' }), 'secret-key'), false);
    counts.requests.allowed = 1;
    const text = counts.metrics();
    expect(text).toContain('plinth_ratelimit_decisions_total{domain="é",rule="a\\"b\\\\c\\nd",verdict="allowed"} 1\n');
    expect(text).toContain('plinth_ratelimit_requests_total{verdict="allowed"} 1\n');
    expect(text).not.toContain('secret-key');
    for (const line of text.trim().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) |plinth_ratelimit_\w+(\{.*\})? \d+$)/);
  });
});
