import { describe, expect, test } from '@jest/globals';
import { RuleBook } from '../core/rule-book.ts';
import { RulesRefused } from './fault.ts';
import { parseRules } from './parse-rules.ts';

const parse = (text: string) => parseRules(text, 'limits/edge.yaml');

function faultsOf(text: string): string[] {
  try {
    parse(text);
    return [];
  } catch (error) {
    if (!(error instanceof RulesRefused)) throw error;
    return error.faults.map(({ line, column, message }) => `${line}:${column} ${message}`);
  }
}

const faultsOfDescriptor = (members: string) =>
  faultsOf(`domain: d\ndescriptors:\n  - key: k\n    ${members.replaceAll('\n', '\n    ')}`).map((line) =>
    line.replace(/^\d+:\d+ /, ''),
  );

/** `path=/a user=x`: a descriptor in short. */
const entries = (text: string) =>
  text.split(' ').map((entry) => ({ key: entry.split('=')[0]!, value: entry.split('=')[1]! }));

const SHOP = `---
# What a shop behind Envoy could have.
domain: shop
descriptors:
  - key: generic_key
    value: checkout
    rate_limit:
      unit: Second
      requests_per_unit: 40
      name: checkout
  - key: remote_address
    detailed_metric: true
    rate_limit: {unit: minute, requests_per_unit: 120}
  - key: remote_address
    value: 10.0.0.1
    rate_limit:
      unlimited: true
  # Neither a limit nor more below: this one is exempt.
  - key: remote_address
    value: 10.0.0.2
  - key: remote_address
    value: 203.0.113.9
    rate_limit: {unit: second, requests_per_unit: 0}
  - key: plan
    value: free
    descriptors:
      - key: account
        rate_limit:
          unit: day
          requests_per_unit: 1000
        value_to_metric: true
        shadow_mode: on
        metadata: {owner: {team: growth}, numbers: [1, 2]}
      - key: account
        value: "trial-*"
        quota_mode: true
        rate_limit: {unit: month, requests_per_unit: 50}
  - key: path
    value: /files/*
    share_threshold: true
    rate_limit: {unit: hour, requests_per_unit: 7}
  - key: path
    value: /f*s/*.pdf
    rate_limit: {unit: year, requests_per_unit: 9}
  - key: path
    value: "*"
    rate_limit: {unit: week, requests_per_unit: 8}
    descriptors:
      - key: method
        value: POST
        rate_limit: {unit: minute, requests_per_unit: 3, replaces: [{name: checkout}]}
  - key: version
    value: 1.10
    rate_limit: {unit: minute, requests_per_unit: 1}
`;

describe('a configuration of envoyproxy/ratelimit', () => {
  const document = parse(SHOP);
  const book = new RuleBook([document]);
  const match = (text: string) => book.match('shop', entries(text));
  const limit = (text: string) => match(text)?.rule.policy?.limit;

  test('loads as it is', () => {
    expect(document.domain).toBe('shop');
    expect(document.rules.map(({ name }) => name)).toEqual([
      'checkout',
      'remote_address',
      'remote_address=10.0.0.1',
      'remote_address=203.0.113.9',
      'plan=free,account',
      'plan=free,account=trial-*',
      'path=/files/*',
      'path=/f*s/*.pdf',
      'path=*',
      'path=*,method=POST',
      'version=1.10',
    ]);
    expect(document.rules[0]!.source).toBe('limits/edge.yaml:5');
  });

  test('its units are fixed windows: a month is 30 days and a year 365', () => {
    const daysOf = (at: number) => document.rules[at]!.policy!.windowUs / 86_400_000_000;
    expect(document.rules[0]!.policy).toMatchObject({ name: 'fixed', windowUs: 1_000_000, limit: 40 });
    expect(document.rules[6]!.policy!.windowUs).toBe(3_600_000_000);
    expect([daysOf(4), daysOf(8), daysOf(5), daysOf(7)]).toEqual([1, 7, 30, 365]);
  });

  test('an exact value goes before wildcards, they before no value, all at their own depth', () => {
    expect(limit('remote_address=1.2.3.4')).toBe(120);
    expect(match('remote_address=10.0.0.1')).toMatchObject({ rule: { policy: undefined } });
    expect(match('remote_address=10.0.0.2')).toBeUndefined();
    expect(limit('remote_address=203.0.113.9')).toBe(0);
    expect(limit('plan=free account=a')).toBe(1_000);
    expect(limit('plan=free account=trial-7')).toBe(50);
    expect(limit('path=/files/a.pdf')).toBe(7);
    expect(limit('path=/folders/a.pdf')).toBe(9);
    expect(limit('path=/else')).toBe(8);
    expect(limit('path=/else method=POST')).toBe(3);
    expect(limit('version=1.10')).toBe(1);
    for (const miss of ['plan=free', 'plan=pro account=a', 'generic_key=other', 'path=/else method=GET', 'version=1.1'])
      expect([miss, match(miss)]).toEqual([miss, undefined]);
  });

  test('a better branch that leads nowhere ends the search, as it does there', () => {
    expect(match('path=/files/x method=POST')).toBeUndefined();
    expect(book.explain('shop', entries('path=/files/x method=POST')).tried.at(-1)).toEqual({
      depth: 0,
      branch: 'path=/files/*',
      outcome: 'the descriptor goes on, rules end here',
    });
    expect(book.explain('shop', entries('remote_address=10.0.0.2')).tried.at(-1)!.outcome).toBe(
      'taken, and it is written without a limit',
    );
  });

  test('values have a state each, but for share_threshold', () => {
    const key = (text: string) => match(text)!.key;
    expect(key('path=/files/a')).toBe(key('path=/files/b'));
    expect(key('path=/fs/a.pdf')).not.toBe(key('path=/fs/b.pdf'));
    expect(key('remote_address=1.1.1.1')).not.toBe(key('remote_address=1.1.1.2'));
    expect(document.rules[6]!.isKeyed).toEqual([false]);
  });

  test('modes and replacements are taken over', () => {
    expect(match('plan=free account=a')!.rule).toMatchObject({ shadow: true, quotaMode: false });
    expect(match('plan=free account=trial-1')!.rule).toMatchObject({ shadow: false, quotaMode: true });
    expect(match('path=/else method=POST')!.rule.replaces).toEqual(['checkout']);
  });

  test('a domain alone is a domain without limits', () => {
    expect(parse('domain: quiet').rules).toEqual([]);
  });

  test('a name that several have is told apart, and replaced as one', () => {
    const limits = (name: string) => `rate_limit: {unit: second, requests_per_unit: 1, name: ${name}}`;
    const { rules } = parse(`domain: d
descriptors:
  - {key: a, ${limits('same')}}
  - {key: b, ${limits('same')}}
  - {key: c, ${limits('a')}}
  - {key: d, rate_limit: {unit: second, requests_per_unit: 1, replaces: [{name: same}, {name: nobody}]}}
`);
    expect(rules.map(({ name }) => name)).toEqual(['same@a', 'same@b', 'a', 'd']);
    expect(rules[3]!.replaces).toEqual(['same@a', 'same@b', 'nobody']);
  });

  test('what means nothing where it stands is read over, as there, and told', () => {
    const { warnings, rules } = parse(`domain: d
descriptors:
  - key: a
    unit: minute
    rate_limit: {unit: second, requests_per_unit: 1, shadow_mode: true}
  - {key: b, value: "x*", rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: b, value: "xy*", rate_limit: {unit: second, requests_per_unit: 1}}
`);
    expect(rules[0]!.shadow).toBe(false);
    expect(warnings.map(({ line, message }) => `${line} ${message}`)).toEqual([
      '4 unit means nothing here and is read over',
      '5 shadow_mode means nothing here and is read over',
      '7 b=xy* can never match: b=x* on line 6 comes first',
    ]);
  });
});

describe('what ours can do beyond theirs stands under x', () => {
  const { rules } = parse(`domain: d
descriptors:
  - key: user
    rate_limit:
      requests_per_unit: 10
      x: {algorithm: gcra, window: 5m, burst: 3, lease: 0.05, lease_ttl: 200ms, on_error: closed, overrides: {vip: {limit: 99}}, allow: [10.0.0.0/8], block: {after: 3, within: 1m, for: 1h}}
  - key: minute
    rate_limit: {unit: minute, requests_per_unit: 10, x: {algorithm: strict}}
  - key: month
    rate_limit: {requests_per_unit: 10, x: {period: month, time_zone: Europe/Berlin}}
  - key: slot
    rate_limit: {requests_per_unit: 10, x: {algorithm: concurrency, hold: 5s}}
`);

  test('algorithms, windows, lending, failures, exceptions', () => {
    expect(rules[0]).toMatchObject({
      policy: { name: 'gcra', windowUs: 300_000_000, capacity: 3 },
      leaseShare: 0.05,
      leaseMs: 200,
      onError: 'closed',
      penalty: { denials: 3, withinMs: 60_000, blockMs: 3_600_000 },
    });
    expect(rules[0]!.overrides.get('vip')!.limit).toBe(99);
    expect(rules[0]!.allows('10.1.1.1')).toBe(true);
    expect(rules[1]!.policy).toMatchObject({ name: 'strict', windowUs: 60_000_000 });
    expect(rules[2]!.policy!.spec).toMatchObject({ algorithm: 'calendar', timeZone: 'Europe/Berlin' });
    expect(rules[3]!.policy!.spec).toMatchObject({ algorithm: 'concurrency', holdMs: 5_000 });
  });

  test.each([
    ['{unit: minute, requests_per_unit: 1, x: {window: 5m}}', 'unit and x.window together; one of them is enough'],
    ['{unit: minute, requests_per_unit: 1, x: {period: day}}', 'unit and x.period together; one of them is enough'],
    ['{unit: minute, requests_per_unit: 1, x: {burst: 5}}', 'burst means nothing to fixed; it is for gcra, leaky'],
    [
      '{unit: minute, requests_per_unit: 1, x: {onError: closed}}',
      '"onError" is not known here; did you mean on_error?',
    ],
    ['{unlimited: true, x: {lease: 0.1}}', 'lease means nothing to an unlimited rule'],
    ['{unlimited: true, x: {window: 1m}}', 'an unlimited descriptor has no time and no algorithm'],
    [
      '{requests_per_unit: 1, x: {lease: exact}}',
      'unit is missing; it is one of second, minute, hour, day, week, month, year',
    ],
  ])('rate_limit: %s is refused', (limit, message) =>
    expect(faultsOfDescriptor(`rate_limit: ${limit}`)).toEqual([message]),
  );
});

describe('faults', () => {
  test.each([
    [
      'rate_limit: {unit: fortnight, requests_per_unit: 1}',
      'unit is fortnight; it is one of second, minute, hour, day, week, month, year',
    ],
    ['rate_limit: {unit: second}', 'requests_per_unit is missing; 0 denies everything'],
    [
      'rate_limit: {unit: second, requests_per_unit: -1}',
      'requests_per_unit is -1; it must be a whole number from 0 to 1,000,000,000; for no limit write unlimited: true',
    ],
    [
      'rate_limit: {unit: second, requests_per_unit: 4294967295}',
      'requests_per_unit is 4294967295; it must be a whole number from 0 to 1,000,000,000; for no limit write unlimited: true',
    ],
    ['rate_limit: {unlimited: true, unit: second}', 'unit means nothing to an unlimited descriptor'],
    [
      'rate_limit: {unit: second, requests_per_unit: 1, replaces: [{name: ""}]}',
      'replaces has an entry without a name',
    ],
    [
      'rate_limit: {unit: second, requests_per_unit: 1, name: n, replaces: [{name: n}]}',
      'a rule cannot replace itself',
    ],
    ['ratelimit: {unit: second, requests_per_unit: 1}', '"ratelimit" is not known here; did you mean rate_limit?'],
    ['value: x\nshare_threshold: true', 'share_threshold is for values with a *'],
    ['shadow_mode: 3', 'shadow_mode is 3; it must be true or false'],
    ['descriptors: {}', 'descriptors is a mapping; it must be a list'],
    ['descriptors: [x]', 'a descriptor must be a mapping'],
    ['descriptors: [{value: x}]', 'a descriptor needs a key'],
    ['descriptors: [{key: ""}]', 'a key is empty'],
  ])('%s', (members, message) => expect(faultsOfDescriptor(members)[0]).toBe(message));

  test('the same key and value twice at one level, not below different ones', () => {
    const limit = 'rate_limit: {unit: second, requests_per_unit: 1}';
    expect(
      faultsOf(`domain: d
descriptors:
  - {key: a, ${limit}}
  - {key: a, value: x, ${limit}, descriptors: [{key: b, ${limit}}]}
  - {key: a, value: y, ${limit}, descriptors: [{key: b, ${limit}}]}
  - {key: a, value: x, ${limit}}
  - {key: a, value: "", ${limit}}
  - {key: a_x, ${limit}}
`),
    ).toEqual(['6:5 the same key and value as on line 4', '7:5 the same key and value as on line 3']);
  });

  test('deeper than any request can be', () => {
    const nested = (depth: number): string =>
      depth === 0 ? '{key: k}' : `{key: k, descriptors: [${nested(depth - 1)}]}`;
    expect(faultsOf(`domain: d\ndescriptors: [${nested(15)}]`)).toEqual([]);
    expect(faultsOf(`domain: d\ndescriptors: [${nested(16)}]`)).toEqual([
      expect.stringContaining('descriptors are nested deeper than 16'),
    ]);
  });
});
