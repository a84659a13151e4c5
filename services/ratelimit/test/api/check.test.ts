import { describe, expect, test } from '@jest/globals';
import { withLimiter } from './limiter-under-test.ts';

const limiter = withLimiter(`
domain: api
rules:
  - {name: per-user, match: {user: "*"}, limit: 3, window: 1h}
  - {name: per-path, match: {path: "*"}, limit: 5, window: 1h}
  - {name: watched, match: {tenant: "*"}, limit: 1, window: 1h, shadow: true}
  - {name: free, match: {plan: gold}, limit: unlimited}
  - {name: closed, match: {door: "*"}, limit: 0, window: 1h}
  - {name: listed, match: {ip: "*"}, limit: 1, window: 1h, allow: [10.0.0.0/8], deny: [192.0.2.7]}
  - {name: special, match: {who: "*"}, limit: 1, window: 1h, overrides: {boss: {limit: 3, window: 1h}, root: unlimited}}
  - {name: penal, match: {login: "*"}, limit: 2, window: 1h, block: {after: 3, within: 1m, for: 10m}}
`);

describe('one limit', () => {
  test('is allowed as often as it says, and then not', async () => {
    const ask = { domain: 'api', descriptors: [{ user: 'ann' }] };
    expect(await limiter.rounds(4, ask)).toEqual([true, true, true, false]);
  });

  test('tells what is left, and when to come again', async () => {
    const ask = { domain: 'api', descriptors: [{ user: 'bob' }], cost: 2 };
    expect((await limiter.check(ask)).limits).toMatchObject([
      { name: 'per-user', limit: 3, remaining: 1, windowMs: 3_600_000 },
    ]);
    const denied = await limiter.check(ask);
    expect(denied).toMatchObject({ allowed: false, violated: ['per-user'] });
    // One of 3 an hour comes back in twenty minutes, and one is there.
    expect(denied.retryAfterMs).toBeGreaterThan(19 * 60_000);
    expect(denied.retryAfterMs).toBeLessThanOrEqual(20 * 60_000);
  });

  test('keys are limited each by itself', async () => {
    expect(await limiter.rounds(3, { domain: 'api', descriptors: [{ user: 'carl' }] })).toEqual([true, true, true]);
    expect(await limiter.rounds(1, { domain: 'api', descriptors: [{ user: 'dora' }] })).toEqual([true]);
  });

  test('parts of a key that would collide when joined do not', async () => {
    const first = { domain: 'api', limit: { limit: 1, windowMs: 60_000 }, key: ['a_b', 'c'] };
    const second = { domain: 'api', limit: { limit: 1, windowMs: 60_000 }, key: ['a', 'b_c'] };
    expect([...(await limiter.rounds(2, first)), ...(await limiter.rounds(2, second))]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test('a cost that the limit can never hold is denied for good', async () => {
    const denied = await limiter.check({ domain: 'api', descriptors: [{ user: 'eve' }], cost: 4 });
    expect(denied).toMatchObject({ allowed: false, retryAfterMs: null });
    expect(await limiter.rounds(3, { domain: 'api', descriptors: [{ user: 'eve' }] })).toEqual([true, true, true]);
  });

  test('a limit of 0 denies everybody, an unlimited rule nobody', async () => {
    expect(await limiter.check({ domain: 'api', descriptors: [{ door: 'x' }] })).toMatchObject({ allowed: false });
    const free = await limiter.check({ domain: 'api', descriptors: [{ plan: 'gold' }], cost: 1_000_000 });
    expect(free).toEqual({ allowed: true, limits: [{ name: 'free', allowed: true }] });
  });

  test('what no rule knows is allowed, in a domain that is not there as well', async () => {
    expect(await limiter.check({ domain: 'api', descriptors: [{ colour: 'red' }] })).toEqual({
      allowed: true,
      limits: [],
    });
    expect(await limiter.check({ domain: 'nowhere', descriptors: [{ user: 'ann' }] })).toEqual({
      allowed: true,
      limits: [],
    });
  });

  test('cost 0 looks and takes nothing, and so does peek', async () => {
    const ask = { domain: 'api', descriptors: [{ user: 'fay' }] };
    expect((await limiter.check({ ...ask, cost: 0 })).limits[0]).toMatchObject({ remaining: 3 });
    const { body } = await limiter.call('/v1/limits/peek', ask);
    expect(body).toMatchObject({ allowed: true, limits: [{ remaining: 3 }] });
    expect(await limiter.rounds(3, ask)).toEqual([true, true, true]);
  });
});

describe('several limits', () => {
  test('a denied request takes nothing from the others', async () => {
    const both = { domain: 'api', descriptors: [{ user: 'gil' }, { path: '/a' }] };
    expect(await limiter.rounds(5, both)).toEqual([true, true, true, false, false]);
    const left = await limiter.call('/v1/limits/peek', { domain: 'api', descriptors: [{ path: '/a' }] });
    expect(left.body.limits[0].remaining).toBe(2);
  });

  test('each descriptor may have a cost of its own', async () => {
    const descriptors = [
      { entries: [{ key: 'user', value: 'hal' }], cost: 3 },
      { entries: [{ key: 'path', value: '/b' }] },
    ];
    const answer = await limiter.check({ domain: 'api', descriptors });
    expect(answer.limits.map(({ remaining }) => remaining)).toEqual([0, 4]);
  });

  test('a limit may come with its descriptor', async () => {
    const entries = [{ key: 'bulk', value: 'x' }];
    const ask = {
      domain: 'api',
      descriptors: [{ entries, limit: { limit: 2, windowMs: 1_000, algorithm: 'strict' } }],
    };
    expect(await limiter.rounds(3, ask)).toEqual([true, true, false]);
  });

  test('a thousand checks in one request are decided in order', async () => {
    const body = Array.from({ length: 1_000 }, () => ({
      domain: 'api',
      limit: { limit: 600, windowMs: 86_400_000 },
      key: 'many',
    }));
    const answer = await limiter.call('/v1/limits/check', body);
    expect(answer.body.filter(({ allowed }: { allowed: boolean }) => allowed)).toHaveLength(600);
    expect(answer.body[599].allowed).toBe(true);
    expect(answer.body[600].allowed).toBe(false);
  });
});

describe('rules', () => {
  test('a shadow rule is told and denies nobody', async () => {
    const ask = { domain: 'api', descriptors: [{ tenant: 't' }] };
    expect(await limiter.rounds(2, ask)).toEqual([true, true]);
    expect((await limiter.check(ask)).limits).toMatchObject([{ name: 'watched', allowed: false, shadow: true }]);
  });

  test('lists go before units', async () => {
    const of = (ip: string) => ({ domain: 'api', descriptors: [{ ip }] });
    expect(await limiter.rounds(3, of('10.1.2.3'))).toEqual([true, true, true]);
    expect(await limiter.check(of('192.0.2.7'))).toMatchObject({ allowed: false, limits: [{ because: 'deny-list' }] });
    expect(await limiter.rounds(2, of('192.0.2.8'))).toEqual([true, false]);
  });

  test('an override holds for its value alone', async () => {
    const of = (who: string) => ({ domain: 'api', descriptors: [{ who }] });
    expect(await limiter.rounds(2, of('clerk'))).toEqual([true, false]);
    expect(await limiter.rounds(4, of('boss'))).toEqual([true, true, true, false]);
    expect(await limiter.rounds(3, of('root'))).toEqual([true, true, true]);
  });

  test('who is denied too often is blocked', async () => {
    const ask = { domain: 'api', descriptors: [{ login: 'mallory' }] };
    expect(await limiter.rounds(5, ask)).toEqual([true, true, false, false, false]);
    const blocked = await limiter.check(ask);
    expect(blocked.limits[0]).toMatchObject({ because: 'blocked', remaining: 0 });
    expect(blocked.retryAfterMs).toBeGreaterThan(590_000);
    await limiter.call('/v1/limits/reset', ask);
    expect(await limiter.rounds(1, ask)).toEqual([true]);
  });

  test('a rule is found by its name', async () => {
    const ask = { domain: 'api', limit: 'per-user', key: 'zoe' };
    expect(await limiter.rounds(4, ask)).toEqual([true, true, true, false]);
    // It is the same state as that of the descriptor.
    expect(await limiter.rounds(1, { domain: 'api', descriptors: [{ user: 'zoe' }] })).toEqual([false]);
    const unknown = await limiter.call('/v1/limits/check', { domain: 'api', limit: 'per-users', key: 'zoe' });
    expect([unknown.status, unknown.body.code]).toEqual([404, 'limit_not_found']);
  });
});

describe('states', () => {
  test('a refund gives back, never beyond the limit', async () => {
    const ask = { domain: 'api', descriptors: [{ user: 'ida' }] };
    await limiter.rounds(3, ask);
    expect((await limiter.call('/v1/limits/refund', { ...ask, cost: 2 })).body).toEqual({ limits: 1 });
    expect(await limiter.rounds(3, ask)).toEqual([true, true, false]);
    await limiter.call('/v1/limits/refund', { ...ask, cost: 1_000 });
    expect(await limiter.rounds(4, ask)).toEqual([true, true, true, false]);
  });

  test('a block denies at once, and ends when it is told to', async () => {
    const ask = { domain: 'api', descriptors: [{ user: 'jim' }] };
    await limiter.call('/v1/limits/block', { ...ask, forMs: 60_000 });
    expect(await limiter.check(ask)).toMatchObject({ allowed: false, limits: [{ because: 'blocked' }] });
    await limiter.call('/v1/limits/block', { ...ask, forMs: 0 });
    expect(await limiter.rounds(1, ask)).toEqual([true]);
  });

  test('a reservation is settled once: less is given back, more becomes a debt', async () => {
    const ask = {
      domain: 'api',
      limit: { limit: 100, windowMs: 86_400_000 },
      key: 'tokens',
      cost: 50,
      reserveMs: 60_000,
    };
    const left = async () =>
      (await limiter.call('/v1/limits/peek', { ...ask, reserveMs: undefined, cost: 1 })).body.limits[0].remaining;
    const { reservation } = await limiter.check(ask);
    await limiter.call('/v1/limits/report', { reservation, cost: 10 });
    expect(await left()).toBe(90);
    const twice = await limiter.call('/v1/limits/report', { reservation, cost: 0 });
    expect([twice.status, twice.body.code]).toEqual([409, 'conflict']);
    expect(await left()).toBe(90);
    const second = await limiter.check(ask);
    await limiter.call('/v1/limits/report', { reservation: second.reservation, cost: 120 });
    expect(await left()).toBe(0);
    expect((await limiter.check({ ...ask, reserveMs: undefined, cost: 1 })).retryAfterMs).toBeGreaterThan(
      86_400_000 / 10,
    );
  });

  test('what has happened is charged without asking', async () => {
    const ask = { domain: 'api', limit: { limit: 10, windowMs: 86_400_000 }, key: 'bytes', cost: 25 };
    expect((await limiter.call('/v1/limits/report', ask)).body.allowed).toBe(true);
    expect((await limiter.check({ ...ask, cost: 1 })).allowed).toBe(false);
  });

  test('explain names the rule, its place, and what was tried', async () => {
    const { body } = await limiter.call('/v1/limits/explain', {
      domain: 'api',
      descriptors: [{ user: 'ann' }, { colour: 'red' }],
    });
    expect(body.descriptors[0].met).toMatchObject({ name: 'per-user' });
    expect(body.descriptors[0].met.source).toMatch(/rules\.yaml:\d+/);
    expect(body.descriptors[1].met).toBeNull();
    expect(body.descriptors[1].tried.length).toBeGreaterThan(0);
  });
});
