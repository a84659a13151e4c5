import { describe, expect, test } from '@jest/globals';
import { CALLS, getRateLimits, readGubernatorAnswer, readRlsAnswer, shouldRateLimit } from './grpc-wire.ts';
import { field } from './protobuf.ts';
import { LIMITS } from './workload.ts';

const OK = 1;
const OVER_LIMIT = 2;

describe("Envoy's protocol", () => {
  test('a request is the domain and one descriptor for each entry, byte for byte as protoc would write it', () => {
    // protoc --encode envoy.service.ratelimit.v3.RateLimitRequest with domain "bench" and one entry plenty=a.
    const wanted = '0a0562656e6368' + '120d' + '0a0b' + '0a06706c656e7479' + '120161';
    expect(shouldRateLimit([{ key: 'plenty', value: 'a' }]).toString('hex')).toBe(wanted);
  });

  test('an answer is read as a yes or a no with as many descriptors as were answered', () => {
    const status = field(2, field(1, OK));
    expect(readRlsAnswer(Buffer.concat([field(1, OK), status, status]))).toEqual({ isAllowed: true, descriptors: 2 });
    expect(readRlsAnswer(field(1, OVER_LIMIT))).toEqual({ isAllowed: false, descriptors: 0 });
  });

  test('an answer that says neither is an error, not a no', () => {
    expect(() => readRlsAnswer(Buffer.alloc(0))).toThrow('the overall code is 0');
  });

  test('under load a no is an error, and so is a yes to too few descriptors', () => {
    const { assertAllowed } = CALLS['rls-4']!();
    const status = field(2, field(1, OK));
    expect(() => assertAllowed(Buffer.concat([field(1, OK), status, status, status, status]))).not.toThrow();
    expect(() => assertAllowed(Buffer.concat([field(1, OK), status]))).toThrow('1 descriptors answered');
    expect(() => assertAllowed(field(1, OVER_LIMIT))).toThrow('denied');
  });
});

describe("gubernator's protocol", () => {
  const under = field(1, field(2, 10));
  const over = field(1, Buffer.concat([field(1, 1), field(2, 10)]));

  test('answers come in the order of the questions; a missing status means that there is room', () => {
    expect(readGubernatorAnswer(Buffer.concat([under, over, under]))).toEqual([true, false, true]);
  });

  test('an error of one question is an error of the call', () => {
    expect(() => readGubernatorAnswer(field(1, field(5, 'no peer')))).toThrow('no peer');
  });

  test('a leaky bucket is asked for by number, a token bucket by leaving the number out', () => {
    const ask = { key: 'a', limit: LIMITS.ten };
    const [leaky, token] = [
      getRateLimits([{ ...ask, algorithm: 'leaky' }]),
      getRateLimits([{ ...ask, algorithm: 'token' }]),
    ];
    expect(leaky.length - token.length).toBe(2);
    expect(leaky.subarray(-2).toString('hex')).toBe('3001');
  });

  test('under load every one of the batch has to be allowed', () => {
    const { assertAllowed, decisions } = CALLS['gubernator-32']!();
    expect(decisions).toBe(32);
    expect(() => assertAllowed(Buffer.concat(Array(32).fill(under)))).not.toThrow();
    expect(() => assertAllowed(Buffer.concat(Array(31).fill(under)))).toThrow('not all');
    expect(() => assertAllowed(Buffer.concat([over, ...Array(31).fill(under)]))).toThrow('not all');
  });
});
