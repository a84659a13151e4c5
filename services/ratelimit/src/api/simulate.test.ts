import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Simulation } from '@plinth/contracts/ratelimit';
import { type RunningLimiter, startLimiter, TEN_PER_USER } from './running.fixture.ts';

let limiter: RunningLimiter;
beforeAll(async () => {
  limiter = await startLimiter(TEN_PER_USER);
  await limiter.check([...Array.from({ length: 12 }, () => 'ann'), 'bob', 'bob']);
});
afterAll(() => limiter.stop());

const THREE_PER_USER = TEN_PER_USER.replace('limit: 10', 'limit: 3');
const TRAFFIC = { domain: 'api', descriptors: [{ user: 'u-{n}' }], ratePerSecond: 100, durationMs: 10_000 };

async function asked(path: string, body: unknown): Promise<Simulation> {
  const answer = await limiter.post(path, body);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Simulation;
}
const simulated = (body: unknown) => asked('/v1/limits/simulate', body);

async function refused(path: string, body: unknown, status: number): Promise<string> {
  const answer = await limiter.post(path, body);
  const problem = (await answer.json()) as { issues: unknown };
  expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/problem+json']);
  return JSON.stringify(problem.issues);
}

describe('a dry run', () => {
  test('says what other rules would have made of the last requests, beside what was and would be', async () => {
    const { traffic, requests, difference, rules } = await asked('/v1/rules/dry-run', { rules: THREE_PER_USER });
    expect(traffic).toMatchObject({ source: 'recorded', requests: 14 });
    expect(requests).toEqual({ allowed: 5, denied: 9, unmatched: 0, presentDenied: 2, reallyDenied: 2 });
    expect(difference).toEqual({
      present: { newlyDenied: 7, newlyAllowed: 0 },
      real: { newlyDenied: 7, newlyAllowed: 0 },
    });
    expect(rules).toMatchObject([{ domain: 'api', rule: 'user', denied: 9, reallyDenied: 2, present: { denied: 2 } }]);
  });

  test('takes nothing and counts nothing', async () => {
    const before = await (await limiter.get('/v1/limits/top?by=hits&window=start')).text();
    await asked('/v1/rules/dry-run', { rules: THREE_PER_USER });
    expect(await (await limiter.get('/v1/limits/top?by=hits&window=start')).text()).toBe(before);
    expect(await limiter.check(['bob'])).toEqual([true]);
  });

  test('of a document with faults names them with their lines', async () => {
    const issues = await refused('/v1/rules/dry-run', { rules: TEN_PER_USER.replace('10', '-1') }, 422);
    expect(issues).toContain('"line":3');
  });

  test('of rules for another domain than was said is refused', async () => {
    const { status } = await limiter.post('/v1/rules/dry-run', { domain: 'web', rules: TEN_PER_USER });
    expect(status).toBe(422);
  });
});

describe('a simulation', () => {
  test('of described traffic through the present rules', async () => {
    const answer = await simulated({ traffic: { ...TRAFFIC, pattern: 'steady', keys: 20 } });
    expect(answer.traffic).toMatchObject({ source: 'synthetic', requests: 1_000 });
    // Ten of each of twenty.
    expect(answer.requests).toEqual({ allowed: 200, denied: 800, unmatched: 0 });
    expect(answer.difference).toEqual({});
  });

  test('of described traffic through other rules compares with the present ones', async () => {
    const { requests } = await simulated({ rules: THREE_PER_USER, traffic: { ...TRAFFIC, keys: 20 } });
    expect(requests.allowed).toBe(60);
    expect(requests.presentDenied! + 140).toBe(requests.denied);
  });

  test('of given traffic, in its own time', async () => {
    const traffic = Array.from({ length: 12 }, (_, at) => ({ atMs: at, domain: 'api', descriptors: [{ user: 'a' }] }));
    expect((await simulated({ traffic })).requests).toEqual({ allowed: 10, denied: 2, unmatched: 0 });
    const issues = await refused('/v1/limits/simulate', { traffic: traffic.toReversed() }, 400);
    expect(issues).toContain('/traffic/1/atMs');
  });

  test('of recorded traffic through the present rules', async () => {
    expect((await simulated({ traffic: 'recorded' })).requests).toMatchObject({ denied: 2, reallyDenied: 2 });
  });

  test('of more requests than may be is refused before it begins', async () => {
    const most = { ...TRAFFIC, pattern: 'steady', ratePerSecond: 200_000 };
    expect((await simulated({ traffic: { ...most, durationMs: 1_000 } })).traffic.requests).toBeGreaterThan(199_990);
    const issues = await refused('/v1/limits/simulate', { traffic: { ...most, durationMs: 1_001 } }, 400);
    expect(issues).toContain('the most is 200,000');
  }, 30_000);

  test.each([
    [{ traffic: 'imagined' }],
    [{ traffic: { ...TRAFFIC, keys: 0 } }],
    [{ traffic: [] }],
    [{ traffic: { ...TRAFFIC, pattern: 'chaos' } }],
    [{}],
  ])('of %j is refused', async (body) => {
    expect((await limiter.post('/v1/limits/simulate', body)).status).toBe(400);
  });

  test('holds nobody up: others are answered while it runs', async () => {
    let isRunning = true;
    const traffic = { ...TRAFFIC, ratePerSecond: 100_000, durationMs: 1_000, keys: 100_000 };
    const simulation = simulated({ rules: THREE_PER_USER, traffic }).finally(() => {
      isRunning = false;
    });
    let answered = 0;
    for (; isRunning; answered++) expect((await limiter.get('/healthz')).status).toBe(200);
    await simulation;
    expect(answered).toBeGreaterThan(10);
  }, 30_000);

  test('is refused when two are running, and they are not disturbed', async () => {
    const traffic = { ...TRAFFIC, ratePerSecond: 50_000, durationMs: 1_000, keys: 50 };
    const all = await Promise.all([1, 2, 3, 4].map(() => limiter.post('/v1/limits/simulate', { traffic })));
    expect(all.map(({ status }) => status).sort()).toEqual([200, 200, 503, 503]);
    expect((await simulated({ traffic })).requests.allowed).toBe(500);
  }, 30_000);
});
