import { type Client, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { policyOf } from '@plinth/limiter';
import { Problem } from '@plinth/problem';
import { perMinute, type TestDecider, type TestRule, testDecider } from '../decider.fixture.ts';
import {
  call,
  decode,
  encode,
  entriesOf,
  grpcClient,
  type RateLimitRequest,
  type RateLimitResponse,
  SHOULD_RATE_LIMIT,
} from '../envoy.fixture.ts';
import { EnvoyDoor } from '../envoy-door.ts';

const OK = 1;
const OVER_LIMIT = 2;
const UINT32_MAX = 4_294_967_295;
const SECOND = 1;
const MINUTE = 2;

const RULES: TestRule[] = [
  { keys: ['user'], policy: perMinute(3) },
  { keys: ['user', 'path'], policy: perMinute(1), name: 'login' },
  { keys: ['watched'], policy: perMinute(1), shadow: true },
  { keys: ['free'] },
  { keys: ['none'], policy: perMinute(0) },
  { keys: ['odd'], policy: policyOf({ limit: 10, windowMs: 300_000 }) },
  { keys: ['month'], policy: policyOf({ algorithm: 'calendar', limit: 10, period: 'month' }) },
  { keys: ['quota a'], policy: perMinute(1), quotaMode: true },
  { keys: ['quota b'], policy: perMinute(2), quotaMode: true },
];

let decider: TestDecider;
let door: EnvoyDoor;
let client: Client;
/** Nothing comes back while a test counts. */
let nowUs = 1e9;

beforeAll(async () => {
  decider = testDecider(RULES, () => nowUs);
  door = new EnvoyDoor({ decider, host: '127.0.0.1', port: 0 });
  client = grpcClient(await door.listen());
});
beforeEach(() => {
  nowUs += 1e12;
  decider.asked.length = 0;
  decider.delayMs = undefined;
  decider.degraded = undefined;
  decider.fault = undefined;
});
afterAll(async () => {
  client.close();
  await door.stop();
});

async function ask(
  request: RateLimitRequest,
  options: { deadlineMs?: number; metadata?: Metadata } = {},
): Promise<RateLimitResponse> {
  const answer = await call(client, SHOULD_RATE_LIMIT, encode('RateLimitRequest', request), {
    metadata: new Metadata(),
    ...options,
  });
  return decode('RateLimitResponse', answer);
}

const one = (pairs: Record<string, string>, more: object = {}): RateLimitRequest => ({
  domain: 'api',
  descriptors: [{ entries: entriesOf(pairs), ...more }],
});

describe('a descriptor that a rule matches', () => {
  test('is counted down to its limit, and over it from there on', async () => {
    const answers = [];
    for (let at = 0; at < 4; at++) answers.push(await ask(one({ user: 'alice' })));
    expect(answers.map(({ overall_code }) => overall_code)).toEqual([OK, OK, OK, OVER_LIMIT]);
    expect(answers.map(({ statuses }) => statuses[0]!.code)).toEqual([OK, OK, OK, OVER_LIMIT]);
    expect(answers.map(({ statuses }) => statuses[0]!.limit_remaining)).toEqual([2, 1, 0, 0]);
    expect(answers[0]!.statuses[0]!.current_limit).toEqual({ requests_per_unit: 3, unit: MINUTE, name: 'user' });
  });

  test('tells whole seconds until its reset, rounded up', async () => {
    const { statuses } = await ask(one({ user: 'alice' }));
    // A unit of 3 a minute comes back in 20 s.
    expect(statuses[0]!.duration_until_reset).toEqual({ seconds: 20, nanos: 0 });
    nowUs += 500_000;
    expect((await ask(one({ user: 'alice' }))).statuses[0]!.duration_until_reset).toEqual({ seconds: 40, nanos: 0 });
  });

  test('has a unit of Envoy when its window is one, and 0 when it is none', async () => {
    const unit = async (pairs: Record<string, string>) => (await ask(one(pairs))).statuses[0]!.current_limit!.unit;
    expect(await unit({ odd: 'x' })).toBe(0);
    expect(await unit({ month: 'x' })).toBe(5);
  });

  test('is told by position among others', async () => {
    const descriptors = [{ user: 'bob' }, { nobody: 'knows' }, { free: 'x' }, { user: 'bob', path: '/' }];
    const entries = descriptors.map((pairs) => ({ entries: entriesOf(pairs as unknown as Record<string, string>) }));
    const request = { domain: 'api', descriptors: entries };
    const { overall_code, statuses } = await ask(request);
    expect(overall_code).toBe(OK);
    expect(statuses.map(({ current_limit }) => current_limit?.name)).toEqual(['user', undefined, undefined, 'login']);
    expect(statuses.map(({ limit_remaining }) => limit_remaining)).toEqual([2, 0, UINT32_MAX, 0]);
    expect(statuses.map(({ code }) => code)).toEqual([OK, OK, OK, OK]);
  });
});

describe('a request of several descriptors', () => {
  const both = {
    domain: 'api',
    descriptors: [{ entries: entriesOf({ user: 'eve' }) }, { entries: entriesOf({ user: 'eve', path: '/' }) }],
  };

  test('is over its limit when one of them is, and then takes nothing of the others', async () => {
    expect((await ask(both)).overall_code).toBe(OK);
    const denied = await ask(both);
    expect(denied.overall_code).toBe(OVER_LIMIT);
    expect(denied.statuses.map(({ code }) => code)).toEqual([OK, OVER_LIMIT]);
    expect((await ask(one({ user: 'eve' }, { hits_addend: { value: 0 } }))).statuses[0]!.limit_remaining).toBe(2);
  });

  test('never is over a rule that only watches', async () => {
    await ask(one({ watched: 'x' }));
    const { overall_code, statuses } = await ask(one({ watched: 'x' }));
    expect([overall_code, statuses[0]!.code, statuses[0]!.limit_remaining]).toEqual([OK, OK, 0]);
  });

  test('tells of rules in quota mode that they are over only when all of them are', async () => {
    const verdicts: RateLimitResponse[] = [];
    const request = {
      domain: 'api',
      descriptors: [{ entries: entriesOf({ 'quota a': 'x' }) }, { entries: entriesOf({ 'quota b': 'x' }) }],
    };
    await ask(request);
    verdicts.push(await ask(request));
    await ask(one({ 'quota b': 'x' }));
    verdicts.push(await ask(request));
    expect(verdicts[0]!.statuses.map(({ code }) => code)).toEqual([OK, OK]);
    expect(verdicts[1]!.statuses.map(({ code }) => code)).toEqual([OVER_LIMIT, OVER_LIMIT]);
  });
});

describe('hits', () => {
  test('are one when nothing is said', async () => {
    await ask(one({ user: 'a' }));
    expect(decider.asked[0]!.checks[0]!.cost).toBe(1);
  });

  test('of the request count for each descriptor, and a descriptor may say otherwise', async () => {
    const { statuses } = await ask({
      domain: 'api',
      hits_addend: 2,
      descriptors: [
        { entries: entriesOf({ user: 'a' }) },
        { entries: entriesOf({ user: 'b' }), hits_addend: { value: 3 } },
      ],
    });
    expect(statuses.map(({ limit_remaining }) => limit_remaining)).toEqual([1, 0]);
  });

  test('of 0 at a descriptor look and take nothing', async () => {
    for (let at = 0; at < 5; at++) await ask(one({ user: 'a' }, { hits_addend: { value: 0 } }));
    expect((await ask(one({ user: 'a' }, { hits_addend: { value: 0 } }))).statuses[0]!.limit_remaining).toBe(3);
  });

  test.each([
    [1_000_000_000, true],
    [1_000_000_001, false],
    [2 ** 53, false],
  ])('of %d are a legal cost: %s', async (value, isLegal) => {
    const answer = ask(one({ user: 'a' }, { hits_addend: { value } }));
    if (isLegal) expect((await answer).overall_code).toBe(OVER_LIMIT);
    else await expect(answer).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

describe('a limit in the request', () => {
  test('counts instead of the rule', async () => {
    const override = { limit: { requests_per_unit: 2, unit: SECOND } };
    const { statuses } = await ask(one({ user: 'a' }, override));
    expect(statuses[0]).toMatchObject({ limit_remaining: 1, current_limit: { requests_per_unit: 2, unit: SECOND } });
    expect((await ask(one({ user: 'a' }))).statuses[0]!.limit_remaining).toBe(2);
  });

  test('of 0 denies everything', async () => {
    expect((await ask(one({ any: 'a' }, { limit: { requests_per_unit: 0, unit: SECOND } }))).overall_code).toBe(
      OVER_LIMIT,
    );
  });

  test.each([0, 8])('of unit %d is refused', async (unit) => {
    const refused = ask(one({ user: 'a' }, { limit: { requests_per_unit: 2, unit } }));
    await expect(refused).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(`is ${unit};`),
    });
  });
});

describe('what is refused, counts nothing and is told in exact words', () => {
  const entries = entriesOf({ user: 'a' });
  const key = 'k'.repeat(257);
  test.each<[string, RateLimitRequest]>([
    ['domain is empty', { descriptors: [{ entries }] }],
    ['descriptors are empty', { domain: 'api' }],
    ['descriptor 0 has no entries', { domain: 'api', descriptors: [{}] }],
    ['entry 0 of descriptor 0 has no key', { domain: 'api', descriptors: [{ entries: [{ key: '', value: 'x' }] }] }],
    ['a key is 257 bytes; the most is 256', { domain: 'api', descriptors: [{ entries: [{ key, value: 'x' }] }] }],
    [
      'a value is 2049 bytes; the most is 2048',
      { domain: 'api', descriptors: [{ entries: [{ key: 'k', value: 'v'.repeat(2_049) }] }] },
    ],
    [
      'there are more than 32 descriptors',
      { domain: 'api', descriptors: Array.from({ length: 33 }, () => ({ entries })) },
    ],
    [
      'descriptor 1 has more than 16 entries',
      { domain: 'api', descriptors: [{ entries }, { entries: Array.from({ length: 17 }, () => entries[0]!) }] },
    ],
    ['domain has other than visible ASCII characters', { domain: 'a b', descriptors: [{ entries }] }],
    ['descriptor 0 has is_negative_hits; nothing is given back here', one({ user: 'a' }, { is_negative_hits: true })],
  ])('%s', async (words, request) => {
    await expect(ask(request)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, details: words });
    expect(decider.asked).toEqual([]);
  });

  test('text that is not UTF-8', async () => {
    const bytes = encode('RateLimitRequest', one({ user: 'xx' }));
    bytes.write('ÿ', bytes.indexOf('xx'), 'latin1');
    const refused = call(client, SHOULD_RATE_LIMIT, bytes, { metadata: new Metadata() });
    await expect(refused).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, details: 'a value is not UTF-8' });
    expect(decider.asked).toEqual([]);
  });

  test('a request of more than 64 KiB', async () => {
    const refused = ask({ ...one({ user: 'a' }), unheard_of: 'x'.repeat(70_000) });
    await expect(refused).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(decider.asked).toEqual([]);
  });

  test('a method that there is not', async () => {
    const refused = call(client, '/envoy.service.ratelimit.v3.RateLimitService/Nothing', Buffer.alloc(0), {
      metadata: new Metadata(),
    });
    await expect(refused).rejects.toMatchObject({
      code: status.UNIMPLEMENTED,
      details: expect.stringContaining('/Nothing'),
    });
  });
});

describe('the largest that is legal', () => {
  test('is decided: 32 descriptors, 16 entries, keys of 256 bytes, values of 2,048', async () => {
    const wide = Array.from({ length: 16 }, (_, at) => ({ key: `${at}`.padEnd(256, 'k'), value: 'v' }));
    const { statuses } = await ask({
      domain: 'd'.repeat(256),
      descriptors: Array.from({ length: 12 }, () => ({ entries: wide })),
    });
    expect(statuses).toHaveLength(12);
    const many = Array.from({ length: 32 }, (_, at) => ({ entries: entriesOf({ user: `${at}` }) }));
    expect((await ask({ domain: 'api', descriptors: many })).statuses).toHaveLength(32);
    expect((await ask(one({ user: 'v'.repeat(2_048) }))).overall_code).toBe(OK);
  });

  test('has fields that are not known skipped', async () => {
    expect((await ask({ ...one({ user: 'a' }), unheard_of: 'x'.repeat(1_000) })).statuses[0]!.limit_remaining).toBe(2);
  });
});

describe('when it cannot be decided', () => {
  test('a store that is away says UNAVAILABLE where the rule says to deny', async () => {
    decider.degraded = 'closed';
    await expect(ask(one({ user: 'a' }))).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  test.each(['open', 'local'] as const)('a store that is away is no error where the rule says %s', async (degraded) => {
    decider.degraded = degraded;
    expect((await ask(one({ user: 'a' }))).overall_code).toBe(OK);
  });

  test('a bug says UNAVAILABLE, and not what it was', async () => {
    decider.fault = new TypeError('secret is undefined');
    await expect(ask(one({ user: 'a' }))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: 'the limiter failed',
    });
  });

  test('a check that the engine refuses says INVALID_ARGUMENT', async () => {
    decider.fault = new Problem('invalid_request', 'no such thing: a-b%');
    await expect(ask(one({ user: 'a' }))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'no such thing: a-b%',
    });
  });

  test('a caller in a hurry is told DEADLINE_EXCEEDED, and the engine how long it has', async () => {
    decider.delayMs = 400;
    await expect(ask(one({ user: 'a' }), { deadlineMs: 60 })).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    const { deadlineMs } = decider.asked[0]!.options!;
    expect(deadlineMs).toBeGreaterThan(10);
    expect(deadlineMs).toBeLessThanOrEqual(48);
  });
});

describe('answers that come late', () => {
  test('each goes to its own caller, and what arrives behind the first is asked together', async () => {
    decider.delayMs = 20;
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, at) =>
        ask(one({ user: `u${at % 20}` }, { hits_addend: { value: 1 + (at % 3) } })),
      ),
    );
    expect(answers.every(({ overall_code }) => overall_code === OK || overall_code === OVER_LIMIT)).toBe(true);
    const asked = decider.asked.map(({ checks }) => checks.length);
    expect(asked.reduce((sum, count) => sum + count)).toBe(40);
    expect(asked.length).toBeLessThan(40);
  });
});

describe('headers to add', () => {
  const headersIn = async (style: 'ietf' | 'draft-03', requests: RateLimitRequest[]) => {
    const other = new EnvoyDoor({ decider, host: '127.0.0.1', port: 0, headers: style });
    const to = grpcClient(await other.listen());
    let answer = Buffer.alloc(0);
    for (const request of requests)
      answer = (await call(to, SHOULD_RATE_LIMIT, encode('RateLimitRequest', request), {
        metadata: new Metadata(),
      })) as Buffer<ArrayBuffer>;
    to.close();
    await other.stop();
    const { response_headers_to_add } = decode<RateLimitResponse>('RateLimitResponse', answer);
    return response_headers_to_add.map(({ key, value }) => `${key}: ${value}`);
  };
  const both = {
    domain: 'api',
    descriptors: [{ entries: entriesOf({ user: 'a' }) }, { entries: entriesOf({ user: 'a', path: '/' }) }],
  };

  test('are none unless they are asked for', async () => {
    expect((await ask(both)).response_headers_to_add).toEqual([]);
  });

  test('of the IETF name each limit', async () => {
    expect(await headersIn('ietf', [both])).toEqual([
      'ratelimit-policy: "user";q=3;w=60, "login";q=1;w=60',
      'ratelimit: "user";r=2;t=20, "login";r=0;t=60',
    ]);
  });

  test('of Envoy tell the limit that is nearest to its end, and when to come again', async () => {
    expect(await headersIn('draft-03', [both, both])).toEqual([
      'x-ratelimit-limit: 1, 3;w=60;name="user", 1;w=60;name="login"',
      'x-ratelimit-remaining: 0',
      'x-ratelimit-reset: 60',
      'retry-after: 60',
    ]);
  });

  test('are none where nothing is limited', async () => {
    expect(await headersIn('ietf', [one({ free: 'x' })])).toEqual([]);
  });
});
