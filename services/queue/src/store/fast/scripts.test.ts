/** Scripts: what they declare, and that each runs once. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually, startTestRedis, withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { FastLane } from '../fast-lane.ts';
import { EVEN_GROUPS, flowOf, NO_LIMITS, newJob } from '../lane-bench.contract.ts';
import { RedisStore } from '../redis.ts';
import { KEY_NAMES, queueKeys, queuesKey } from './keys.ts';
import { script } from './scripts.ts';

describe('keys', () => {
  test('that a script names without declaring them keep it from being made', () => {
    const part = { keys: ['m'], text: "return redis.call('HGET', K_m, 'x')" } as const;
    expect(script('one', part)).toMatchObject({ keys: ['m'], text: expect.stringContaining("'HGET', KEYS[1]") });
    expect(() => script('two', { ...part, keys: ['j'] })).toThrow('two uses the key m, which it does not declare');
  });

  test('all of a queue have its name as their only hash tag', () => {
    for (const [queue, tag] of [
      ['mail', 'mail'],
      ['a{b}c%', 'a%7Bb%7Dc%25'],
    ] as const) {
      for (const name of KEY_NAMES) expect(queueKeys(queue)[name]).toBe(`plinth:q:{${tag}}:${name}`);
    }
    expect(() => queueKeys('')).toThrow(RangeError);
  });
});

/** Everything that a machine does, once at least. */
async function everything(lane: FastLane, queue: string): Promise<void> {
  const groups = { ...EVEN_GROUPS, ratePerSecond: 1_000, burst: 1_000, concurrency: 100 };
  await lane.configure(
    queue,
    { ...NO_LIMITS, jobsMax: 1_000, concurrency: 500, ratePerSecond: 9_999, burst: 999 },
    groups,
  );
  await lane.configureGroup(queue, 'b', { ...EVEN_GROUPS, weight: 2 });
  const dedup = { id: 'd', mode: 'keep-last', ttlMs: 5 } as const;
  const wishes = [{ group: 'a' }, { group: 'b', priority: 3 }, { dedup }, { dedup }, { timeoutMs: 1 }];
  const later = Date.now() + 20;
  await lane.add(
    queue,
    [...wishes, { runAtMs: later }, { expiresAtMs: later }].map((wish) => newJob(wish)),
  );
  await lane.addFlow(queue, flowOf({}, [flowOf({})]));
  const { jobs } = await lane.lease(queue, { max: 20, leaseMs: 1_000, worker: 'w' });
  await lane.renew(
    queue,
    jobs.slice(0, 3).map(({ id, token }) => ({ id, token, leaseMs: 1, progress: '1', log: ['l'] })),
  );
  const error = { type: 'E', message: 'm', stack: undefined };
  await lane.turn(
    queue,
    jobs
      .slice(3)
      .map(({ id, token }, at) =>
        at === 0
          ? { id, token, kind: 'ack', result: '1' }
          : at === 1
            ? { id, token, kind: 'release' }
            : { id, token, kind: 'fail', error, retryAfterMs: 1, isFinal: at === 2 },
      ),
    { max: 3, leaseMs: 1_000, worker: 'w' },
  );
  await new Promise((resolve) => setTimeout(resolve, 40));
  await lane.tick(queue);
  await lane.settle(queue, [{ id: '1', token: '1', kind: 'release' }]);
}

describe('on a server', () => {
  const redis = withRedis();
  let lane: FastLane;
  let client: Redis;
  beforeAll(async () => {
    lane = await FastLane.open({ url: redis.url });
    client = new Redis(redis.url);
  });
  afterAll(async () => {
    await lane.stop();
    client.disconnect();
  });

  test('scripts touch no key but those of the queue', async () => {
    const monitor = await client.monitor();
    const touched = new Set<string>();
    let isOver = false;
    monitor.on('monitor', (_time: string, [command, key]: string[], source: string) => {
      if (source === 'lua' && command?.toLowerCase() !== 'time') touched.add(key!);
      if (command?.toLowerCase() === 'echo') isOver = true;
    });
    await everything(lane, 'watched');
    await client.echo('over');
    await eventually(() => isOver);
    monitor.disconnect();
    const own = new Set(Object.values(queueKeys('watched')));
    expect(touched.size).toBeGreaterThan(15);
    expect([...touched].filter((key) => !own.has(key))).toEqual([]);
  });

  test('a script that Redis has forgotten runs once, also when many call it at that moment', async () => {
    await lane.add('forgotten', [newJob()]);
    await client.script('FLUSH');
    const added = await Promise.all(Array.from({ length: 20 }, () => lane.add('forgotten', [newJob()])));
    expect(new Set(added.flat().map((one) => 'id' in one && one.id)).size).toBe(20);
    expect((await lane.stats('forgotten')).counts.waiting).toBe(21);
  });

  test('an error of a script is not taken for one of the way, and is not run again', async () => {
    const store = new RedisStore({ url: redis.url, commandTimeoutMs: 5_000, connectTimeoutMs: 2_000 });
    await store.ready(5_000);
    const broken = script('broken', { keys: ['m'], text: "redis.call('HINCRBY', K_m, 'runs', 1) error('NO')" });
    await expect(store.run(broken, queueKeys('broken'), [])).rejects.toMatchObject({ name: 'ReplyError' });
    expect(await client.hget(queueKeys('broken').m, 'runs')).toBe('1');
    store.close();
  });
});

test('a cluster runs all of it', async () => {
  const node = await startTestRedis({ config: { 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' } });
  const client = new Redis(node.url);
  await client.cluster('ADDSLOTS', ...Array.from({ length: 16_384 }, (_, slot) => slot));
  await eventually(async () => (await client.cluster('INFO')).includes('cluster_state:ok'), { timeoutMs: 20_000 });
  const lane = await FastLane.open({ url: node.url.replace('redis://', 'redis+cluster://') });
  await everything(lane, 'one');
  await everything(lane, 'two');
  expect(await lane.queues()).toEqual(['one', 'two']);
  expect(await client.exists(queuesKey())).toBe(1);
  await lane.stop();
  client.disconnect();
}, 120_000);
