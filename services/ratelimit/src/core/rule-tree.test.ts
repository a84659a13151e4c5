import { describe, expect, test } from '@jest/globals';
import { type SeededRandom, seededRandom } from '@plinth/testkit';
import type { Descriptor, Entry } from './rule.ts';
import { type RulePath, RuleTree, type Search, type Step, type ValuePattern } from './rule-tree.ts';

const KEYS = ['a', 'b', 'user'];
const ALPHABET = ['x', 'y', 'xy', ''];

/** Few letters, so that patterns and values meet often. */
function word(random: SeededRandom, letters: readonly string[]): string {
  return Array.from({ length: random.int(4) }, () => random.pick(letters)).join('');
}

function pattern(random: SeededRandom): ValuePattern {
  const text = word(random, [...ALPHABET, '*']);
  if (random.int(6) === 0) return { kind: 'any' };
  return text.includes('*') ? { kind: 'wildcard', pattern: text } : { kind: 'exact', value: text };
}

const steps = (random: SeededRandom): Step[] =>
  Array.from({ length: 1 + random.int(3) }, () => ({ key: random.pick(KEYS), value: pattern(random) }));
const descriptor = (random: SeededRandom): Entry[] =>
  Array.from({ length: 1 + random.int(3) }, () => ({ key: random.pick(KEYS), value: word(random, ALPHABET) }));

const escaped = (text: string) => text.replace(/[^xy]/g, '\\$&');
const regexp = (text: string) => new RegExp(`^${text.split('*').map(escaped).join('[^]*')}$`);
const isMatch = (value: ValuePattern, text: string): boolean =>
  value.kind === 'any' || (value.kind === 'exact' ? value.value === text : regexp(value.pattern).test(text));
const rank = { exact: 0, wildcard: 1, any: 2 };

/**
 * The same words as in the design note, without a tree: of the paths left, entry by entry, the best value that matches.
 * `thorough` looks only at paths that match to their end; `greedy` at all, and may find that none of them goes on.
 */
function naive(paths: readonly RulePath[], wanted: Descriptor, search: Search): RulePath | undefined {
  const fits = ({ steps: all }: RulePath, upTo: number) =>
    all.slice(0, upTo).every(({ key, value }, at) => key === wanted[at]?.key && isMatch(value, wanted[at]!.value));
  const whole = (path: RulePath) => path.steps.length === wanted.length && fits(path, wanted.length);
  let left = search === 'thorough' ? paths.filter(whole) : [...paths];
  for (let at = 0; at < wanted.length; at++) {
    const candidates = left.filter((path) => path.steps.length > at && fits(path, at + 1));
    const best = candidates.reduce<Step | undefined>((found, { steps: all }) => {
      const step = all[at]!;
      return found === undefined || rank[step.value.kind] < rank[found.value.kind] ? step : found;
    }, undefined);
    left = candidates.filter(({ steps: all }) => JSON.stringify(all[at]) === JSON.stringify(best));
  }
  return left.find((path) => path.steps.length === wanted.length);
}

/**
 * The order of wildcards is that in which they first appear below their node, which is the order of paths only when
 * those that share a beginning stand together: as in a nested document.
 */
function grouped(paths: readonly RulePath[], depth = 0): RulePath[] {
  const groups = Map.groupBy(paths, ({ steps: all }) => JSON.stringify(all[depth]));
  return [...groups.values()].flatMap((group) => {
    const ends = group.filter(({ steps: all }) => all.length <= depth + 1);
    const longer = group.filter(({ steps: all }) => all.length > depth + 1);
    return longer.length === 0 ? ends : [...ends, ...grouped(longer, depth + 1)];
  });
}

describe.each(['greedy', 'thorough'] as const)('a %s search', (search) => {
  test('finds what comparing with every path finds', () => {
    const random = seededRandom();
    let found = 0;
    for (let round = 0; round < 400; round++) {
      const written = Array.from({ length: 1 + random.int(20) }, () => ({ steps: steps(random), rule: undefined }));
      const paths = grouped(written);
      const tree = new RuleTree(paths, search);
      for (let ask = 0; ask < 60; ask++) {
        const wanted = descriptor(random);
        const expected = naive(paths, wanted, search);
        if (expected !== undefined) found++;
        if (tree.find(wanted) !== expected) expect({ paths, wanted, found: tree.find(wanted) }).toEqual({ expected });
      }
    }
    // Not all of them should be misses.
    expect(found).toBeGreaterThan(2_000);
  });

  test('explains itself: the last branch taken is where it ended', () => {
    const random = seededRandom();
    for (let round = 0; round < 300; round++) {
      const paths = Array.from({ length: 1 + random.int(12) }, () => ({ steps: steps(random), rule: undefined }));
      const tree = new RuleTree(paths, search);
      const wanted = descriptor(random);
      const trials = tree.explain(wanted);
      const ends = trials.filter(({ outcome }) => outcome === 'taken, and it is written without a limit');
      expect(ends.length).toBe(tree.find(wanted) === undefined ? 0 : 1);
    }
  });
});

const path = (...all: [key: string, value: ValuePattern][]): RulePath => ({
  steps: all.map(([key, value]) => ({ key, value })),
  rule: undefined,
});
const exact = (value: string): ValuePattern => ({ kind: 'exact', value });
const any: ValuePattern = { kind: 'any' };
const ask = (...all: [key: string, value: string][]): Entry[] => all.map(([key, value]) => ({ key, value }));

test('a descriptor matches a path of its own length only', () => {
  const one = path(['a', any]);
  const three = path(['a', any], ['b', any], ['c', any]);
  for (const search of ['greedy', 'thorough'] as const) {
    const tree = new RuleTree([one, three], search);
    expect(tree.find([])).toBeUndefined();
    expect(tree.find(ask(['a', '1']))).toBe(one);
    expect(tree.find(ask(['a', '1'], ['b', '1']))).toBeUndefined();
    expect(tree.find(ask(['a', '1'], ['b', '1'], ['c', '1']))).toBe(three);
    expect(tree.find(ask(['a', '1'], ['b', '1'], ['c', '1'], ['d', '1']))).toBeUndefined();
  }
});

test('where the better branch leads nowhere, greedy gives up and thorough does not', () => {
  const paths = [path(['p', exact('x')], ['user', any]), path(['p', any], ['ip', any])];
  const wanted = ask(['p', 'x'], ['ip', '1']);
  expect(new RuleTree(paths, 'greedy').find(wanted)).toBeUndefined();
  expect(new RuleTree(paths, 'thorough').find(wanted)).toBe(paths[1]);
});

test('paths written twice are told, and the first one stands', () => {
  const paths = [path(['a', exact('x')]), path(['a', any]), path(['a', exact('x')])];
  const tree = new RuleTree(paths, 'greedy');
  expect(tree.duplicates).toEqual([{ first: paths[0], second: paths[2] }]);
  expect(tree.find(ask(['a', 'x']))).toBe(paths[0]);
});

test('keys and values that look like members of objects are keys and values', () => {
  const names = ['__proto__', 'constructor', 'toString'];
  const paths = names.map((name) => path([name, exact(name)]));
  const tree = new RuleTree(paths, 'thorough');
  for (const [at, name] of names.entries()) expect(tree.find(ask([name, name]))).toBe(paths[at]);
  expect(tree.find(ask(['hasOwnProperty', 'x']))).toBeUndefined();
});

describe('the cost of a look-up', () => {
  /** The best of several rounds: what others do on the machine only ever adds. */
  function microseconds(tree: RuleTree, wanted: readonly Descriptor[]): number {
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 10; round++) {
      const startedMs = performance.now();
      for (const each of wanted) if (tree.find(each) === undefined) throw new Error('a miss');
      best = Math.min(best, ((performance.now() - startedMs) * 1_000) / wanted.length);
    }
    return best;
  }

  test.each([
    ['exact values', (at: number) => exact(`/api/${at}`), (at: number) => `/api/${at}`],
    [
      'beginnings',
      (at: number): ValuePattern => ({ kind: 'wildcard', pattern: `/api/${at}/*` }),
      (at: number) => `/api/${at}/x`,
    ],
    ['ends', (at: number): ValuePattern => ({ kind: 'wildcard', pattern: `*.${at}` }), (at: number) => `file.${at}`],
  ])('does not grow with the number of rules: %s', (_, patternAt, valueAt) => {
    const measure = (count: number) => {
      const numbers = Array.from({ length: count }, (__, at) => at);
      const tree = new RuleTree(
        numbers.map((at) => path(['path', patternAt(at)], ['user', any])),
        'thorough',
      );
      const wanted = Array.from({ length: 20_000 }, (__, at) => ask(['path', valueAt(at % count)], ['user', `u${at}`]));
      return microseconds(tree, wanted);
    };
    measure(100);
    const [few, many] = [measure(100), measure(10_000)];
    process.stderr.write(
      `look-up of depth 2, µs: ${few.toFixed(2)} among 100 rules, ${many.toFixed(2)} among 10,000\n`,
    );
    expect(many).toBeLessThan(5);
  });
});
