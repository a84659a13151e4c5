import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ManualClock, withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { CACHED_MS, RedisRegistry } from './registry.ts';

interface Definition {
  queue: string;
  lane: string;
}

const server = withRedis();
let redis: Redis;
let prefixes = 0;
beforeAll(() => {
  redis = new Redis(server.url);
});
afterAll(() => redis.disconnect());

/** Two replicas on one clock. */
function replicas() {
  prefixes += 1;
  const clock = new ManualClock();
  const options = { redis, prefix: `test:${prefixes}:`, now: clock.now };
  return { clock, one: new RedisRegistry<Definition>(options), other: new RedisRegistry<Definition>(options) };
}

describe('the registry', () => {
  test('of two replicas that make a queue at once one wins, and both know which', async () => {
    const { one, other } = replicas();
    const [first, second] = await Promise.all([
      one.create({ queue: 'mail', lane: 'fast' }),
      other.create({ queue: 'mail', lane: 'standard' }),
    ]);
    expect(first).toEqual(second);
    expect(await one.list()).toEqual([first]);
  });

  test('a change is seen here at once, and elsewhere after a second', async () => {
    const { one, other, clock } = replicas();
    await one.create({ queue: 'mail', lane: 'fast' });
    await other.get('mail');
    await one.put({ queue: 'mail', lane: 'changed' });
    expect((await one.get('mail'))?.lane).toBe('changed');
    clock.advance(CACHED_MS - 1);
    expect((await other.get('mail'))?.lane).toBe('fast');
    clock.advance(1);
    expect((await other.get('mail'))?.lane).toBe('changed');
  });

  test('a queue that was not there is found as soon as it is made elsewhere, and a fresh look sees every change', async () => {
    const { one, other } = replicas();
    expect(await other.get('mail')).toBeUndefined();
    await one.create({ queue: 'mail', lane: 'fast' });
    expect((await other.get('mail'))?.lane).toBe('fast');
    await one.put({ queue: 'mail', lane: 'changed' });
    expect((await other.get('mail', true))?.lane).toBe('changed');
  });

  test('what is removed is gone, and the list is by name', async () => {
    const { one } = replicas();
    for (const queue of ['b', 'a', 'c']) await one.create({ queue, lane: 'fast' });
    await one.remove('b');
    expect(await one.get('b')).toBeUndefined();
    expect((await one.list()).map(({ queue }) => queue)).toEqual(['a', 'c']);
  });

  test('while Redis is away a queue that was known is still known, and one that was not is asked for again', async () => {
    let isAway = false;
    const clock = new ManualClock();
    const registry = new RedisRegistry<Definition>({
      redis: new Proxy(redis, {
        get: (target, name) => {
          if (name === 'hget' && isAway) return () => Promise.reject(new Error('away'));
          const member: unknown = Reflect.get(target, name);
          return typeof member === 'function' ? member.bind(target) : member;
        },
      }),
      prefix: 'failing:',
      now: clock.now,
    });
    await registry.create({ queue: 'mail', lane: 'fast' });
    isAway = true;
    for (let looks = 0; looks < 3; looks++) {
      clock.advance(CACHED_MS);
      expect((await registry.get('mail'))?.lane).toBe('fast');
      await expect(registry.get('other')).rejects.toThrow('away');
    }
    isAway = false;
    expect(await registry.get('other')).toBeUndefined();
  });
});
