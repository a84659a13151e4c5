import { describe, expect, it } from '@jest/globals';
import { bytes, codeOf, rowCount, type SomeSettings, START_MS, TestMachine } from './machine.fixture.ts';
import { changesSince, history, readEntry, versionAt, viewAtTime } from './reader.ts';

function written(settings: SomeSettings, ...values: (string | undefined)[]): TestMachine {
  const test = new TestMachine(settings);
  for (const value of values) {
    if (value === undefined) test.delete('a');
    else test.put('a', value);
  }
  return test;
}

const compact = (test: TestMachine, revision: number, limit = 1_000) =>
  test.done({ do: 'compact', bucket: test.bucket, revision, limit });
const revisions = (test: TestMachine, key = 'a') =>
  history(test.store, test.bucket, key, 64).map(({ version }) => version.revision);
const at = (test: TestMachine, revision: number, key = 'a') => {
  const version = versionAt(test.store, test.state, key, revision);
  return version?.deleted ? 'deleted' : version?.revision;
};

describe('compacting to a revision', () => {
  it('with one version kept removes all that were superseded by then, and no other', () => {
    const test = written({}, '1', '2', '3', '4');
    expect(compact(test, 3)).toMatchObject({ removed: 2, more: false });
    expect(revisions(test)).toEqual([4, 3]);
    expect(test.state).toMatchObject({ compactedRevision: 3, pastVersions: 1, pastBytes: 1 });
  });

  it('with three kept keeps the three newest of that revision, and all later ones', () => {
    const test = written({ historyCount: 3 }, '1', '2', '3', '4', '5', '6');
    compact(test, 5);
    expect(revisions(test)).toEqual([6, 5, 4, 3]);
    compact(test, 6);
    expect(revisions(test)).toEqual([6, 5, 4]);
    expect(at(test, 4)).toBe(4);
    expect(codeOf(() => at(test, 3))).toBe('revision_compacted');
  });

  it('ends the history of a deleted key with its tombstone', () => {
    const test = written({ historyCount: 3 }, '1', '2', undefined);
    test.put('b');
    compact(test, 2);
    expect(rowCount(test.store, 'index')).toBe(2);
    compact(test, 3);
    expect(revisions(test)).toEqual([]);
    expect(rowCount(test.store, 'index')).toBe(1);
    expect(test.state).toMatchObject({ pastVersions: 0, pastBytes: 0 });
  });

  it('removes a tombstone that was written over, and what was before it', () => {
    const test = written({ historyCount: 3 }, '1', undefined, '3', '4');
    compact(test, 2);
    expect(revisions(test)).toEqual([4, 3]);
    expect(at(test, 3)).toBe(3);
    expect(at(test, 2)).toBeUndefined();
  });

  it('keeps a tombstone that is newer, so that older pages still find the key', () => {
    const test = written({}, '1', undefined);
    compact(test, 1);
    expect([at(test, 1), at(test, 2)]).toEqual([1, 'deleted']);
  });

  it('reads everything at and after it, and refuses what is before', () => {
    const test = written({}, '1', '2', '3');
    compact(test, 2);
    expect([at(test, 2), at(test, 3)]).toEqual([2, 3]);
    expect(codeOf(() => at(test, 1))).toBe('revision_compacted');
    const changes = (since: number) => changesSince(test.store, test.state, since, { limit: 9, bytesMax: 999 }).rows;
    expect(changes(2)).toHaveLength(1);
    expect(codeOf(() => changes(1))).toBe('revision_compacted');
  });

  it('never takes the present away', () => {
    const test = written({}, '1', '2');
    expect(compact(test, 1_000)).toMatchObject({ removed: 1, more: false });
    expect(test.get('a')).toMatchObject({ value: '2', revision: 2, version: 2 });
    expect(test.state.compactedRevision).toBe(2);
  });

  it('does nothing the second time, and never goes back', () => {
    const test = written({}, '1', '2', '3');
    compact(test, 3);
    expect(compact(test, 3)).toMatchObject({ removed: 0, more: false });
    expect(compact(test, 1)).toMatchObject({ removed: 0, more: false });
    expect(test.state.compactedRevision).toBe(3);
  });

  it('stops after its limit of records, says there is more, and is readable from where it stands', () => {
    const test = written({}, '1', '2', '3', '4', '5');
    expect(compact(test, 5, 2)).toMatchObject({ removed: 1, more: true });
    expect(test.state.compactedRevision).toBe(2);
    expect(at(test, 2)).toBe(2);
    expect(compact(test, 5, 2)).toMatchObject({ removed: 2, more: true });
    expect(compact(test, 5, 2)).toMatchObject({ removed: 1, more: false });
    expect(revisions(test)).toEqual([5]);
  });

  it('does not stop in the middle of a revision', () => {
    const test = new TestMachine();
    for (const value of ['old', 'new']) {
      test.transact(['a', 'b', 'c'].map((key) => ({ op: 'put', key, value: bytes(value) })));
    }
    expect(compact(test, 2, 1)).toMatchObject({ removed: 0, more: true });
    expect(test.state.compactedRevision).toBe(1);
    expect(compact(test, 2, 1)).toMatchObject({ removed: 3, more: false });
  });

  it('removes the history of keys that are written by touch, incr and patch just as well', () => {
    const test = new TestMachine();
    test.put('n', '1');
    test.run({ op: 'incr', key: 'n', by: 1, initial: 0 });
    test.run({ op: 'touch', key: 'n' });
    test.run({ op: 'patch', key: 'n', patch: { a: 1 } });
    expect(compact(test, 4)).toMatchObject({ removed: 3 });
    expect(revisions(test, 'n')).toEqual([4]);
  });

  it('keeps fewer versions when the setting is lowered, and those it has when it is raised', () => {
    const test = written({ historyCount: 3 }, '1', '2', '3', '4');
    compact(test, 4);
    test.define('test', { historyCount: 1 });
    test.put('a', '5');
    compact(test, 5);
    expect(revisions(test)).toEqual([5]);
    test.define('test', { historyCount: 2 });
    test.put('a', '6');
    compact(test, 6);
    expect(revisions(test)).toEqual([6, 5]);
  });

  it('tells the moment from which on the past can be read', () => {
    const test = new TestMachine();
    for (const value of ['1', '2', '3']) {
      test.put('a', value);
      test.timeMs += 1_000;
    }
    compact(test, 2);
    const now = { revision: 3, timeMs: test.timeMs };
    const view = (timeMs: number) => viewAtTime(test.store, test.state, timeMs, now).revision;
    expect(codeOf(() => view(START_MS + 999))).toBe('revision_compacted');
    expect([view(START_MS + 1_000), view(START_MS + 1_999), view(START_MS + 2_000)]).toEqual([2, 2, 3]);
  });
});

describe('forgetting the past after a restore', () => {
  const restored = () => {
    const test = written({}, '1', '2');
    test.put('b');
    test.delete('b');
    test.record({ do: 'reserve', revision: 100, forgetPast: true });
    return test;
  };

  it('makes everything before it unreadable and keeps the present', () => {
    const test = restored();
    expect(test.state.compactedRevision).toBe(100);
    expect(codeOf(() => changesSince(test.store, test.state, 99, { limit: 1, bytesMax: 1 }))).toBe(
      'revision_compacted',
    );
    expect(readEntry(test.store, test.bucket, 'a', test.timeMs)?.version.revision).toBe(2);
    expect(test.put('a').entry).toMatchObject({ revision: 101, version: 3 });
  });

  it('still lets compaction remove what lies before it', () => {
    const test = restored();
    expect(compact(test, 1_000)).toMatchObject({ removed: 3, more: false });
    expect(test.state).toMatchObject({ pastVersions: 0, pastBytes: 0, compactedRevision: 100 });
    expect(test.log()).toEqual(['2 put a']);
  });

  it('does not let compaction move the moment of the past back', () => {
    const test = written({}, '1', '2');
    test.timeMs += 1_000;
    test.record({ do: 'reserve', revision: 100, forgetPast: true });
    compact(test, 1_000);
    expect(test.state.compactedTimeMs).toBe(START_MS + 1_000);
  });
});
