import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { TopAnswer } from '@plinth/contracts/ratelimit';
import { type RunningLimiter, startLimiter, TEN_PER_USER } from './running.fixture.ts';

let limiter: RunningLimiter;
beforeAll(async () => {
  limiter = await startLimiter(TEN_PER_USER);
  await limiter.check([...Array.from({ length: 15 }, () => 'ann'), 'bob', 'bob', 'cid']);
});
afterAll(() => limiter.stop());

const top = async (query: string) => (await (await limiter.get(`/v1/limits/top${query}`)).json()) as TopAnswer;

describe('top keys', () => {
  test('are those that were denied most, unless told otherwise', async () => {
    const { by, window, total, keys } = await top('');
    expect({ by, window, total, keys }).toEqual({
      by: 'denied',
      window: 'recent',
      total: 5,
      keys: [{ domain: 'api', rule: 'user', key: ['ann'], count: 5, error: 0 }],
    });
  });

  test('by requests, as many as were asked for, with the most that is left out', async () => {
    const { total, keys, unlistedMax } = await top('?by=hits&limit=2&window=start');
    expect(keys.map(({ key, count }) => [key[0], count])).toEqual([
      ['ann', 15],
      ['bob', 2],
    ]);
    expect([total, unlistedMax]).toEqual([18, 1]);
  });

  test.each(['?by=luck', '?limit=0', '?limit=1001', '?limit=ten', '?window=year', '?x=1'])(
    'are not told for %s',
    async (query) => {
      expect((await limiter.get(`/v1/limits/top${query}`)).status).toBe(400);
    },
  );

  test('cannot be read where that is switched off, but told apart', async () => {
    const discreet = await startLimiter(TEN_PER_USER, { RATELIMIT_PLAIN_KEYS: 'false' });
    await discreet.check(['ann', 'ann', 'bob']);
    const text = await (await discreet.get('/v1/limits/top?by=hits')).text();
    await discreet.stop();
    const { keys } = JSON.parse(text) as TopAnswer;
    expect(text).not.toMatch(/ann|bob/);
    expect(keys.map(({ count }) => count)).toEqual([2, 1]);
    expect(keys[0]!.key[0]).toMatch(/^[\w-]{12}$/);
    expect(keys[0]!.key).not.toEqual(keys[1]!.key);
  });

  test('are nowhere in the metrics, which tell rules', async () => {
    const text = await (await limiter.get('/metrics')).text();
    expect(text).toContain('plinth_ratelimit_decisions_total{domain="api",rule="user",verdict="denied"} 5\n');
    expect(text).not.toContain('ann');
  });
});
