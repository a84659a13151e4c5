/** Jobs that were leased together and jobs that were completed together: one entry each, and every job still its own. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import type { LeasedJob, NewJob, Settlement } from '../../core/job.ts';
import { FastLane } from '../fast-lane.ts';
import { EVEN_GROUPS, idsOf, LONG_MS, NO_LIMITS, newJob, outcomesOf } from '../lane-bench.contract.ts';
import { queueKeys } from './keys.ts';
import { BATCH_LEAST, BATCHES_MAX } from './lua/batches.ts';
import { PIECES_KEPT_MAX } from './lua/pieces.ts';

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

const SHORT_MS = 120;

const add = async (queue: string, count: number, wish: Partial<NewJob> = {}): Promise<string[]> => {
  const added = await lane.add(
    queue,
    Array.from({ length: count }, () => newJob(wish)),
  );
  return added.map((one) => ('refused' in one ? '' : one.id));
};
const lease = async (queue: string, max: number, leaseMs = LONG_MS, worker = 'w') =>
  (await lane.lease(queue, { max, leaseMs, worker })).jobs;
const acks = (jobs: readonly { id: string; token: string }[], result?: string): Settlement[] =>
  jobs.map(({ id, token }) => ({ id, token, kind: 'ack', result }));
const ack = async (queue: string, jobs: readonly { id: string; token: string }[]) =>
  outcomesOf(await lane.settle(queue, acks(jobs)));
const renew = (queue: string, jobs: readonly LeasedJob[], leaseMs: number) =>
  lane.renew(
    queue,
    jobs.map(({ id, token }) => ({ id, token, leaseMs, progress: undefined, log: [] })),
  );
const countsOf = async (queue: string) => (await lane.stats(queue)).counts;
const stateOf = async (queue: string, id: string) => (await lane.get(queue, id))?.state;

/** Entries: batches of leases, leases of jobs alone, all deadlines. */
const leaseEntries = async (queue: string) => {
  const { a, b, l } = queueKeys(queue);
  return [await client.hlen(b), await client.hlen(a), await client.zcard(l)];
};
/** Entries: pieces, all places of completed ones, histories. */
const doneEntries = async (queue: string) => {
  const { c, cb, s } = queueKeys(queue);
  return [await client.hlen(cb), await client.zcard(c), await client.hlen(s)];
};
/** All pages of one state, newest first. */
async function listed(queue: string, state: 'leased' | 'completed', limit: number): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await lane.list(queue, { states: [state] }, { limit, cursor });
    ids.push(...idsOf(page.jobs));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return ids;
}

describe('a batch of leases', () => {
  test.each([
    [BATCH_LEAST - 1, [0, BATCH_LEAST - 1, BATCH_LEAST - 1]],
    [BATCH_LEAST, [1, 0, 1]],
    [100, [1, 0, 1]],
  ])('of %i jobs has so many entries: %p', async (count, entries) => {
    const queue = `entries-${count}`;
    await add(queue, count);
    const jobs = await lease(queue, count);
    expect(await leaseEntries(queue)).toEqual(entries);
    expect(await countsOf(queue)).toMatchObject({ leased: count, waiting: 0 });
    expect(await ack(queue, jobs)).toEqual(jobs.map(() => 'completed'));
    expect(await leaseEntries(queue)).toEqual([0, 0, 0]);
    expect(await countsOf(queue)).toMatchObject({ leased: 0, completed: count });
  });

  test('is settled in parts, in any order, with and without results', async () => {
    const queue = 'partly';
    await add(queue, 30);
    const jobs = await lease(queue, 30);
    expect(await ack(queue, [jobs[7]!, jobs[3]!, jobs[29]!, jobs[3]!])).toEqual([
      'completed',
      'completed',
      'completed',
      'lost',
    ]);
    expect(await countsOf(queue)).toMatchObject({ leased: 27, completed: 3 });
    const error = { type: 'E', message: 'm', stack: undefined };
    const settled = await lane.settle(queue, [
      ...acks(jobs.slice(10, 20), '{"n":1}'),
      { id: jobs[0]!.id, token: jobs[0]!.token, kind: 'release' },
      { id: jobs[1]!.id, token: jobs[1]!.token, kind: 'fail', error, retryAfterMs: LONG_MS, isFinal: false },
      { id: jobs[1]!.id, token: jobs[1]!.token, kind: 'release' },
    ]);
    expect(outcomesOf(settled)).toEqual([...Array(10).fill('completed'), 'waiting', 'retrying', 'lost']);
    expect(await lane.get(queue, jobs[12]!.id)).toMatchObject({ state: 'completed', result: '{"n":1}', attempt: 1 });
    expect(await leaseEntries(queue)).toEqual([1, 0, 1]);
    const rest = jobs.filter((_, at) => at > 1 && ![3, 7, 29].includes(at) && (at < 10 || at > 19));
    expect(await ack(queue, rest.toReversed())).toEqual(rest.map(() => 'completed'));
    expect(await leaseEntries(queue)).toEqual([0, 0, 0]);
    expect(await countsOf(queue)).toMatchObject({ leased: 0, completed: 28, waiting: 1, retrying: 1 });
  });

  test('belongs to its tokens: that of a neighbour, and an id that is made to look like two, are lost', async () => {
    const queue = 'tokens-of-others';
    await add(queue, 10);
    const [a, b] = (await lease(queue, 10)) as [LeasedJob, LeasedJob];
    expect(await ack(queue, [{ id: a.id, token: b.token }])).toEqual(['lost']);
    expect(await ack(queue, [{ id: b.id, token: a.token }])).toEqual(['lost']);
    expect(await ack(queue, [{ id: `${a.id}:0,${b.id}`, token: b.token }])).toEqual(['unknown']);
    expect(await ack(queue, [{ id: a.id, token: `0${a.token}` }])).toEqual(['lost']);
    expect(await ack(queue, [{ id: a.id, token: `${a.token}000000` }])).toEqual(['lost']);
    expect(await countsOf(queue)).toMatchObject({ leased: 10 });
  });

  test('renewed as a whole moves as a whole; of a part and of few the renewed are leased each by itself', async () => {
    const queue = 'renewed';
    await add(queue, 40);
    const jobs = await lease(queue, 20);
    const before = jobs[0]!.deadlineMs;
    const renewed = await renew(queue, jobs, 2 * LONG_MS);
    for (const one of renewed) expect('refused' in one ? 0 : one.deadlineMs).toBeGreaterThan(before);
    expect(await leaseEntries(queue)).toEqual([1, 0, 1]);
    expect((await lane.get(queue, jobs[19]!.id))?.deadlineMs).toBeGreaterThan(before);
    // A part, one of them twice.
    await renew(queue, [...jobs.slice(0, 5), jobs[0]!], LONG_MS);
    expect(await leaseEntries(queue)).toEqual([1, 5, 6]);
    // All that is left of the batch, and those that have left it.
    await renew(queue, jobs, LONG_MS);
    expect(await leaseEntries(queue)).toEqual([1, 5, 6]);
    expect(await ack(queue, jobs.slice(0, 14))).toEqual(Array(14).fill('completed'));
    await renew(queue, jobs.slice(14), LONG_MS);
    expect(await leaseEntries(queue)).toEqual([0, 6, 6]);
    expect(await ack(queue, jobs.slice(13))).toEqual(['lost', ...Array(6).fill('completed')]);
    expect(await leaseEntries(queue)).toEqual([0, 0, 0]);
  });

  test('renewed for different times ends in parts', async () => {
    const queue = 'renewed-unevenly';
    await add(queue, 12);
    const jobs = await lease(queue, 12, SHORT_MS);
    const renewals = jobs.slice(0, 10).map(({ id, token }, at) => ({
      ...{ id, token, leaseMs: at < 6 ? LONG_MS : SHORT_MS, progress: `${at}`, log: ['line'] },
    }));
    await lane.renew(queue, renewals);
    await sleep(SHORT_MS + 30);
    const { stalled } = await lane.tick(queue);
    expect(idsOf(stalled).sort()).toEqual(idsOf(jobs.slice(6)).sort());
    expect(await lane.get(queue, jobs[0]!.id)).toMatchObject({ state: 'leased', progress: '0', log: ['line'] });
    expect(await countsOf(queue)).toMatchObject({ leased: 6, waiting: 6 });
  });

  test('tells of a cancelled one and of no other', async () => {
    const queue = 'cancelled';
    await add(queue, 12);
    const jobs = await lease(queue, 12);
    expect(await lane.cancel(queue, [jobs[4]!.id, jobs[4]!.id, '12345'], 'why')).toEqual([
      'leased',
      'leased',
      undefined,
    ]);
    const renewed = await renew(queue, jobs, LONG_MS);
    expect(renewed.map((one) => 'cancel' in one && one.cancel)).toEqual(
      jobs.map((_, at) => (at === 4 ? 'why' : undefined)),
    );
    expect(await ack(queue, jobs)).toEqual(jobs.map((_, at) => (at === 4 ? 'cancelled' : 'completed')));
    expect(await countsOf(queue)).toMatchObject({ leased: 0, completed: 11, cancelled: 1 });
  });

  test('of which half is settled comes back as the other half, in its order and first', async () => {
    const queue = 'reaped';
    await add(queue, 24);
    const jobs = await lease(queue, 20, SHORT_MS);
    const isEven = (_: unknown, at: number) => at % 2 === 0;
    await ack(queue, jobs.filter(isEven));
    await sleep(SHORT_MS + 30);
    const rest = jobs.filter((_, at) => at % 2 === 1);
    const { stalled } = await lane.tick(queue);
    expect(stalled).toEqual(rest.map(({ id }) => ({ id, state: 'waiting' })));
    expect(await ack(queue, rest)).toEqual(rest.map(() => 'lost'));
    const again = await lease(queue, 20);
    expect(idsOf(again).slice(0, 10)).toEqual(idsOf(rest));
    expect(again[0]).toMatchObject({ attempt: 1, stalls: 1 });
    expect((await lane.stats(queue)).totals).toMatchObject({ stalled: 10, completed: 10 });
  });

  test('of several groups gives each its places back', async () => {
    const queue = 'of-groups';
    await lane.configure(queue, { ...NO_LIMITS, concurrency: 30 }, { ...EVEN_GROUPS, concurrency: 10 });
    for (const group of ['', 'a', 'b,5:0,', 'd']) await add(queue, 20, { group });
    const jobs = await lease(queue, 100);
    expect(jobs).toHaveLength(30);
    expect(await leaseEntries(queue)).toEqual([1, 0, 1]);
    expect(await lease(queue, 100)).toEqual([]);
    const some = jobs.filter(({ group }) => group === 'a').slice(0, 4);
    expect(await ack(queue, some)).toEqual(some.map(() => 'completed'));
    expect(await lease(queue, 100)).toHaveLength(4);
    expect(
      await ack(
        queue,
        jobs.filter((job) => !some.includes(job)),
      ),
    ).toEqual(Array(26).fill('completed'));
    const next = await lease(queue, 100);
    expect(next).toHaveLength(26);
    const running = new Map<string, number>();
    for (const { jobs: page } of [await lane.list(queue, { states: ['leased'] }, { limit: 100 })]) {
      for (const { group } of page) running.set(group, (running.get(group) ?? 0) + 1);
    }
    expect(Math.max(...running.values())).toBeLessThanOrEqual(10);
  });

  test('keeps a queue from being removed, and a queue made anew gives greater tokens', async () => {
    const queue = 'made-anew';
    let last = 0n;
    for (let round = 0; round < 3; round++) {
      await add(queue, 60, { group: round === 1 ? 'g' : '' });
      await add(queue, 1, { timeoutMs: LONG_MS });
      for (const max of [1, 20, 3, 30, 9, 8]) {
        for (const { token } of await lease(queue, max)) {
          expect(BigInt(token)).toBeGreaterThan(last);
          expect(Number(token)).toBeLessThan(Number.MAX_SAFE_INTEGER);
          last = BigInt(token);
        }
      }
      expect(await lane.remove(queue, false)).toBe(false);
      expect(await lane.remove(queue, true)).toBe(true);
    }
  });

  test(`is not made when there are ${BATCHES_MAX}: all that is leased can still be found`, async () => {
    const queue = 'many-batches';
    for (let round = 0; round < 6; round++) await add(queue, 500);
    const leased: LeasedJob[] = [];
    for (let round = 0; round < BATCHES_MAX + 3; round++) leased.push(...(await lease(queue, BATCH_LEAST)));
    expect(await leaseEntries(queue)).toEqual([BATCHES_MAX, 3 * BATCH_LEAST, BATCHES_MAX + 3 * BATCH_LEAST]);
    expect(await stateOf(queue, leased[17]!.id)).toBe('leased');
    expect(await stateOf(queue, leased.at(-1)!.id)).toBe('leased');
    expect(new Set(await listed(queue, 'leased', 500))).toEqual(new Set(idsOf(leased)));
    expect(await countsOf(queue)).toMatchObject({ leased: leased.length });
  });

  test('is listed page by page, whatever is settled in between', async () => {
    const queue = 'leased-pages';
    await add(queue, 100);
    const jobs = [...(await lease(queue, 60)), ...(await lease(queue, 5)), ...(await lease(queue, 30))];
    expect(new Set(await listed(queue, 'leased', 7))).toEqual(new Set(idsOf(jobs)));
    const first = await lane.list(queue, { states: ['leased'] }, { limit: 50 });
    await ack(
      queue,
      jobs.filter(({ id }) => idsOf(first.jobs).includes(id)),
    );
    const rest = await lane.list(queue, { states: ['leased'] }, { limit: 50, cursor: first.cursor });
    expect(new Set([...idsOf(first.jobs), ...idsOf(rest.jobs)])).toEqual(new Set(idsOf(jobs)));
  });

  test('is not mistaken for the name of its worker', async () => {
    const queue = 'worker-name';
    const ids = await add(queue, 12);
    const jobs = await lease(queue, 10, LONG_MS, `,${ids[11]}:0,`);
    expect(await stateOf(queue, ids[11]!)).toBe('waiting');
    expect(await lane.get(queue, ids[3]!)).toMatchObject({ state: 'leased', worker: `,${ids[11]}:0,` });
    await ack(queue, jobs);
    expect(await stateOf(queue, ids[11]!)).toBe('waiting');
    expect(await lane.get(queue, ids[3]!)).toMatchObject({ state: 'completed' });
  });
});

describe('completed jobs', () => {
  /** Adds and completes so many in one call. */
  const complete = async (queue: string, count: number, wish: Partial<NewJob> = {}, worker = 'w') => {
    await add(queue, count, wish);
    const jobs = await lease(queue, count, LONG_MS, worker);
    await ack(queue, jobs);
    return idsOf(jobs);
  };
  const retain = (count: number, ageMs = LONG_MS) => ({ retain: { count, ageMs } });

  test('of one call are one entry, each with its history', async () => {
    const queue = 'pieces';
    const ids = await complete(queue, 20, {}, 'one');
    expect(await doneEntries(queue)).toEqual([1, 1, 0]);
    await add(queue, 20);
    const two = [...(await lease(queue, 12, LONG_MS, 'two')), ...(await lease(queue, 3, LONG_MS, 'three'))];
    await ack(queue, two);
    expect(await doneEntries(queue)).toEqual([2, 2, 0]);
    for (const [id, worker] of [
      [ids[0], 'one'],
      [ids[19], 'one'],
      [two[11]!.id, 'two'],
      [two[12]!.id, 'three'],
    ] as const) {
      const view = await lane.get(queue, id!);
      expect(view).toMatchObject({ state: 'completed', attempt: 1, stalls: 0, reason: undefined, error: undefined });
      expect(view!.history).toMatchObject([{ attempt: 1, worker, outcome: 'completed' }]);
      expect(view!.finishedAtMs).toBeGreaterThanOrEqual(view!.startedAtMs!);
    }
    expect(await lane.cancel(queue, [ids[5]!], 'late')).toEqual(['completed']);
  });

  test('are trimmed to the number that is kept, in the middle of a piece too', async () => {
    const queue = 'trimmed';
    const all: string[] = [];
    for (const count of [20, 12, 1, 15, 40, 3]) {
      all.push(...(await complete(queue, count, retain(30))));
      await sleep(2);
      const kept = all.slice(-30);
      expect(await countsOf(queue)).toMatchObject({ completed: kept.length });
      expect((await listed(queue, 'completed', 9)).sort()).toEqual([...kept].sort());
      if (all.length > kept.length) expect(await lane.get(queue, all.at(-31)!)).toBeUndefined();
      expect(await stateOf(queue, kept[0]!)).toBe('completed');
    }
    expect(await client.hlen(queueKeys(queue).j)).toBe(30);
  });

  test('come newest first, page by page, each once, though the oldest are forgotten in between', async () => {
    const queue = 'pages';
    const all: string[] = [];
    for (let round = 0; round < 5; round++) {
      all.push(...(await complete(queue, round % 2 === 0 ? 30 : 2, retain(90))));
      await sleep(2);
    }
    expect(await listed(queue, 'completed', 7)).toEqual(all.slice(-90).reverse());
    const first = await lane.list(queue, { states: ['completed'] }, { limit: 40 });
    const newer = await complete(queue, 10, retain(90));
    const rest = await lane.list(queue, { states: ['completed'] }, { limit: 100, cursor: first.cursor });
    const kept = [...all, ...newer].slice(-90, -10).reverse();
    expect([...idsOf(first.jobs), ...idsOf(rest.jobs)]).toEqual(kept);
    expect(idsOf((await lane.list(queue, { states: ['completed'], name: 'test' }, { limit: 90 })).jobs)).toHaveLength(
      90,
    );
  });

  test('are forgotten when their time has come, by the tick and by a purge', async () => {
    const queue = 'forgotten';
    await complete(queue, 300, { ...retain(1_000, SHORT_MS) });
    const late = await complete(queue, 300, retain(2_000));
    await complete(queue, 300, retain(2_000));
    await sleep(SHORT_MS + 30);
    let { nextInMs } = await lane.tick(queue);
    while (nextInMs === 0) ({ nextInMs } = await lane.tick(queue));
    expect(await countsOf(queue)).toMatchObject({ completed: 600 });
    expect(await stateOf(queue, late[0]!)).toBe('completed');
    expect(await lane.purge(queue, ['completed'])).toBe(600);
    expect(await doneEntries(queue)).toEqual([0, 0, 0]);
    const { j, cb } = queueKeys(queue);
    expect(await client.exists(j, cb)).toBe(0);
  });

  test(`of which more than ${PIECES_KEPT_MAX} are kept are each by itself`, async () => {
    const queue = 'kept-long';
    const [id] = await complete(queue, 20, retain(PIECES_KEPT_MAX + 1));
    expect(await doneEntries(queue)).toEqual([0, 20, 20]);
    expect(await stateOf(queue, id!)).toBe('completed');
    // Those that are to be few end those that were to be many.
    await complete(queue, 10, retain(5));
    expect(await countsOf(queue)).toMatchObject({ completed: 5 });
    expect(await doneEntries(queue)).toEqual([1, 1, 0]);
  });

  test('with results, and of a call that is repeated under its key, are found', async () => {
    const queue = 'found';
    const call = { key: 'k'.repeat(16), print: 'p'.repeat(16), ttlMs: LONG_MS };
    const wishes = Array.from({ length: 30 }, (_, place) => newJob({ once: { call, place } }));
    const added = await lane.add(queue, wishes);
    const jobs = await lease(queue, 20);
    await lane.settle(queue, acks(jobs.slice(0, 10), '[1]'));
    const again = await lane.add(queue, wishes);
    const states = [...Array(10).fill('completed'), ...Array(10).fill('leased'), ...Array(10).fill('waiting')];
    expect(again).toEqual(added.map((one, at) => ({ ...one, state: states[at], isDuplicate: true })));
    expect(await lane.get(queue, jobs[9]!.id)).toMatchObject({ result: '[1]' });
  });
});

test('a job that is leased or completed with others takes few bytes beside its record', async () => {
  const queue = 'bytes';
  const used = async () => {
    const keys = Object.entries(queueKeys(queue)).filter(([name]) => name !== 'j' && name !== 'w');
    const sizes = await Promise.all(keys.map(([, key]) => client.memory('USAGE', key)));
    return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  };
  for (let round = 0; round < 2; round++) await add(queue, 1_000, { retain: { count: 2_000, ageMs: LONG_MS } });
  const before = await used();
  const jobs: LeasedJob[] = [];
  for (let round = 0; round < 20; round++) jobs.push(...(await lease(queue, 100)));
  const leased = (await used()) - before;
  for (let from = 0; from < 2_000; from += 100) await ack(queue, jobs.slice(from, from + 100));
  const completed = (await used()) - before;
  console.log(`beside its record a leased job takes ${leased / 2_000} bytes, a completed one ${completed / 2_000}`);
  expect(leased / 2_000).toBeLessThan(20);
  expect(completed / 2_000).toBeLessThan(20);
});
