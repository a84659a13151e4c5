import { describe, expect, it } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { nextFolder } from './folders.ts';
import { TestMachine } from './machine.fixture.ts';
import { type KeyRange, withinPrefix } from './reader.ts';

function fold(
  test: TestMachine,
  prefix: string,
  { delimiter = '/', reverse = false, rows = 1_000, revision = Infinity } = {},
) {
  const view = { revision: Math.min(revision, test.machine.revision), timeMs: test.timeMs };
  const lines: string[] = [];
  let next: KeyRange | undefined = withinPrefix(prefix, { start: '', end: undefined, reverse });
  for (let step = 0; next !== undefined; step++) {
    if (step > 10_000) throw new Error('it does not end');
    const found = nextFolder(test.store, test.state, view, next, { prefix, delimiter }, rows);
    if (found.folder !== undefined) lines.push(`${found.folder}…`);
    if (found.listed !== undefined) lines.push(found.listed.key);
    next = found.next;
  }
  return lines;
}

function filled(...keys: string[]): TestMachine {
  const test = new TestMachine();
  for (const key of keys) test.put(key);
  return test;
}

describe('folding keys into folders', () => {
  const test = filled('a', 'a/', 'a/1', 'a/2/x', 'a/2/y', 'a/3', 'a0', 'b/1', '\xff/\xff');

  it('shows each folder once, among the keys that lie in none', () => {
    expect(fold(test, '')).toEqual(['a', 'a/…', 'a0', 'b/…', '\xff/…']);
    expect(fold(test, 'a/')).toEqual(['a/', 'a/1', 'a/2/…', 'a/3']);
    expect(fold(test, 'a/2/')).toEqual(['a/2/x', 'a/2/y']);
    expect(fold(test, 'none/')).toEqual([]);
  });

  it('backwards shows the same, the other way round', () => {
    for (const prefix of ['', 'a/', 'a', '\xff']) {
      expect(fold(test, prefix, { reverse: true })).toEqual(fold(test, prefix).reverse());
    }
  });

  it('takes a delimiter of several bytes', () => {
    const pairs = filled('x::1', 'x::2', 'x:3', 'y');
    expect(fold(pairs, '', { delimiter: '::' })).toEqual(['x:3', 'x::…', 'y']);
  });

  it('shows no folder whose keys are all gone, and finds what lies behind many of them', () => {
    const gone = filled('a/1', 'a/2', 'b/1', 'c');
    gone.delete('a/1');
    gone.delete('a/2');
    expect(fold(gone, '', { rows: 1 })).toEqual(['b/…', 'c']);
  });

  it('shows folders of the past', () => {
    const past = filled('a/1', 'b/1');
    past.delete('a/1');
    past.put('c/1');
    expect(fold(past, '', { revision: 2 })).toEqual(['a/…', 'b/…']);
  });

  it('agrees with folding by hand, for random keys, prefixes and directions', () => {
    const random = seededRandom();
    const part = () => random.pick(['a', 'b', '/', '//', '\xff', 'a/']);
    const keys = Array.from({ length: 200 }, () => Array.from({ length: 1 + random.int(4) }, part).join(''));
    const many = filled(...keys);
    const sorted = [...new Set(keys)].sort((x, y) => (x < y ? -1 : 1));
    for (let round = 0; round < 50; round++) {
      const prefix = random.pick(['', 'a', '/', 'a/', 'b\xff', '\xff']);
      const folded = sorted
        .filter((key) => key.startsWith(prefix))
        .map((key) => {
          const at = key.indexOf('/', prefix.length);
          return at < 0 ? key : `${key.slice(0, at + 1)}…`;
        });
      const wanted = [...new Set(folded)];
      const reverse = random.int(2) === 0;
      expect(fold(many, prefix, { reverse, rows: 1 + random.int(5) })).toEqual(reverse ? wanted.reverse() : wanted);
    }
  });
});
