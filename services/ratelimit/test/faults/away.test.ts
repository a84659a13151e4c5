/** What callers of the service see while its backend is away: an answer at once, which says how it was made. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CheckAnswer } from '@plinth/contracts/ratelimit';
import { type RunningService, startService } from '@plinth/service-kit';
import { eventually, startTestRedis, type TestEngine, tempDir } from '@plinth/testkit';
import { ratelimitService } from '../../src/service.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const RULES = `
domain: api
rules:
  - {name: local, match: {local: "*"}, limit: 5, window: 1h, onError: local}
  - {name: open, match: {open: "*"}, limit: 5, window: 1h, onError: open}
  - {name: closed, match: {closed: "*"}, limit: 5, window: 1h, onError: closed}
`;

let redis: TestEngine;
let limiter: RunningService;

beforeAll(async () => {
  redis = await startTestRedis();
  const folder = join(tempDir(), 'rules');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'api.yaml'), RULES);
  limiter = await startService(ratelimitService, {
    port: 0,
    kit: { log: silent },
    env: {
      RATELIMIT_BACKEND: 'redis',
      REDIS_URL: redis.url,
      RATELIMIT_RULES_DIR: folder,
      RATELIMIT_RLS_PORT: '0',
      RATELIMIT_RESP_PORT: '0',
    },
  });
});
afterAll(async () => {
  await limiter?.stop();
  await redis?.stop();
});

async function check(
  of: Record<string, string>,
  query = '',
): Promise<{ status: number; body: CheckAnswer; ms: number }> {
  const startedMs = performance.now();
  const answer = await fetch(`${limiter.url}/v1/limits/check${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ domain: 'api', descriptors: [of] }),
  });
  return { status: answer.status, body: (await answer.json()) as CheckAnswer, ms: performance.now() - startedMs };
}

const isExact = async () => expect((await check({ local: 'probe' })).body.degraded).toBeUndefined();

describe('while Redis does not answer', () => {
  test('each rule decides as it says, nobody waits, and nobody is told 429 for it', async () => {
    await eventually(isExact);
    expect((await check({ local: 'a' })).body.limits[0]!.remaining).toBe(4);
    process.kill(redis.pid!, 'SIGSTOP');
    try {
      const times: number[] = [];
      const answers = [];
      for (let round = 0; round < 300; round++) {
        const { body, ms } = await check({ open: 'a' });
        times.push(ms);
        answers.push(body);
      }
      times.sort((a, b) => a - b);
      console.log(
        `Redis stopped: p50 ${times[150]!.toFixed(1)} ms, p99 ${times[297]!.toFixed(1)} ms, of the whole HTTP request`,
      );
      expect(times[297]!).toBeLessThan(50);
      expect(answers.every(({ allowed, degraded }) => allowed && degraded === 'open')).toBe(true);

      const here = [];
      for (let round = 0; round < 7; round++) here.push((await check({ local: 'fresh' })).body);
      expect(here.map(({ allowed }) => allowed)).toEqual([true, true, true, true, true, false, false]);
      expect(here.every(({ degraded }) => degraded === 'local')).toBe(true);

      expect((await check({ closed: 'a' })).body).toMatchObject({ allowed: false, degraded: 'closed' });
      const closed = await check({ closed: 'a' }, '?status=429');
      expect(closed.status).toBe(503);
      const metrics = await (await fetch(`${limiter.url}/metrics`)).text();
      expect(metrics).toContain('plinth_ratelimit_backend_away 1');
      expect((await fetch(`${limiter.url}/readyz`)).status).toBe(200);
    } finally {
      process.kill(redis.pid!, 'SIGCONT');
    }
    await eventually(isExact);
    // What it knew before it still knows.
    expect((await check({ local: 'a' })).body.limits[0]!.remaining).toBe(3);
  }, 30_000);

  test('what only the store can do is refused with 503, and nothing is counted', async () => {
    process.kill(redis.pid!, 'SIGSTOP');
    try {
      for (const path of ['refund', 'reset', 'lease']) {
        const answer = await fetch(`${limiter.url}/v1/limits/${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            key: 'k',
            limit: { limit: 5, windowMs: 1_000 },
            ...(path === 'lease' && { want: 1 }),
          }),
        });
        expect([path, answer.status, ((await answer.json()) as { code: string }).code]).toEqual([
          path,
          503,
          'unavailable',
        ]);
      }
    } finally {
      process.kill(redis.pid!, 'SIGCONT');
    }
    await eventually(isExact);
  }, 30_000);
});
