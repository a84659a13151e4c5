/** Limiters with their states in Redis, all over ioredis, all in the process of those who ask. */
import { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import type { Arena } from './arena.ts';
import type { Door } from './door.ts';
import { deniedOrThrow } from './library.ts';
import { redisEngine } from './redis-engine.ts';
import { LIMITS, type LimitName, OWN_EXTENSION } from './workload.ts';

export interface RedisLimiter {
  take(key: string): Promise<boolean>;
  close(): void | Promise<void>;
}

export type RedisLimiterName = 'rate-limiter-flexible' | 'plinth-exact' | 'plinth-leases';

export const REDIS_LIMITERS: Record<
  RedisLimiterName,
  (url: string, limit: LimitName) => RedisLimiter | Promise<RedisLimiter>
> = {
  'rate-limiter-flexible'(url, name) {
    const { units, windowMs } = LIMITS[name];
    const storeClient = new Redis(url);
    const limiter = new RateLimiterRedis({ storeClient, points: units, duration: windowMs / 1_000, keyPrefix: name });
    return {
      take: (key) => limiter.consume(key).then(() => true, deniedOrThrow),
      close: () => storeClient.disconnect(),
    };
  },
  'plinth-exact': (url, name) => redisEngine(url, name, OWN_EXTENSION),
  'plinth-leases': (url, name) => redisEngine(url, name, `${OWN_EXTENSION}, lease: 0.05`),
};

/** A limiter in this process as a door; it is closed with the arena. */
export async function redisDoor(arena: Arena, name: RedisLimiterName, url: string): Promise<Door> {
  const limiter = await REDIS_LIMITERS[name](url, 'ten');
  arena.defer(() => limiter.close());
  return { name: `${name}, Redis`, take: (_limit, key) => limiter.take(key) };
}
