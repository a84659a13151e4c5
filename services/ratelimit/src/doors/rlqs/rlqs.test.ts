import { type Client, type ClientDuplexStream, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { policyOf } from '@plinth/limiter';
import { eventually, seededRandom } from '@plinth/testkit';
import { perMinute, type TestDecider, type TestRule, testDecider } from '../decider.fixture.ts';
import { decode, encode, entriesOf, grpcClient, STREAM_QUOTAS } from '../envoy.fixture.ts';
import { EnvoyDoor, type QuotaDoorOptions } from '../envoy-door.ts';
import { fillOf } from './rlqs-codec.ts';

const perSecond = (limit: number) => policyOf({ limit, windowMs: 1_000 });

const RULES: TestRule[] = [
  { keys: ['user'], policy: perSecond(100) },
  // No order of a map: the rule has its keys the other way round.
  { keys: ['tier', 'name'], policy: perSecond(10), name: 'tiers' },
  { keys: ['free'] },
  { keys: ['none'], policy: perMinute(0) },
  { keys: ['watched'], policy: perSecond(1), shadow: true },
  { keys: ['strict'], policy: policyOf({ algorithm: 'strict', limit: 100, windowMs: 1_000 }) },
  { keys: ['places'], policy: policyOf({ algorithm: 'concurrency', limit: 5 }) },
];

interface Strategy {
  blanket_rule?: number;
  token_bucket?: {
    max_tokens: number;
    tokens_per_fill: { value: number };
    fill_interval: { seconds: number; nanos: number };
  };
}

interface BucketAction {
  bucket_id: { bucket: Record<string, string> };
  quota_assignment_action?: {
    assignment_time_to_live: { seconds: number; nanos: number };
    rate_limit_strategy: Strategy;
  };
  abandon_action?: object;
}

type Usage = [bucket: Record<string, string>, allowed?: number, denied?: number, elapsedS?: number];

/** A client of the protocol: what it was told last of each bucket. */
class QuotaClient {
  readonly actions: BucketAction[] = [];
  code: number | undefined;
  details = '';
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;

  constructor(client: Client) {
    const bytes = (value: Buffer) => value;
    this.#stream = client.makeBidiStreamRequest(STREAM_QUOTAS, bytes, bytes);
    this.#stream.on('data', (message: Buffer) => {
      this.actions.push(...decode<{ bucket_action: BucketAction[] }>('QuotaResponse', message).bucket_action);
    });
    this.#stream.on('error', () => {});
    this.#stream.on('status', ({ code, details }) => {
      this.code = code;
      this.details = details;
    });
  }

  report(domain: string, usages: Usage[]): void {
    const bucket_quota_usages = usages.map(([bucket, allowed = 0, denied = 0, elapsedS = 1]) => ({
      bucket_id: { bucket },
      time_elapsed: { seconds: elapsedS },
      num_requests_allowed: allowed,
      num_requests_denied: denied,
    }));
    this.#stream.write(encode('UsageReports', { domain, bucket_quota_usages }));
  }

  raw(bytes: Buffer): void {
    this.#stream.write(bytes);
  }

  /** Units a second that a bucket may have, by what it was told last; undefined before it was told. */
  rate(bucket: Record<string, string>): number | undefined {
    const key = JSON.stringify(bucket);
    const last = this.actions.findLast(({ bucket_id }) => JSON.stringify(bucket_id.bucket) === key);
    const told = last?.quota_assignment_action?.rate_limit_strategy.token_bucket;
    if (told === undefined || told === null) return undefined;
    const { seconds, nanos } = told.fill_interval;
    return told.tokens_per_fill.value / (seconds + nanos / 1e9);
  }

  end(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

let decider: TestDecider;
let door: EnvoyDoor;
let client: Client;
/** Of the door; the ledger's stands still. */
let nowMs = 0;

async function open(quotas: QuotaDoorOptions = {}): Promise<void> {
  nowMs = 1_000;
  decider = testDecider(RULES, () => 1e9);
  door = new EnvoyDoor({
    decider,
    host: '127.0.0.1',
    port: 0,
    graceMs: 100,
    quotas: { nowMs: () => nowMs, ttlMs: 400, ...quotas },
  });
  client = grpcClient(await door.listen());
}
beforeEach(() => open());
afterEach(async () => {
  client.close();
  await door.stop();
});

const connect = () => new QuotaClient(client);
/** The rate, or up to 2 % less, as fills are whole tokens in whole milliseconds. */
function expectNear(found: number | undefined, rate: number): void {
  expect(found).toBeLessThanOrEqual(rate * (1 + 1e-9));
  expect(found).toBeGreaterThan(rate * 0.98);
}
const ALICE = { user: 'alice' };

describe('a bucket', () => {
  test('is assigned the whole rate of its rule when one client has it, for its time to live', async () => {
    const one = connect();
    one.report('api', [[ALICE, 1]]);
    await eventually(() => one.actions.length === 1);
    expect(one.actions[0]!.bucket_id.bucket).toEqual(ALICE);
    expect(one.actions[0]!.quota_assignment_action).toMatchObject({
      assignment_time_to_live: { seconds: 0, nanos: 400_000_000 },
      rate_limit_strategy: { token_bucket: { max_tokens: 100 } },
    });
    expectNear(one.rate(ALICE), 100);
  });

  test('has its use debited from the state that every other door decides by', async () => {
    const one = connect();
    one.report('api', [[ALICE, 30]]);
    await eventually(() => one.actions.length === 1);
    const look = { domain: 'api', subjects: [{ entries: entriesOf(ALICE) }], cost: 0, mode: 'look' as const };
    const [verdict] = await decider.check([look]);
    expect(verdict!.limits[0]!.remaining).toBe(70);
    // A debt is kept, as what was used was used.
    one.report('', [[ALICE, 80]]);
    await eventually(async () => (await decider.check([look]))[0]!.limits[0]!.remaining === 0);
    expect((await decider.check([{ ...look, cost: 1, mode: 'take' }]))[0]!.isAllowed).toBe(false);
  });

  test('is known in whatever order a rule has its keys', async () => {
    const one = connect();
    one.report('api', [[{ name: 'x', tier: 'gold' }]]);
    await eventually(() => one.actions.length === 1);
    expectNear(one.rate({ name: 'x', tier: 'gold' }), 10);
  });

  test.each([
    ['that no rule matches is not limited', { nobody: 'x' }, { blanket_rule: 0 }],
    ['of an unlimited rule is not limited', { free: 'x' }, { blanket_rule: 0 }],
    ['of a rule that only watches is not limited', { watched: 'x' }, { blanket_rule: 0 }],
    ['of a limit of 0 is denied', { none: 'x' }, { blanket_rule: 1 }],
  ])('%s', async (_what, bucket, strategy) => {
    const one = connect();
    one.report('api', [[bucket as unknown as Record<string, string>]]);
    await eventually(() => one.actions.length === 1);
    expect(one.actions[0]!.quota_assignment_action!.rate_limit_strategy).toEqual(strategy);
  });

  test('of a limit that is no rate is abandoned', async () => {
    const one = connect();
    one.report('api', [[{ places: 'x' }]]);
    await eventually(() => one.actions.length === 1);
    expect(one.actions[0]).toEqual({ bucket_id: { bucket: { places: 'x' } }, abandon_action: {} });
  });

  test('of a strict window gets a tenth at once and nine tenths by rate: no window sees more than the limit', async () => {
    const one = connect();
    one.report('api', [[{ strict: 'x' }]]);
    await eventually(() => one.actions.length === 1);
    expect(one.rate({ strict: 'x' })).toBeLessThanOrEqual(90);
    expect(one.actions[0]!.quota_assignment_action!.rate_limit_strategy.token_bucket!.max_tokens).toBeLessThanOrEqual(
      10,
    );
  });

  test('is told anew when its rule has changed', async () => {
    const one = connect();
    one.report('api', [[ALICE]]);
    await eventually(() => one.actions.length === 1);
    decider.rules = [{ keys: ['user'], policy: perSecond(20) }];
    one.report('', [[ALICE, 5]]);
    await eventually(() => one.actions.length === 2);
    expectNear(one.rate(ALICE), 20);
    decider.rules = [];
    one.report('', [[ALICE, 5]]);
    await eventually(() => one.actions.length === 3);
    expect(one.actions[2]!.quota_assignment_action!.rate_limit_strategy).toEqual({ blanket_rule: 0 });
  });
});

describe('clients of one bucket', () => {
  test('share its rate by what they ask for, once all have heard', async () => {
    const [one, other] = [connect(), connect()];
    one.report('api', [[ALICE, 8]]);
    await eventually(() => one.actions.length === 1);
    other.report('api', [[ALICE, 300]]);
    // The first is told that it has less; the other waits until it is known to have heard.
    await eventually(() => one.actions.length === 2);
    expect(other.actions).toEqual([]);
    one.report('', [[ALICE, 8]]);
    await eventually(() => other.actions.length === 1);
    expect(one.rate(ALICE)! + other.rate(ALICE)!).toBeLessThanOrEqual(100);
    expectNear(one.rate(ALICE), 10);
    expectNear(other.rate(ALICE), 90);
  });

  test('get the share of one who ends its stream at once', async () => {
    const [one, other] = [connect(), connect()];
    one.report('api', [[ALICE, 300]]);
    await eventually(() => one.actions.length === 1);
    other.report('api', [[ALICE, 300]]);
    await eventually(() => one.actions.length === 2);
    one.end();
    await eventually(() => one.code === status.OK);
    await eventually(() => other.actions.length === 1);
    expectNear(other.rate(ALICE), 100);
  });

  test('get the share of one who is lost only when its assignment has expired', async () => {
    const [one, other] = [connect(), connect()];
    one.report('api', [[ALICE, 300]]);
    await eventually(() => one.actions.length === 1);
    one.cancel();
    await eventually(() => door.metrics().includes('rlqs_streams 1\n'));
    other.report('api', [[ALICE, 300]]);
    await eventually(() => door.metrics().includes('rlqs_buckets 1\n'));
    nowMs += 430;
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(other.actions).toEqual([]);
    nowMs += 20;
    await eventually(() => other.actions.length === 1);
    expectNear(other.rate(ALICE), 100);
  });

  test('never have more than the rate together, whatever they report', async () => {
    const random = seededRandom();
    const clients = Array.from({ length: 5 }, connect);
    for (let round = 0; round < 60; round++) {
      const one = random.pick(clients);
      one.report('api', [[ALICE, random.int(200), random.int(50), 1 + random.int(3)]]);
      await new Promise((resolve) => setTimeout(resolve, random.int(5)));
      nowMs += random.int(20);
      const together = clients.reduce((sum, each) => sum + (each.rate(ALICE) ?? 0), 0);
      // What is on its way to a client that shrinks is heard before it reports, so here all have heard.
      expect(together).toBeLessThanOrEqual(200);
    }
    for (let round = 0; round < 3; round++) {
      for (const one of clients) one.report('api', [[ALICE, 100]]);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    const together = clients.reduce((sum, each) => sum + (each.rate(ALICE) ?? 0), 0);
    expect(together).toBeLessThanOrEqual(100);
    expect(together).toBeGreaterThan(95);
  });
});

describe('time', () => {
  test('renews an assignment with a report that comes after a quarter of its life, and not before', async () => {
    const one = connect();
    one.report('api', [[ALICE, 1]]);
    await eventually(() => one.actions.length === 1);
    nowMs += 99;
    one.report('', [[ALICE, 1]]);
    await eventually(() => door.metrics().includes('rlqs_allowed_total 2\n'));
    expect(one.actions).toHaveLength(1);
    nowMs += 1;
    one.report('', [[ALICE, 1]]);
    await eventually(() => one.actions.length === 2);
    // The same one: a client then goes on with the tokens it has.
    expect(one.actions[1]).toEqual(one.actions[0]);
  });

  test('abandons a bucket that nobody uses', async () => {
    const one = connect();
    one.report('api', [
      [ALICE, 1],
      [{ user: 'bob' }, 1],
    ]);
    await eventually(() => one.actions.length === 2);
    nowMs += 59_999;
    one.report('', [[ALICE, 1]]);
    await eventually(() => door.metrics().includes('rlqs_allowed_total 3\n'));
    nowMs += 1;
    await eventually(() => one.actions.some(({ abandon_action }) => abandon_action !== undefined));
    expect(one.actions.at(-1)).toEqual({ bucket_id: { bucket: { user: 'bob' } }, abandon_action: {} });
    expect(door.metrics()).toContain('rlqs_buckets 1\n');
  });
});

describe('settings', () => {
  const reopen = async (quotas: QuotaDoorOptions) => {
    client.close();
    await door.stop();
    await open(quotas);
  };

  test('say that unknown buckets are abandoned', async () => {
    await reopen({ unknown: 'abandon' });
    const one = connect();
    one.report('api', [[{ nobody: 'x' }]]);
    await eventually(() => one.actions.length === 1);
    expect(one.actions[0]!.abandon_action).toEqual({});
  });

  test('say how many replicas share: each gives away its part', async () => {
    await reopen({ replicas: () => 4 });
    const one = connect();
    one.report('api', [[ALICE]]);
    await eventually(() => one.actions.length === 1);
    expectNear(one.rate(ALICE), 25);
  });
});

describe('what is refused, counts nothing', () => {
  test.each<[string, (one: QuotaClient) => void, number]>([
    ['the first message has no domain', (one) => one.report('', [[ALICE, 1]]), status.INVALID_ARGUMENT],
    [
      'a bucket_id is empty',
      (one) =>
        one.report('api', [
          [ALICE, 1],
          [{}, 1],
        ]),
      status.INVALID_ARGUMENT,
    ],
    ['a key of a bucket_id is empty', (one) => one.report('api', [[{ '': 'x' }, 1]]), status.INVALID_ARGUMENT],
    [
      'domain has other than visible ASCII characters',
      (one) => one.report('a b', [[ALICE, 1]]),
      status.INVALID_ARGUMENT,
    ],
    ['a field ends behind its message', (one) => one.raw(Buffer.from('0a05aa', 'hex')), status.INVALID_ARGUMENT],
    [
      'the message is 1048577 bytes; the most is 1048576',
      (one) => one.raw(Buffer.alloc(1_048_577)),
      status.RESOURCE_EXHAUSTED,
    ],
  ])('%s', async (words, act, code) => {
    const one = connect();
    act(one);
    await eventually(() => one.code !== undefined);
    expect([one.code, one.details]).toEqual([code, words]);
    expect(decider.asked).toEqual([]);
    expect(door.metrics()).toContain('rlqs_buckets 0\n');
  });

  test('a domain that changes', async () => {
    const one = connect();
    one.report('api', [[ALICE, 1]]);
    await eventually(() => one.actions.length === 1);
    decider.asked.length = 0;
    one.report('other', [[ALICE, 1]]);
    await eventually(() => one.code === status.INVALID_ARGUMENT);
    expect(one.details).toBe('the domain changes; open another stream for it');
    expect(decider.asked).toEqual([]);
  });

  test('one bucket more than a stream may have', async () => {
    const one = connect();
    const buckets = Array.from({ length: 1_000 }, (_, at): Usage => [{ user: `${at}` }]);
    one.report('api', buckets);
    await eventually(() => one.actions.length === 1_000);
    one.report('', [[{ user: 'more' }]]);
    await eventually(() => one.code === status.RESOURCE_EXHAUSTED);
    expect(one.details).toBe('a stream has more than 1000 buckets');
    await eventually(() => door.metrics().includes('rlqs_buckets 0\n'));
  });

  test('random bytes', async () => {
    const random = seededRandom();
    const good = encode('UsageReports', {
      domain: 'api',
      bucket_quota_usages: [{ bucket_id: { bucket: ALICE }, num_requests_allowed: 1 }],
    });
    for (let round = 0; round < 100; round++) {
      const bytes = Buffer.from(good.subarray(0, random.int(good.length + 1)));
      for (let change = 0; change < random.int(4) && bytes.length > 0; change++)
        bytes[random.int(bytes.length)] = random.int(256);
      const one = connect();
      one.raw(bytes);
      one.end();
      await eventually(() => one.code !== undefined);
      expect([status.OK, status.INVALID_ARGUMENT]).toContain(one.code);
    }
    await eventually(() => door.metrics().includes('rlqs_streams 0\n'));
    expect(door.metrics()).toContain('rlqs_buckets 0\n');
  });
});

test('a door that drains ends its streams, so that clients go elsewhere', async () => {
  const one = connect();
  one.report('api', [[ALICE, 1]]);
  await eventually(() => one.actions.length === 1);
  door.drain();
  await eventually(() => one.code === status.UNAVAILABLE);
  expect(one.details).toBe('the server is stopping');
});

test('reports are debited in their order though answers come late, and none is lost', async () => {
  decider.delayMs = 5;
  const one = connect();
  for (let at = 0; at < 20; at++) one.report('api', [[ALICE, 1]]);
  await eventually(() => door.metrics().includes('rlqs_allowed_total 20\n'));
  one.end();
  await eventually(() => one.code === status.OK);
});

test('a fill of tokens is never faster than its rate, at most a hundredth slower, and in whole seconds', () => {
  const random = seededRandom();
  for (let run = 0; run < 10_000; run++) {
    const perS = 10 ** (random() * 12 - 5);
    const { tokens, intervalS } = fillOf(perS);
    expect(Number.isInteger(tokens) && Number.isInteger(intervalS) && intervalS >= 1).toBe(true);
    expect(tokens / intervalS).toBeLessThanOrEqual(perS * (1 + 1e-9));
    expect(tokens / intervalS).toBeGreaterThanOrEqual(perS * 0.99 * (1 - 1e-12));
  }
  expect(fillOf(100 * (1 - 1e-12))).toEqual({ tokens: 100, intervalS: 1 });
  expect(fillOf(1.5)).toEqual({ tokens: 3, intervalS: 2 });
});

test('two slow rates differ in what Envoy tells them apart by', async () => {
  decider.rules = [{ keys: ['user'], policy: policyOf({ limit: 6, windowMs: 60_000 }) }];
  const one = connect();
  one.report('api', [[ALICE]]);
  await eventually(() => one.actions.length === 1);
  decider.rules = [{ keys: ['user'], policy: policyOf({ limit: 3, windowMs: 60_000, burst: 6 }) }];
  one.report('', [[ALICE]]);
  await eventually(() => one.actions.length === 2);
  const intervals = one.actions.map(
    ({ quota_assignment_action }) => quota_assignment_action!.rate_limit_strategy.token_bucket!.fill_interval,
  );
  expect(intervals).toEqual([
    { seconds: 10, nanos: 10 },
    { seconds: 20, nanos: 20 },
  ]);
});
