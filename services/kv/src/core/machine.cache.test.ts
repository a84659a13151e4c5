import { describe, expect, it } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { openMemoryStore } from '../store/memory-store.ts';
import { liveBytes, usedBytes, VERSION_BYTES } from './bucket.ts';
import { assertSound, bytes, settingsOf, TestMachine } from './machine.fixture.ts';
import { Machine } from './machine.ts';
import { Recency } from './recency.ts';

/** What one entry with a key of 1 byte and a value of 99 counts. */
const ENTRY_BYTES = 100 + VERSION_BYTES;
const VALUE = 'x'.repeat(99);
const cache = (entries: number, more: object = {}) =>
  new TestMachine({ mode: 'cache', bytesMax: entries * ENTRY_BYTES, ...more });
const keysOf = (test: TestMachine, names: string) => [...names].filter((key) => test.get(key)).join('');
const tick = (test: TestMachine) => test.record({ do: 'tick' });

describe('a full cache', () => {
  it('holds exactly what fits and evicts the key that was written longest ago for one more', () => {
    const test = cache(3);
    for (const key of 'abc') test.put(key, VALUE);
    tick(test);
    expect(keysOf(test, 'abcd')).toBe('abc');
    test.put('d', VALUE);
    tick(test);
    expect(keysOf(test, 'abcd')).toBe('bcd');
  });

  it('tells watchers of what it evicts', () => {
    const test = cache(1);
    test.put('a', VALUE);
    test.put('b', VALUE);
    tick(test);
    expect(test.log()).toContain('3 expire a');
  });

  it('overwriting and touching count as use', () => {
    const test = cache(3);
    for (const key of 'abc') test.put(key, VALUE);
    test.put('a', VALUE);
    test.run({ op: 'touch', key: 'b' });
    tick(test);
    tick(test);
    test.put('d', VALUE);
    tick(test);
    expect(keysOf(test, 'abcd')).toBe('abd');
  });

  it('reading counts as use', () => {
    const recency = new Recency();
    const store = openMemoryStore();
    const machine = new Machine(store, recency);
    const settings = settingsOf({ mode: 'cache', bytesMax: 2 * ENTRY_BYTES });
    const record = (...commands: Parameters<Machine['applyRecord']>[1]['commands']) =>
      machine.applyRecord(store.position + 1, { timeMs: 1, commands });
    const put = (key: string) =>
      ({ do: 'operation', bucket: 1, operation: { op: 'put', key, value: bytes(VALUE) } }) as const;
    record({ do: 'defineBucket', name: 'c', settings }, put('a'), put('b'));
    recency.use(1, 'a');
    record(put('c'));
    record({ do: 'tick' });
    expect(machine.buckets.get(1)).toMatchObject({ keys: 2 });
    expect(store.get('index', '\0\0\0\x01a')).toBeDefined();
  });

  it('lets the past go first: overwriting evicts nobody', () => {
    const test = cache(4);
    for (const key of 'abc') test.put(key, VALUE);
    for (let round = 0; round < 20; round++) test.put('a', VALUE);
    tick(test);
    expect(keysOf(test, 'abc')).toBe('abc');
    expect(usedBytes(test.state)).toBeLessThanOrEqual(4 * ENTRY_BYTES);
  });

  it('counts what past versions take besides their values', () => {
    const test = cache(4);
    for (let round = 0; round < 100; round++) test.put('a', '');
    expect(usedBytes(test.state)).toBeLessThanOrEqual(5 * ENTRY_BYTES);
  });

  it('evicts keys with their history where many versions are kept', () => {
    const test = cache(6, { historyCount: 3 });
    for (const key of 'abc') for (let round = 0; round < 3; round++) test.put(key, VALUE);
    for (let round = 0; round < 4; round++) tick(test);
    expect(usedBytes(test.state)).toBeLessThanOrEqual(6 * ENTRY_BYTES);
    expect(keysOf(test, 'abc')).toContain('c');
    expect(keysOf(test, 'abc')).not.toContain('a');
  });

  it('gives room back when its bound is lowered, a bounded number of keys at a time, without a write', () => {
    const test = cache(1_500);
    test.isRecounted = false;
    for (let at = 0; at < 1_400; at++) test.put(String.fromCharCode(1 + (at >> 7), 1 + (at & 127)), VALUE);
    for (let round = 0; round < 5; round++) tick(test);
    expect(test.machine.nextDueMs()).toBe(Infinity);
    test.define('test', { mode: 'cache', bytesMax: 10 * ENTRY_BYTES });
    expect(test.machine.nextDueMs()).toBeLessThanOrEqual(test.timeMs);
    tick(test);
    expect(test.state.keys).toBe(400);
    for (let round = 0; round < 5; round++) tick(test);
    expect(liveBytes(test.state)).toBeLessThanOrEqual(10 * ENTRY_BYTES);
    expect(test.machine.nextDueMs()).toBe(Infinity);
    assertSound(test.machine);
  });

  it('does not keep a single entry that is larger than all its room', () => {
    const test = cache(1);
    test.put('a', VALUE.repeat(5));
    expect(test.get('a')).toBeDefined();
    tick(test);
    tick(test);
    expect(test.state).toMatchObject({ keys: 0, pastVersions: 0 });
  });

  it('refuses nothing, however many keys: keysMax and bytesMax are no quotas here', () => {
    const test = cache(1, { keysMax: 1 });
    expect([test.put('a', VALUE).status, test.put('b', VALUE).status]).toEqual([201, 201]);
  });

  it('that was dropped evicts nothing more', () => {
    const test = cache(1);
    test.put('a', VALUE);
    test.put('b', VALUE);
    const { revision } = test.machine;
    test.machine.applyRecord(99, {
      timeMs: 1,
      commands: [
        { do: 'operation', bucket: 1, operation: { op: 'put', key: 'c', value: bytes(VALUE) } },
        { do: 'dropBucket', bucket: 1 },
      ],
    });
    tick(test);
    tick(test);
    expect(test.machine.revision).toBeLessThanOrEqual(revision + 3);
    expect(test.machine.nextDueMs()).toBe(Infinity);
  });

  it('holds its bound and its counters under random writes, reads, deletes and lives', () => {
    const random = seededRandom();
    const test = cache(20, { historyCount: 1 + random.int(3) });
    for (let round = 0; round < 600; round++) {
      test.timeMs += random.int(100);
      const key = `k${random.int(60)}`;
      if (random.int(6) === 0) test.delete(key);
      else test.put(key, 'x'.repeat(random.int(300)), random.int(3) === 0 ? { life: { ttlMs: 500 } } : {});
      // What one record wrote, and what it expired, may be above the bound.
      expect(usedBytes(test.state)).toBeLessThanOrEqual(20 * ENTRY_BYTES + 12_000);
    }
    for (let round = 0; round < 5; round++) tick(test);
    expect(usedBytes(test.state)).toBeLessThanOrEqual(20 * ENTRY_BYTES);
  });
});

describe('recency', () => {
  it('answers the key used longest ago, through uses, forgetting and exhaustion', () => {
    const random = seededRandom();
    const recency = new Recency();
    let model: string[] = [];
    expect(recency.oldest(1)).toBeUndefined();
    for (let round = 0; round < 5_000; round++) {
      const key = `k${random.int(30)}`;
      const roll = random.int(10);
      if (roll < 5) {
        recency.use(1, key);
        model = [...model.filter((each) => each !== key), key];
      } else if (roll < 8) {
        const oldest = recency.oldest(1);
        expect(oldest).toBe(model[0]);
        if (oldest !== undefined && roll === 7) recency.forget(1, model.shift()!);
      } else {
        recency.forget(1, key);
        model = model.filter((each) => each !== key);
      }
      expect(recency.oldest(1)).toBe(model[0]);
    }
  });

  it('knows each bucket by itself and forgets it whole', () => {
    const recency = new Recency();
    recency.use(1, 'a');
    recency.use(2, 'b');
    recency.forgetBucket(1);
    expect([recency.oldest(1), recency.oldest(2)]).toEqual([undefined, 'b']);
  });
});
