import { describe, expect, test } from '@jest/globals';
import type { Rule } from './rule.ts';
import { LiveRules, RuleBook, type RuleDocument } from './rule-book.ts';

function documentOf(domain: string, source: string, names: readonly string[] = ['r']): RuleDocument {
  const rules = names.map(
    (name): Rule => ({
      domain,
      name,
      policy: undefined,
      isKeyed: [false, true],
      shadow: false,
      onError: 'local',
      leaseShare: 0,
      leaseMs: 100,
      penalty: undefined,
      overrides: new Map(),
      allows: () => false,
      denies: () => false,
      replaces: [],
      quotaMode: false,
      source,
    }),
  );
  const paths = rules.map((rule) => ({
    rule,
    steps: [
      { key: 'n', value: { kind: 'exact', value: rule.name } as const },
      { key: 'user', value: { kind: 'any' } as const },
    ],
  }));
  return { domain, rules, paths, search: 'thorough', text: '', source, warnings: [] };
}

const ask = (name: string, user: string) => [
  { key: 'n', value: name },
  { key: 'user', value: user },
];

describe('a book', () => {
  const book = new RuleBook([documentOf('a', 'one', ['x', 'y']), documentOf('b', 'two')]);

  test('matches in the domain that is asked for, and in no other', () => {
    expect(book.match('a', ask('x', 'u'))).toMatchObject({ rule: { name: 'x' }, subject: 'u' });
    expect(book.match('b', ask('x', 'u'))).toBeUndefined();
    expect(book.match('c', ask('x', 'u'))).toBeUndefined();
    expect(book.match('a', [])).toBeUndefined();
    expect([book.named('a', 'y')?.name, book.named('b', 'y')]).toEqual(['y', undefined]);
    expect(book.domains()).toEqual(['a', 'b']);
  });

  test('gives states that differ by domain, rule and value, however these are cut', () => {
    const one = new RuleBook([documentOf('a', '', ['x', 'xx']), documentOf('ax', '', ['x'])]);
    const keys = [
      one.match('a', ask('x', 'xu')),
      one.match('a', ask('xx', 'u')),
      one.match('ax', ask('x', 'u')),
      one.match('a', ask('x', 'u')),
    ];
    expect(new Set(keys.map((match) => match!.key)).size).toBe(4);
  });
});

describe('rules that change', () => {
  const sourceOf = (rules: LiveRules) => rules.book.documentOf('a')?.source;

  test('of one domain the document of the strongest source counts, whole', () => {
    const rules = new LiveRules(['files', 'kv']);
    rules.replace('kv', documentOf('a', 'kv', ['x']));
    rules.replace('files', [documentOf('a', 'file', ['y']), documentOf('b', 'file')]);
    expect(sourceOf(rules)).toBe('kv');
    expect(rules.book.match('a', ask('y', 'u'))).toBeUndefined();
    expect(rules.documents().map(({ document, sourceId, hiddenBy }) => [document.domain, sourceId, hiddenBy])).toEqual([
      ['a', 'files', 'kv'],
      ['b', 'files', undefined],
      ['a', 'kv', undefined],
    ]);
    rules.replace('kv', undefined);
    expect(sourceOf(rules)).toBe('file');
    rules.replace('later', documentOf('a', 'later'));
    expect(sourceOf(rules)).toBe('later');
  });

  test('a book that is held does not change, and every change is told', () => {
    const rules = new LiveRules();
    const told: [number, string | undefined][] = [];
    const stop = rules.onChange((book) => told.push([rules.version, book.documentOf('a')?.source]));
    const before = rules.book;
    rules.replace('files', documentOf('a', '1'));
    const first = rules.book;
    rules.replace('files', [documentOf('a', '2')]);
    stop();
    rules.replace('files', []);
    expect(told).toEqual([
      [1, '1'],
      [2, '2'],
    ]);
    expect([before.domains(), first.documentOf('a')?.source, rules.book.domains(), rules.version]).toEqual([
      [],
      '1',
      [],
      3,
    ]);
  });
});
