import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '@plinth/contracts/kv';
import { decodeCommands, encodeCommands } from './command.ts';
import { bytes, codeOf, START_MS, TestMachine } from './machine.fixture.ts';

const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));

function patched(original: string, patch: unknown): string {
  const test = new TestMachine();
  test.put('a', original);
  test.run({ op: 'patch', key: 'a', patch });
  return test.get('a')!.value;
}

describe('merge patch', () => {
  /** RFC 7396, appendix A: original, patch, result. */
  const EXAMPLES = [
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', '{}'],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['["a","b"]', '["c","d"]', '["c","d"]'],
    ['{"a":"b"}', '["c"]', '["c"]'],
    ['{"a":"foo"}', 'null', 'null'],
    ['{"a":"foo"}', '"bar"', '"bar"'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
    ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ] as const;

  it.each(EXAMPLES)('%s with %s is %s', (original, patch, result) => {
    expect(patched(original, JSON.parse(patch))).toBe(result);
  });

  it('makes a missing key, as JSON, without the members that are null', () => {
    const test = new TestMachine();
    expect(test.run({ op: 'patch', key: 'a', patch: { x: 1, y: null } }).status).toBe(201);
    expect(test.get('a')).toMatchObject({ value: '{"x":1}', contentType: 'application/json' });
    expect(test.run({ op: 'patch', key: 'a', patch: { x: 2 } }).status).toBe(204);
  });

  it('keeps deadline, type and metadata; takes a life that is given; a new key takes the bucket’s', () => {
    const test = new TestMachine({ ttlMs: 700 });
    test.put('a', '{}', { life: { ttlMs: 500 }, contentType: 'x/json', metadata: '{"m":"1"}' });
    test.timeMs += 100;
    test.run({ op: 'patch', key: 'a', patch: { x: 1 } });
    expect(test.get('a')).toMatchObject({ expiresAtMs: START_MS + 500, contentType: 'x/json', metadata: '{"m":"1"}' });
    test.run({ op: 'patch', key: 'a', patch: {}, life: { ttlMs: 100 } });
    expect(test.get('a')?.expiresAtMs).toBe(START_MS + 200);
    test.run({ op: 'patch', key: 'b', patch: {} });
    expect(test.get('b')?.expiresAtMs).toBe(START_MS + 800);
  });

  it('refuses a value that is not JSON, and bytes that are not UTF-8', () => {
    const test = new TestMachine();
    test.put('a', 'plain');
    expect(codeOf(() => test.run({ op: 'patch', key: 'a', patch: {} }))).toBe('unprocessable');
    test.run({ op: 'put', key: 'b', value: Buffer.from([0x22, 0xff, 0x22]) });
    expect(codeOf(() => test.run({ op: 'patch', key: 'b', patch: {} }))).toBe('unprocessable');
    test.put('c', '');
    expect(codeOf(() => test.run({ op: 'patch', key: 'c', patch: {} }))).toBe('unprocessable');
  });

  it('merges 128 levels and refuses 129, in the patch and in the value', () => {
    const test = new TestMachine();
    const patch = (change: unknown) => () => test.run({ op: 'patch', key: 'a', patch: change });
    expect(patch(nested(128))().status).toBe(201);
    expect(codeOf(patch(nested(129)))).toBe('unprocessable');
    expect(patch({})().status).toBe(204);
    test.put('a', JSON.stringify(nested(129)));
    expect(codeOf(patch({}))).toBe('unprocessable');
  });

  it('refuses a result that is larger than the bucket’s values may be', () => {
    const test = new TestMachine({ valueBytesMax: 9 });
    expect(test.run({ op: 'patch', key: 'a', patch: { a: 123 } }).status).toBe(201);
    expect(codeOf(() => test.run({ op: 'patch', key: 'a', patch: { a: 1234 } }))).toBe('value_too_large');
  });

  it('takes __proto__ for a member like any other', () => {
    expect(patched('{"a":1}', JSON.parse('{"__proto__":{"b":2}}'))).toBe('{"a":1,"__proto__":{"b":2}}');
    expect(patched('{"__proto__":{"b":2,"c":3}}', JSON.parse('{"__proto__":{"b":null}}'))).toBe(
      '{"__proto__":{"c":3}}',
    );
    expect(({} as { b?: number }).b).toBeUndefined();
  });
});

describe('a patch in the log', () => {
  const throughLog = (patch: unknown) => {
    const operation = { op: 'patch', key: 'a', patch } as const;
    const record = { timeMs: 1, commands: [{ do: 'operation', bucket: 1, operation } as const] };
    const [command] = decodeCommands(encodeCommands(record)).commands;
    return (command as { operation: { patch: unknown } }).operation.patch;
  };

  it.each(['{"__proto__":{"x":1}}', '{"s":"\\ud800"}', '{"-1":0,"2":1,"":null}', 'null', '"x"', '[1.5,-0.25,1e300]'])(
    'is read back as it was written: %s',
    (text) => {
      expect(JSON.stringify(throughLog(JSON.parse(text)))).toBe(JSON.stringify(JSON.parse(text)));
    },
  );

  it('nested so deep that an encoder would run out of stack is refused by the machine, before and after a restart', () => {
    const deep = nested(LIMITS.valueBytesMax / 4);
    const test = new TestMachine();
    expect(codeOf(() => test.run({ op: 'patch', key: 'a', patch: deep }))).toBe('unprocessable');
    expect(codeOf(() => test.run({ op: 'patch', key: 'a', patch: throughLog(deep) }))).toBe('unprocessable');
  });

  it('keeps its form in both branches of a transaction', () => {
    const patch = JSON.parse('{"__proto__":1}');
    const operations = [{ op: 'patch', key: 'a', patch } as const, { op: 'put', key: 'b', value: bytes('v') } as const];
    const command = { do: 'transaction', bucket: 1, checks: [], onTrue: operations, onFalse: operations } as const;
    const [decoded] = decodeCommands(encodeCommands({ timeMs: 1, commands: [command] })).commands;
    expect(decoded).toEqual(command);
  });
});
