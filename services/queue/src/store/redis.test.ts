/** The way to Redis: which servers are taken, what they promise, and what is heard when they are away. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually, startTestRedis, type TestRedisOptions } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { queueKeys } from './fast/keys.ts';
import { script } from './fast/scripts.ts';
import { RedisStore, StoreAway } from './redis.ts';

const COUNT = script('count', { keys: ['m'], text: "return redis.call('HINCRBY', K_m, 'runs', 1)" });
const open: RedisStore[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

function storeAt(url: string, isUnsafe = false): RedisStore {
  const store = new RedisStore({ url, commandTimeoutMs: 20_000, connectTimeoutMs: 20_000, isUnsafe });
  open.push(store);
  return store;
}

const runs = (store: RedisStore) => store.run(COUNT, queueKeys('q'), []);

describe('eviction', () => {
  test('a server that may evict is refused, by its policy, and taken when told so', async () => {
    const redis = await startTestRedis({ config: { 'maxmemory-policy': 'allkeys-lru' } });
    const store = storeAt(redis.url);
    await expect(store.ready(20_000)).rejects.toThrow('its maxmemory-policy is allkeys-lru, and it must be noeviction');
    expect(store.notReady()).toContain('allkeys-lru');
    await expect(runs(store)).rejects.toMatchObject({ name: 'StoreAway', isOutcomeUnknown: false });
    const unsafe = storeAt(redis.url, true);
    await unsafe.ready(20_000);
    expect(unsafe.notReady()).toBeUndefined();
    expect(await runs(unsafe)).toBe(1);
  });
});

describe('durability', () => {
  test.each([
    ['memory', { config: { appendonly: 'no' } }],
    ['everysec', { appendFsync: 'everysec' }],
    ['always', { appendFsync: 'always' }],
    ['memory', { appendFsync: 'no' }],
  ] as [string, TestRedisOptions][])('is %s with %j', async (level, options) => {
    const redis = await startTestRedis(options);
    const store = storeAt(redis.url);
    await store.ready(20_000);
    expect(store.durability).toBe(level);
  });

  test('is the default of a managed server, which does not let itself be asked', async () => {
    const redis = await startTestRedis();
    const client = new Redis(redis.url);
    await client.call('ACL', 'SETUSER', 'default', '-config');
    client.disconnect();
    const store = storeAt(redis.url);
    await store.ready(20_000);
    expect(store.durability).toBe('everysec');
    expect(store.notReady()).toBeUndefined();
  });
});

describe('a server that is away', () => {
  test('is said at once, as something that was not done; and is found again', async () => {
    const redis = await startTestRedis();
    const store = storeAt(redis.url);
    await store.ready(20_000);
    expect(await runs(store)).toBe(1);
    await redis.kill();
    await eventually(() => expect(store.notReady()).toContain('Redis is'));
    const startedMs = performance.now();
    await expect(runs(store)).rejects.toMatchObject({ isOutcomeUnknown: false });
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    await redis.start();
    await eventually(() => expect(store.notReady()).toBeUndefined(), { timeoutMs: 20_000 });
    // No call of the time in between comes late.
    expect(await runs(store)).toBe(2);
  });

  test('that was never there is named with the reason', async () => {
    const store = storeAt('redis://127.0.0.1:1');
    await expect(store.ready(300)).rejects.toThrow(StoreAway);
    await eventually(() => expect(store.notReady()).toContain('ECONNREFUSED'));
  });

  test('in the middle of a call leaves its outcome unknown', async () => {
    const redis = await startTestRedis();
    const store = storeAt(redis.url);
    await store.ready(20_000);
    const slow = script('slow', {
      keys: ['m'],
      text: `local from = redis.call('TIME')
        repeat local now = redis.call('TIME') until now[1] - from[1] > 15
        return 1`,
    });
    const outcome = expect(store.run(slow, queueKeys('q'), [])).rejects.toMatchObject({ isOutcomeUnknown: true });
    setTimeout(() => void redis.kill(), 200);
    await outcome;
  });
});
