/**
 * A limiter whose states are in Redis, in the process of those who ask it:
 *
 *     node redis-load.ts <name> <url of Redis> <keys> <decisions in flight>
 */
import { pressed, workOff } from '../driver-main.ts';
import { REDIS_LIMITERS, type RedisLimiterName } from './redis-limiter.ts';
import { drawer, keyOf } from './workload.ts';

const [name, url, keyCount, inFlight] = process.argv.slice(2) as [RedisLimiterName, string, string, string];
const keys = Array.from({ length: Number(keyCount) }, (_, number) => keyOf(number));
const { take } = await REDIS_LIMITERS[name](url, 'plenty');

await workOff(async (task) => {
  const draw = drawer(task.seed, keys.length);
  const { calls, ...times } = await pressed({ ...task, inFlight: Number(inFlight) }, async () => {
    if (!(await take(keys[draw()]!))) throw new Error(`${name} denied what is plenty`);
  });
  return { decisions: calls, ...times };
});
