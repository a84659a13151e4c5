import { describe, expect, test } from '@jest/globals';
import { withLimiter } from './limiter-under-test.ts';

const limiter = withLimiter(`
domain: api
rules:
  - {name: per-user, match: {user: "*"}, limit: 3, window: 1h}
`);
const ask = { domain: 'api', descriptors: [{ user: 'ann' }] };
const deep = Array.from({ length: 17 }, (_, at) => ({ key: `k${at}`, value: 'v' }));

describe('what is no check is refused with its place, and nothing is counted', () => {
  test.each<[string, unknown, string]>([
    ['nothing to limit', {}, '/'],
    ['a negative cost', { ...ask, cost: -1 }, '/cost'],
    ['half a unit', { ...ask, cost: 0.5 }, '/cost'],
    ['a huge cost', { ...ask, cost: 1_000_000_001 }, '/cost'],
    ['an unknown member', { ...ask, costs: 1 }, '/'],
    ['both forms', { ...ask, limit: 'per-user' }, '/'],
    ['no descriptors', { domain: 'api', descriptors: [] }, '/descriptors'],
    ['an empty descriptor', { domain: 'api', descriptors: [{}] }, '/descriptors/0'],
    [
      '33 descriptors',
      { domain: 'api', descriptors: Array.from({ length: 33 }, () => ({ user: 'a' })) },
      '/descriptors',
    ],
    ['17 entries', { domain: 'api', descriptors: [{ entries: deep }] }, '/descriptors/0'],
    ['a key of 100 kB', { domain: 'api', descriptors: [{ user: 'x'.repeat(100_000) }] }, '/descriptors/0'],
    ['a value of 3 kB of UTF-8', { domain: 'api', descriptors: [{ user: 'ä'.repeat(1_500) }] }, '/descriptors/0'],
    ['an empty domain', { ...ask, domain: '' }, '/domain'],
    [
      'entries that are numbers, whose order is lost',
      { domain: 'api', descriptors: [{ b: 'x', 1: 'y' }] },
      '/descriptors/0',
    ],
    ['a window of 0', { domain: 'api', limit: { limit: 1, windowMs: 0 }, key: 'a' }, '/limit'],
    ['no window', { domain: 'api', limit: { limit: 1 }, key: 'a' }, '/limit'],
    ['a negative limit', { domain: 'api', limit: { limit: -1, windowMs: 1 }, key: 'a' }, '/limit'],
    [
      'more a microsecond than can be told apart',
      { domain: 'api', limit: { limit: 1_000_000_000, windowMs: 1 }, key: 'a' },
      '/limit',
    ],
    [
      'a burst of a fixed window',
      { domain: 'api', limit: { algorithm: 'fixed', limit: 1, windowMs: 1, burst: 2 }, key: 'a' },
      '/limit',
    ],
    [
      'a time zone that is none',
      { domain: 'api', limit: { algorithm: 'calendar', limit: 1, period: 'day', timeZone: 'Mars/Base' }, key: 'a' },
      '/limit',
    ],
    [
      'an unknown algorithm',
      { domain: 'api', limit: { algorithm: 'magic', limit: 1, windowMs: 1 }, key: 'a' },
      '/limit',
    ],
  ])('%s', async (_, body, path) => {
    const answer = await limiter.call('/v1/limits/check', body);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(answer.body.issues[0].path.startsWith(path === '/' ? '' : path)).toBe(true);
    const { body: left } = await limiter.call('/v1/limits/peek', ask);
    expect(left.limits[0].remaining).toBe(3);
  });

  test('1,001 checks at once', async () => {
    const answer = await limiter.call(
      '/v1/limits/check',
      Array.from({ length: 1_001 }, () => ask),
    );
    expect(answer.status).toBe(400);
  });

  test('a bad one among good ones: none of them is counted', async () => {
    const answer = await limiter.call('/v1/limits/check', [ask, { domain: 'api', limit: 'nobody', key: 'a' }]);
    expect(answer.status).toBe(404);
    const { body: left } = await limiter.call('/v1/limits/peek', ask);
    expect(left.limits[0].remaining).toBe(3);
  });

  test('bytes that are no UTF-8', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"domain":"api","descriptors":[{"user":"'),
      Buffer.from([0xff]),
      Buffer.from('"}]}'),
    ]);
    const answer = await limiter.call('/v1/limits/check', '', { method: 'POST', body: bytes });
    expect([answer.status, answer.body.detail]).toEqual([400, 'the body is not UTF-8']);
  });
});

describe('the gate', () => {
  test.each(['user', 'user:', 'user:header', ':uri', 'user:cookie:x'])('by=%s means nothing', async (by) => {
    const answer = await limiter.call(`/v1/limits/gate?domain=api&by=${encodeURIComponent(by)}`);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
  });
});
