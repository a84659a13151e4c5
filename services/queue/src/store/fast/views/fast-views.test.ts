/** What is particular to the lists and figures of the fast lane, and that nothing is left behind of what is gone. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { FastLane } from '../../fast-lane.ts';
import { EVEN_GROUPS, flowOf, idsOf, LONG_MS, NO_LIMITS, named, newJob } from '../../lane-bench.contract.ts';
import { queueKeys } from '../keys.ts';
import { cursorOf, placeOf } from './cursor.ts';
import { LOOKED_AT_MAX } from './views.ts';

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

const add = async (queue: string, ...wishes: Parameters<typeof newJob>[0][]): Promise<string[]> => {
  const added = await lane.add(queue, wishes.map(newJob));
  return added.map((one) => ('refused' in one ? '' : one.id));
};

async function pagesOf(queue: string, state: 'waiting' | 'scheduled' | 'leased', limit: number, tag?: string) {
  const pages: string[][] = [];
  let cursor: string | undefined;
  do {
    const page = await lane.list(queue, { states: [state], tag }, { limit, cursor });
    pages.push(idsOf(page.jobs));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return pages;
}

describe('lists', () => {
  test(`a page looks at ${LOOKED_AT_MAX} jobs: what is further down comes with the next one`, async () => {
    const queue = 'pages';
    const [needle] = await add(queue, { tags: ['sharp'] });
    for (let round = 0; round < 3; round++) await add(queue, ...named(LOOKED_AT_MAX, 'hay'));
    expect(await pagesOf(queue, 'waiting', 10, 'sharp')).toEqual([[], [], [], [needle]]);
  });

  test('jobs of one and the same time are told apart by their ids, also when the last one seen has gone', async () => {
    const queue = 'ties';
    const runAtMs = Date.now() + LONG_MS;
    const ids = await add(queue, ...named(450, 'job', { runAtMs }));
    const { jobs, cursor } = await lane.list(queue, { states: ['scheduled'] }, { limit: 205 });
    await lane.cancel(queue, [jobs.at(-1)!.id, jobs.at(0)!.id], 'gone');
    const rest = await lane.list(queue, { states: ['scheduled'] }, { limit: 1_000, cursor });
    expect(rest.jobs).toHaveLength(450 - 205);
    expect(new Set([...idsOf(jobs), ...idsOf(rest.jobs)])).toEqual(new Set(ids));
  });

  test('what waits is found behind many ids of which nothing is left', async () => {
    const queue = 'gaps';
    await lane.pause(queue, 'slow');
    const [slow] = await add(queue, { group: 'slow' });
    const retain = { count: 0, ageMs: 0 };
    for (let round = 0; round < 25; round++) {
      await add(queue, ...named(1_000, 'quick', { retain }));
      const { jobs } = await lane.lease(queue, { max: 1_000, leaseMs: LONG_MS, worker: 'w' });
      await lane.settle(
        queue,
        jobs.map(({ id, token }) => ({ id, token, kind: 'ack', result: undefined })),
      );
    }
    expect((await lane.stats(queue)).counts).toMatchObject({ waiting: 1, completed: 0, leased: 0 });
    expect((await pagesOf(queue, 'waiting', 10)).flat()).toEqual([slow]);
  });

  test('a cursor holds any position there is, and nothing else', () => {
    const states = ['waiting', 'completed'] as const;
    for (const position of ['', '1', '9007199254740991', '1795454366066:12', '1.5e+15:3']) {
      const place = { state: 'completed' as const, position };
      expect(placeOf(cursorOf(place), states)).toEqual(place);
    }
    const wrong = [
      cursorOf({ state: 'dead', position: '1' }),
      cursorOf({ state: 'waiting', position: '-1' }),
      cursorOf({ state: 'waiting', position: 'x:1' }),
      '',
    ];
    for (const cursor of wrong) expect(() => placeOf(cursor, states)).toThrow(RangeError);
  });
});

describe('figures', () => {
  test('the oldest is seen behind entries of jobs that were cancelled, and of each group', async () => {
    const queue = 'oldest';
    const cancelled = await add(queue, ...named(150, 'void', { group: 'a' }));
    await new Promise((resolve) => setTimeout(resolve, 60));
    await add(queue, { group: 'b' });
    await new Promise((resolve) => setTimeout(resolve, 60));
    await add(queue, { group: 'a' });
    await lane.cancel(queue, cancelled, 'no');
    const { oldestWaitingMs } = await lane.stats(queue);
    expect(oldestWaitingMs).toBeGreaterThanOrEqual(58);
    const { jobs } = await lane.lease(queue, { max: 1, leaseMs: LONG_MS, worker: 'w' });
    if (jobs[0]!.group === 'b') expect((await lane.stats(queue)).oldestWaitingMs).toBeLessThan(oldestWaitingMs);
  });
});

describe('nothing is left behind', () => {
  const keysThere = async (queue: string): Promise<string[]> => {
    const keys = Object.entries(queueKeys(queue));
    const there = await Promise.all(keys.map(([, key]) => client.exists(key)));
    return keys.flatMap(([name], at) => (there[at] === 1 ? [name] : []));
  };

  /** Jobs of all kinds, ended in all ways. */
  const live = async (queue: string) => {
    await lane.configure(queue, { ...NO_LIMITS, concurrency: 50 }, { ...EVEN_GROUPS, concurrency: 3 });
    const dedup = { id: 'x', mode: 'simple' as const, ttlMs: undefined };
    await add(queue, { dedup }, { group: 'a' }, { group: 'a', priority: 3 }, { expiresAtMs: Date.now() + LONG_MS });
    await lane.addFlow(queue, flowOf({ group: 'a' }, [flowOf({}), flowOf({}, [flowOf({ priority: 2 })], 'ignore')]));
    const later = await add(queue, ...named(3, 'later', { runAtMs: Date.now() + LONG_MS, tags: ['t'] }));
    await lane.promote(queue, later[0]!);
    await lane.cancel(queue, [later[0]!, later[1]!], 'no');
    const { jobs } = await lane.lease(queue, { max: 4, leaseMs: LONG_MS, worker: 'w' });
    const [first, second] = jobs;
    const renewal = { leaseMs: LONG_MS, progress: '1', log: ['line'] };
    await lane.renew(queue, [{ id: first!.id, token: first!.token, ...renewal }]);
    await lane.settle(queue, [
      { id: first!.id, token: first!.token, kind: 'ack', result: '1' },
      { id: second!.id, token: second!.token, kind: 'release' },
    ]);
    return jobs.slice(2);
  };

  test('when all have been worked off and forgotten, only what belongs to the queue itself is there', async () => {
    const queue = 'clean';
    for (const { id, token } of await live(queue)) {
      await lane.settle(queue, [{ id, token, kind: 'ack', result: undefined }]);
    }
    await lane.promote(queue, (await lane.list(queue, { states: ['scheduled'] }, { limit: 1 })).jobs[0]!.id);
    for (;;) {
      const { jobs } = await lane.lease(queue, { max: 10, leaseMs: LONG_MS, worker: 'w' });
      if (jobs.length === 0) break;
      await lane.settle(
        queue,
        jobs.map(({ id, token }) => ({ id, token, kind: 'ack', result: '{}' })),
      );
    }
    await lane.purge(queue, ['completed', 'dead', 'cancelled']);
    await lane.tick(queue);
    expect(await keysThere(queue)).toEqual(['m']);
  });

  test('a drained queue holds what is leased and nothing else', async () => {
    const queue = 'drained';
    const leased = await live(queue);
    await lane.drain(queue, true);
    await lane.purge(queue, ['completed', 'dead', 'cancelled']);
    await lane.settle(
      queue,
      leased.map(({ id, token }) => ({ id, token, kind: 'ack', result: undefined })),
    );
    for (let round = 0; round < 2; round++) {
      await lane.drain(queue, true);
      await lane.lease(queue, { max: 5, leaseMs: LONG_MS, worker: 'w' });
    }
    await lane.purge(queue, ['completed', 'dead', 'cancelled']);
    expect(await keysThere(queue)).toEqual(['m']);
  });

  test('a removed queue has no key', async () => {
    const queue = 'removed';
    await live(queue);
    expect(await lane.remove(queue, true)).toBe(true);
    expect(await keysThere(queue)).toEqual([]);
    expect(await lane.queues()).not.toContain(queue);
  });
});
