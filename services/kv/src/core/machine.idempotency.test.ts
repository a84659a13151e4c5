import { describe, expect, it } from '@jest/globals';
import type { Done, Once } from './command.ts';
import { IDEMPOTENCY_MS } from './idempotency.ts';
import { bytes, codeOf, rowCount, rowsOf, TestMachine } from './machine.fixture.ts';
import { SWEEP_ROWS_MAX } from './machine.ts';

const ONCE: Once = { id: 'order-1', fingerprint: 'f' };

function incr(test: TestMachine, once: Once | undefined = ONCE, bucket = test.bucket) {
  const operation = { op: 'incr', key: 'n', by: 1, initial: 0 } as const;
  return test.apply({ do: 'operation', bucket, operation, once });
}

describe('a request with an idempotency key', () => {
  it('is done once; a repeat is answered what the first was, and changes nothing', () => {
    const test = new TestMachine();
    const first = incr(test) as Done;
    const before = rowsOf(test.store);
    expect(incr(test)).toEqual({ ...first, replayed: true });
    expect(rowsOf(test.store)).toEqual(before);
    expect(test.get('n')?.value).toBe('1');
  });

  it('is done again under another key, or without one', () => {
    const test = new TestMachine();
    incr(test);
    incr(test, { ...ONCE, id: 'order-2' });
    test.run({ op: 'incr', key: 'n', by: 1, initial: 0 });
    expect(test.get('n')?.value).toBe('3');
  });

  it('is refused when the key belongs to another request', () => {
    const test = new TestMachine();
    incr(test);
    expect(codeOf(incr(test, { ...ONCE, fingerprint: 'other' }))).toBe('idempotency_mismatch');
    expect(test.get('n')?.value).toBe('1');
  });

  it('has its key for itself in each bucket', () => {
    const test = new TestMachine();
    const other = test.define('other');
    incr(test);
    expect(incr(test, ONCE, other)).toMatchObject({ results: [{ number: 1 }] });
    expect((incr(test, ONCE, other) as Done).replayed).toBe(true);
  });

  it('is remembered for 24 hours less a millisecond, and forgotten then', () => {
    const test = new TestMachine();
    incr(test);
    const start = test.timeMs;
    test.timeMs = start + IDEMPOTENCY_MS - 1;
    expect((incr(test) as Done).replayed).toBe(true);
    expect(test.machine.nextDueMs()).toBe(start + IDEMPOTENCY_MS);
    test.timeMs = start + IDEMPOTENCY_MS;
    expect(incr(test)).toMatchObject({ results: [{ number: 2 }] });
    expect(rowCount(test.store, 'idempotency')).toBe(2);
  });

  it('leaves no row behind when it is forgotten', () => {
    const test = new TestMachine();
    incr(test);
    test.timeMs += IDEMPOTENCY_MS;
    test.record({ do: 'tick' });
    expect(rowCount(test.store, 'idempotency')).toBe(0);
  });

  it('that was refused is decided anew', () => {
    const test = new TestMachine();
    const touch = () =>
      test.apply({ do: 'operation', bucket: test.bucket, operation: { op: 'touch', key: 'a' }, once: ONCE });
    expect(codeOf(touch())).toBe('key_not_found');
    expect(rowCount(test.store, 'idempotency')).toBe(0);
    test.put('a');
    expect(codeOf(touch())).toBeUndefined();
  });

  it('is remembered by a machine that is loaded from the store', () => {
    const test = new TestMachine();
    const first = incr(test) as Done;
    test.reload();
    expect(incr(test)).toEqual({ ...first, replayed: true });
  });

  it('is answered the values it read then, though they have changed since', () => {
    const test = new TestMachine();
    test.put('a', 'then');
    const read = () => test.transact([{ op: 'get', key: 'a' }], { once: ONCE }) as Done;
    read();
    test.put('a', 'now');
    const again = read();
    test.put('a', 'later');
    expect(Buffer.from(again.results[0]!.entry!.value!).toString()).toBe('then');
    expect(again).toMatchObject({ replayed: true, succeeded: true, failedChecks: [] });
  });

  it('changes nothing twice even where the first changed nothing', () => {
    const test = new TestMachine();
    const remove = () =>
      test.apply({ do: 'operation', bucket: test.bucket, operation: { op: 'delete', key: 'a' }, once: ONCE });
    expect(remove()).toMatchObject({ results: [{ deleted: 0 }] });
    test.put('a');
    expect(remove()).toMatchObject({ results: [{ deleted: 0 }], replayed: true });
    expect(test.get('a')).toBeDefined();
  });

  it('many that are due are forgotten a bounded number at a time', () => {
    const test = new TestMachine();
    const operation = { op: 'put', key: 'a', value: bytes('v') } as const;
    const commands = Array.from({ length: SWEEP_ROWS_MAX + 1 }, (_, at) => {
      return { do: 'operation', bucket: test.bucket, operation, once: { id: `i${at}`, fingerprint: '' } } as const;
    });
    test.record(...commands);
    test.timeMs += IDEMPOTENCY_MS;
    test.record({ do: 'tick' });
    expect(rowCount(test.store, 'idempotency')).toBe(2);
    test.record({ do: 'tick' });
    expect(rowCount(test.store, 'idempotency')).toBe(0);
  });
});
