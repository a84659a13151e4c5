import { describe, expect, it } from '@jest/globals';
import { bytes, codeOf, START_MS, TestMachine } from './machine.fixture.ts';
import {
  changesSince,
  countLive,
  history,
  type KeyRange,
  scan,
  versionAt,
  viewAtRevision,
  viewAtTime,
  withinPrefix,
} from './reader.ts';

const ALL: KeyRange = { start: '', end: undefined, reverse: false };
const MANY = { entries: 1_000, rows: 1_000 };

function filled(...keys: string[]): TestMachine {
  const test = new TestMachine();
  for (const key of keys) test.put(key, `of ${key}`);
  return test;
}

const view = (test: TestMachine, revision = test.machine.revision) => ({ revision, timeMs: test.timeMs });
const keys = (test: TestMachine, range: Partial<KeyRange> = {}, at = view(test)) =>
  scan(test.store, test.state, at, { ...ALL, ...range }, MANY).found.map(({ key }) => key);

describe('a scan', () => {
  const test = filled('a', 'b', 'b\x01', 'c', '\xff');

  it('finds keys in the order of their bytes, forwards and backwards', () => {
    expect(keys(test)).toEqual(['a', 'b', 'b\x01', 'c', '\xff']);
    expect(keys(test, { reverse: true })).toEqual(['\xff', 'c', 'b\x01', 'b', 'a']);
  });

  it('begins at its start, inclusive, and ends before its end', () => {
    expect(keys(test, { start: 'b', end: 'c' })).toEqual(['b', 'b\x01']);
    expect(keys(test, { start: 'b', end: 'c', reverse: true })).toEqual(['b\x01', 'b']);
    expect(keys(test, { start: 'b\x00', end: 'c' })).toEqual(['b\x01']);
    expect(keys(test, { start: 'c', end: 'c' })).toEqual([]);
    expect(keys(test, { start: 'c', end: 'a' })).toEqual([]);
    expect(keys(test, { end: '' })).toEqual([]);
  });

  it('stops after so many entries and goes on where it stopped', () => {
    const first = scan(test.store, test.state, view(test), ALL, { entries: 2, rows: 100 });
    expect(first.found.map(({ key }) => key)).toEqual(['a', 'b']);
    expect(keys(test, first.next)).toEqual(['b\x01', 'c', '\xff']);
    const back = scan(test.store, test.state, view(test), { ...ALL, reverse: true }, { entries: 2, rows: 100 });
    expect(keys(test, back.next)).toEqual(['b\x01', 'b', 'a']);
  });

  it('says that nothing is left when it ends exactly with the range', () => {
    expect(scan(test.store, test.state, view(test), ALL, { entries: 5, rows: 5 }).next).toBeUndefined();
    expect(scan(test.store, test.state, view(test), ALL, { entries: 4, rows: 5 }).next).toBeDefined();
    expect(scan(test.store, test.state, view(test), ALL, { entries: 5, rows: 4 }).next).toBeDefined();
  });

  it('stops after so many rows though it found nothing in them', () => {
    const gone = filled('a', 'b', 'c', 'd');
    for (const key of 'abc') gone.delete(key);
    const piece = scan(gone.store, gone.state, view(gone), ALL, { entries: 10, rows: 2 });
    expect(piece.found).toEqual([]);
    expect(keys(gone, piece.next)).toEqual(['d']);
  });

  it('goes on with the same state, whatever was written since', () => {
    const moving = filled('a', 'b', 'c', 'd');
    const at = view(moving);
    const piece = scan(moving.store, moving.state, at, ALL, { entries: 2, rows: 100 });
    moving.put('c', 'newer');
    moving.delete('d');
    moving.put('e');
    const rest = scan(moving.store, moving.state, at, piece.next!, MANY).found;
    expect(rest.map(({ key, version }) => [key, version.revision])).toEqual([
      ['c', 3],
      ['d', 4],
    ]);
    expect(keys(moving)).toEqual(['a', 'b', 'c', 'e']);
  });

  it('leaves out what has reached its deadline, at the millisecond', () => {
    const dying = filled('a');
    dying.put('b', 'v', { life: { ttlMs: 500 } });
    const at = (timeMs: number) => keys(dying, {}, { revision: 2, timeMs });
    expect([at(START_MS + 499), at(START_MS + 500)]).toEqual([['a', 'b'], ['a']]);
  });

  it('sees nothing of the buckets beside it', () => {
    const other = test.define('other');
    test.record({ do: 'operation', bucket: other, operation: { op: 'put', key: 'm', value: bytes('v') } });
    expect(keys(test)).not.toContain('m');
  });
});

describe('a range within a prefix', () => {
  const part = (prefix: string, range: Partial<KeyRange>) => {
    const { start, end } = withinPrefix(prefix, { ...ALL, ...range });
    return [start, end];
  };

  it('is all that begins with the prefix', () => {
    expect(part('a/', {})).toEqual(['a/', 'a0']);
    expect(part('', {})).toEqual(['', undefined]);
    expect(part('\xff', {})).toEqual(['\xff', undefined]);
  });

  it('is narrowed by start and end, never widened', () => {
    expect(part('a/', { start: 'a/5', end: 'a/7' })).toEqual(['a/5', 'a/7']);
    expect(part('a/', { start: 'A', end: 'b' })).toEqual(['a/', 'a0']);
    expect(part('\xff', { end: '\xff\x05' })).toEqual(['\xff', '\xff\x05']);
  });
});

describe('a version of a key', () => {
  it('is the one that stood at the revision', () => {
    const test = filled('a', 'b', 'a');
    const at = (revision: number) => versionAt(test.store, test.state, 'a', revision)?.revision;
    expect([at(0), at(1), at(2), at(3), at(99)]).toEqual([undefined, 1, 1, 3, 3]);
  });

  it('is not that of a key which goes on with other bytes', () => {
    const test = filled('a\x01', 'a', 'a\x01', 'a');
    expect(versionAt(test.store, test.state, 'a', 3)?.revision).toBe(2);
    expect(versionAt(test.store, test.state, 'a\x01', 2)?.revision).toBe(1);
    expect(history(test.store, test.bucket, 'a', 9).map(({ version }) => version.revision)).toEqual([4, 2]);
  });
});

describe('the history of a key', () => {
  const test = filled('a', 'a');
  test.delete('a');
  test.put('a', 'again');

  it('is told newest first, deletions included, up to a limit', () => {
    const told = (limit: number) =>
      history(test.store, test.bucket, 'a', limit).map(({ version, record }) => `${version.revision} ${record.type}`);
    expect(told(9)).toEqual(['4 put', '3 delete', '2 put', '1 put']);
    expect(told(2)).toEqual(['4 put', '3 delete']);
    expect(told(1)).toEqual(['4 put']);
  });

  it('of a key that never was is empty', () => {
    expect(history(test.store, test.bucket, 'b', 9)).toEqual([]);
  });
});

describe('changes since a revision', () => {
  const test = filled('a');
  test.transact(['b', 'c', 'd'].map((key) => ({ op: 'put', key, value: bytes(key) })));
  test.put('e');
  const since = (revision: number, limit = 100, bytesMax = 100_000) => {
    const page = changesSince(test.store, test.state, revision, { limit, bytesMax });
    return { ...page, rows: page.rows.map(({ revision: at, record, more }) => `${at}${record.key}${more ? '+' : ''}`) };
  };

  it('come whole and in order; events of one revision say that more of it follow', () => {
    expect(since(0)).toEqual({ rows: ['1a', '2b+', '2c+', '2d', '3e'], next: 3, more: false });
    expect(since(1).rows).toEqual(['2b+', '2c+', '2d', '3e']);
    expect(since(3)).toEqual({ rows: [], next: 3, more: false });
  });

  it('are never cut in the middle of a revision, whatever the limit', () => {
    expect(since(0, 1)).toEqual({ rows: ['1a'], next: 1, more: true });
    expect(since(0, 2)).toEqual({ rows: ['1a', '2b+', '2c+', '2d'], next: 2, more: true });
    expect(since(1, 100, 1)).toEqual({ rows: ['2b+', '2c+', '2d'], next: 2, more: true });
  });

  it('reach as far as the last change of the bucket, not of its neighbours', () => {
    const other = test.define('other');
    test.record({ do: 'operation', bucket: other, operation: { op: 'put', key: 'x', value: bytes('v') } });
    expect(since(3)).toEqual({ rows: [], next: 3, more: false });
  });
});

describe('a point in time', () => {
  const test = new TestMachine();
  const other = test.define('other');
  for (const key of ['a', 'b', 'c']) {
    test.put(key, 'v', key === 'a' ? { life: { ttlMs: 1_500 } } : {});
    test.record({ do: 'operation', bucket: other, operation: { op: 'put', key, value: bytes('v') } });
    test.timeMs += 1_000;
  }
  // Revisions 1 and 2 at 0 s, 3 and 4 at 1 s; at 2 s the expiry of a, then 6 and 7.
  const now = { revision: test.machine.revision, timeMs: test.timeMs };
  const at = (timeMs: number) => viewAtTime(test.store, test.state, START_MS + timeMs, now);

  it('shows what was written by then, to the millisecond', () => {
    expect([at(-1), at(0), at(999), at(1_000), at(2_000)].map(({ revision }) => revision)).toEqual([0, 1, 1, 3, 6]);
  });

  it('shows entries alive or gone as they were then, though swept later', () => {
    expect(keys(test, {}, at(1_499))).toEqual(['a', 'b']);
    expect(keys(test, {}, at(1_500))).toEqual(['b']);
  });

  it('that has not come yet is the present', () => {
    expect(at(3_000)).toEqual(now);
    expect(at(9_000)).toEqual(now);
  });

  it('of a revision is the time at which it was given', () => {
    const of = (revision: number) => viewAtRevision(test.store, test.state, revision);
    expect(of(0)).toEqual({ revision: 0, timeMs: 0 });
    expect(of(3)).toEqual({ revision: 3, timeMs: START_MS + 1_000 });
    expect(of(4)).toEqual({ revision: 4, timeMs: START_MS + 1_000 });
    expect(of(now.revision).timeMs).toBeLessThan(now.timeMs);
  });

  it('of an empty bucket shows nothing', () => {
    const empty = new TestMachine();
    expect(keys(empty, {}, viewAtTime(empty.store, empty.state, 5, view(empty)))).toEqual([]);
  });

  it('that is forgotten is refused, with the revision from which on everything is kept', () => {
    test.record({ do: 'compact', bucket: test.bucket, revision: 3, limit: 100 });
    expect(codeOf(() => at(999))).toBe('revision_compacted');
    expect(() => keys(test, {}, view(test, 2))).toThrow(
      expect.objectContaining({ members: { compactedRevision: 3, revision: 6 } }),
    );
    expect(keys(test, {}, at(1_000))).toEqual(['a', 'b']);
  });
});

describe('the count of live keys', () => {
  it('counts those of its bucket, without what is due but not swept', () => {
    const test = filled('a', 'b');
    const other = test.define('other');
    const life = { life: { ttlMs: 100 } };
    test.put('c', 'v', life);
    test.record({ do: 'operation', bucket: other, operation: { op: 'put', key: 'c', value: bytes('v'), ...life } });
    const count = (timeMs: number) => countLive(test.store, test.state, timeMs);
    expect([count(START_MS + 99), count(START_MS + 100)]).toEqual([3, 2]);
  });
});
