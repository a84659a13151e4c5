import { describe, expect, it } from '@jest/globals';
import { codeOf, type SomeSettings, START_MS, TestMachine } from './machine.fixture.ts';

const MAX = Number.MAX_SAFE_INTEGER;

function counter(value?: string, settings: SomeSettings = {}) {
  const test = new TestMachine(settings);
  if (value !== undefined) test.put('n', value);
  const incr = (by: number, more: object = {}) => test.run({ op: 'incr', key: 'n', by, initial: 0, ...more });
  return { test, incr };
}

describe('incr', () => {
  it('adds to the number there is and answers the new one', () => {
    const { test, incr } = counter('40');
    expect(incr(2)).toMatchObject({ status: 200, number: 42, entry: { revision: 2, version: 2, sizeBytes: 2 } });
    expect(incr(-50)).toMatchObject({ number: -8 });
    expect(test.get('n')?.value).toBe('-8');
  });

  it('starts a missing key from `initial`, as text/plain', () => {
    const { test, incr } = counter();
    expect(incr(5, { initial: 10 })).toMatchObject({ number: 15, entry: { version: 1 } });
    expect(test.get('n')).toMatchObject({ value: '15', contentType: 'text/plain' });
  });

  it.each(['', ' 1', '1 ', '1.0', '1e3', '+1', '0x10', 'one', '-', '9007199254740992', '-9007199254740992', '1\n'])(
    'refuses to count on from %j',
    (value) => {
      const { test, incr } = counter(value);
      expect(codeOf(() => incr(1))).toBe('unprocessable');
      expect(test.machine.revision).toBe(1);
    },
  );

  it.each(['0', '-0', '007', '9007199254740990', '-9007199254740991'])('counts on from %j', (value) => {
    expect(counter(value).incr(1).number).toBe(Number(value) + 1);
  });

  it('reaches a bound and does not pass it, on both sides', () => {
    const { test, incr } = counter('5');
    expect(incr(5, { min: 0, max: 10 }).number).toBe(10);
    expect(codeOf(() => incr(1, { min: 0, max: 10 }))).toBe('out_of_bounds');
    expect(incr(-10, { min: 0, max: 10 }).number).toBe(0);
    expect(codeOf(() => incr(-1, { min: 0, max: 10 }))).toBe('out_of_bounds');
    expect(test.get('n')?.value).toBe('0');
  });

  it('says the present number when a bound refuses', () => {
    const { incr } = counter('5');
    expect(() => incr(9, { max: 10 })).toThrow(expect.objectContaining({ members: { value: 5 } }));
  });

  it('reaches 2^53−1 and −(2^53−1) and goes no further', () => {
    const { incr } = counter(String(MAX - 1));
    expect(incr(1).number).toBe(MAX);
    expect(codeOf(() => incr(1))).toBe('out_of_bounds');
    expect(codeOf(() => incr(MAX))).toBe('out_of_bounds');
    expect(incr(-MAX).number).toBe(0);
    expect(incr(-MAX).number).toBe(-MAX);
    expect(codeOf(() => incr(-1))).toBe('out_of_bounds');
  });

  it('adding nothing is a write', () => {
    const { incr } = counter('5');
    expect(incr(0)).toMatchObject({ number: 5, entry: { revision: 2 } });
  });

  it('keeps type, metadata and deadline of the entry', () => {
    const { test, incr } = counter();
    test.put('n', '1', { contentType: 'x/y', metadata: '{}', life: { ttlMs: 500 } });
    test.timeMs += 100;
    incr(1);
    expect(test.get('n')).toMatchObject({ contentType: 'x/y', metadata: '{}', expiresAtMs: START_MS + 500 });
  });

  it('takes a life that is given, and for a new key the bucket’s', () => {
    const { test, incr } = counter(undefined, { ttlMs: 1_000 });
    incr(1);
    expect(test.get('n')?.expiresAtMs).toBe(START_MS + 1_000);
    incr(1, { life: { ttlMs: 200 } });
    expect(test.get('n')?.expiresAtMs).toBe(START_MS + 200);
  });

  it('starts anew from `initial` when the old number has reached its deadline', () => {
    const { test, incr } = counter();
    test.put('n', '100', { life: { ttlMs: 100 } });
    test.timeMs += 100;
    expect(incr(1)).toMatchObject({ number: 1, entry: { version: 1 } });
  });

  it('a number with more digits than the bucket takes bytes is refused', () => {
    const { incr } = counter('9', { valueBytesMax: 1 });
    expect(codeOf(() => incr(1))).toBe('value_too_large');
    expect(incr(-9).number).toBe(0);
  });
});
