import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '@plinth/contracts/kv';
import type { Problem } from '@plinth/problem';
import type { Check, Done, Operation } from './command.ts';
import { bytes, codeOf, doneOf, rowsOf, START_MS, TestMachine } from './machine.fixture.ts';

const put = (key: string, value = 'v', more: object = {}): Operation => ({
  op: 'put',
  key,
  value: bytes(value),
  ...more,
});
const get = (key: string): Operation => ({ op: 'get', key });

describe('a transaction', () => {
  it('changes all of its keys in one revision', () => {
    const test = new TestMachine();
    test.put('c');
    const done = doneOf(test.transact([put('a'), put('b'), { op: 'delete', key: 'c' }]));
    expect(done).toMatchObject({ revision: 2, succeeded: true, failedChecks: [] });
    expect(done.results.map(({ entry }) => entry?.revision)).toEqual([2, 2, undefined]);
    expect(test.log()).toEqual(['1 put c', '2 put a', '2 put b', '2 delete c']);
  });

  it('that writes a key several times changes it once', () => {
    const test = new TestMachine();
    const incr = { op: 'incr', key: 'a', by: 1, initial: 0 } as const;
    const done = doneOf(test.transact([put('a', '1'), incr, incr, { op: 'touch', key: 'a', life: { ttlMs: 500 } }]));
    expect(done.results.map(({ number }) => number)).toEqual([undefined, 2, 3, undefined]);
    expect(test.get('a')).toMatchObject({ value: '3', version: 1, revision: 1, expiresAtMs: START_MS + 500 });
    expect(test.log()).toEqual(['1 put a']);
  });

  it('that makes and deletes a key leaves no trace of it', () => {
    const test = new TestMachine();
    const before = rowsOf(test.store);
    test.transact([put('a'), { op: 'delete', key: 'a' }]);
    expect(test.machine.revision).toBe(0);
    expect(rowsOf(test.store)).toEqual(before);
  });

  it('that deletes and makes a key replaces it', () => {
    const test = new TestMachine();
    test.put('a');
    const done = doneOf(test.transact([{ op: 'delete', key: 'a' }, put('a', 'w')]));
    expect(done.results.map(({ status }) => status)).toEqual([204, 201]);
    expect(test.get('a')).toMatchObject({ value: 'w', version: 2, createRevision: 1 });
  });

  it.each([
    ['a failing condition', put('x', 'v', { if: { match: '*' } })],
    ['a missing key', { op: 'touch', key: 'x' }],
    ['a number out of bounds', { op: 'incr', key: 'x', by: 1, initial: 0, max: 0 }],
    ['a value that is no number', { op: 'incr', key: 'a', by: 1, initial: 0 }],
    ['a value that is no JSON', { op: 'patch', key: 'a', patch: {} }],
    ['a value too large', put('x', 'too large for this bucket')],
  ] as [string, Operation][])('with %s in its middle leaves nothing behind', (_what, failing) => {
    const test = new TestMachine({ valueBytesMax: 10 });
    test.put('a', 'old', { life: { ttlMs: 5_000 } });
    const before = rowsOf(test.store);
    const outcome = test.transact([put('a', 'new'), put('b'), { op: 'delete', key: 'a' }, put('a', 'x'), failing]);
    expect(outcome).toMatchObject({ members: { operation: 4 }, message: expect.stringMatching(/^operation 4: /) });
    expect(codeOf(outcome)).toBeDefined();
    expect(rowsOf(test.store)).toEqual(before);
  });

  it('reads what it wrote before, without a revision, and what it has not written with the present one', () => {
    const test = new TestMachine();
    test.put('a', 'old');
    test.put('b', 'old');
    const done = doneOf(test.transact([get('a'), put('a', 'new'), get('a'), get('b'), get('c')]));
    const [before, , after, other, none] = done.results.map(({ entry }) => entry);
    expect(before).toMatchObject({ revision: 1, value: Buffer.from('old') });
    expect(after).toMatchObject({ revision: 0, version: 0, value: Buffer.from('new') });
    expect(other).toMatchObject({ revision: 2, value: Buffer.from('old') });
    expect(none).toBeUndefined();
  });

  it('meets its own writes in conditions: `*` at once, revisions as they were when it began', () => {
    const test = new TestMachine();
    test.put('a');
    const second = (...operations: Operation[]) => codeOf(test.transact(operations));
    expect(second(put('n'), put('n', 'v', { if: { noneMatch: '*' } }))).toBe('precondition_failed');
    expect(second(put('n'), put('n', 'v', { if: { match: '*' } }), { op: 'delete', key: 'n' })).toBeUndefined();
    expect(second({ op: 'delete', key: 'a' }, put('a', 'v', { if: { match: [1] } }))).toBe('precondition_failed');
    expect(second(put('n'), put('n', 'v', { if: { match: [test.machine.revision + 1] } }))).toBe('precondition_failed');
    expect(second(put('a'), put('a', 'v', { if: { match: [1] } }))).toBeUndefined();
  });

  it('moves several untouched values to a new revision unharmed', () => {
    const test = new TestMachine();
    for (const key of ['a', 'b', 'c']) test.put(key, key.repeat(100));
    test.transact(['a', 'b', 'c'].map((key) => ({ op: 'touch', key, life: { ttlMs: 900 } })));
    expect(['a', 'b', 'c'].map((key) => test.get(key)?.value)).toEqual(['a', 'b', 'c'].map((key) => key.repeat(100)));
  });

  it('deletes of a range what it made there, and not what it made elsewhere', () => {
    const test = new TestMachine();
    test.put('r1');
    test.put('r2');
    const done = doneOf(
      test.transact([
        put('r3'),
        put('s'),
        { op: 'delete', key: 'r1' },
        { op: 'deleteRange', start: 'r', end: 's' },
        { op: 'deleteRange', start: 'r', end: 's' },
        put('r2', 'again'),
      ]),
    );
    expect(done.results.map(({ deleted }) => deleted)).toEqual([undefined, undefined, 1, 2, 0, undefined]);
    expect(test.log().slice(2)).toEqual(['3 put s', '3 delete r1', '3 put r2']);
  });

  it('reads up to its limit of bytes and refuses one more', () => {
    const test = new TestMachine();
    const count = LIMITS.transactionBytesMax / LIMITS.valueBytesMax;
    const keys = Array.from({ length: count }, (_, at) => `k${at}`);
    for (const key of keys) test.put(key, 'x'.repeat(LIMITS.valueBytesMax));
    test.put('one', 'x');
    expect(codeOf(test.transact(keys.map(get)))).toBeUndefined();
    expect(codeOf(test.transact([...keys, 'one'].map(get)))).toBe('unprocessable');
  });

  it('that changes nothing answers the present revision', () => {
    const test = new TestMachine();
    test.put('a');
    expect(test.transact([get('a')])).toMatchObject({ revision: 1 });
    expect(test.transact([])).toMatchObject({ revision: 1, results: [], succeeded: true });
  });
});

describe('checks', () => {
  const test = new TestMachine();
  test.put('a', 'one');
  test.put('b', 'm');
  test.put('a', 'two');
  const verdict = (check: Partial<Check>): Done => {
    const checks = [{ key: 'a', op: '=', target: 'exists', wanted: true, ...check } as Check];
    return doneOf(test.transact([get('a')], { checks, onFalse: [get('b'), get('b')] }));
  };
  const holds = (check: Partial<Check>) => verdict(check).succeeded;
  const OPS = ['=', '!=', '<', '<=', '>', '>='] as const;
  /** Which of the six hold against a value that is smaller, equal and greater than what is there. */
  const table = (target: Check['target'], wanted: readonly (number | Uint8Array)[], key = 'a') =>
    wanted.map((each) => OPS.filter((op) => holds({ key, target, op, wanted: each })).join(' '));
  const SMALLER_EQUAL_GREATER = ['!= > >=', '= <= >=', '!= < <='];

  it('compare the revision, the create revision and the version', () => {
    expect(test.get('a')).toMatchObject({ revision: 3, createRevision: 1, version: 2 });
    expect(table('revision', [2, 3, 4])).toEqual(SMALLER_EQUAL_GREATER);
    expect(table('createRevision', [0, 1, 2])).toEqual(SMALLER_EQUAL_GREATER);
    expect(table('version', [1, 2, 3])).toEqual(SMALLER_EQUAL_GREATER);
  });

  it('compare values by bytes, a prefix before what goes on', () => {
    expect(table('value', [bytes('tw'), bytes('two'), bytes('two!')])).toEqual(SMALLER_EQUAL_GREATER);
    expect(holds({ target: 'value', op: '<', wanted: Buffer.from([0xff]) })).toBe(true);
  });

  it('take a missing key for revision 0, version 0 and a value that differs from every value', () => {
    expect(table('revision', [0, 1], 'none')).toEqual(['= <= >=', '!= < <=']);
    expect(table('version', [0], 'none')).toEqual(['= <= >=']);
    expect(table('value', [bytes(''), bytes('x')], 'none')).toEqual(['!=', '!=']);
  });

  it('ask whether a key exists', () => {
    expect(holds({ target: 'exists', wanted: true })).toBe(true);
    expect(holds({ target: 'exists', wanted: false })).toBe(false);
    expect(holds({ key: 'none', target: 'exists', wanted: false })).toBe(true);
    expect(holds({ key: 'none', target: 'exists', op: '!=', wanted: true })).toBe(true);
  });

  it('choose the branch, which alone runs', () => {
    expect(verdict({}).results).toHaveLength(1);
    const other = verdict({ wanted: false });
    expect(other).toMatchObject({ succeeded: false, failedChecks: [0] });
    expect(other.results).toHaveLength(2);
  });

  it('are all looked at, so that every one that fails is named', () => {
    const check = (key: string): Check => ({ key, op: '=', target: 'exists', wanted: true });
    const done = test.transact([], { checks: ['x', 'a', 'y', 'b'].map(check) });
    expect(done).toMatchObject({ succeeded: false, failedChecks: [0, 2] });
  });

  it('see the state before the transaction, not its own writes', () => {
    const check: Check = { key: 'new', op: '=', target: 'exists', wanted: false };
    expect(test.transact([put('new')], { checks: [check] })).toMatchObject({ succeeded: true });
  });

  it('take an entry that has reached its deadline for missing', () => {
    const late = new TestMachine();
    late.put('a', 'v', { life: { ttlMs: 100 } });
    late.timeMs += 100;
    const check: Check = { key: 'a', op: '=', target: 'exists', wanted: false };
    expect(late.transact([], { checks: [check] })).toMatchObject({ succeeded: true });
  });

  it('with a failing operation in the branch taken, nothing happens', () => {
    const { revision } = test.machine;
    const checks: Check[] = [{ key: 'a', op: '=', target: 'exists', wanted: false }];
    const outcome = test.transact([], { checks, onFalse: [put('z'), { op: 'touch', key: 'none' }] }) as Problem;
    expect(outcome.members).toMatchObject({ operation: 1 });
    expect(test.machine.revision).toBe(revision);
  });
});
