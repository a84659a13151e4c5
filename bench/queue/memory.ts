/** What a waiting job takes of Redis' memory. */
import { untilAtRest } from '../cpu.ts';
import type { Contender } from './contest.ts';
import type { Redis } from './redis.ts';
import type { QueueDriver } from './task.ts';
import { WAITING_JOBS } from './workload.ts';

/** The growth of `used_memory` by 20,000 jobs over a queue that holds a hundred: tables and scripts are there by then. */
export function measuredInMemory(driver: QueueDriver, redis: Redis): Contender['measure'] {
  return async (task) => {
    await driver.work({ ...task, phase: 'fill', jobs: 100 });
    await untilAtRest([redis.server.pid]);
    const beforeBytes = await redis.usedBytes();
    const { elapsedMs } = await driver.work({ ...task, phase: 'fill', jobs: WAITING_JOBS });
    await untilAtRest([redis.server.pid]);
    const bytesPerJob = ((await redis.usedBytes()) - beforeBytes) / WAITING_JOBS;
    await driver.work({ ...task, phase: 'clear', jobs: 0 });
    const perSecond = WAITING_JOBS / (elapsedMs / 1_000);
    return { jobs: WAITING_JOBS, perSecond, bytesPerJob, serverMs: undefined, foreignShare: undefined };
  };
}
