import { type Client, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { type RunningLimiter, startLimiter } from '../api/running.fixture.ts';
import {
  call,
  decode,
  encode,
  entriesOf,
  grpcClient,
  type RateLimitResponse,
  SHOULD_RATE_LIMIT,
  STREAM_QUOTAS,
} from './envoy.fixture.ts';

const RULES = `domain: api
rules:
  - {name: user, match: {user: "*"}, limit: 10, window: 1h, algorithm: fixed}
  - {name: tier, match: {tier: "*", name: "*"}, limit: 100, window: 1s}
`;

let limiter: RunningLimiter;
let client: Client;
let redis: Redis;

const portOf = (address: unknown) => Number(String(address).split(':').at(-1));

beforeAll(async () => {
  limiter = await startLimiter(RULES);
  const { rls, resp } = limiter.service.describe!() as Record<string, string>;
  client = grpcClient(portOf(rls));
  redis = new Redis(portOf(resp), '127.0.0.1');
});
afterAll(async () => {
  client.close();
  await redis.quit();
  await limiter.stop();
});

const bytes = (value: Buffer) => value;

async function left(user: string): Promise<number> {
  const descriptors = [{ entries: entriesOf({ user }), hits_addend: { value: 0 } }];
  const answer = await call(client, SHOULD_RATE_LIMIT, encode('RateLimitRequest', { domain: 'api', descriptors }), {
    metadata: new Metadata(),
  });
  return decode<RateLimitResponse>('RateLimitResponse', answer).statuses[0]!.limit_remaining;
}

test('all doors count on the same state', async () => {
  const request = { domain: 'api', descriptors: [{ entries: entriesOf({ user: 'alice' }) }], hits_addend: 2 };
  await call(client, SHOULD_RATE_LIMIT, encode('RateLimitRequest', request), { metadata: new Metadata() });
  expect(await redis.call('CL.CHECK', 'api', 3, 'user', 'alice')).toEqual([0, 10, 5, -1, expect.any(Number)]);
  expect(await limiter.check(['alice'])).toEqual([true]);
  const quotas = client.makeBidiStreamRequest(STREAM_QUOTAS, bytes, bytes);
  quotas.on('error', () => {});
  quotas.on('data', () => {});
  const usage = { bucket_id: { bucket: { user: 'alice' } }, time_elapsed: { seconds: 1 }, num_requests_allowed: 3 };
  quotas.write(encode('UsageReports', { domain: 'api', bucket_quota_usages: [usage] }));
  await eventually(async () => (await left('alice')) === 1);
  quotas.end();
  expect(await redis.call('CL.CHECK', 'api', 2, 'user', 'alice')).toEqual([
    1,
    10,
    1,
    expect.any(Number),
    expect.any(Number),
  ]);
  expect(await left('alice')).toBe(1);
  expect(await left('bob')).toBe(10);
});

test('a quota bucket finds its rule in whatever order its keys are', async () => {
  const quotas = client.makeBidiStreamRequest(STREAM_QUOTAS, bytes, bytes);
  const told: Buffer[] = [];
  quotas.on('data', (message: Buffer) => told.push(message));
  quotas.on('error', () => {});
  const usage = { bucket_id: { bucket: { name: 'x', tier: 'gold' } }, time_elapsed: { seconds: 1 } };
  quotas.write(encode('UsageReports', { domain: 'api', bucket_quota_usages: [usage] }));
  await eventually(() => told.length === 1);
  const { bucket_action } = decode<{ bucket_action: object[] }>('QuotaResponse', told[0]!);
  expect(bucket_action[0]).toMatchObject({
    quota_assignment_action: {
      rate_limit_strategy: { token_bucket: { max_tokens: 100, tokens_per_fill: { value: 100 } } },
    },
  });
  quotas.end();
});

test('a limit of CL.THROTTLE is the caller’s own', async () => {
  expect(await redis.call('CL.THROTTLE', 'k', 1, 1, 3_600)).toEqual([0, 2, 1, -1, 3_600]);
  expect(await redis.call('CL.THROTTLE', 'k', 1, 1, 3_600)).toEqual([0, 2, 0, -1, expect.any(Number)]);
  expect(await redis.call('CL.THROTTLE', 'k', 1, 1, 3_600)).toMatchObject({ 0: 1, 1: 2, 2: 0 });
});
