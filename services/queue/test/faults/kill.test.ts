/** Workers, the service and the store are killed under load: nothing is lost, and little is done twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { type SeededRandom, seededRandom } from '@plinth/testkit';
import { isLong, LIMIT_MS, sized } from './sizes.ts';
import { World } from './world.ts';

const WORKERS = 3;
const KILL_EVERY_MS = 500;
/** So that kills find jobs at work; a mean of 50 ms, 3 workers of 20: about 1,200 jobs a second. */
const TOOK_MS_MAX = 100;
/**
 * Longer than an outage: workers tell what they did when it is over. What they did after their lease is done twice. Two
 * thirds of it are left at any time, and a service may take seconds to start on a busy machine.
 */
const OUTAGE_LEASE_MS = 12_000;
/** Workers that live keep theirs on a machine that stalls; the jobs of those that are killed wait for its end. */
const WORKER_LEASE_MS = 6_000;
const DONE_MS = LIMIT_MS - 30_000;

const busy = (random: SeededRandom) => () => ({ tookMs: random.int(TOOK_MS_MAX) });

describe('workers killed each half second', () => {
  test(
    'lose no job, and do at most those twice that they had at work',
    async () => {
      const random = seededRandom();
      const world = await World.open({ leaseMs: WORKER_LEASE_MS, settings: { limits: { maxStalls: 1_000 } } });
      const jobs = sized({ short: 3_000, long: 20_000 });
      await world.enqueue(jobs, busy(random));
      const fleet = await world.startFleet(WORKERS);
      await fleet.decimate({ random, everyMs: KILL_EVERY_MS, until: world.untilEnded(jobs, DONE_MS) });
      expect(await world.assertWhole()).toMatchObject({ completed: jobs, dead: 0 });
      world.assertExecuted('kill-workers', { kills: fleet.kills });
      await fleet.stop();
    },
    LIMIT_MS,
  );
});

describe.each(['everysec', 'always'] as const)('a store with appendfsync %s that is killed', (appendFsync) => {
  test(
    'has every acknowledged job when it is back, and the service goes on by itself',
    async () => {
      const random = seededRandom();
      const world = await World.open({
        appendFsync,
        leaseMs: OUTAGE_LEASE_MS,
        settings: { limits: { maxStalls: 1_000 } },
      });
      const jobs = sized({ short: 2_000, long: 10_000 });
      const fleet = await world.startFleet(WORKERS);
      const enqueued = world.enqueue(jobs, busy(random));
      const kills = sized({ short: 2, long: 5 });
      for (let kill = 0; kill < kills; kill++) {
        await sleep(300 + random.int(500));
        await world.redis.kill();
        await sleep(random.int(500));
        await world.redis.start();
      }
      await enqueued;
      await world.untilEnded(jobs, DONE_MS);
      expect(await world.assertWhole()).toMatchObject({ completed: jobs, dead: 0 });
      // Each worker may have done what it could not tell.
      world.assertExecuted(`kill-store, ${appendFsync}`, { kills: kills * WORKERS });
      await fleet.stop();
    },
    LIMIT_MS,
  );
});

test(
  'a service that is killed leaves leases as they were: nothing is lost, and no job is in two states',
  async () => {
    const random = seededRandom();
    const world = await World.open({ leaseMs: OUTAGE_LEASE_MS, settings: { limits: { maxStalls: 1_000 } } });
    const jobs = sized({ short: 2_000, long: 20_000 });
    const fleet = await world.startFleet(WORKERS);
    const enqueued = world.enqueue(jobs, busy(random));
    const kills = sized({ short: 2, long: 5 });
    for (let kill = 0; kill < kills; kill++) {
      await sleep(300 + random.int(500));
      await world.service.kill();
      await sleep(random.int(500));
      await world.service.startAgain();
    }
    await enqueued;
    await world.untilEnded(jobs, DONE_MS);
    expect(await world.assertWhole()).toMatchObject({ completed: jobs, dead: 0 });
    world.assertExecuted('kill-service', { kills: kills * WORKERS, more: { form: isLong ? 'long' : 'short' } });
    await fleet.stop();
  },
  LIMIT_MS,
);
