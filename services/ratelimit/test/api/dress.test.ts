import { describe, expect, test } from '@jest/globals';
import { withLimiter } from './limiter-under-test.ts';

const limiter = withLimiter(
  `
domain: api
rules:
  - {name: per-user, match: {user: "*"}, limit: 2, window: 1m}
  - {name: by-address, match: {ip: "*"}, limit: 1, window: 1h}
  - {name: "odd \\"name", match: {odd: "*"}, limit: 1, window: 1m}
`,
  { RATELIMIT_TRUSTED_PROXIES: '127.0.0.0/8' },
);
const of = (user: string) => ({ domain: 'api', descriptors: [{ user }] });

describe('headers', () => {
  test('are those of the IETF draft 10 unless told otherwise', async () => {
    const { headers } = await limiter.call('/v1/limits/check', of('a'));
    expect(headers.get('ratelimit-policy')).toBe('"per-user";q=2;w=60');
    expect(headers.get('ratelimit')).toMatch(/^"per-user";r=1;t=\d+$/);
    expect(headers.get('retry-after')).toBeNull();
  });

  test('names are quoted as structured fields ask for', async () => {
    const { headers } = await limiter.call('/v1/limits/check', { domain: 'api', descriptors: [{ odd: 'x' }] });
    expect(headers.get('ratelimit-policy')).toBe('"odd \\"name";q=1;w=60');
  });

  test.each([
    ['draft-7', 'ratelimit', /^limit=2, remaining=1, reset=\d+$/],
    ['draft-6', 'ratelimit-remaining', /^1$/],
    ['x', 'x-ratelimit-remaining', /^1$/],
    ['envoy', 'x-ratelimit-limit', /^2, 2;w=60/],
  ])('%s', async (style, name, value) => {
    const { headers } = await limiter.call(`/v1/limits/check?headers=${style}`, of(style));
    expect(headers.get(name)).toMatch(value);
  });

  test('none means none', async () => {
    const { headers } = await limiter.call('/v1/limits/check?headers=none', of('none'));
    expect([...headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
  });
});

describe('a denial', () => {
  test('is 200 unless its status was asked for; then 429 with a problem', async () => {
    await limiter.rounds(2, of('b'));
    const plain = await limiter.call('/v1/limits/check', of('b'));
    expect([plain.status, plain.body.allowed]).toEqual([200, false]);
    const { status, headers, body } = await limiter.call('/v1/limits/check?status=429', of('b'));
    expect(status).toBe(429);
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect(body).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      code: 'rate_limited',
      'violated-policies': ['per-user'],
    });
    const [retryS, resetS] = [
      Number(headers.get('retry-after')),
      Number(/t=(\d+)/.exec(headers.get('ratelimit')!)![1]),
    ];
    expect(retryS).toBeGreaterThanOrEqual(resetS);
    expect(retryS).toBeLessThanOrEqual(31);
  });
});

describe('the gate', () => {
  const gate = (query: string, headers: Record<string, string> = {}) =>
    limiter.call(`/v1/limits/gate?domain=api&${query}`, undefined, { headers });

  test('takes the descriptor from headers, 204 or 429', async () => {
    const by = 'by=user:header:X-User';
    const statuses = [];
    for (let round = 0; round < 3; round++) statuses.push((await gate(by, { 'x-user': 'c' })).status);
    expect(statuses).toEqual([204, 204, 429]);
    expect((await gate(by, { 'x-user': 'd' })).status).toBe(204);
  });

  test('denies with 403 for nginx, which knows no 429', async () => {
    const by = 'by=user:=fixed&deny=403';
    expect((await gate(by)).status).toBe(204);
    expect((await gate(by)).status).toBe(204);
    const denied = await gate(by);
    expect([denied.status, denied.body.code]).toEqual([403, 'rate_limited']);
    expect(denied.headers.get('retry-after')).not.toBeNull();
  });

  test('believes the address that a trusted proxy tells, and of it only what the proxy itself wrote', async () => {
    const from = (forwarded: string) => gate('by=ip:address', { 'x-forwarded-for': forwarded });
    expect((await from('198.51.100.7')).status).toBe(204);
    expect((await from('198.51.100.8')).status).toBe(204);
    expect((await from('198.51.100.7')).status).toBe(429);
    // What the caller wrote before it stands further left and changes nothing.
    expect((await from('203.0.113.99, 198.51.100.7')).status).toBe(429);
  });
});

describe("Gubernator's form", () => {
  const ask = (key: string, more: object = {}) => ({
    requests: [{ name: 'logins', unique_key: key, hits: '1', limit: '2', duration: '60000', ...more }],
  });
  const one = async (body: object) => (await limiter.call('/v1/GetRateLimits', body)).body.responses[0];

  test('limits, with 64-bit numbers as texts', async () => {
    expect(await one(ask('a'))).toMatchObject({ status: 'UNDER_LIMIT', limit: '2', remaining: '1', error: '' });
    expect(await one(ask('a'))).toMatchObject({ status: 'UNDER_LIMIT', remaining: '0' });
    const over = await one(ask('a'));
    expect(over).toMatchObject({ status: 'OVER_LIMIT', remaining: '0' });
    expect(Number(over.reset_time)).toBeGreaterThan(Date.now());
  });

  test('hits of 0 look, negative ones give back', async () => {
    await one(ask('b', { hits: 2 }));
    expect(await one(ask('b', { hits: 0 }))).toMatchObject({ remaining: '0' });
    expect(await one(ask('b', { hits: -1 }))).toMatchObject({ remaining: '1' });
  });

  test('behaviours: reset, drain, calendar', async () => {
    await one(ask('c', { hits: 2 }));
    expect(await one(ask('c', { behavior: 'RESET_REMAINING' }))).toMatchObject({
      status: 'UNDER_LIMIT',
      remaining: '1',
    });
    expect(await one(ask('c', { hits: 2, behavior: 32 }))).toMatchObject({ status: 'OVER_LIMIT', remaining: '0' });
    expect(await one(ask('c'))).toMatchObject({ status: 'OVER_LIMIT' });
    expect(await one(ask('d', { duration: 4, behavior: 'DURATION_IS_GREGORIAN' }))).toMatchObject({ remaining: '1' });
  });

  test('what is wrong with one request is its error, and the others are decided', async () => {
    const body = { requests: [{ name: '', unique_key: 'x' }, ...ask('e').requests] };
    const { responses } = (await limiter.call('/v1/GetRateLimits', body)).body;
    expect(responses[0].error).toMatch(/name/);
    expect(responses[1]).toMatchObject({ status: 'UNDER_LIMIT', error: '' });
  });
});

describe("Envoy's form", () => {
  const body = (value: string) => ({ domain: 'api', descriptors: [{ entries: [{ key: 'user', value }] }] });

  test('200 for OK, 429 for OVER_LIMIT', async () => {
    expect(await limiter.call('/json', body('e'))).toMatchObject({
      status: 200,
      body: {
        overallCode: 'OK',
        statuses: [{ code: 'OK', currentLimit: { requestsPerUnit: 2, unit: 'MINUTE' }, limitRemaining: 1 }],
      },
    });
    await limiter.call('/json', body('e'));
    expect(await limiter.call('/json', body('e'))).toMatchObject({ status: 429, body: { overallCode: 'OVER_LIMIT' } });
  });

  test('no domain is a 400', async () => {
    const { status, body: problem } = await limiter.call('/json', { descriptors: [] });
    expect([status, problem.issues[0].path]).toEqual([400, '/domain']);
  });
});
