/** Rows in which others work along: the bus that carries the questions, and Redis that keeps the states. */

import { type Contest, CPU, loadedBy, workingIn } from './contest.ts';
import type { Field } from './contests.ts';
import { versionOf } from './library.ts';
import { startOnBus } from './nats.ts';
import { startRedis } from './redis.ts';
import { type RedisLimiterName, redisDoor } from './redis-limiter.ts';
import { IN_FLIGHT, KEYS } from './workload.ts';

/** So few that a lease is worth its while. */
const HOT_KEYS = 16;

export async function busContests({ arena, main }: Field): Promise<Contest[]> {
  const contest = async (checks: number): Promise<Contest> => {
    const contenders = await arena.unlessMissing('plinth on NATS', async () => {
      const { natsUrl, title, pids } = await startOnBus(arena, main);
      const driver = await arena.driver('nats-load.ts', [natsUrl, String(checks), String(IN_FLIGHT)]);
      return { name: 'plinth', title, measure: loadedBy(driver, pids) };
    });
    return { row: 'A10', name: `nats-${checks}`, title: `NATS, ${checks} in a message`, cost: CPU, contenders };
  };
  return [await contest(1), await contest(32)];
}

/** A contest over states in Redis. */
interface RedisContest {
  row: 'A11' | 'A12';
  name: string;
  title: string;
  keys: number;
  ours: RedisLimiterName;
}

export const exact: RedisContest = {
  row: 'A11',
  name: 'redis-exact',
  title: `states in Redis, every decision asked for, ${KEYS} keys`,
  keys: KEYS,
  ours: 'plinth-exact',
};
export const leased: RedisContest = {
  row: 'A12',
  name: 'redis-leases',
  title: `states in Redis, ours with leases, ${HOT_KEYS} hot keys`,
  keys: HOT_KEYS,
  ours: 'plinth-leases',
};

export async function redisContest({ arena }: Field, { ours, keys, ...facts }: RedisContest): Promise<Contest> {
  const enter = (name: string, limiter: RedisLimiterName, title: string) =>
    arena.unlessMissing(name, async () => {
      const { server, version } = await startRedis(arena, limiter);
      await arena.check(await redisDoor(arena, limiter, server.url));
      const words = [limiter, server.url, String(keys), String(IN_FLIGHT)];
      const measure = workingIn(await arena.driver('redis-load.ts', words), [server.pid]);
      return { name, title: `${title} + Redis ${version}`, measure };
    });
  const peer = 'rate-limiter-flexible';
  const contenders = [
    ...(await enter('plinth', ours, 'plinth, its engine in process')),
    ...(await enter(peer, peer, `${peer} ${versionOf(peer)}`)),
  ];
  return { ...facts, cost: CPU, contenders };
}
