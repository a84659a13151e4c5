import { afterEach, describe, expect, test } from '@jest/globals';
import { createRateLimiter, type RateLimiter } from './rate-limit.ts';

const MINUTE = { limit: 2, windowMs: 60_000 };
let limiter: RateLimiter;
afterEach(() => limiter.close());

describe('a limiter in process', () => {
  test('answers at once, for each name and key by itself', () => {
    limiter = createRateLimiter({ local: MINUTE });
    const allowed = (name: string, key: string | string[]) => (limiter.take(name, key) as { allowed: boolean }).allowed;
    expect([allowed('a', 'k'), allowed('a', 'k'), allowed('a', 'k')]).toEqual([true, true, false]);
    expect([allowed('b', 'k'), allowed('a', 'l'), allowed('a', ['k', 'l'])]).toEqual([true, true, true]);
  });

  test('has a share of the limit with others like it, at least one unit, and none of none', () => {
    for (const [limit, replicas, units] of [
      [10, 3, 3],
      [2, 3, 1],
      [0, 3, 0],
    ] as const) {
      limiter = createRateLimiter({ local: { limit, windowMs: 60_000 }, replicas });
      const answers = Array.from({ length: 12 }, () => limiter.take('a', 'k') as { allowed: boolean });
      expect(answers.filter(({ allowed }) => allowed)).toHaveLength(units);
    }
  });

  test('denies with the time to wait, and for ever what costs more than there can be', () => {
    limiter = createRateLimiter({ local: MINUTE });
    limiter.take('a', 'k', 2);
    expect(limiter.take('a', 'k')).toMatchObject({
      allowed: false,
      violated: ['a'],
      retryAfterMs: expect.any(Number),
      limits: [{ name: 'a', allowed: false, limit: 2, windowMs: 60_000, remaining: 0 }],
    });
    expect(limiter.take('a', 'l', 3)).toMatchObject({ allowed: false, retryAfterMs: null });
  });

  test('looks for nothing, and takes nothing for a look', () => {
    limiter = createRateLimiter({ local: MINUTE });
    for (let at = 0; at < 3; at++) expect(limiter.take('a', 'k', 0)).toMatchObject({ limits: [{ remaining: 2 }] });
  });

  test('decides descriptors too, in either form', async () => {
    limiter = createRateLimiter({ local: MINUTE });
    const answers = await limiter.check([
      { descriptors: [{ user: 'ann' }] },
      { descriptors: [{ entries: [{ key: 'user', value: 'ann' }] }] },
      { descriptors: [{ user: 'ann' }] },
      { descriptors: [{ user: 'bob' }] },
    ]);
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, true, false, true]);
  });

  test('with no room for one more key lets it in, marked', () => {
    limiter = createRateLimiter({ local: MINUTE, statesMax: 1 });
    const answers = Array.from({ length: 50 }, (_, at) => limiter.take('a', `key-${at}`));
    expect(answers[49]).toEqual({ allowed: true, limits: [], degraded: 'open' });
    expect(limiter.counts.degraded).toBeGreaterThan(0);
  });

  test('knows no places and no reservations', async () => {
    limiter = createRateLimiter({ local: MINUTE });
    await expect(limiter.acquire({ limit: 'a', key: 'k' })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(limiter.report({ reservation: 'r', cost: 1 })).rejects.toMatchObject({ code: 'invalid_request' });
    expect(() => createRateLimiter({ local: { algorithm: 'concurrency', limit: 2 } })).toThrow(
      'concurrency counts places and cannot be decided here',
    );
  });
});
