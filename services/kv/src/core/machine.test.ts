import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '@plinth/contracts/kv';
import { bytes, codeOf, rowsOf, START_MS, TestMachine } from './machine.fixture.ts';

describe('put, get and delete', () => {
  it('gives each write a revision of its own, one after the other', () => {
    const test = new TestMachine();
    expect(test.put('a').entry).toMatchObject({ revision: 1, createRevision: 1, version: 1 });
    expect(test.put('b').entry).toMatchObject({ revision: 2, createRevision: 2, version: 1 });
    expect(test.put('a').entry).toMatchObject({ revision: 3, createRevision: 1, version: 2 });
    expect(test.machine.revision).toBe(3);
  });

  it('answers 201 for a key that is made and 204 for one that is replaced', () => {
    const test = new TestMachine();
    expect([test.put('a').status, test.put('a').status]).toEqual([201, 204]);
    test.delete('a');
    expect(test.put('a').status).toBe(201);
  });

  it('keeps content type and metadata with the value', () => {
    const test = new TestMachine();
    test.put('a', 'hello', { contentType: 'text/html', metadata: '{"x":"1"}' });
    expect(test.get('a')).toMatchObject({ value: 'hello', contentType: 'text/html', metadata: '{"x":"1"}' });
    test.put('a', 'hello');
    expect(test.get('a')).toMatchObject({ contentType: '', metadata: '' });
  });

  it('begins at version 1 and a new create revision when a deleted key is made again', () => {
    const test = new TestMachine();
    test.put('a');
    test.put('a');
    test.delete('a');
    expect(test.put('a').entry).toMatchObject({ revision: 4, createRevision: 4, version: 1 });
  });

  it('stores an empty value, and keys of every byte but NUL', () => {
    const test = new TestMachine();
    const key = String.fromCharCode(...Array.from({ length: 255 }, (_, at) => at + 1));
    test.put(key, '');
    expect(test.get(key)).toMatchObject({ value: '', version: 1 });
    expect(test.state).toMatchObject({ keys: 1, bytes: 255 });
  });

  it('says how many it deleted, and deleting nothing takes no revision', () => {
    const test = new TestMachine();
    test.put('a');
    expect(test.delete('a')).toMatchObject({ status: 204, deleted: 1 });
    const before = rowsOf(test.store);
    expect(test.delete('a')).toMatchObject({ status: 204, deleted: 0 });
    expect(test.delete('never')).toMatchObject({ status: 204, deleted: 0 });
    expect(test.machine.revision).toBe(2);
    expect(rowsOf(test.store)).toEqual(before);
  });

  it('takes no revision for reading, for a tick, or for what it refuses', () => {
    const test = new TestMachine();
    test.put('a');
    expect(test.run({ op: 'get', key: 'a' })).toMatchObject({ status: 200, entry: { revision: 1 } });
    expect(test.run({ op: 'get', key: 'b' })).toEqual({ status: 404, entry: undefined });
    test.record({ do: 'tick' });
    expect(codeOf(() => test.run({ op: 'touch', key: 'b' }))).toBe('key_not_found');
    expect(test.machine.revision).toBe(1);
  });

  it('takes a value of exactly the bucket’s limit and refuses one byte more', () => {
    const test = new TestMachine({ valueBytesMax: 10 });
    expect(test.put('a', 'x'.repeat(10)).status).toBe(201);
    expect(codeOf(() => test.put('a', 'x'.repeat(11)))).toBe('value_too_large');
    expect(test.get('a')?.value).toBe('x'.repeat(10));
  });

  it('refuses writes to a bucket that is not there, and to one that was dropped', () => {
    const test = new TestMachine();
    const put = (bucket: number) =>
      test.apply({ do: 'operation', bucket, operation: { op: 'put', key: 'a', value: bytes('v') } });
    expect(codeOf(put(99))).toBe('bucket_not_found');
    test.record({ do: 'dropBucket', bucket: test.bucket });
    expect(codeOf(put(test.bucket))).toBe('bucket_not_found');
  });

  it('gives a value back that no later change can alter', () => {
    const test = new TestMachine();
    test.put('a', 'first');
    const { entry } = test.run({ op: 'get', key: 'a' });
    test.put('a', 'other');
    expect(Buffer.from(entry!.value!).toString()).toBe('first');
  });

  it('never lets the time of a record go back', () => {
    const test = new TestMachine();
    test.put('a');
    test.timeMs -= 5_000;
    test.put('b');
    expect(test.machine.timeMs).toBe(START_MS);
    test.timeMs = START_MS + 1;
    test.put('c');
    expect(test.machine.timeMs).toBe(START_MS + 1);
  });

  it('knows revision and time again when it is loaded from its store', () => {
    const test = new TestMachine();
    test.put('a');
    test.put('b');
    test.reload();
    expect(test.machine).toMatchObject({ revision: 2, timeMs: START_MS, lastBucketId: 1 });
    expect(test.put('c').entry).toMatchObject({ revision: 3 });
  });

  it('gives no revision up to a reserved one, and reserving less changes nothing', () => {
    const test = new TestMachine();
    test.record({ do: 'reserve', revision: 100 });
    expect(test.put('a').entry).toMatchObject({ revision: 101 });
    test.record({ do: 'reserve', revision: 50 });
    expect(test.put('a').entry).toMatchObject({ revision: 102 });
  });
});

describe('conditions', () => {
  const test = new TestMachine();
  const put = (condition: object) => () => test.put('a', 'v', { if: condition });

  it('write only when the revision is one of those named', () => {
    test.put('a');
    const { revision } = test.get('a')!;
    expect(codeOf(put({ match: [revision + 1] }))).toBe('precondition_failed');
    expect(codeOf(put({ match: [] }))).toBe('precondition_failed');
    expect(put({ match: [7_777, revision] })().status).toBe(204);
  });

  it('say the present revision when they fail', () => {
    const { revision } = test.get('a')!;
    expect(() => test.put('a', 'v', { if: { match: [0] } })).toThrow(
      expect.objectContaining({ members: { revision }, headers: { etag: `"${revision}"` } }),
    );
  });

  it('write with match * only when the key exists, with noneMatch * only when it does not', () => {
    expect(put({ match: '*' })().status).toBe(204);
    expect(codeOf(put({ noneMatch: '*' }))).toBe('precondition_failed');
    test.delete('a');
    expect(codeOf(put({ match: '*' }))).toBe('precondition_failed');
    expect(codeOf(put({ match: [1] }))).toBe('precondition_failed');
    expect(put({ noneMatch: '*' })().status).toBe(201);
  });

  it('write with noneMatch unless the revision is one of those named', () => {
    const { revision } = test.get('a')!;
    expect(codeOf(put({ noneMatch: [revision] }))).toBe('precondition_failed');
    expect(put({ noneMatch: [revision + 1] })().status).toBe(204);
  });

  it('both have to hold', () => {
    const { revision } = test.get('a')!;
    expect(codeOf(put({ match: [revision], noneMatch: [revision] }))).toBe('precondition_failed');
    expect(codeOf(put({ match: [0], noneMatch: [0] }))).toBe('precondition_failed');
    expect(put({ match: '*', noneMatch: [0] })().status).toBe(204);
  });

  it('hold for deletes, touches, increments and patches alike', () => {
    const fresh = new TestMachine();
    fresh.put('a', '1');
    const wrong = { match: [99] };
    for (const operation of [
      { op: 'delete', key: 'a', if: wrong },
      { op: 'touch', key: 'a', if: wrong },
      { op: 'incr', key: 'a', by: 1, initial: 0, if: wrong },
      { op: 'patch', key: 'a', patch: 2, if: wrong },
    ] as const) {
      expect(codeOf(() => fresh.run(operation))).toBe('precondition_failed');
    }
    expect(fresh.get('a')).toMatchObject({ value: '1', revision: 1 });
  });

  it('take an entry that has reached its deadline for gone', () => {
    const fresh = new TestMachine();
    fresh.put('a', 'v', { life: { ttlMs: 100 } });
    fresh.timeMs += 100;
    expect(codeOf(() => fresh.put('a', 'v', { if: { match: '*' } }))).toBe('precondition_failed');
    expect(fresh.put('a', 'v', { if: { noneMatch: '*' } }).status).toBe(201);
  });
});

describe('touch', () => {
  it('gives a new revision and a new life and leaves the value, its type and its metadata', () => {
    const test = new TestMachine();
    test.put('a', 'v', { contentType: 'x/y', metadata: '{}', life: { ttlMs: 100 } });
    expect(test.run({ op: 'touch', key: 'a', life: { ttlMs: 500 } }).status).toBe(204);
    expect(test.get('a')).toEqual({
      value: 'v',
      revision: 2,
      createRevision: 1,
      version: 2,
      expiresAtMs: START_MS + 500,
      contentType: 'x/y',
      metadata: '{}',
    });
  });

  it('without a life keeps the entry until it is deleted, whatever the bucket says', () => {
    const test = new TestMachine({ ttlMs: 1_000 });
    test.put('a');
    test.run({ op: 'touch', key: 'a' });
    expect(test.get('a')?.expiresAtMs).toBe(0);
  });

  it('refuses a missing key', () => {
    const test = new TestMachine();
    expect(codeOf(() => test.run({ op: 'touch', key: 'a', life: { ttlMs: 100 } }))).toBe('key_not_found');
  });
});

describe('deleting a range', () => {
  const filled = (...keys: string[]) => {
    const test = new TestMachine();
    for (const key of keys) test.put(key);
    return test;
  };
  const range = (test: TestMachine, start: string, end?: string) => test.run({ op: 'deleteRange', start, end });

  it('deletes from the start, inclusive, to the end, exclusive, in one revision', () => {
    const test = filled('a', 'b', 'c', 'd');
    expect(range(test, 'b', 'd')).toMatchObject({ status: 200, deleted: 2, more: false });
    expect(['a', 'b', 'c', 'd'].filter((key) => test.get(key))).toEqual(['a', 'd']);
    expect(test.log().slice(4)).toEqual(['5 delete b', '5 delete c']);
  });

  it('without an end goes to the last key and leaves the next bucket alone', () => {
    const test = filled('a', '\xff');
    const other = test.define('other');
    test.record({ do: 'operation', bucket: other, operation: { op: 'put', key: 'a', value: bytes('v') } });
    expect(range(test, '')).toMatchObject({ deleted: 2 });
    expect(test.machine.buckets.get(other)).toMatchObject({ keys: 1 });
  });

  it('of nothing takes no revision', () => {
    const test = filled('a');
    expect(range(test, 'b', 'c')).toMatchObject({ deleted: 0, more: false });
    expect(range(test, 'c', 'b')).toMatchObject({ deleted: 0, more: false });
    expect(test.machine.revision).toBe(1);
  });

  it('does not count what has reached its deadline', () => {
    const test = filled('a');
    test.put('b', 'v', { life: { ttlMs: 100 } });
    test.timeMs += 100;
    expect(range(test, '')).toMatchObject({ deleted: 1 });
  });

  const many = (count: number) => {
    const test = new TestMachine();
    test.isRecounted = false;
    const put = (at: number) => ({ op: 'put', key: `k${String(at).padStart(6, '0')}`, value: bytes('') }) as const;
    const commands = Array.from({ length: count }, (_, at) => ({
      ...{ do: 'operation', bucket: test.bucket, operation: put(at) },
    }));
    test.machine.applyRecord(1, { timeMs: test.timeMs, commands: commands as never });
    return test;
  };
  const MAX = LIMITS.rangeDeleteKeysMax;

  it('takes as many keys as one revision may delete and says nothing is left', () => {
    const test = many(MAX);
    expect(range(test, '')).toMatchObject({ deleted: MAX, more: false });
    expect(test.state.keys).toBe(0);
  });

  it('stops at as many keys as one revision may delete, says there are more, and goes on when asked again', () => {
    const test = many(MAX + 1);
    expect(range(test, '')).toMatchObject({ deleted: MAX, more: true });
    expect(test.state.keys).toBe(1);
    expect(range(test, '')).toMatchObject({ deleted: 1, more: false });
  });

  it('bounds all ranges of a transaction together, and says of each that there may be more', () => {
    const test = many(MAX + 10);
    const outcome = test.transact([
      { op: 'deleteRange', start: '', end: 'k000020' },
      { op: 'deleteRange', start: '' },
      { op: 'deleteRange', start: '' },
    ]);
    expect(outcome).toMatchObject({
      results: [
        { deleted: 20, more: false },
        // The keys deleted before it are looked at again.
        { deleted: MAX - 40, more: true },
        { deleted: 0, more: true },
      ],
    });
    expect(test.state.keys).toBe(30);
  });
});
