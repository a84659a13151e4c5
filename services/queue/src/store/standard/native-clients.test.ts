/** Native BullMQ clients and the lane on the same queue; and turns between groups, as native clients see them too. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually, withRedis } from '@plinth/testkit';
import { type Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { LONG_MS, namesOf, newJob, outcomesOf } from '../lane-bench.contract.ts';
import { StandardLane } from '../standard-lane.ts';

const redis = withRedis();
const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close();
});

async function open(prefix?: string): Promise<StandardLane> {
  const lane = await StandardLane.open({ url: redis.url, prefix });
  closing.push({ close: () => lane.stop() });
  return lane;
}

const connection = () => ({ host: '127.0.0.1', port: redis.port });

function nativeQueue(lane: StandardLane, queue: string, prefix = 'bull'): Queue {
  const native = new Queue(lane.nativeName(queue), { connection: connection(), prefix });
  closing.push(native);
  return native;
}

function nativeWorker(lane: StandardLane, queue: string, work: (job: Job) => Promise<unknown>): Worker {
  const worker = new Worker(lane.nativeName(queue), work, { connection: connection() });
  worker.on('error', () => {});
  closing.push(worker);
  return worker;
}

const ask = { max: 10, leaseMs: LONG_MS, worker: 'tester' };

describe('native clients', () => {
  test('a native worker processes what the lane enqueued, and sees the data as they came', async () => {
    const lane = await open();
    const data = { to: 'a@b.c', list: [1, 'ü', null] };
    const wish = { name: 'mail', data: JSON.stringify(data), group: 'tenant', tags: ['x'], timeoutMs: 1_000 };
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const [added] = await lane.add('native', [newJob({ ...wish, traceparent })]);
    const seen: { data: unknown; trace: string | undefined }[] = [];
    nativeWorker(lane, 'native', async (job) => {
      seen.push({ data: job.data, trace: job.opts.telemetry?.metadata });
      return { sum: 42 };
    });
    const id = (added as { id: string }).id;
    const view = await eventually(
      async () => {
        const found = await lane.get('native', id);
        return found?.state === 'completed' ? found : false;
      },
      { timeoutMs: 15_000 },
    );
    expect(seen).toEqual([{ data, trace: JSON.stringify({ traceparent }) }]);
    expect(view).toMatchObject({ state: 'completed', result: '{"sum":42}', group: 'tenant', attempt: 1 });
    expect(view.history).toMatchObject([{ attempt: 1, outcome: 'completed' }]);
    expect((await lane.stats('native')).counts).toMatchObject({ completed: 1, waiting: 0, leased: 0 });
  });

  test('a native worker retries and buries what the lane enqueued, with the backoff that it was given', async () => {
    const lane = await open();
    const backoff = { type: 'exponential' as const, delayMs: 20, factor: 2, maxMs: 1_000, jitter: 0 };
    const [added] = await lane.add('failing', [newJob({ attempts: 3, backoff })]);
    const startedMs: number[] = [];
    nativeWorker(lane, 'failing', async () => {
      startedMs.push(Date.now());
      throw new Error('it broke');
    });
    const id = (added as { id: string }).id;
    await eventually(async () => (await lane.get('failing', id))?.state === 'dead', { timeoutMs: 15_000 });
    expect(startedMs).toHaveLength(3);
    expect(startedMs[1]! - startedMs[0]!).toBeGreaterThanOrEqual(19);
    expect(startedMs[2]! - startedMs[1]!).toBeGreaterThanOrEqual(39);
    const view = await lane.get('failing', id);
    expect(view).toMatchObject({ attempt: 3, error: { message: 'it broke' } });
    expect(await lane.redrive('failing', {}, 5)).toEqual([id]);
  });

  test('the lane leases what a native producer added, by its priority and delay, and settles it as that wished', async () => {
    const lane = await open();
    const native = nativeQueue(lane, 'produced');
    await native.add('last', { n: 3 }, { priority: 9 });
    await native.add('first', { n: 1 });
    await native.add('later', {}, { delay: LONG_MS });
    const { jobs } = await lane.lease('produced', ask);
    expect(namesOf(jobs)).toEqual(['first', 'last']);
    expect(jobs[0]).toMatchObject({ data: '{"n":1}', group: '', tags: [], attempt: 1, attempts: 1 });
    expect((await lane.stats('produced')).counts).toMatchObject({ leased: 2, scheduled: 1 });
    expect(await native.getActiveCount()).toBe(2);
    const [first, last] = jobs;
    const error = { type: 'TypeError', message: 'no', stack: 'at x' };
    const settled = await lane.settle('produced', [
      { id: first!.id, token: first!.token, kind: 'ack', result: '"done"' },
      { id: last!.id, token: last!.token, kind: 'fail', error, retryAfterMs: undefined, isFinal: false },
    ]);
    expect(outcomesOf(settled)).toEqual(['completed', 'dead']);
    expect((await native.getJob(first!.id))?.returnvalue).toBe('done');
    expect((await native.getJob(last!.id))?.failedReason).toBe('no');
    expect((await lane.stats('produced')).totals).toMatchObject({ enqueued: 3, completed: 1, dead: 1 });
  });

  test('native workers and leases share a queue: every job is done once', async () => {
    const lane = await open();
    const done: string[] = [];
    await lane.add(
      'shared',
      Array.from({ length: 400 }, (_, at) => newJob({ name: `job${at}` })),
    );
    nativeWorker(lane, 'shared', async (job) => {
      done.push(job.name);
    });
    for (let idle = 0; idle < 3; ) {
      const { jobs } = await lane.lease('shared', ask);
      if (jobs.length === 0) idle += 1;
      done.push(...namesOf(jobs));
      const acks = jobs.map(({ id, token }) => ({ id, token, kind: 'ack' as const, result: undefined }));
      expect(new Set(outcomesOf(await lane.settle('shared', acks)))).not.toContain('lost');
    }
    await eventually(async () => (await lane.stats('shared')).counts.completed === 400, { timeoutMs: 20_000 });
    expect([done.length, new Set(done).size]).toEqual([400, 400]);
  });

  test('a job in a native worker’s hands can be cancelled: what it says at the end does not count', async () => {
    const lane = await open();
    const [added] = await lane.add('revoked', [newJob()]);
    const id = (added as { id: string }).id;
    let release = () => {};
    nativeWorker(lane, 'revoked', () => new Promise<void>((resolve) => (release = resolve)));
    await eventually(async () => (await lane.get('revoked', id))?.state === 'leased', { timeoutMs: 15_000 });
    expect(await lane.cancel('revoked', [id], 'stop')).toEqual(['leased']);
    release();
    expect(await lane.cancel('revoked', [id], 'again')).toEqual(['leased']);
    expect(await lane.get('revoked', id)).toMatchObject({ state: 'leased' });
  });

  test('pause and limits of the queue hold for native workers too', async () => {
    const lane = await open();
    const even = { weight: 1, concurrency: 0, ratePerSecond: 0, burst: 0 };
    const limits = { jobsMax: 0, concurrency: 2, ratePerSecond: 0, burst: 0, maxStalls: 5 };
    await lane.configure('limited', limits, even);
    const native = nativeQueue(lane, 'limited');
    expect(await native.getGlobalConcurrency()).toBe(2);
    await lane.configure('limited', { ...limits, concurrency: 0, ratePerSecond: 4, burst: 8 }, even);
    expect(await native.getGlobalConcurrency()).toBeNull();
    expect(await native.getGlobalRateLimit()).toEqual({ max: 8, duration: 2_000 });
    await lane.pause('limited');
    expect(await native.isPaused()).toBe(true);
    await native.resume();
    expect((await lane.stats('limited')).isPaused).toBe(false);
  });

  test('a prefix keeps two lanes on one Redis apart', async () => {
    const [one, other] = [await open('one'), await open('other')];
    await one.add('mail', [newJob({ name: 'mine' })]);
    expect((await other.lease('mail', ask)).jobs).toEqual([]);
    expect([await one.queues(), await other.queues()]).toEqual([['mail'], []]);
    expect(namesOf((await nativeQueue(one, 'mail', 'one').getWaiting()) as Job[])).toEqual(['mine']);
  });

  test('every key of a queue is in one slot of a cluster, whatever it is called', async () => {
    const lane = await open('slots');
    await lane.configureGroup('a:b {c}', 'g:{x}', { weight: 2, concurrency: 1, ratePerSecond: 9, burst: 9 });
    const dedup = { id: 'd{e}', mode: 'simple' as const, ttlMs: 60_000 };
    const wish = { group: 'g:{x}', dedup, expiresAtMs: Date.now() + LONG_MS };
    await lane.add('a:b {c}', [newJob(wish), newJob({ group: 'g:{x}' }), newJob({ runAtMs: Date.now() + LONG_MS })]);
    await lane.lease('a:b {c}', ask);
    await lane.tick('a:b {c}');
    const client = new Redis(redis.url);
    const keys = (await client.keys('slots:*')).filter((key) => key !== 'slots:plinth:queues');
    client.disconnect();
    expect(keys.length).toBeGreaterThan(10);
    expect(new Set(keys.map((key) => /\{([^}]*)\}/.exec(key)?.[1]))).toEqual(new Set(['a%3ab%20%7bc%7d']));
  });
});

describe('turns between groups', () => {
  const jobsOf = (group: string, count: number) =>
    Array.from({ length: count }, (_, at) => newJob({ group, name: `${group}${at}` }));

  /** Leases and acknowledges all. @returns The names in their order. */
  async function workThrough(lane: StandardLane, queue: string): Promise<string[]> {
    const names: string[] = [];
    for (;;) {
      const { jobs } = await lane.lease(queue, { max: 100, leaseMs: LONG_MS, worker: 'tester' });
      if (jobs.length === 0) return names;
      names.push(...namesOf(jobs));
      const acks = jobs.map(({ id, token }) => ({ id, token, kind: 'ack' as const, result: undefined }));
      await lane.settle(queue, acks);
    }
  }

  test('100 jobs of a late tenant behind 3,000 of another are done around position 300, not 3,100', async () => {
    const lane = await open();
    for (let at = 0; at < 3; at++) await lane.add('fair', jobsOf('crowd', 1_000));
    const before: string[] = [];
    const { jobs } = await lane.lease('fair', { max: 100, leaseMs: LONG_MS, worker: 'tester' });
    before.push(...namesOf(jobs));
    await lane.add('fair', jobsOf('late', 100));
    const names = [...before, ...(await workThrough(lane, 'fair'))];
    const last = names.findLastIndex((name) => name.startsWith('late')) + 1;
    process.stdout.write(`the late tenant's last of 100 jobs was number ${last} of ${names.length}\n`);
    expect(names).toHaveLength(3_100);
    expect(last).toBeGreaterThanOrEqual(290);
    expect(last).toBeLessThanOrEqual(330);
  }, 180_000);

  test('jobs that come due take their turn then, and do not go before all others', async () => {
    const lane = await open();
    const runAtMs = Date.now() + 2_500;
    await lane.add(
      'due',
      jobsOf('planner', 50).map((job) => ({ ...job, runAtMs })),
    );
    await lane.add('due', jobsOf('crowd', 100));
    const { jobs } = await lane.lease('due', { max: 50, leaseMs: LONG_MS, worker: 'tester' });
    expect(jobs).toHaveLength(50);
    await new Promise((resolve) => setTimeout(resolve, runAtMs + 20 - Date.now()));
    const next = await lane.lease('due', { max: 40, leaseMs: LONG_MS, worker: 'tester' });
    const planned = next.jobs.filter(({ group }) => group === 'planner').length;
    expect(Math.abs(planned - 20)).toBeLessThanOrEqual(2);
  });
});
