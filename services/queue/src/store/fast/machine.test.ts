/** The machine of the fast lane beside what all lanes promise: shares to the job, tokens, races, full memory, forms. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { seededRandom, startTestRedis, watchTimers, withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import type { LeasedJob, NewJob, Settlement } from '../../core/job.ts';
import { FastLane } from '../fast-lane.ts';
import { EVEN_GROUPS, idsOf, NO_LIMITS, namesOf, newJob } from '../lane-bench.contract.ts';
import { queueKeys } from './keys.ts';

const redis = withRedis();
let lane: FastLane;
let other: FastLane;
let client: Redis;
beforeAll(async () => {
  [lane, other] = await Promise.all([FastLane.open({ url: redis.url }), FastLane.open({ url: redis.url })]);
  client = new Redis(redis.url);
});
afterAll(async () => {
  await Promise.all([lane.stop(), other.stop()]);
  client.disconnect();
});

const LONG_MS = 60_000;
const ask = (max: number, leaseMs = LONG_MS) => ({ max, leaseMs, worker: 'w' });
const jobs = (count: number, wish: Partial<NewJob> = {}) => Array.from({ length: count }, () => newJob(wish));
const acks = (leased: readonly LeasedJob[]): Settlement[] =>
  leased.map(({ id, token }) => ({ id, token, kind: 'ack', result: undefined }));
const lease = async (queue: string, max: number) => (await lane.lease(queue, ask(max))).jobs;

async function addMany(queue: string, count: number, wish: Partial<NewJob>): Promise<void> {
  for (let left = count; left > 0; left -= 500) await lane.add(queue, jobs(Math.min(500, left), wish));
}

/** Takes and acks until nothing comes. @returns All jobs, in the order in which they came. */
async function drained(queue: string, max: number): Promise<LeasedJob[]> {
  const all: LeasedJob[] = [];
  for (let leased = await lease(queue, max); leased.length > 0; ) {
    all.push(...leased);
    leased = (await lane.turn(queue, acks(leased), ask(max))).jobs as LeasedJob[];
  }
  return all;
}

describe('shares', () => {
  test.each([1, 7, 100])(
    'a late tenant’s 100 jobs behind 5,000 are through after 200, in batches of %i',
    async (max) => {
      const queue = `late-${max}`;
      await addMany(queue, 5_000, { group: 'early' });
      await lease(queue, 50);
      await lane.add(queue, jobs(100, { group: 'late' }));
      let taken = 0;
      for (let late = 0; late < 100; ) {
        const leased = await lease(queue, max);
        taken += leased.length;
        late += leased.filter(({ group }) => group === 'late').length;
      }
      console.log(`late tenant: all 100 among the next ${taken} leases, in batches of ${max}`);
      // Ideal is 200; the bound is 3 times that, and turns keep to the ideal but for a batch.
      expect(taken).toBeLessThanOrEqual(200 + max);
    },
  );

  test('weights hold from round to round, with more groups than a batch has jobs', async () => {
    const queue = 'weights';
    await lane.configure(queue, NO_LIMITS, EVEN_GROUPS);
    await lane.configureGroup(queue, 'heavy', { ...EVEN_GROUPS, weight: 4 });
    const groups = ['heavy', ...Array.from({ length: 20 }, (_, at) => `g${at}`)];
    for (const group of groups) await lane.add(queue, jobs(48, { group }));
    const counts = new Map<string, number>();
    for (let taken = 0; taken < 24 * 10; ) {
      for (const { group } of await lease(queue, 5)) {
        counts.set(group, (counts.get(group) ?? 0) + 1);
        taken += 1;
      }
    }
    // Ten rounds of 4 + 20.
    expect(counts.get('heavy')).toBe(40);
    for (const group of groups.slice(1)) expect(counts.get(group)).toBe(10);
  });

  test('nothing is kept of groups that have nothing to do', async () => {
    const queue = 'idle-groups';
    for (let group = 0; group < 30; group++) await lane.add(queue, jobs(3, { group: `g${group}` }));
    expect(await drained(queue, 11)).toHaveLength(90);
    const { g, w, p, v, ring, gz, a, l } = queueKeys(queue);
    expect(await client.exists(g, w, p, v, ring, gz, a, l)).toBe(0);
  });
});

describe('order', () => {
  test('a list longer than its pieces keeps first in first out, however it is read and written', async () => {
    const random = seededRandom();
    const queue = 'pieces';
    let added = 0;
    let taken = 0;
    while (taken < 3_000) {
      const count = random.int(301);
      if (count > 0)
        await lane.add(
          queue,
          Array.from({ length: count }, () => newJob({ name: String(added++) })),
        );
      const names = namesOf(await lease(queue, 1 + random.int(300)));
      expect(names).toEqual(names.map((_, at) => String(taken + at)));
      taken += names.length;
    }
  });

  test('what is given back comes first, in its order, and then the rest', async () => {
    const queue = 'given-back';
    await lane.add(
      queue,
      Array.from({ length: 300 }, (_, at) => newJob({ name: String(at) })),
    );
    const first = await lease(queue, 150);
    await lane.settle(
      queue,
      first.slice(10, 140).map(({ id, token }) => ({ id, token, kind: 'release' })),
    );
    const expected = [
      ...Array.from({ length: 130 }, (_, at) => at + 10),
      ...Array.from({ length: 150 }, (_, at) => at + 150),
    ];
    expect(namesOf(await drained(queue, 33))).toEqual(expected.map(String));
  });

  test('priorities go by number, then first in first out, past ten and a hundred', async () => {
    const queue = 'priorities';
    const wishes = Array.from({ length: 130 }, (_, at) => ({ name: `${at}`, priority: at % 2 === 0 ? 100 : 9 }));
    await lane.add(queue, wishes.map(newJob));
    const sorted = [...wishes].sort((one, two) => one.priority - two.priority || Number(one.name) - Number(two.name));
    expect(namesOf(await drained(queue, 40))).toEqual(namesOf(sorted));
  });
});

describe('tokens', () => {
  test('are given at the rate, after the burst, and the answer says when the next one is there', async () => {
    const queue = 'rate';
    await lane.configure(queue, { ...NO_LIMITS, ratePerSecond: 50, burst: 10 }, EVEN_GROUPS);
    await lane.add(queue, jobs(100));
    const startedMs = performance.now();
    expect(await lease(queue, 100)).toHaveLength(10);
    let taken = 10;
    while (taken < 30) {
      const answer = await lane.lease(queue, ask(100));
      taken += answer.jobs.length;
      expect(answer.nextInMs).toBeGreaterThanOrEqual(0);
      expect(answer.nextInMs).toBeLessThanOrEqual(20);
      await new Promise((resolve) => setTimeout(resolve, answer.nextInMs! + 1));
    }
    // 20 tokens at 50 a second.
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(370);
  });

  test('of one group hold back no other, and it comes back by itself', async () => {
    const queue = 'group-rate';
    await lane.configure(queue, NO_LIMITS, EVEN_GROUPS);
    await lane.configureGroup(queue, 'slow', { ...EVEN_GROUPS, ratePerSecond: 20, burst: 1 });
    await lane.add(queue, [...jobs(10, { group: 'slow' }), ...jobs(10, { group: 'quick' })]);
    const { jobs: first, nextInMs } = await lane.lease(queue, ask(20));
    expect(first.filter(({ group }) => group === 'slow')).toHaveLength(1);
    expect(first).toHaveLength(11);
    expect(nextInMs).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, nextInMs! + 5));
    expect((await lease(queue, 20)).map(({ group }) => group)).toEqual(['slow']);
  });
});

describe('two clients at once', () => {
  test('lease each job once, and of two acks one counts', async () => {
    const queue = 'race';
    await addMany(queue, 2_000, {});
    const taken: LeasedJob[] = [];
    const worker = async (by: FastLane) => {
      for (;;) {
        const answer = await by.lease(queue, ask(17));
        if (answer.jobs.length === 0) return;
        taken.push(...answer.jobs);
      }
    };
    await Promise.all([worker(lane), worker(other), worker(lane), worker(other)]);
    expect(new Set(idsOf(taken)).size).toBe(2_000);
    expect(taken).toHaveLength(2_000);
    const answers = await Promise.all([lane, other].map((by) => by.settle(queue, acks(taken.slice(0, 1_000)))));
    expect(answers.flat().filter((one) => 'refused' in one)).toHaveLength(1_000);
    expect((await lane.stats(queue)).counts).toMatchObject({ completed: 1_000, leased: 1_000, waiting: 0 });
  });
});

describe('time', () => {
  /** Promotes jobs that are due within a fifth of a second. @returns How late each was, in milliseconds, sorted. */
  async function lateness(queue: string): Promise<number[]> {
    // Far enough for all of them to be enqueued before, on a slow machine too.
    const dueMs = Date.now() + 3_000;
    await lane.add(
      queue,
      Array.from({ length: 1_000 }, (_, at) => newJob({ runAtMs: dueMs + (at % 200) })),
    );
    const lateMs: number[] = [];
    while (lateMs.length < 1_000) {
      const { promoted, nextInMs } = await lane.tick(queue);
      lateMs.push(...promoted.map((one) => one.lateMs));
      await new Promise((resolve) => setTimeout(resolve, Math.min(nextInMs ?? 50, 50)));
    }
    expect((await lane.stats(queue)).counts).toMatchObject({ waiting: 1_000, scheduled: 0 });
    return lateMs.sort((one, two) => one - two);
  }

  test('1,000 delayed jobs are promoted once they are due, soon after: p99 ≤ 50 ms on an idle machine, a second on any', async () => {
    // Others may be busy on this machine: one calm round of three is enough.
    for (let round = 1; ; round++) {
      const lateTimers = watchTimers();
      const lateMs = await lateness(`lateness-${round}`);
      const timers = lateTimers();
      console.log(
        `lateness of promotion: p50 ${lateMs[500]} ms, p99 ${lateMs[990]} ms, max ${lateMs[999]} ms; of timers ${timers.p99Ms} ms`,
      );
      expect(lateMs[0]).toBeGreaterThanOrEqual(0);
      if (lateMs[990]! <= 50) return;
      if (round === 3) return expect(lateMs[990]).toBeLessThanOrEqual(timers.isIdle ? 50 : 1_000);
    }
  });

  test('a tick does a bounded piece of work, and says that there is more', async () => {
    const queue = 'bounded';
    const dueMs = Date.now() + 3_000;
    for (let part = 0; part < 3; part++) await lane.add(queue, jobs(400, { runAtMs: dueMs }));
    await new Promise((resolve) => setTimeout(resolve, dueMs + 30 - Date.now()));
    const ticks = [await lane.tick(queue), await lane.tick(queue), await lane.tick(queue)];
    expect(ticks.map(({ promoted }) => promoted.length)).toEqual([500, 500, 200]);
    expect(ticks.map(({ nextInMs }) => nextInMs)).toEqual([0, 0, undefined]);
  });
});

describe('memory', () => {
  test('when it is full jobs are refused whole, and those that are there can be done', async () => {
    const small = await startTestRedis({ config: { maxmemory: '6mb' } });
    const full = await FastLane.open({ url: small.url });
    let added = 0;
    const refused = await (async () => {
      for (;;) {
        try {
          await full.add('q', jobs(50, { data: JSON.stringify('x'.repeat(4_000)) }));
          added += 50;
        } catch (error) {
          return error;
        }
      }
    })();
    expect(refused).toMatchObject({ name: 'StoreAway', isOutcomeUnknown: false });
    expect((await full.stats('q')).counts.waiting).toBe(added);
    let done = 0;
    for (let leased = (await full.lease('q', ask(50))).jobs; leased.length > 0; ) {
      done += leased.length;
      leased = (await full.turn('q', acks(leased), ask(50))).jobs;
    }
    expect(done).toBe(added);
    expect((await full.stats('q')).counts).toMatchObject({ waiting: 0, leased: 0 });
    await full.stop();
  });

  test('a lease brings no more large jobs than one answer can carry, and says that there are more', async () => {
    const queue = 'large';
    const large = JSON.stringify('x'.repeat(64_000));
    for (let part = 0; part < 6; part++) await lane.add(queue, jobs(50, { data: large }));
    const first = await lane.lease(queue, ask(1_000));
    // The round in which 4 MiB are full is the last one.
    expect(first.jobs).toHaveLength(128);
    expect(first.nextInMs).toBe(0);
    expect(await lease(queue, 1_000)).toHaveLength(128);
    const last = await lane.lease(queue, ask(1_000));
    expect(last.jobs).toHaveLength(44);
    expect(last.nextInMs).toBeUndefined();
  });

  test('a waiting job with 141 bytes of data takes at most 271', async () => {
    const used = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))![1]);
    const data = JSON.stringify('x'.repeat(139));
    await lane.add('memory', jobs(100, { data }));
    const before = await used();
    await addMany('memory', 20_000, { data, backoff: { ...newJob().backoff, jitter: 1 } });
    const bytes = ((await used()) - before) / 20_000;
    console.log(`a waiting job with 141 bytes of data takes ${bytes.toFixed(0)} bytes`);
    expect(bytes).toBeLessThanOrEqual(271);
  });
});
