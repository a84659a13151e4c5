/** Schedules on a real Redis, with a clock of ours, several replicas, and deaths in between. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually, ManualClock, seededRandom, watchTimers, withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { ScheduleStore } from '../store/schedule-store.ts';
import type { Added, JobView, NewJob } from './job.ts';
import { newJob, openReplica, type Replica } from './queues.fixture.ts';
import type { ScheduleDraft } from './schedule.ts';
import { Schedules, type SchedulesOptions } from './schedules.ts';

const server = withRedis();
const START_MS = Date.UTC(2030, 0, 1);
const [SECOND_MS, MINUTE_MS, HOUR_MS] = [1_000, 60_000, 3_600_000];

let redis: Redis;
let engine: Replica;
beforeAll(async () => {
  redis = new Redis(server.url);
  engine = await openReplica(server.url);
});
afterAll(async () => {
  await engine.stop();
  redis.disconnect();
});

let count = 0;

interface Place {
  queue: string;
  prefix: string;
  clock: ManualClock;
  store: ScheduleStore;
  schedules: Schedules;
  reports: string[];
  replica(more?: Partial<SchedulesOptions>): Schedules;
  /** Moves the clock, and makes what is due. */
  pass(ms: number): Promise<number>;
  put(more?: Partial<ScheduleDraft>): ReturnType<Schedules['put']>;
  /** The times that jobs were made for, by their dedup ids; and the jobs. */
  jobs(): Promise<JobView[]>;
  enqueued: NewJob[];
}

/** Schedules of their own, and a queue. */
function place(): Place {
  count += 1;
  const [queue, prefix] = [`scheduled-${count}`, `test${count}:`];
  const clock = new ManualClock(START_MS);
  const store = new ScheduleStore({ redis, prefix });
  const reports: string[] = [];
  const enqueued: NewJob[] = [];
  const queues = {
    definition: (name: string) => engine.queues.definition(name),
    async enqueue(name: string, jobs: readonly NewJob[]): Promise<Added[]> {
      enqueued.push(...jobs);
      return engine.queues.enqueue(name, jobs);
    },
  };
  const replica = (more: Partial<SchedulesOptions> = {}) =>
    new Schedules({
      store,
      queues,
      makeJob: ({ job }) => newJob(job as Partial<NewJob>),
      now: clock.now,
      random: () => 0.5,
      report: (what, id, error) => reports.push(`${what} ${id}: ${String(error)}`),
      ...more,
    });
  const schedules = replica();
  return {
    ...{ queue, prefix, clock, store, schedules, reports, replica, enqueued },
    async pass(ms) {
      clock.advance(ms);
      return schedules.tick();
    },
    put: (more = {}) => schedules.put(draftOf(queue, more)),
    jobs: async () => [
      ...(await engine.queues.jobs(queue, { states: ['waiting', 'scheduled'] }, { limit: 1_000 })).jobs,
    ],
  };
}

function draftOf(queue: string, more: Partial<ScheduleDraft>): ScheduleDraft {
  const isTimed = more.cron !== undefined || more.atMs !== undefined;
  return {
    id: 'one',
    queue,
    cron: undefined,
    timeZone: undefined,
    everyMs: isTimed ? undefined : MINUTE_MS,
    atMs: undefined,
    catchUp: 'one',
    fromMs: undefined,
    untilMs: undefined,
    runsMax: undefined,
    paused: false,
    job: { name: 'tick', data: '{"a":1}' },
    ...more,
  };
}

/** The times that jobs were asked for, relative to the start, in minutes. */
const minutes = (enqueued: readonly NewJob[]): number[] =>
  enqueued.map(({ dedup }) => (Number(dedup!.id.split('/').at(-1)) - START_MS) / MINUTE_MS);

describe('a schedule', () => {
  test('at intervals makes one job at each time, none before and none twice', async () => {
    const { put, pass, schedules, jobs, enqueued } = place();
    expect(await put()).toMatchObject({ id: 'one', nextRunAtMs: START_MS + MINUTE_MS, runs: 0, missed: 0 });
    expect(await pass(MINUTE_MS - 1)).toBe(0);
    expect(await pass(1)).toBe(1);
    expect(await pass(0)).toBe(0);
    expect(await pass(MINUTE_MS - 1)).toBe(0);
    expect(await pass(1)).toBe(1);
    expect(minutes(enqueued)).toEqual([1, 2]);
    const made = await jobs();
    expect(made).toMatchObject([{ name: 'tick', data: '{"a":1}' }, { name: 'tick' }]);
    expect(await schedules.get('one')).toMatchObject({
      runs: 2,
      missed: 0,
      lastRunAtMs: START_MS + 2 * MINUTE_MS,
      nextRunAtMs: START_MS + 3 * MINUTE_MS,
      lastJobId: made[0]!.id,
    });
  });

  test('by a calendar in a zone makes its jobs there', async () => {
    const { put, pass, clock } = place();
    clock.set(Date.UTC(2030, 2, 30, 12));
    expect(await put({ cron: '30 2 * * *', timeZone: 'Europe/Berlin' })).toMatchObject({
      nextRunAtMs: Date.UTC(2030, 2, 31, 1, 30),
    });
    expect(await pass(13.5 * HOUR_MS - 1)).toBe(0);
    expect(await pass(1)).toBe(1);
    expect(await pass(23 * HOUR_MS - 1)).toBe(0);
    expect(await pass(1)).toBe(1);
  });

  test('at one time makes one job, and no other however often it is put', async () => {
    const { put, pass, schedules } = place();
    const atMs = START_MS + HOUR_MS;
    await put({ atMs });
    expect(await pass(HOUR_MS - 1)).toBe(0);
    expect(await pass(1)).toBe(1);
    const ended = await schedules.get('one');
    expect(ended).toMatchObject({ runs: 1, lastRunAtMs: atMs });
    expect(ended).not.toHaveProperty('nextRunAtMs');
    await put({ atMs });
    expect(await pass(HOUR_MS)).toBe(0);
    await put({ atMs: atMs + 2 * HOUR_MS });
    expect(await pass(HOUR_MS)).toBe(1);
  });

  test('at a time that has passed makes its job now', async () => {
    const { put, pass } = place();
    await put({ atMs: START_MS - 24 * HOUR_MS });
    expect(await pass(0)).toBe(1);
    expect(await pass(HOUR_MS)).toBe(0);
  });

  test('begins at `from`, ends with `until`, both included', async () => {
    const { put, pass, enqueued, schedules } = place();
    await put({ fromMs: START_MS + 90 * SECOND_MS, untilMs: START_MS + 210 * SECOND_MS });
    for (let n = 0; n < 50; n++) await pass(10 * SECOND_MS);
    expect(minutes(enqueued)).toEqual([1.5, 2.5, 3.5]);
    expect(await schedules.get('one')).not.toHaveProperty('nextRunAtMs');
  });

  test('makes no more than its most runs', async () => {
    const { put, pass, enqueued, schedules } = place();
    await put({ runsMax: 3, catchUp: 'all' });
    await pass(2 * MINUTE_MS);
    await pass(HOUR_MS);
    await pass(HOUR_MS);
    expect(minutes(enqueued)).toEqual([1, 2, 3]);
    expect(await schedules.get('one')).toMatchObject({ runs: 3, missed: 0 });
  });

  test('spreads its jobs over its jitter', async () => {
    const { put, pass, jobs, clock } = place();
    clock.set(Math.ceil(Date.now() / MINUTE_MS) * MINUTE_MS);
    await put({ jitterMs: 2 * HOUR_MS });
    await pass(MINUTE_MS);
    expect(await jobs()).toMatchObject([{ state: 'scheduled', dueAtMs: clock.now() + HOUR_MS }]);
  });

  test('that is paused makes none, and when it goes on nothing is missed', async () => {
    const { put, pass, enqueued, schedules } = place();
    await put();
    await put({ paused: true });
    expect(await pass(HOUR_MS)).toBe(0);
    expect(await schedules.get('one')).toMatchObject({ paused: true, missed: 0 });
    await put();
    await pass(MINUTE_MS);
    expect(minutes(enqueued)).toEqual([61]);
  });

  test('put again as it was goes on where it is, with its new job', async () => {
    const { put, pass, enqueued } = place();
    await put({ everyMs: HOUR_MS, fromMs: START_MS });
    await pass(50 * MINUTE_MS);
    await put({ everyMs: HOUR_MS, fromMs: START_MS, job: { name: 'new' } });
    await pass(10 * MINUTE_MS);
    expect(enqueued.map(({ name }) => name)).toEqual(['new']);
  });

  test('put while it is due still makes that run', async () => {
    const { put, pass, clock } = place();
    await put();
    clock.advance(MINUTE_MS);
    await put({ job: { name: 'new' } });
    expect(await pass(0)).toBe(1);
  });

  test('can be run besides, which changes nothing of its times', async () => {
    const { put, schedules, jobs } = place();
    const before = await put();
    expect(await schedules.run('one')).toMatchObject({ state: 'waiting', isDuplicate: false });
    expect(await schedules.run('one')).toMatchObject({ state: 'waiting', isDuplicate: false });
    expect(await jobs()).toHaveLength(2);
    expect(await schedules.get('one')).toEqual(before);
    expect(await schedules.run('other')).toBeUndefined();
  });

  test('is listed by id and by queue, and removed once', async () => {
    const { queue, schedules, pass } = place();
    for (const id of ['b', 'a', 'c']) await schedules.put(draftOf(id === 'c' ? 'elsewhere' : queue, { id }));
    expect((await schedules.list()).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect((await schedules.list(queue)).map(({ id }) => id)).toEqual(['a', 'b']);
    expect(await schedules.remove('a')).toBe(true);
    expect(await schedules.remove('a')).toBe(false);
    expect(await schedules.get('a')).toBeUndefined();
    expect(await pass(MINUTE_MS)).toBe(2);
  });

  test.each([
    [{ everyMs: 99 }, '/everyMs', '99 is not a whole number from 100'],
    [{ cron: '61 * * * *' }, '/cron', 'minute: "61" cannot be read: got value 61 expected range 0-59'],
    [{ fromMs: 2, untilMs: 1 }, '/until', 'it is before `from`'],
    [{ untilMs: START_MS }, '/everyMs', 'it is never due'],
    [{ cron: '0 0 29 2 *', untilMs: START_MS + 48 * HOUR_MS }, '/cron', 'it is never due'],
    [{ job: { dedup: { id: 'x', mode: 'simple' } } }, '/job/dedup', 'each run has one of its own already'],
  ])('%j is refused at %s: %s', async (more, path, message) => {
    const { put, schedules } = place();
    await expect(put(more as Partial<ScheduleDraft>)).rejects.toMatchObject({ code: 'invalid_schedule' });
    await expect(put(more as Partial<ScheduleDraft>)).rejects.toMatchObject({ issues: [{ path, message }] });
    expect(await schedules.list()).toEqual([]);
  });

  test('beyond the most there may be is refused, those that are there can be changed', async () => {
    const { queue, replica } = place();
    const schedules = replica({ schedulesMax: 2 });
    await schedules.put(draftOf(queue, { id: 'a' }));
    await schedules.put(draftOf(queue, { id: 'b' }));
    await expect(schedules.put(draftOf(queue, { id: 'c' }))).rejects.toThrow('there are 2 schedules');
    await schedules.put(draftOf(queue, { id: 'b', paused: true }));
  });
});

describe('runs that nobody could make', () => {
  test.each([
    ['skip', [], 30],
    ['one', [30], 29],
    ['all', Array.from({ length: 30 }, (_, n) => n + 1), 0],
  ] as const)('with %s are made at %j, and %d are missed', async (catchUp, made, missed) => {
    const { put, pass, enqueued, schedules } = place();
    await put({ catchUp });
    await pass(30 * MINUTE_MS + 30 * SECOND_MS);
    expect(minutes(enqueued)).toEqual(made);
    expect(await schedules.get('one')).toMatchObject({ missed, nextRunAtMs: START_MS + 31 * MINUTE_MS });
    await pass(30 * SECOND_MS);
    expect(minutes(enqueued)).toEqual([...made, 31]);
  });

  test.each(['skip', 'one'] as const)('with %s come when they are no later than 10 s', async (catchUp) => {
    const { put, pass, enqueued } = place();
    await put({ catchUp });
    await pass(5 * MINUTE_MS + 10_000);
    expect(minutes(enqueued)).toEqual([5]);
    await pass(MINUTE_MS + 1);
    expect(minutes(enqueued)).toEqual(catchUp === 'skip' ? [5] : [5, 6]);
  });

  test.each([
    ['everyMs', { everyMs: 1_000 }, 100_000],
    ['cron', { cron: '* * * * * *' }, 100_000],
  ])('by %s are at the most the last 1,000, and the rest is counted', async (_, calendar, seconds) => {
    const { put, pass, enqueued, schedules } = place();
    await put({ ...calendar, catchUp: 'all' });
    await pass(seconds * SECOND_MS);
    expect(enqueued).toHaveLength(1_000);
    expect(minutes(enqueued).at(-1)).toBeCloseTo(seconds / 60);
    expect(minutes(enqueued)[0]).toBeCloseTo((seconds - 999) / 60);
    expect(await schedules.get('one')).toMatchObject({ runs: 1_000, missed: seconds - 1_000 });
  });
});

describe('exactly one job for each time', () => {
  test('while five replicas race', async () => {
    const { put, clock, replica, jobs, enqueued } = place();
    const replicas = Array.from({ length: 5 }, () => replica());
    await put({ everyMs: 1_000 });
    let made = 0;
    for (let n = 0; n < 40; n++) {
      clock.advance(1_000);
      for (const count of await Promise.all(replicas.map((one) => one.tick()))) made += count;
    }
    expect(made).toBe(40);
    expect(await jobs()).toHaveLength(40);
    // What is due is lent to one, so that the others have no work with it.
    expect(enqueued).toHaveLength(40);
  });

  test('while replicas die after the enqueue and before the schedule is moved on, at random', async () => {
    const random = seededRandom();
    const { put, clock, store, replica, jobs, prefix, schedules } = place();
    let deaths = 0;
    const mortal = new Proxy(store, {
      get(target, name) {
        const member = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
        return async (...args: unknown[]) => {
          if (name !== 'swap' || random() < 0.5) return member.apply(target, args);
          deaths += 1;
          throw new Error('died');
        };
      },
    });
    await put({ everyMs: 1_000, catchUp: 'all' });
    for (let n = 0; n < 60; n++) {
      clock.advance(1_000);
      await Promise.all([replica({ store: mortal }).tick(), replica({ store: mortal }).tick()]);
      // The loan of who died has ended.
      await redis.del(`${prefix}{schedules}:lent`);
    }
    await schedules.tick();
    const times = await jobs();
    console.log(`schedules: 60 runs, ${deaths} deaths between enqueue and move, ${times.length} jobs`);
    expect(deaths).toBeGreaterThan(10);
    expect(times).toHaveLength(60);
    expect(await schedules.get('one')).toMatchObject({ runs: 60, missed: 0 });
  });

  test('a loan of who died ends by itself', async () => {
    const { put, clock, store, pass } = place();
    await put();
    clock.advance(MINUTE_MS);
    expect(await store.due(clock.now(), 10)).toHaveLength(1);
    expect(await store.due(clock.now(), 10)).toHaveLength(0);
    await eventually(async () => (await pass(0)) === 1, { timeoutMs: 30_000, intervalMs: 200 });
  });

  test('when the clock is set back and forth', async () => {
    const random = seededRandom();
    const { put, clock, schedules, enqueued } = place();
    await put({ everyMs: 1_000 });
    let mostMs = START_MS;
    for (let n = 0; n < 200; n++) {
      const nowMs = Math.max(START_MS, mostMs + random.int(4_000) - 3_000);
      clock.set(nowMs);
      mostMs = Math.max(mostMs, nowMs);
      await schedules.tick();
      if (n % 10 === 0) await put({ everyMs: 1_000 });
    }
    const times = minutes(enqueued);
    expect(new Set(times).size).toBe(times.length);
    expect(times).toEqual([...times].sort((one, other) => one - other));
    expect(times).toHaveLength(Math.floor((mostMs - START_MS) / 1_000));
  });

  test('though it is changed while it is made', async () => {
    const { put, clock, replica, jobs } = place();
    await put();
    clock.advance(MINUTE_MS);
    const slow = replica({
      queues: {
        definition: (name) => engine.queues.definition(name),
        async enqueue(name, list) {
          const added = await engine.queues.enqueue(name, list);
          await put({ job: { name: 'changed' } });
          return added;
        },
      },
    });
    await slow.tick();
    const other = replica();
    await other.tick();
    expect(await jobs()).toHaveLength(1);
    expect(await other.get('one')).toMatchObject({ runs: 1, job: { name: 'changed' } });
  });
});

describe('a run that cannot be made', () => {
  test('stays due, is told, and is tried again', async () => {
    const { put, clock, replica, reports, store, prefix } = place();
    await put();
    clock.advance(MINUTE_MS);
    let isAway = true;
    const schedules = replica({
      queues: {
        definition: async () => undefined,
        enqueue(name, jobs) {
          if (isAway) return Promise.reject(new Error('Redis is away'));
          return engine.queues.enqueue(name, jobs);
        },
      },
    });
    expect(await schedules.tick()).toBe(0);
    expect(reports).toEqual(['a run of a schedule one: Error: Redis is away']);
    expect(await schedules.get('one')).toMatchObject({ runs: 0, lastError: 'Redis is away' });
    // Not at once: it is still lent.
    expect(await store.due(clock.now(), 10)).toEqual([]);
    isAway = false;
    await redis.del(`${prefix}{schedules}:lent`);
    expect(await schedules.tick()).toBe(1);
    expect(await schedules.get('one')).not.toHaveProperty('lastError');
  });

  test('for a full queue stays due', async () => {
    const { put, pass, queue, schedules, prefix, jobs } = place();
    await engine.queues.define(queue, {
      limits: { jobsMax: 2, concurrency: 0, ratePerSecond: 0, burst: 0, maxStalls: 5 },
    });
    await put({ catchUp: 'all' });
    expect(await pass(3 * MINUTE_MS)).toBe(2);
    expect(await schedules.get('one')).toMatchObject({ runs: 2, lastError: 'the queue is full' });
    expect(await schedules.get('one')).toMatchObject({ nextRunAtMs: START_MS + 3 * MINUTE_MS });
    await engine.queues.drain(queue, true);
    await redis.del(`${prefix}{schedules}:lent`);
    expect(await pass(0)).toBe(1);
    expect(await jobs()).toHaveLength(1);
  });
});

describe('by itself', () => {
  test('a started replica makes runs on time, of schedules that others put too, and stops', async () => {
    const { queue, replica } = place();
    const times: number[] = [];
    const more: Partial<SchedulesOptions> = {
      now: Date.now,
      queues: {
        definition: async () => undefined,
        async enqueue(name, jobs) {
          times.push(...jobs.map(({ dedup }) => Date.now() - Number(dedup!.id.split('/').at(-1))));
          return engine.queues.enqueue(name, jobs);
        },
      },
    };
    const [one, other] = [replica(more), replica(more)];
    const lateTimers = watchTimers();
    one.start();
    other.start();
    await replica({ now: Date.now }).put(draftOf(queue, { everyMs: 100 }));
    await eventually(() => times.length >= 20, { timeoutMs: 30_000 });
    const timers = lateTimers();
    await one.stop();
    await other.stop();
    const made = times.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(times).toHaveLength(made);
    const late = times.slice(10).sort((a, b) => a - b);
    console.log(
      `schedules: lateness of ${late.length} runs, median ${late[late.length >> 1]} ms, most ${late.at(-1)} ms`,
    );
    expect(late[late.length >> 1]).toBeLessThan(timers.isIdle ? 100 : 1_000);
  });

  test('each run begins a trace of its own', async () => {
    const { put, clock, replica, jobs } = place();
    await put({ catchUp: 'all' });
    clock.advance(2 * MINUTE_MS);
    let [traces, ended] = [0, 0];
    const schedules = replica({
      trace: () => {
        traces += 1;
        const end = () => {
          ended += 1;
        };
        return { traceparent: `00-${'a'.repeat(31)}${traces}-${'b'.repeat(16)}-01`, end };
      },
    });
    await schedules.tick();
    const found = (await jobs()).map(({ traceparent }) => traceparent?.slice(34, 35)).sort();
    expect(found).toEqual(['1', '2']);
    expect(ended).toBe(2);
  });
});
