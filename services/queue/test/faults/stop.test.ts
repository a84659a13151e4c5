/** SIGTERM under load: what is at work ends or is given back, and nobody waits for a lease to run out. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { eventually, seededRandom } from '@plinth/testkit';
import { LIMIT_MS, sized } from './sizes.ts';
import { World } from './world.ts';

/** Longer than a test: whoever waited for it would be seen. */
const LEASE_MS = 600_000;
const GIVEN_BACK_WITHIN_MS = 15_000;
/** Longer than a service takes to start again on a busy machine: no worker loses what it has at work. */
const RESTART_LEASE_MS = 30_000;

test(
  'workers that are asked to stop leave no lease behind, fail nothing and do nothing twice',
  async () => {
    const random = seededRandom();
    const world = await World.open({ leaseMs: LEASE_MS });
    const jobs = sized({ short: 1_500, long: 10_000 });
    await world.enqueue(jobs, () => ({ tookMs: random.int(100) }));
    const stops = sized({ short: 2, long: 5 });
    for (let stop = 0; stop < stops; stop++) {
      const fleet = await world.startFleet(2);
      await sleep(300 + random.int(300));
      expect(await fleet.stop()).toEqual([0, 0]);
      // What was on its way to a worker that hung up is given back by the service, a moment later.
      const areBack = async () =>
        expect((await world.api.stats()).counts).toMatchObject({ leased: 0, retrying: 0, dead: 0 });
      await eventually(areBack, { timeoutMs: GIVEN_BACK_WITHIN_MS });
    }
    const last = await world.startFleet(2);
    await world.untilEnded(jobs, LIMIT_MS - 30_000);
    expect(await last.stop()).toEqual([0, 0]);
    const { totals } = await world.api.stats();
    expect(totals).toMatchObject({ completed: jobs, failed: 0, stalled: 0 });
    await world.assertWhole();
    world.assertExecuted('SIGTERM to workers', { kills: 0, more: { stops } });
  },
  LIMIT_MS,
);

test(
  'a service that is asked to stop under load answers what it took, ends with 0, and leaves every job in one place',
  async () => {
    const random = seededRandom();
    const world = await World.open({ leaseMs: RESTART_LEASE_MS });
    const jobs = sized({ short: 1_500, long: 10_000 });
    const fleet = await world.startFleet(2);
    const enqueued = world.enqueue(jobs, () => ({ tookMs: random.int(100) }));
    const stops = sized({ short: 1, long: 3 });
    for (let stop = 0; stop < stops; stop++) {
      await sleep(300 + random.int(300));
      expect(await world.service.stop()).toBe(0);
      await world.service.startAgain();
    }
    await enqueued;
    await world.untilEnded(jobs, LIMIT_MS - 30_000);
    expect(await world.assertWhole()).toMatchObject({ completed: jobs });
    expect((await world.api.stats()).totals).toMatchObject({ failed: 0, dead: 0 });
    world.assertExecuted('SIGTERM to the service', { kills: 0, more: { stops } });
    await fleet.stop();
  },
  LIMIT_MS,
);
