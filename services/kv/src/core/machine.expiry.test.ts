import { describe, expect, it } from '@jest/globals';
import type { Command, Operation } from './command.ts';
import { bytes, rowCount, START_MS, TestMachine } from './machine.fixture.ts';
import { SWEEP_ROWS_MAX } from './machine.ts';
import { countLive } from './reader.ts';

const TTL = { life: { ttlMs: 1_000 } };

describe('an entry with a life', () => {
  it('is there one millisecond before its deadline and gone exactly at it, swept or not', () => {
    const test = new TestMachine();
    test.put('a', 'v', TTL);
    expect(test.get('a', START_MS + 999)).toMatchObject({ expiresAtMs: START_MS + 1_000 });
    expect(test.get('a', START_MS + 1_000)).toBeUndefined();
    expect(countLive(test.store, test.state, START_MS + 999)).toBe(1);
    expect(countLive(test.store, test.state, START_MS + 1_000)).toBe(0);
    expect(test.state.keys).toBe(1);
  });

  it('is swept by the first record at its deadline, not by one a millisecond earlier', () => {
    const test = new TestMachine();
    test.put('a', 'v', TTL);
    test.timeMs = START_MS + 999;
    test.record({ do: 'tick' });
    expect(test.log()).toEqual(['1 put a']);
    expect(test.machine.nextDueMs()).toBe(START_MS + 1_000);
    test.timeMs = START_MS + 1_000;
    test.record({ do: 'tick' });
    expect(test.log()).toEqual(['1 put a', '2 expire a']);
    expect(test.machine.nextDueMs()).toBe(Infinity);
    expect(rowCount(test.store, 'expiry')).toBe(0);
  });

  it('may be given its end as a time; one that has passed is written and gone at once', () => {
    const test = new TestMachine();
    test.put('a', 'v', { life: { expiresAtMs: START_MS + 5 } });
    expect(test.get('a', START_MS + 4)).toBeDefined();
    expect(test.get('a', START_MS + 5)).toBeUndefined();
    expect(test.put('b', 'v', { life: { expiresAtMs: START_MS } }).status).toBe(201);
    expect(test.get('b')).toBeUndefined();
    test.record({ do: 'tick' });
    expect(test.log().slice(1)).toEqual(['2 put b', '3 expire b']);
  });

  it('takes the bucket’s life when it is written without one', () => {
    const test = new TestMachine({ ttlMs: 300 });
    test.put('a');
    test.put('b', 'v', TTL);
    expect([test.get('a')?.expiresAtMs, test.get('b')?.expiresAtMs]).toEqual([START_MS + 300, START_MS + 1_000]);
  });

  it('loses its deadline when it is overwritten without one, and its place in the order of expiry', () => {
    const test = new TestMachine();
    test.put('a', 'v', TTL);
    test.put('a');
    expect(rowCount(test.store, 'expiry')).toBe(0);
    test.timeMs += 1_000;
    test.record({ do: 'tick' });
    expect(test.get('a')).toMatchObject({ version: 2, expiresAtMs: 0 });
  });

  it('has one place in the order of expiry however often its deadline moves', () => {
    const test = new TestMachine();
    for (const ttlMs of [1_000, 500, 2_000, 2_000]) test.put('a', 'v', { life: { ttlMs } });
    expect(rowCount(test.store, 'expiry')).toBe(1);
    test.timeMs += 1_999;
    expect(test.get('a')).toBeDefined();
    test.delete('a');
    expect(rowCount(test.store, 'expiry')).toBe(0);
  });

  it('that is overwritten at its deadline expires first, in a revision of its own', () => {
    const test = new TestMachine();
    test.put('a', 'v', TTL);
    test.timeMs += 1_000;
    expect(test.put('a')).toMatchObject({ status: 201, entry: { revision: 3, createRevision: 3, version: 1 } });
    expect(test.log()).toEqual(['1 put a', '2 expire a', '3 put a']);
  });

  it('keeps its deadline when the clock jumps back, and is not swept before it', () => {
    const test = new TestMachine();
    test.put('a', 'v', TTL);
    test.timeMs -= 10_000;
    test.put('b', 'v', TTL);
    expect(test.get('b')?.expiresAtMs).toBe(START_MS + 1_000);
    test.timeMs = START_MS + 999;
    test.record({ do: 'tick' });
    expect(test.state.keys).toBe(2);
  });
});

describe('many entries that are due', () => {
  const due = (count: number) => {
    const test = new TestMachine();
    const put = (at: number) => ({ op: 'put', key: `k${at}`, value: bytes('v'), ...TTL }) as const;
    const commands = Array.from({ length: count }, (_, at) => {
      return { do: 'operation', bucket: test.bucket, operation: put(at) } as const;
    });
    test.record(...commands);
    test.timeMs += 1_000;
    return test;
  };

  it('are swept by one record up to a bound', () => {
    const test = due(SWEEP_ROWS_MAX);
    test.record({ do: 'tick' });
    expect(test.state.keys).toBe(0);
  });

  it('beyond the bound wait for the next record, and are gone for readers all the same', () => {
    const test = due(SWEEP_ROWS_MAX + 2);
    test.record({ do: 'tick' });
    expect(test.state.keys).toBe(2);
    expect(countLive(test.store, test.state, test.timeMs)).toBe(0);
    expect(test.machine.nextDueMs()).toBe(START_MS + 1_000);
    test.record({ do: 'tick' });
    expect(test.state.keys).toBe(0);
  });

  /** k998 and k999 are the last in the order of expiry: those that the sweep does not reach. */
  const unswept = () => due(SWEEP_ROWS_MAX + 2);

  it('that a write meets before the sweep expire first: expire and put in different revisions', () => {
    const test = unswept();
    expect(test.put('k999')).toMatchObject({ status: 201, entry: { version: 1 } });
    const revision = test.get('k999')!.revision;
    expect(test.log().slice(-2)).toEqual([`${revision - 1} expire k999`, `${revision} put k999`]);
    expect(test.get('k999')?.createRevision).toBe(revision);
  });

  it('that a transaction meets get a revision each, and its own changes one together', () => {
    const test = unswept();
    test.transact([
      { op: 'put', key: 'k999', value: bytes('v') },
      { op: 'put', key: 'new', value: bytes('v') },
      { op: 'put', key: 'k998', value: bytes('v') },
    ]);
    const last = test.machine.revision;
    expect(test.log().slice(-5)).toEqual([
      `${last - 2} expire k999`,
      `${last - 1} expire k998`,
      `${last} put k999`,
      `${last} put new`,
      `${last} put k998`,
    ]);
  });

  it('that were made and deleted again in one transaction have only expired', () => {
    const test = unswept();
    test.transact([
      { op: 'put', key: 'k999', value: bytes('v') },
      { op: 'delete', key: 'k999' },
    ]);
    expect(test.log().at(-1)).toBe(`${test.machine.revision} expire k999`);
    expect(test.get('k999')).toBeUndefined();
  });

  it('are not there for deletes, touches, increments, reads and conditions', () => {
    const test = unswept();
    const run = (operation: Operation): Command => ({ do: 'operation', bucket: test.bucket, operation });
    const outcomes = test.record(
      run({ op: 'delete', key: 'k999' }),
      run({ op: 'touch', key: 'k999' }),
      run({ op: 'get', key: 'k999' }),
      run({ op: 'put', key: 'k999', value: bytes('v'), if: { match: '*' } }),
      run({ op: 'deleteRange', start: 'k998', end: 'k9999' }),
      run({ op: 'incr', key: 'k998', by: 7, initial: 0 }),
    );
    expect(outcomes).toMatchObject([
      { results: [{ deleted: 0 }] },
      { code: 'key_not_found' },
      { results: [{ status: 404 }] },
      { code: 'precondition_failed' },
      { results: [{ deleted: 0 }] },
      { results: [{ number: 7 }] },
    ]);
  });

  it('do not make a write fail that takes the place of one of them', () => {
    const test = due(SWEEP_ROWS_MAX + 2);
    test.define('test', { keysMax: 1 });
    expect(test.state.keys).toBe(2);
    expect(test.put('k999').status).toBe(201);
  });
});
