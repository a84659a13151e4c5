import { describe, expect, test } from '@jest/globals';
import type { Entry } from '../core/rule.ts';
import { RuleBook, type RuleDocument } from '../core/rule-book.ts';
import { RulesRefused } from './fault.ts';
import { parseRules } from './parse-rules.ts';

const parse = (text: string): RuleDocument => parseRules(text, 'limits/api.yaml');

/** The faults of a document as lines of text. */
function faultsOf(text: string): string[] {
  try {
    parse(text);
    return [];
  } catch (error) {
    if (!(error instanceof RulesRefused)) throw error;
    return error.faults.map(({ line, column, message }) => `${line}:${column} ${message}`);
  }
}

/** The faults of one rule that is fine but for the members given. */
function faultsOfRule(members: string): string[] {
  const lines = members.split('\n').map((line) => `    ${line}`);
  return faultsOf(['domain: api', 'rules:', '  - match: {user: "*"}', ...lines].join('\n'));
}

const words = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/^\d+:\d+ /, ''));
const entries = (all: Record<string, string>): Entry[] => Object.entries(all).map(([key, value]) => ({ key, value }));

const LOGIN = `
domain: api
defaults: {onError: closed, lease: 0.05}
rules:
  - name: login
    match: {path: /login, user: "*"}
    limit: 5
    window: 1m
    algorithm: strict
    shadow: true
    onError: open
    lease: exact
    block: {after: 10, within: 1m, for: 15m}
    overrides: {alice: {limit: 100}, bob: unlimited, 1001: 7}
    allow: [127.0.0.1, 10.0.0.0/8, "internal-*"]
    deny: [mallory, "2001:db8::/32"]
  - match: {path: /export, plan: [free, "trial-*"]}
    limit: 3
    period: month
    timeZone: Europe/Berlin
  - name: all
    match: {path: {shared: "*"}}
    limit: 1000
    per: second
    burst: 50
    leaseTtl: 250ms
  - name: internal
    match: {path: /health}
    limit: unlimited
  - name: uploads
    match: {upload: "*"}
    algorithm: concurrency
    limit: 20
    hold: 10s
  - name: shed
    match: {tier: "*"}
    algorithm: adaptive
    limit: 200
    limitMin: 10
    target: 250ms
    shares: {batch: 0.5}
`;

describe('a document of our own language', () => {
  const document = parse(LOGIN);
  const book = new RuleBook([document]);
  const named = (name: string) => book.named('api', name)!;

  test('gives rules in order, with names for those that have none', () => {
    expect(document.rules.map(({ name }) => name)).toEqual([
      'login',
      'path=/export,plan=free|trial-*',
      'all',
      'internal',
      'uploads',
      'shed',
    ]);
    expect(document.rules.map(({ source }) => source)).toEqual(
      [5, 17, 21, 27, 30, 35].map((line) => `limits/api.yaml:${line}`),
    );
    expect(book.rulesOf('api')).toBe(document.rules);
    expect(book.rulesOf('other')).toEqual([]);
  });

  test('has every member where the engine looks for it', () => {
    expect(named('login')).toMatchObject({
      domain: 'api',
      policy: { name: 'strict', limit: 5, windowUs: 60_000_000 },
      isKeyed: [false, true],
      shadow: true,
      onError: 'open',
      leaseShare: 0,
      penalty: { denials: 10, withinMs: 60_000, blockMs: 900_000 },
      replaces: [],
      quotaMode: false,
    });
    expect(named('all')).toMatchObject({
      policy: { name: 'gcra', limit: 1_000, windowUs: 1_000_000, capacity: 50 },
      isKeyed: [false],
      onError: 'closed',
      leaseShare: 0.05,
      leaseMs: 250,
    });
    expect(document.rules[1]!.policy!.spec).toMatchObject({
      algorithm: 'calendar',
      period: 'month',
      timeZone: 'Europe/Berlin',
    });
    expect(named('internal').policy).toBeUndefined();
    expect(named('uploads').policy!.spec).toMatchObject({ algorithm: 'concurrency', limit: 20, holdMs: 10_000 });
    expect(named('uploads').leaseShare).toBe(0);
    expect(named('shed').policy!.spec).toMatchObject({ limitMin: 10, targetMs: 250, shares: { batch: 0.5 } });
  });

  test('overrides change what they name and keep the rest', () => {
    const { overrides } = named('login');
    expect([...overrides.keys()]).toEqual(['alice', '1001']);
    expect(overrides.get('alice')).toMatchObject({ name: 'strict', limit: 100, windowUs: 60_000_000 });
    expect(overrides.get('1001')!.limit).toBe(7);
  });

  test('lists match texts, beginnings and addresses however they are written', () => {
    const { allows, denies } = named('login');
    for (const value of ['bob', '127.0.0.1', '10.255.0.1', '::ffff:10.0.0.1', 'internal-x'])
      expect([value, allows(value)]).toEqual([value, true]);
    for (const value of ['alice', '127.0.0.2', '11.0.0.1', 'external', ''])
      expect([value, allows(value)]).toEqual([value, false]);
    expect([
      denies('mallory'),
      denies('2001:db8::1'),
      denies('2001:0db8:0::1'),
      denies('2001:db9::1'),
      denies('bob'),
    ]).toEqual([true, true, true, false, false]);
  });

  test('keys states by what varies, and never twice the same', () => {
    const key = (all: Record<string, string>) => book.match('api', entries(all))?.key;
    expect(key({ path: '/login', user: 'a' })).not.toBe(key({ path: '/login', user: 'b' }));
    expect(key({ path: '/export', plan: 'free' })).not.toBe(key({ path: '/export', plan: 'trial-1' }));
    expect(key({ path: '/a' })).toBe(key({ path: '/b' }));
    expect(key({ path: '/export', plan: 'pro' })).toBeUndefined();
    expect(book.match('api', entries({ path: '/login', user: 'a' }))).toMatchObject({
      rule: { name: 'login' },
      subject: 'a',
    });
  });

  test('is the same as JSON', () => {
    const json = JSON.stringify({
      domain: 'api',
      rules: [{ name: 'login', match: { path: '/login', user: '*' }, limit: 5, window: '1m', allow: ['10.0.0.0/8'] }],
    });
    const yaml =
      'domain: api\nrules:\n- {name: login, match: {path: /login, user: "*"}, limit: 5, window: 1m, allow: [10.0.0.0/8]}';
    const plain = ({ rules }: RuleDocument) =>
      JSON.parse(JSON.stringify(rules)).map((rule: object) => ({ ...rule, source: '' }));
    expect(plain(parse(json))).toEqual(plain(parse(yaml)));
  });

  test('may use anchors and merge keys', () => {
    const { rules } = parse(`
domain: api
rules:
  - &base {match: {a: "*"}, limit: 5, window: 1m, onError: closed}
  - {<<: *base, match: {b: "*"}, limit: 7}
`);
    expect(rules.map(({ name, onError, policy }) => [name, onError, policy!.limit])).toEqual([
      ['a', 'closed', 5],
      ['b', 'closed', 7],
    ]);
  });
});

describe('how entries match', () => {
  const book = new RuleBook([
    parse(`
domain: d
rules:
  - {name: star, match: {f: {exact: "*"}}, limit: 1, window: 1s}
  - {name: jpg, match: {f: "*.jpg"}, limit: 1, window: 1s}
  - {name: img, match: {f: "img/*"}, limit: 1, window: 1s}
  - {name: empty, match: {f: ""}, limit: 1, window: 1s}
  - {name: rest, match: {f: "*"}, limit: 1, window: 1s}
  - {name: codes, match: {code: [404, "5*"]}, limit: 1, window: 1s}
  - {name: twice, match: [{k: a}, {k: b}], limit: 1, window: 1s}
  - {name: by-ip, match: {f: "*", ip: "*"}, limit: 1, window: 1s}
`),
  ]);
  const rule = (...all: [string, string][]) =>
    book.match(
      'd',
      all.map(([key, value]) => ({ key, value })),
    )?.rule.name;

  test('exact, then wildcards as they are written, then any value', () => {
    expect(rule(['f', '*'])).toBe('star');
    expect(rule(['f', 'img/a.jpg'])).toBe('jpg');
    expect(rule(['f', 'img/a.png'])).toBe('img');
    expect(rule(['f', ''])).toBe('empty');
    expect(rule(['f', 'x'])).toBe('rest');
    expect([rule(['code', '404']), rule(['code', '503']), rule(['code', '403'])]).toEqual([
      'codes',
      'codes',
      undefined,
    ]);
    expect(rule(['k', 'a'], ['k', 'b'])).toBe('twice');
  });

  test('a better first entry without a rule for the second does not hide another rule', () => {
    expect(rule(['f', 'img/a.jpg'], ['ip', '1.2.3.4'])).toBe('by-ip');
    const { path, tried } = book.explain('d', entries({ f: 'img/a.jpg', ip: '1.2.3.4' }));
    expect(path).toEqual(['f', 'ip']);
    expect(tried.filter(({ depth }) => depth === 0).map(({ branch, outcome }) => `${branch}: ${outcome}`)).toEqual([
      'f=img/a.jpg: no such value is written here',
      'f=*.jpg: the descriptor goes on, rules end here',
      'f=img/*: the descriptor goes on, rules end here',
      'f: taken, and it leads on',
    ]);
  });

  test('why nothing matches is told', () => {
    expect(book.explain('d', entries({ f: 'x', user: 'y' })).tried.at(-1)).toMatchObject({
      outcome: 'no entry of this key is written here',
    });
    expect(book.explain('nowhere', entries({ f: 'x' }))).toEqual({ path: [], tried: [], match: undefined });
  });
});

describe('numbers at their edges', () => {
  const limited = (members: string) => faultsOfRule(members).map((line) => line.replace(/^\d+:\d+ /, ''));

  test.each([
    'limit: 0\nwindow: 1ms',
    'limit: 1\nwindow: 1ms',
    'limit: 1000000000\nwindow: 366d',
    'limit: 10\nwindow: 1m\nburst: 1',
    'limit: 10\nwindow: 1m\nburst: 1000000000',
  ])('%j is fine', (members) => expect(faultsOfRule(members)).toEqual([]));

  test.each([
    ['limit: -1\nwindow: 1m', 'limit is -1; it must be a whole number from 0 to 1,000,000,000, or unlimited'],
    [
      'limit: 1000000001\nwindow: 1m',
      'limit is 1000000001; it must be a whole number from 0 to 1,000,000,000, or unlimited',
    ],
    ['limit: 1.5\nwindow: 1m', 'limit is 1.5; it must be a whole number from 0 to 1,000,000,000, or unlimited'],
    ['limit: 1e99\nwindow: 1m', 'limit is 1e99; it must be a whole number from 0 to 1,000,000,000, or unlimited'],
    ['limit: .inf\nwindow: 1m', 'limit is .inf; it must be a whole number from 0 to 1,000,000,000, or unlimited'],
    ['limit: "5"\nwindow: 1m', 'limit is "5"; it must be a whole number from 0 to 1,000,000,000, or unlimited'],
    ['limit:\nwindow: 1m', 'limit is empty; it must be a whole number from 0 to 1,000,000,000, or unlimited'],
    ['limit: 5\nwindow: 0s', 'window is 0s; it must be from 1ms to 366d'],
    ['limit: 5\nwindow: 367d', 'window is 367d; it must be from 1ms to 366d'],
    ['limit: 5\nwindow: -5m', 'window is -5m; a duration is a whole number and a unit: 500ms, 30s, 5m, 2h, 7d'],
    ['limit: 5\nwindow: 60', 'window is 60; a duration is a whole number and a unit: 500ms, 30s, 5m, 2h, 7d'],
    ['limit: 5\nwindow: 1.5s', 'window is 1.5s; a duration is a whole number and a unit: 500ms, 30s, 5m, 2h, 7d'],
    ['limit: 5\nwindow: 999999999999999d', 'window is 999999999999999d; it must be from 1ms to 366d'],
    ['limit: 5\nwindow: 1m\nburst: 0', 'burst is 0; it must be a whole number from 1 to 1,000,000,000'],
    ['limit: 5\nwindow: 1m\nlease: 1.1', 'lease is 1.1; it must be above 0 and at most 1, or exact'],
    ['limit: 5\nwindow: 1m\nlease: -0.1', 'lease is -0.1; it must be above 0 and at most 1, or exact'],
    ['limit: 5\nwindow: 1m\nlease: 0.1\nleaseTtl: 9ms', 'leaseTtl is 9ms; it must be from 10ms to 10s'],
    ['limit: 5\nwindow: 1m\nlease: 0.1\nleaseTtl: 10001ms', 'leaseTtl is 10001ms; it must be from 10ms to 10s'],
  ])('%j is refused', (members, message) => expect(limited(members)).toEqual([message]));

  test('a rate that the clock cannot tell apart is refused', () => {
    expect(limited('limit: 1000000000\nwindow: 1s')).toEqual([
      'limit is 1000000000 in 1000 ms; the most is 10 in a microsecond',
    ]);
  });
});

describe('contradictions', () => {
  test.each([
    ['limit: 5', 'a limit needs a time: window, per or period'],
    ['limit: 5\nwindow: 1m\nper: minute', 'window and per together; one of them is enough'],
    [
      'limit: 5\nwindow: 1m\nperiod: day',
      'window means nothing to calendar; it is for gcra, strict, sliding, fixed, leaky',
    ],
    ['limit: 5\nwindow: 1m\ntimeZone: UTC', 'timeZone means nothing to gcra; it is for calendar'],
    ['limit: 5\nalgorithm: calendar', 'algorithm calendar needs period'],
    ['limit: 5\nalgorithm: strict\nperiod: day', 'period means nothing to strict; it is for calendar'],
    ['limit: 5\nper: month', 'per is month; it is one of second, minute, hour, day, week'],
    ['limit: 5\nperiod: day\ntimeZone: Mars/Olympus', expect.stringContaining('Mars/Olympus')],
    ['limit: 5\nwindow: 1m\nalgorithm: fixed\nburst: 5', 'burst means nothing to fixed; it is for gcra, leaky'],
    ['limit: 5\nwindow: 1m\nalgorithm: leaky\nlease: 0.1', 'lease means nothing to leaky: its units are not lent'],
    ['limit: 5\nalgorithm: concurrency\nlease: 0.1', 'lease means nothing to concurrency: its units are not lent'],
    ['limit: 5\nwindow: 1m\nleaseTtl: 100ms', 'leaseTtl means nothing without a lease'],
    [
      'limit: 5\nalgorithm: concurrency\nwindow: 1m',
      'window means nothing to concurrency; it is for gcra, strict, sliding, fixed, leaky',
    ],
    ['limit: 5\nalgorithm: adaptive', 'algorithm adaptive needs target'],
    ['limit: 5\nalgorithm: adaptive\ntarget: 1s\nlimitMin: 6', 'limitMin is 6; it must be a whole number from 1 to 5'],
    ['limit: unlimited\nwindow: 1m', 'window means nothing to an unlimited rule'],
    ['limit: unlimited\noverrides: {a: 5}', 'overrides means nothing to an unlimited rule'],
    ['limit: unlimited\nblock: {after: 1, within: 1m, for: 1m}', 'block means nothing to an unlimited rule'],
    ['limit: 5\nwindow: 1m\nallow: ["*"]', '* would be every value; write limit: unlimited'],
    ['limit: 5\nwindow: 1m\ndeny: ["**"]', '** would be every value; write limit: 0'],
    ['limit: 5\nwindow: 1m\nallow: [a]\ndeny: [a]', '"a" stands in allow as well, on line 6'],
    ['limit: 5\nwindow: 1m\noverrides: {a: 1}\nallow: [a]', '"a" stands in overrides as well, on line 6'],
    ['limit: 5\nwindow: 1m\noverrides: {a: {}}', 'an override without members changes nothing'],
    [
      'limit: 5\nwindow: 1m\noverrides: {a: {limit: 2, algorithm: fixed}}',
      expect.stringContaining('"algorithm" is not known here'),
    ],
    ['limit: 5\nwindow: 1m\noverrides: {a: {limit: 2, window: 0s}}', 'window is 0s; it must be from 1ms to 366d'],
    [
      'limit: 5\nwindow: 1m\nallow: [10.0.0.0/33]',
      '10.0.0.0/33 is no range of addresses: behind the slash stands a whole number from 0 to 32',
    ],
    [
      'limit: 5\nwindow: 1m\nallow: ["::/129"]',
      '::/129 is no range of addresses: behind the slash stands a whole number from 0 to 128',
    ],
    ['limit: 5\nwindow: 1m\nblock: {after: 1, within: 1m}', 'block needs for: {after: 10, within: 1m, for: 15m}'],
    ['limit: 5\nwindow: 1m\nblock: 10', 'block is 10; it must be a mapping'],
    ['limit: 5\nwindow: 1m\nonError: close', 'onError is close; it is one of open, closed, local'],
    ['limit: 5\nwindow: 1m\nshadow: maybe', 'shadow is maybe; it must be true or false'],
    ['limit: 5\nwindow: 1m\nname: "a\\nb"', expect.stringContaining('is no name')],
    [
      'limit: 5\nwindow: 1m\nname: "inline:x"',
      'names that begin with inline: are taken by limits that requests bring along',
    ],
    ['limit: 5\nwindow: 1m\nwindw: 1m', '"windw" is not known here; did you mean window?'],
    ['limit: 5\nwindow: 1m\nlimit: 6', 'limit is written twice; first on line 4'],
  ])('%j is refused', (members, message) => expect(words(faultsOfRule(members))).toEqual([message]));

  test('an override of an exact last value that is another never comes', () => {
    const text = 'domain: d\nrules:\n- {match: {path: /login}, limit: 5, window: 1m, overrides: {alice: 1}}';
    expect(words(faultsOf(text))).toEqual(['"alice" never comes here: it is no value of path that the rule matches']);
  });

  test('overrides need states of their own', () => {
    const text = 'domain: d\nrules:\n- {match: {path: {shared: "*"}}, limit: 5, window: 1m, overrides: {/a: 1}}';
    expect(words(faultsOf(text))).toEqual([
      'overrides need a state for each value, but all values of path share one here',
    ]);
  });

  test.each([
    ['{}', 'match is empty; it names at least one entry of a descriptor'],
    ['{path: }', 'a value is empty; write "*" for any value, "" for the empty one'],
    ['{path: []}', 'a list of values needs at least one'],
    ['{path: [a, a]}', 'path=a is written twice in this match'],
    ['{path: {shared: a, exact: b}}', 'write {shared: "*"} or {exact: "a*b"}'],
    ['{path: {any: a}}', 'write {shared: "*"} or {exact: "a*b"}'],
    ['[{a: 1, b: 2}]', 'in a list each entry stands by itself: [{path: /login}, {user: "*"}]'],
    ['5', 'match is 5; it must be a mapping'],
    [`{path: "${'x'.repeat(2_049)}"}`, 'a value has 2049 bytes; the most is 2048'],
    [`{"${'k'.repeat(257)}": a}`, 'a key has 257 bytes; the most is 256'],
    [`{${Array.from({ length: 17 }, (_, at) => `k${at}: a`).join(', ')}}`, 'match has 17 entries; the most is 16'],
    [
      `{${['a', 'b', 'c'].map((key) => `${key}: [${Array.from({ length: 11 }, (_, at) => at)}]`).join(', ')}}`,
      'match stands for 1331 combinations of values; the most is 1000',
    ],
  ])('match: %.60s is refused', (match, message) => {
    expect(words(faultsOf(`domain: d\nrules:\n- {match: ${match}, limit: 5, window: 1m}`))[0]).toEqual(message);
  });

  test('between rules: the same name, the same match, a wildcard behind a wider one', () => {
    expect(
      faultsOf(`domain: d
rules:
  - {name: one, match: {a: x, b: "*"}, limit: 5, window: 1m}
  - {name: one, match: {a: y}, limit: 5, window: 1m}
  - {match: {a: [x, z], b: "*"}, limit: 5, window: 1m}
  - {match: {p: "img/*", q: "*"}, limit: 5, window: 1m}
  - {match: {p: "img/small/*", q: x}, limit: 5, window: 1m}
  - {match: {p: "img/small/*", q: x, r: x}, limit: 5, window: 1m}
  - {name: a=y, match: {n: "*"}, limit: 5, window: 1m}
  - {match: {a: y2}, limit: 5, window: 1m}
  - {name: a=y2, match: {m: "*"}, limit: 5, window: 1m}
`),
    ).toEqual([
      '4:12 the name "one" is taken by the rule on line 3',
      '5:5 the same match, a=x,b, as the rule "one" on line 3',
      '7:5 p=img/small/*,q=x can never match: p=img/*,q on line 6 comes first; write the narrower one before it',
      '11:12 the name "a=y2" is taken by the rule on line 10',
    ]);
  });

  test('all faults of a document are told at once, in its order', () => {
    const text = `domain: "a b"
defaults: {onError: never, leese: 1}
rules:
  - {match: {a: "*"}, limit: -1, window: 1m}
  - {match: {b: "*"}, limit: 5, windw: 1m}
  - nonsense
  - {limit: 5, window: 1m}
`;
    expect(faultsOf(text)).toEqual([
      '1:9 domain is "a b"; it must be 1–256 visible ASCII characters',
      '2:21 onError is never; it is one of open, closed, local',
      '2:28 "leese" is not known here; did you mean lease?',
      '4:30 limit is -1; it must be a whole number from 0 to 1,000,000,000, or unlimited',
      '5:5 a limit needs a time: window, per or period',
      '5:33 "windw" is not known here; did you mean window?',
      '6:5 rules 3 is "nonsense"; it must be a mapping',
      '7:5 a rule needs a match: {path: /login, user: "*"}',
    ]);
  });
});

describe('documents that are none', () => {
  test.each([
    ['', '1:1 the document is empty'],
    ['# nothing\n', '1:1 the document is empty'],
    ['[]', '1:1 the document must be a mapping: domain, and rules or descriptors'],
    ['5', '1:1 the document must be a mapping: domain, and rules or descriptors'],
    ['rules: []', '1:1 domain is missing'],
    ['domain: \nrules: []', '1:9 domain is empty'],
    ['domain: d\nrules: {}', '2:8 rules is a mapping; it must be a list'],
    ['domain: d\nrules: []\ndescriptors: []', '1:1 rules and descriptors together; a document is in one language'],
    ['domain: d\nrulez: []', '2:1 "rulez" is not known here; did you mean rules?'],
    ['domain: d\n---\ndomain: e', '2:1 a file holds one document; --- begins a second one'],
    ['domain: !secret d\nrules: []', '1:9 Unresolved tag: !secret'],
    ['domain: d\nrules: [', expect.stringContaining('2:9 Flow sequence')],
    ['[1]: 2', expect.any(String)],
    ['domain: *d\nrules: []', '1:9 *d stands for nothing: no &d comes before it'],
  ])('%j', (text, fault) => expect(faultsOf(text)[0]).toEqual(fault));

  test('no text takes the process down or long', () => {
    const bombs = [
      '['.repeat(50_000),
      'a: &a {<<: *a}\ndomain: d\nrules: []',
      `domain: d\nrules: &r\n${Array.from({ length: 30 }, (_, at) => `x${at}: &x${at} {<<: [${at === 0 ? '{}' : `*x${at - 1}, *x${at - 1}`}]}`).join('\n')}`,
      `a: &a {k: v}\n${Array.from({ length: 20 }, (_, at) => `k${at}: &n${at} [${`*${at === 0 ? 'a' : `n${at - 1}`},`.repeat(9)}]`).join('\n')}\ndomain: d\nrules: *n19`,
    ];
    for (const bomb of bombs) {
      const startedMs = performance.now();
      expect(faultsOf(bomb).length).toBeGreaterThan(0);
      expect(performance.now() - startedMs).toBeLessThan(10_000);
    }
    const faults = faultsOf(`domain: d\nrules: []\n# ${'x'.repeat(8 * 1_048_576)}`);
    expect(faults).toEqual(['1:1 the document has 8,388,630 bytes; the most is 8,388,608']);
  });

  test('a hundred faults are enough', () => {
    const rules = Array.from({ length: 500 }, (_, at) => `- {match: {a: ${at}}, limit: -1, window: 1m}`);
    expect(faultsOf(`domain: d\nrules:\n${rules.join('\n')}`)).toHaveLength(100);
  });
});
