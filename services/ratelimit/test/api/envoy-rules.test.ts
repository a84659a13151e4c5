import { describe, expect, test } from '@jest/globals';
import { withLimiter } from './limiter-under-test.ts';

const limiter = withLimiter(`
domain: edge
descriptors:
  - key: remote_address
    rate_limit: {unit: hour, requests_per_unit: 2}
  - key: path
    value: /free
    rate_limit: {unlimited: true}
  - key: plan
    value: gold
    descriptors:
      - key: user
        rate_limit: {unit: hour, requests_per_unit: 3}
  - key: a
    quota_mode: true
    rate_limit: {unit: hour, requests_per_unit: 1}
  - key: b
    quota_mode: true
    rate_limit: {unit: hour, requests_per_unit: 3}
  - key: watched
    shadow_mode: true
    rate_limit: {unit: hour, requests_per_unit: 1}
`);
const ask = (...descriptors: Record<string, string>[]) => ({ domain: 'edge', descriptors });

describe("rules in Envoy's language", () => {
  test('hold as they do there', async () => {
    expect(await limiter.rounds(3, ask({ remote_address: '192.0.2.1' }))).toEqual([true, true, false]);
    expect(await limiter.rounds(3, ask({ path: '/free' }))).toEqual([true, true, true]);
    expect(await limiter.rounds(4, ask({ plan: 'gold', user: 'ann' }))).toEqual([true, true, true, false]);
    expect(await limiter.rounds(2, ask({ watched: 'x' }))).toEqual([true, true]);
    // Fewer entries than the rule has are another descriptor.
    expect(await limiter.rounds(5, ask({ plan: 'gold' }))).toEqual([true, true, true, true, true]);
  });

  test('in quota mode deny only when all of them are over, and then take nothing', async () => {
    const both = ask({ a: 'x' }, { b: 'x' }, { remote_address: '192.0.2.2' });
    // The first quota is over from the second request on, the second one from the fourth; the address from the third.
    expect(await limiter.rounds(2, both)).toEqual([true, true]);
    const quotas = ask({ a: 'x' }, { b: 'x' });
    expect(await limiter.rounds(2, quotas)).toEqual([true, false]);
    const denied = await limiter.check(ask({ a: 'x' }, { b: 'x' }, { remote_address: '192.0.2.3' }));
    expect(denied).toMatchObject({ allowed: false, violated: ['a', 'b'] });
    const left = await limiter.call('/v1/limits/peek', ask({ remote_address: '192.0.2.3' }));
    expect(left.body.limits[0].remaining).toBe(2);
  });
});
