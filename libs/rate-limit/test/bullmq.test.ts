import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually, withRedis } from '@plinth/testkit';
import { type Job, Queue, Worker } from 'bullmq';
import { type BullmqOptions, bullmq, createRateLimiter, type PolicySpec } from '../src/rate-limit.ts';

const redis = withRedis({ config: { 'maxmemory-policy': 'noeviction' } } as never);
const closes: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

type Work = { customer?: string; size?: number };

let queues = 0;
/** A queue with a worker, and when each job was processed. */
function workshop(local: PolicySpec, options: Partial<BullmqOptions<Job<Work>>> = {}) {
  const name = `queue-${queues++}`;
  const connection = { host: '127.0.0.1', port: redis.port, maxRetriesPerRequest: null };
  const queue = new Queue<Work>(name, { connection });
  const done: { customer: string | undefined; atMs: number; attempts: number }[] = [];
  const limiter = createRateLimiter({ local });
  const processor = bullmq<Job<Work>, string>(
    { limiter, limit: 'customer', key: (job) => job.data.customer, ...options, queue: options.queue && queue },
    async (job) => {
      done.push({ customer: job.data.customer, atMs: performance.now(), attempts: job.attemptsMade });
      return 'done';
    },
  );
  const worker = new Worker<Work>(name, processor, { connection, concurrency: 10 });
  worker.on('error', () => {});
  closes.push(
    () => limiter.close(),
    () => queue.close(),
    () => worker.close(true),
  );
  return { queue, done, limiter };
}

describe('jobs of a group', () => {
  test('beyond its limit wait for their turn, one after the other, and none is lost', async () => {
    const { queue, done, limiter } = workshop({ algorithm: 'gcra', limit: 10, windowMs: 1_000, burst: 2 });
    const startedMs = performance.now();
    await queue.addBulk(Array.from({ length: 10 }, () => ({ name: 'work', data: { customer: 'ann' } })));
    await queue.add('work', { customer: 'bob' });
    await eventually(() => expect(done).toHaveLength(11), { timeoutMs: 15_000 });
    const ann = done.filter(({ customer }) => customer === 'ann').map(({ atMs }) => atMs - startedMs);
    // 2 at once, the other 8 at 10 a second.
    expect(ann[9]! - ann[0]!).toBeGreaterThanOrEqual(690);
    expect(done.findIndex(({ customer }) => customer === 'bob')).toBeLessThan(4);
    expect(done.every(({ attempts }) => attempts === 0)).toBe(true);
    expect(await queue.getFailedCount()).toBe(0);
    // 11 first looks and one more for each of the 8 who waited; all of them at each turn would be 36 more.
    expect(limiter.counts.decisions).toBeLessThan(30);
  }, 30_000);

  test('of none are not limited', async () => {
    const { queue, done } = workshop({ limit: 1, windowMs: 60_000 });
    await queue.addBulk(Array.from({ length: 5 }, () => ({ name: 'work', data: {} })));
    await eventually(() => expect(done).toHaveLength(5), { timeoutMs: 10_000 });
  }, 20_000);

  test('that cost more than their limit holds fail, and say why', async () => {
    const { queue, done } = workshop({ limit: 5, windowMs: 1_000 }, { cost: (job) => job.data.size! });
    await queue.add('work', { customer: 'ann', size: 6 });
    await queue.add('work', { customer: 'ann', size: 5 });
    await eventually(async () => expect(await queue.getFailedCount()).toBe(1), { timeoutMs: 10_000 });
    const [failed] = await queue.getFailed();
    expect(failed!.failedReason).toBe(
      'denied by "customer": waiting does not help, for it costs more than the limit holds',
    );
    await eventually(() => expect(done).toHaveLength(1));
  }, 20_000);
});

test('a limit of all jobs pauses the queue, and none is lost', async () => {
  const { queue, done } = workshop(
    { algorithm: 'gcra', limit: 10, windowMs: 1_000, burst: 1 },
    { key: () => 'all', queue: {} as never },
  );
  await queue.addBulk(Array.from({ length: 6 }, (_, at) => ({ name: 'work', data: { customer: String(at) } })));
  await eventually(() => expect(done).toHaveLength(6), { timeoutMs: 20_000 });
  const atMs = done.map((one) => one.atMs);
  expect(atMs[5]! - atMs[0]!).toBeGreaterThanOrEqual(490);
  expect(await queue.getFailedCount()).toBe(0);
}, 40_000);
