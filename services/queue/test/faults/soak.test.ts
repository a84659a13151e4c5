/** Many jobs, one after the other: memory of the service and of the store does not grow with what has passed. */
import { expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { LIMIT_MS, sized, tell } from './sizes.ts';
import { World } from './world.ts';

const WAVES = 10;
/** Compilers, buffers and what is kept of ended jobs reach their size in the first waves. */
const WARM_UP_WAVES = 4;
const STORE_GROWTH_MAX = 1.1;
/** Buffers of connections come and go. */
const STORE_SLACK_BYTES = 2 ** 19;
const SERVICE_GROWTH_MAX = 1.2;
/** Of a heap that is collected when it likes. */
const SERVICE_SLACK_BYTES = 16 * 2 ** 20;

test(
  'memory is flat, and no key is left behind, however many jobs have passed',
  async () => {
    const world = await World.open({
      leaseMs: 30_000,
      concurrency: 100,
      settings: { defaults: { retain: { count: 1_000, ageMs: 3_600_000 } } },
    });
    const redis = new Redis(world.redis.url);
    const fleet = await world.startFleet(1);
    const jobs = sized({ short: 20_000, long: 200_000 });
    const storeBytes: number[] = [];
    const serviceBytes: number[] = [];
    const keys: number[] = [];
    for (let wave = 1; wave <= WAVES; wave++) {
      await world.enqueue(jobs / WAVES, () => ({ dedup: undefined }));
      await world.untilCompleted(world.enqueued, LIMIT_MS);
      storeBytes.push(Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))![1]));
      serviceBytes.push(world.service.rssBytes);
      keys.push(await redis.dbsize());
    }
    redis.disconnect();
    const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
    const [warm, last] = [WARM_UP_WAVES - 1, WAVES - 1];
    tell('soak', {
      jobs,
      'store MiB': `${mib(storeBytes[warm]!)} → ${mib(storeBytes[last]!)}`,
      'service MiB': `${mib(serviceBytes[warm]!)} → ${mib(serviceBytes[last]!)}`,
      keys: `${keys[warm]} → ${keys[last]}`,
    });
    expect(storeBytes[last]!).toBeLessThan(storeBytes[warm]! * STORE_GROWTH_MAX + STORE_SLACK_BYTES);
    expect(serviceBytes[last]!).toBeLessThan(serviceBytes[warm]! * SERVICE_GROWTH_MAX + SERVICE_SLACK_BYTES);
    expect(keys[last]!).toBeLessThanOrEqual(keys[warm]!);
    const { counts, totals } = await world.api.stats();
    expect({ completed: totals.completed, kept: counts.completed, dead: counts.dead }).toEqual({
      completed: jobs,
      kept: 1_000,
      dead: 0,
    });
    world.assertExecuted('soak', { kills: 0 });
    await fleet.stop();
  },
  LIMIT_MS,
);
