/** Workers against the real service on a real Redis, by both doors. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Client, createClient, type Queue } from '@plinth/client';
import { eventually, type ProcessUnderTest, runProcess, withNats, withRedis } from '@plinth/testkit';
import { Producer, Worker, type WorkerOptions } from '../src/worker.ts';
import { type QueueProcess, startQueue } from './queue-process.ts';

const redis = withRedis();
const nats = withNats();
let service: QueueProcess;
let client: Client;

beforeAll(async () => {
  service = await startQueue({ REDIS_URL: redis.url, NATS_URL: nats.url });
  client = createClient({ url: service.url });
}, 60_000);
afterAll(() => client.close());

const workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop({ deadlineMs: 0 })));
});

let names = 0;
const newQueue = (): Queue => client.queues.queue(`work-${++names}`);
const counts = async (queue: Queue) => (await queue.stats()).counts;

async function workElsewhere(queue: Queue, settings: object): Promise<ProcessUnderTest> {
  const WORKER_OPTIONS = JSON.stringify({ url: service.url, queue: queue.name, ...settings });
  const script = new URL('./worker-process.ts', import.meta.url);
  const running = runProcess({ script, env: { WORKER_OPTIONS, WORKER_STOP_MS: '100' } });
  await running.waitForLine(/^ready/);
  return running;
}

describe.each(['HTTP', 'NATS'] as const)('over %s', (door) => {
  const place = () => (door === 'HTTP' ? { url: service.url } : { nats: { url: nats.url } });
  const work = (queue: Queue, options: Omit<WorkerOptions, 'queue' | 'queues' | 'url' | 'nats' | 'client'>) => {
    const worker = new Worker({ ...place(), queue: queue.name, ...options } as WorkerOptions);
    workers.push(worker);
    return worker;
  };

  test('5,000 jobs are each done once, and their results are kept', async () => {
    const queue = newQueue();
    const producer = new Producer(place());
    const added = await producer.enqueue(
      queue.name,
      Array.from({ length: 5_000 }, (_, n) => ({ name: 'square', data: { n } })),
    );
    await producer.close();
    const seen: number[] = [];
    const startedMs = performance.now();
    work(queue, {
      concurrency: 50,
      handler: ({ data }) => {
        const { n } = data as { n: number };
        seen.push(n);
        return n * n;
      },
    });
    await eventually(async () => (await queue.stats()).totals.completed === 5_000, { timeoutMs: 20_000 });
    const tookMs = Math.round(performance.now() - startedMs);
    process.stderr.write(`5,000 jobs over ${door}: ${tookMs} ms\n`);
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
    const last = added.at(-1)!;
    expect(await queue.job((last as { id: string }).id)).toMatchObject({ state: 'completed', result: 4_999 ** 2 });
  });

  test('a failed attempt is tried again after its delay, a final one never', async () => {
    const queue = newQueue();
    const backoff = { type: 'fixed', delayMs: 50, jitter: 0 } as const;
    const again = await queue.enqueue({ name: 'again', backoff });
    const never = await queue.enqueue({ name: 'never', backoff });
    work(queue, {
      handler: ({ name, attempt }) => {
        if (name === 'never') throw Object.assign(new Error('no use'), { isFinal: true });
        if (attempt < 3) throw new Error('not yet');
        return attempt;
      },
    });
    expect(await queue.awaitEnd(again.id, { waitMs: 5_000 })).toMatchObject({ state: 'completed', result: 3 });
    expect(await queue.awaitEnd(never.id, { waitMs: 5_000 })).toMatchObject({ state: 'dead', attempt: 1 });
  });

  test('a remote cancel aborts the handler within a third of the lease', async () => {
    const queue = newQueue();
    const { id } = await queue.enqueue({ name: 'long' });
    let reason: unknown;
    const started = Promise.withResolvers<void>();
    work(queue, {
      leaseMs: 1_500,
      handler: ({ signal }) =>
        new Promise((_, reject) => {
          started.resolve();
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            reject(signal.reason);
          });
        }),
    });
    await started.promise;
    expect(await queue.cancel(id, { reason: 'withdrawn' })).toMatchObject({ state: 'leased' });
    expect(await queue.awaitEnd(id, { waitMs: 3_000 })).toMatchObject({ state: 'cancelled' });
    expect(reason).toMatchObject({ name: 'JobCancelled', message: 'withdrawn' });
  });

  test('progress and log lines are seen while the handler runs; a worker that stops is seen to', async () => {
    const queue = newQueue();
    const { id } = await queue.enqueue({ name: 'long' });
    const worker = work(queue, {
      beatMs: 200,
      handler: async ({ progress, log, signal }) => {
        progress({ percent: 40 });
        log('begun');
        await sleep(60_000, undefined, { signal });
      },
    });
    await eventually(async () => ((await queue.job(id)).progress as { percent: number } | undefined)?.percent === 40);
    expect((await queue.job(id)).log).toEqual(['begun']);
    const seen = await eventually(async () => {
      return (await client.queues.listWorkers({ queue: queue.name })).find((each) => each.used === 1) ?? false;
    });
    expect(seen).toMatchObject({ worker: worker.settings.worker, slots: 10, state: 'run' });
    await worker.stop({ deadlineMs: 50 });
    expect(await queue.job(id)).toMatchObject({ state: 'waiting', stalls: 0 });
  });
});

test('SIGTERM gives back what runs and what waits, at once and uncounted', async () => {
  const queue = newQueue();
  await queue.enqueueAll(Array.from({ length: 40 }, () => ({ name: 'long', data: { sleepMs: 60_000 } })));
  const running = await workElsewhere(queue, { concurrency: 5 });
  await eventually(async () => (await counts(queue)).leased >= 5);
  running.child.kill('SIGTERM');
  await running.waitForLine(/^stopped/, 3_000);
  expect(await counts(queue)).toMatchObject({ leased: 0, waiting: 40 });
  const { jobs } = await queue.jobs({ states: ['waiting'] }).page();
  expect(jobs.every(({ attempt, stalls }) => attempt <= 1 && stalls === 0)).toBe(true);
});

test('a handler that blocks its process for three leases keeps its job', async () => {
  const queue = newQueue();
  const { id } = await queue.enqueue({ name: 'block', data: { blockMs: 3_500 } });
  await workElsewhere(queue, { leaseMs: 1_000 });
  expect(await queue.awaitEnd(id, { waitMs: 10_000 })).toMatchObject({ state: 'completed', stalls: 0, attempt: 1 });
});

test('the jobs of a killed worker come back when its lease is over, and none is lost', async () => {
  const queue = newQueue();
  await queue.enqueueAll(Array.from({ length: 20 }, () => ({ name: 'nap', data: { sleepMs: 1_500 } })));
  const victim = await workElsewhere(queue, { concurrency: 10, leaseMs: 1_000 });
  await eventually(async () => (await counts(queue)).leased === 10);
  await victim.kill();
  const startedMs = performance.now();
  await workElsewhere(queue, { concurrency: 20, leaseMs: 1_000 });
  await eventually(async () => (await counts(queue)).completed === 20, { timeoutMs: 15_000 });
  process.stderr.write(`after SIGKILL all was done in ${Math.round(performance.now() - startedMs)} ms\n`);
  const { jobs } = await queue.jobs({ states: ['completed'] }).page();
  expect(jobs.filter(({ stalls }) => stalls === 1)).toHaveLength(10);
});

test('workers go on when the service was killed and came back', async () => {
  const queue = newQueue();
  await queue.enqueueAll(Array.from({ length: 300 }, () => ({ name: 'nap', data: { sleepMs: 20 } })));
  await workElsewhere(queue, { concurrency: 5, leaseMs: 2_000 });
  await eventually(async () => (await counts(queue)).completed > 20);
  await service.kill();
  await service.start();
  await eventually(async () => (await counts(queue)).completed === 300, { timeoutMs: 25_000 });
});
