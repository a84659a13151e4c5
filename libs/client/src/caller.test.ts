import { describe, expect, test } from '@jest/globals';
import { propagation, type TextMapSetter } from '@opentelemetry/api';
import { Problem, type ProblemCode } from '@plinth/problem';
import { type Ask, Caller } from './caller.ts';
import { kvEndpoints } from './kv/endpoints.ts';
import type { Transport, TransportReply, TransportRequest } from './transport.ts';

const { get, put, incr } = kvEndpoints;
const OK: TransportReply = { status: 200, headers: {}, body: Buffer.from('ok') };

/** Answers by the script, one step an attempt; after it, well. */
function scripted(steps: (ProblemCode | Problem | Error)[], options: { retries?: number; timeoutMs?: number } = {}) {
  const requests: TransportRequest[] = [];
  const transport: Transport = {
    async send(request) {
      requests.push(request);
      const step = steps.shift();
      if (step === undefined) return OK;
      throw typeof step === 'string' ? new Problem(step, `it was ${step}`) : step;
    },
    async close() {},
  };
  const caller = new Caller({ transport, retries: 4, timeoutMs: 5_000, headers: {}, random: () => 0, ...options });
  return { caller, requests };
}

const keysOf = (requests: TransportRequest[]) => requests.map(({ headers }) => headers['idempotency-key']);

describe('a call', () => {
  test('that surely did not happen is repeated', async () => {
    const { caller, requests } = scripted(['overloaded', 'unavailable', 'stopping', 'deadline_exceeded']);
    expect(await caller.call({ endpoint: incr })).toBe(OK);
    expect(requests).toHaveLength(5);
  });

  test('is repeated so often and no oftener', async () => {
    const always = Array.from({ length: 9 }, () => 'unavailable' as const);
    const { caller, requests } = scripted(always, { retries: 2 });
    await expect(caller.call({ endpoint: get })).rejects.toMatchObject({ code: 'unavailable' });
    expect(requests).toHaveLength(3);
  });

  test.each<ProblemCode>(['precondition_failed', 'internal', 'quota_exceeded', 'invalid_request'])(
    'that was answered %s is not repeated',
    async (code) => {
      const { caller, requests } = scripted([code]);
      await expect(caller.call({ endpoint: put })).rejects.toMatchObject({ code });
      expect(requests).toHaveLength(1);
    },
  );

  test('that may have happened is repeated when twice is once', async () => {
    const { caller, requests } = scripted(['outcome_unknown']);
    expect(await caller.call({ endpoint: put })).toBe(OK);
    expect(keysOf(requests)).toEqual([undefined, undefined]);
  });

  test('that counts carries one idempotency key through all its repeats', async () => {
    const { caller, requests } = scripted(['outcome_unknown']);
    expect(await caller.call({ endpoint: incr })).toBe(OK);
    const [first, second] = keysOf(requests);
    expect(first).toMatch(/^[0-9a-f-]{36}$/);
    expect(second).toBe(first);
  });

  test('says of a key of its own making that it is worth ten minutes, and nothing of one that it is given', async () => {
    const { caller, requests } = scripted([]);
    await caller.call({ endpoint: incr });
    await caller.call({ endpoint: incr }, { idempotencyKey: 'mine' });
    expect(requests.map(({ headers }) => headers['idempotency-key-ttl'])).toEqual(['600', undefined]);
  });

  test('with a condition carries a key, since its repeat would meet its own change', async () => {
    const { caller, requests } = scripted([]);
    await caller.call({ endpoint: put, headers: { 'if-match': '"7"' } });
    await caller.call({ endpoint: put, headers: { 'if-none-match': '*' } });
    await caller.call({ endpoint: get, headers: { 'if-none-match': '"7"' } });
    expect(keysOf(requests)).toEqual([expect.any(String), expect.any(String), undefined]);
  });

  test('keeps the key it is given', async () => {
    const { caller, requests } = scripted([]);
    await caller.call({ endpoint: incr }, { idempotencyKey: 'order-7' });
    expect(keysOf(requests)).toEqual(['order-7']);
  });

  test('whose service remembers no keys is not repeated when it may have happened', async () => {
    const { caller, requests } = scripted(['outcome_unknown']);
    await expect(caller.call({ endpoint: { ...kvEndpoints.createSnapshot, isKeyed: false } })).rejects.toMatchObject({
      code: 'outcome_unknown',
    });
    expect(keysOf(requests)).toEqual([undefined]);
  });

  test('carries the headers of the active trace', async () => {
    const { caller, requests } = scripted([]);
    const fields = () => ['traceparent'];
    const inject = (_: unknown, carrier: unknown, setter: TextMapSetter) =>
      setter.set(carrier, 'traceparent', '00-a-b-01');
    propagation.setGlobalPropagator({ fields, inject, extract: (context) => context });
    await caller.call({ endpoint: get });
    propagation.disable();
    expect(requests[0]!.headers).toEqual({ traceparent: '00-a-b-01' });
  });

  test('that may have happened stays unknown, whatever its repeats are refused for', async () => {
    const { caller } = scripted(['outcome_unknown', 'unavailable', 'overloaded'], { retries: 2 });
    await expect(caller.call({ endpoint: incr }, { idempotencyKey: 'order-7' })).rejects.toMatchObject({
      code: 'outcome_unknown',
      members: { idempotencyKey: 'order-7' },
      message: 'it was overloaded',
    });
  });

  test('whose body was read from an iterator is not repeated', async () => {
    const { caller, requests } = scripted(['overloaded']);
    const body = (async function* () {})();
    await expect(caller.call({ endpoint: kvEndpoints.import, body })).rejects.toMatchObject({ code: 'overloaded' });
    expect(requests).toHaveLength(1);
  });

  test('that fails with a bug is not repeated', async () => {
    const { caller, requests } = scripted([new TypeError('a bug')]);
    await expect(caller.call({ endpoint: get })).rejects.toThrow(TypeError);
    expect(requests).toHaveLength(1);
  });

  test('does not wait for a repeat that its deadline would cut', async () => {
    const { caller } = scripted([new Problem('overloaded', 'busy', { retryAfterMs: 60_000 })], { timeoutMs: 1_000 });
    const startMs = performance.now();
    await expect(caller.call({ endpoint: get })).rejects.toMatchObject({ code: 'overloaded' });
    expect(performance.now() - startMs).toBeLessThan(500);
  });

  test('hands each attempt what is left of its deadline', async () => {
    const { caller, requests } = scripted([new Problem('overloaded', 'busy', { retryAfterMs: 50 })]);
    await caller.call({ endpoint: get }, { timeoutMs: 1_000 });
    expect(requests[0]!.timeoutMs).toBeGreaterThan(990);
    expect(requests[1]!.timeoutMs).toBeLessThan(951);
  });

  test('gives up an attempt early where a lost one does not show, unless the caller chose a time', async () => {
    const { caller, requests } = scripted([]);
    Object.assign(caller.transport, { attemptMsMax: 100 });
    await caller.call({ endpoint: get });
    await caller.call({ endpoint: get }, { timeoutMs: 1_000 });
    expect(requests.map(({ timeoutMs }) => Math.ceil(timeoutMs))).toEqual([100, 1_000]);
  });

  test('that is aborted while it waits throws the reason at once', async () => {
    const { caller } = scripted([new Problem('overloaded', 'busy', { retryAfterMs: 3_000 })]);
    const controller = new AbortController();
    const call = caller.call({ endpoint: get }, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 20);
    await expect(call).rejects.toThrow('enough');
  });

  test('that is aborted before it begins asks nothing', async () => {
    const { caller, requests } = scripted([]);
    await expect(caller.call({ endpoint: get }, { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
    expect(requests).toHaveLength(0);
  });

  test('for a stream is refused where none passes', async () => {
    const { caller } = scripted([]);
    const ask: Ask = { endpoint: kvEndpoints.export };
    await expect(caller.openStream(ask)).rejects.toMatchObject({ code: 'not_acceptable' });
  });
});
