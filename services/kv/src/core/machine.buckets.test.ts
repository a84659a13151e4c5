import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '@plinth/contracts/kv';
import { TABLES } from '../store/store.ts';
import { bytes, codeOf, rowCount, START_MS, settingsOf, TestMachine } from './machine.fixture.ts';

const HUNDRED_YEARS = LIMITS.ttlMsMax;

describe('buckets', () => {
  it('are made once, and defined again take new settings', () => {
    const test = new TestMachine();
    const define = (settings = {}) => test.done({ do: 'defineBucket', name: 'b', settings: settingsOf(settings) });
    expect(define()).toMatchObject({ bucket: 2, created: true });
    expect(define({ keysMax: 5 })).toMatchObject({ bucket: 2, created: false });
    expect(test.machine.bucketNamed('b')).toMatchObject({ id: 2, settings: { keysMax: 5 }, createdAtMs: START_MS });
  });

  it('keep their mode', () => {
    const test = new TestMachine();
    const define = (mode: 'write-back') =>
      test.apply({ do: 'defineBucket', name: 'test', settings: settingsOf({ mode }) });
    expect(codeOf(define('write-back'))).toBe('conflict');
    expect(test.state.settings.mode).toBe('durable');
  });

  it('keep the same keys apart', () => {
    const test = new TestMachine();
    const other = test.define('other');
    test.put('a', 'mine');
    test.record({ do: 'operation', bucket: other, operation: { op: 'put', key: 'a', value: bytes('theirs') } });
    test.delete('a');
    test.bucket = other;
    expect(test.get('a')?.value).toBe('theirs');
  });

  it('are known again, settings and counters, by a machine that is loaded', () => {
    const test = new TestMachine({ keysMax: 9 });
    test.put('a', 'value');
    const before = structuredClone(test.state);
    test.reload();
    expect(test.state).toEqual(before);
  });

  it('can be as many as the limit says, not one more; there is room again when a dropped one is swept', () => {
    const test = new TestMachine();
    test.isRecounted = false;
    const define = (at: number) => test.apply({ do: 'defineBucket', name: `b${at}`, settings: settingsOf() });
    for (let at = 2; at <= LIMITS.bucketsMax; at++) define(at);
    expect(codeOf(define(0))).toBe('quota_exceeded');
    expect(codeOf(define(2))).toBeUndefined();
    test.record({ do: 'dropBucket', bucket: 7 }, { do: 'sweepBucket', bucket: 7, limit: 10 });
    expect(codeOf(define(0))).toBeUndefined();
  });

  it('that are defined under a given id take it, and no id up to it is given again', () => {
    const test = new TestMachine();
    expect(test.done({ do: 'defineBucket', id: 41, name: 'x', settings: settingsOf() }).bucket).toBe(41);
    expect(test.define('y')).toBe(42);
    test.record({ do: 'reserve', revision: 0, bucket: 50 });
    expect(test.define('z')).toBe(51);
  });
});

describe('a dropped bucket', () => {
  const dropped = () => {
    const test = new TestMachine();
    for (const key of ['a', 'b', 'c']) test.put(key, 'v', { life: { ttlMs: HUNDRED_YEARS } });
    test.put('a', 'again');
    test.delete('b');
    test.apply({
      do: 'operation',
      bucket: test.bucket,
      operation: { op: 'delete', key: 'z' },
      once: { id: 'i', fingerprint: '' },
    });
    test.record({ do: 'dropBucket', bucket: test.bucket });
    return test;
  };

  it('is not there any more, at once', () => {
    const test = dropped();
    expect(test.machine.bucketNamed('test')).toBeUndefined();
    for (const command of [
      { do: 'dropBucket', bucket: test.bucket },
      { do: 'compact', bucket: test.bucket, revision: 1, limit: 1 },
      { do: 'operation', bucket: test.bucket, operation: { op: 'get', key: 'a' } },
    ] as const) {
      expect(codeOf(test.apply(command))).toBe('bucket_not_found');
    }
  });

  it('is swept a bounded number of rows at a time, until no table has a row of it', () => {
    const test = dropped();
    const sweep = () => test.done({ do: 'sweepBucket', bucket: test.bucket, limit: 2 });
    const removed: number[] = [];
    for (let done = sweep(); ; done = sweep()) {
      removed.push(done.removed!);
      if (!done.more) break;
    }
    // 3 in the index, 2 past versions, 5 records and an idempotency key.
    expect(removed).toEqual([2, 2, 2, 2, 2, 1, 0]);
    const left = Object.fromEntries(TABLES.map((table) => [table, rowCount(test.store, table)]));
    expect(left).toEqual({
      ...left,
      index: 0,
      versions: 0,
      records: 0,
      expiry: 0,
      buckets: 0,
      idempotency: 1,
      meta: 1,
    });
    test.timeMs += 24 * 3_600_000;
    test.record({ do: 'tick' });
    expect(rowCount(test.store, 'idempotency')).toBe(0);
  });

  it('does not expire entries while it waits to be swept', () => {
    const test = dropped();
    test.timeMs += HUNDRED_YEARS;
    const { revision } = test.machine;
    test.record({ do: 'tick' });
    expect(test.machine.revision).toBe(revision);
    expect(rowCount(test.store, 'expiry')).toBe(0);
  });

  it('leaves its name free, and its id is never given again, not even after a reload', () => {
    const test = dropped();
    expect(test.define('test')).toBe(2);
    test.record({ do: 'sweepBucket', bucket: 1, limit: 1_000 }, { do: 'sweepBucket', bucket: 1, limit: 1_000 });
    test.record({ do: 'dropBucket', bucket: 2 }, { do: 'sweepBucket', bucket: 2, limit: 1 });
    expect(test.machine.buckets.size).toBe(0);
    test.reload();
    expect(test.define('test')).toBe(3);
  });

  it('and only that is swept', () => {
    const test = new TestMachine();
    test.put('a');
    expect(test.done({ do: 'sweepBucket', bucket: test.bucket, limit: 9 })).toMatchObject({ removed: 0, more: false });
    expect(test.done({ do: 'sweepBucket', bucket: 99, limit: 9 })).toMatchObject({ removed: 0, more: false });
    expect(test.get('a')).toBeDefined();
  });
});

describe('quotas', () => {
  it('take as many keys as they say, and not one more', () => {
    const test = new TestMachine({ keysMax: 2 });
    test.put('a');
    test.put('b');
    expect(codeOf(() => test.put('c'))).toBe('quota_exceeded');
    expect(test.put('a').status).toBe(204);
    test.delete('a');
    expect(test.put('c').status).toBe(201);
  });

  it('take as many bytes of keys and values as they say, and not one more', () => {
    const test = new TestMachine({ bytesMax: 10 });
    expect(test.put('a', '123456789').status).toBe(201);
    expect(codeOf(() => test.put('a', '1234567890'))).toBe('quota_exceeded');
    expect(codeOf(() => test.put('b', ''))).toBe('quota_exceeded');
    expect(test.put('a', '12345678').status).toBe(204);
    expect(test.put('b', '').status).toBe(201);
  });

  it('say what is used up', () => {
    const test = new TestMachine({ keysMax: 1 });
    test.put('a');
    expect(() => test.put('b')).toThrow(
      expect.objectContaining({ members: { bucket: 'test', quota: 'keysMax', limit: 1, present: 1 } }),
    );
  });

  it('that were set below what is there still let it shrink', () => {
    const test = new TestMachine();
    for (const key of ['a', 'b', 'c']) test.put(key, '12345');
    test.define('test', { keysMax: 1, bytesMax: 4 });
    expect(test.put('a', '1234').status).toBe(204);
    expect(test.put('a', '5678').status).toBe(204);
    expect(codeOf(() => test.put('a', '12345'))).toBe('quota_exceeded');
    expect(test.delete('b').deleted).toBe(1);
    expect(codeOf(() => test.put('d', ''))).toBe('quota_exceeded');
  });

  it('look at a whole transaction, not at its parts', () => {
    const test = new TestMachine({ keysMax: 1 });
    test.put('a');
    const put = (key: string) => ({ op: 'put', key, value: bytes('v') }) as const;
    expect(codeOf(test.transact([put('b'), { op: 'delete', key: 'a' }]))).toBeUndefined();
    expect(codeOf(test.transact([put('c'), put('d'), { op: 'delete', key: 'b' }]))).toBe('quota_exceeded');
    expect(test.get('b')).toBeDefined();
  });

  it('are used by the present only, not by past versions', () => {
    const test = new TestMachine({ bytesMax: 10 });
    for (let round = 0; round < 5; round++) test.put('a', '123456789');
    expect(test.state).toMatchObject({ keys: 1, bytes: 10, pastVersions: 4, pastBytes: 36 });
  });
});
