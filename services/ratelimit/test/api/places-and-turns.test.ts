import { describe, expect, test } from '@jest/globals';
import { withLimiter } from './limiter-under-test.ts';

const limiter = withLimiter(`
domain: work
rules:
  - {name: slots, match: {pool: "*"}, limit: 2, algorithm: concurrency, hold: 300ms}
  - {name: seats, match: {seat: "*"}, limit: 2, algorithm: concurrency, hold: 1m}
  - {name: starts, match: {starts: "*"}, limit: 3, window: 1h}
  - {name: queue, match: {queue: "*"}, limit: 20, window: 1s, burst: 5, algorithm: leaky}
`);
const pool = (name: string) => ({ domain: 'work', descriptors: [{ pool: name }] });

describe('places', () => {
  test('as many are held as there are, and a released one is free', async () => {
    const first = (await limiter.call('/v1/limits/acquire', pool('a'))).body;
    const second = (await limiter.call('/v1/limits/acquire', pool('a'))).body;
    expect([first.allowed, second.allowed]).toEqual([true, true]);
    expect((await limiter.call('/v1/limits/acquire', pool('a'))).body).toMatchObject({
      allowed: false,
      violated: ['slots'],
    });
    expect((await limiter.call('/v1/limits/release', { hold: first.hold })).status).toBe(204);
    expect((await limiter.call('/v1/limits/acquire', pool('a'))).body.allowed).toBe(true);
    const late = await limiter.call('/v1/limits/release', { hold: first.hold });
    expect([late.status, late.body.code]).toEqual([409, 'lease_lost']);
  });

  test('a place that nobody keeps is free when its time is over; a heartbeat keeps it', async () => {
    const kept = (await limiter.call('/v1/limits/acquire', pool('b'))).body;
    const left = (await limiter.call('/v1/limits/acquire', pool('b'))).body;
    for (let beat = 0; beat < 4; beat++) {
      await new Promise((resolve) => setTimeout(resolve, 120));
      expect((await limiter.call('/v1/limits/heartbeat', { hold: kept.hold })).body).toEqual({ expiresInMs: 300 });
    }
    expect((await limiter.call('/v1/limits/heartbeat', { hold: left.hold })).body.code).toBe('lease_lost');
    expect((await limiter.call('/v1/limits/acquire', pool('b'))).body.allowed).toBe(true);
    expect((await limiter.call('/v1/limits/acquire', pool('b'))).body.allowed).toBe(false);
  });

  test('64 at once on 2 places get exactly 2', async () => {
    const seat = { domain: 'work', descriptors: [{ seat: 'c' }] };
    const answers = await Promise.all(Array.from({ length: 64 }, () => limiter.call('/v1/limits/acquire', seat)));
    expect(answers.filter(({ body }) => body.allowed)).toHaveLength(2);
  });

  test('no place: the rate limits of the same request are not charged', async () => {
    const both = { domain: 'work', descriptors: [{ pool: 'd' }, { starts: 'd' }] };
    for (const allowed of [true, true, false, false]) {
      expect((await limiter.call('/v1/limits/acquire', both)).body.allowed).toBe(allowed);
    }
    const left = await limiter.call('/v1/limits/peek', { domain: 'work', descriptors: [{ starts: 'd' }] });
    expect(left.body.limits[0].remaining).toBe(1);
  });

  test('what is no hold is refused with words', async () => {
    const answer = await limiter.call('/v1/limits/release', { hold: 'bogus' });
    expect([answer.status, answer.body.code, answer.body.issues[0].path]).toEqual([400, 'invalid_request', '/hold']);
  });
});

describe('turns', () => {
  const ask = (queue: string, waitMs?: number) => ({
    domain: 'work',
    descriptors: [{ queue }],
    ...(waitMs === undefined ? {} : { waitMs }),
  });

  test('without waitMs the caller is told how long to wait', async () => {
    const [first, second] = await Promise.all([limiter.check(ask('a')), limiter.check(ask('a'))]);
    expect([first.allowed, second.allowed]).toEqual([true, true]);
    // Which of the two came first, nobody knows; of its 50 ms, those between them are over.
    const delaysMs = [first.delayMs, second.delayMs].filter((delayMs) => delayMs !== undefined);
    expect(delaysMs).toEqual([expect.any(Number)]);
    expect(delaysMs[0]).toBeGreaterThan(0);
    expect(delaysMs[0]).toBeLessThanOrEqual(50);
  });

  test('with it the answer comes when the turn does, one step apart', async () => {
    const startedMs = performance.now();
    const at: number[] = [];
    const waits = [1, 2, 3, 4].map(async () => {
      expect((await limiter.check(ask('b', 1_000))).allowed).toBe(true);
      at.push(performance.now() - startedMs);
    });
    await Promise.all(waits);
    expect(at[3]! - at[0]!).toBeGreaterThan(120);
    expect(at[3]!).toBeLessThan(600);
  });

  test('who would wait too long is denied, and keeps no place in the queue', async () => {
    for (let place = 0; place < 3; place++) await limiter.check(ask('c'));
    expect(await limiter.check(ask('c', 10))).toMatchObject({ allowed: false });
    expect((await limiter.check(ask('c'))).delayMs).toBeLessThanOrEqual(150);
  });
});

describe('loans', () => {
  const limit = { limit: 100, windowMs: 86_400_000 };

  test('lends at most a part of what is left, and debits it', async () => {
    const lent = (await limiter.call('/v1/limits/lease', { limit, key: 'x', want: 50, ttlMs: 100 })).body;
    expect(lent).toMatchObject({ units: 5, remaining: 95, limit: 100, ttlMs: 100 });
    await limiter.call('/v1/limits/return', { limit, key: 'x', units: 5 });
    expect((await limiter.call('/v1/limits/peek', { limit, key: 'x' })).body.limits[0].remaining).toBe(100);
  });

  test('lends nothing when there is nothing, and says when to ask again', async () => {
    await limiter.check({ limit, key: 'y', cost: 100 });
    const lent = (await limiter.call('/v1/limits/lease', { limit, key: 'y', want: 5 })).body;
    expect(lent.units).toBe(0);
    expect(lent.retryAfterMs).toBeGreaterThan(0);
  });
});
