/**
 * Raw BullMQ, producer and worker in this process, as its users run it:
 *
 *     node bullmq-load.ts <url of its Redis>
 *
 * What has ended is kept as ours keeps it by default, 1,000 jobs; otherwise everything is at its default.
 */
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { workOff } from '../driver-main.ts';
import { Countdown, enqueueAll, Stopwatch } from './pace.ts';
import type { QueueEffort, QueueTask } from './task.ts';
import { BULK, CONCURRENCY, dataOf, JOB_NAME, type JobData } from './workload.ts';

const url = new URL(process.argv[2]!);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const admin = new Redis(connection);
const queue = new Queue<JobData>('bench', {
  connection,
  defaultJobOptions: { removeOnComplete: { count: 1_000 } },
});
await queue.waitUntilReady();

const add = (number: number, at?: number) => queue.add(JOB_NAME, dataOf(number, at));
const addBulk = (first: number, count: number) =>
  queue.addBulk(Array.from({ length: count }, (_, index) => ({ name: JOB_NAME, data: dataOf(first + index) })));

/** A worker that is connected, but has not begun. */
async function workerOf(handle: (data: JobData) => void): Promise<Worker<JobData>> {
  const worker = new Worker<JobData>('bench', async ({ data }) => handle(data), {
    connection,
    concurrency: CONCURRENCY,
    autorun: false,
  });
  await worker.waitUntilReady();
  return worker;
}

async function timed({ jobs }: QueueTask, work: () => Promise<unknown>): Promise<QueueEffort> {
  const startedMs = performance.now();
  await work();
  return { jobs, elapsedMs: performance.now() - startedMs };
}

async function processAll(task: QueueTask, before: () => Promise<unknown> = async () => {}): Promise<QueueEffort> {
  const countdown = new Countdown(task.jobs);
  const worker = await workerOf(() => {});
  worker.on('completed', countdown.count);
  const effort = await timed(task, async () => {
    await before();
    void worker.run();
    await countdown.done;
  });
  await worker.close();
  return effort;
}

const oneByOne = ({ jobs }: QueueTask) => enqueueAll({ jobs, perCall: 1, inFlight: CONCURRENCY }, add);
const inBulk = ({ jobs }: QueueTask) => enqueueAll({ jobs, perCall: BULK, inFlight: 1 }, addBulk);

await workOff<QueueTask, QueueEffort>(async (task) => {
  switch (task.phase) {
    case 'enqueue':
      return timed(task, () => oneByOne(task));
    case 'fill':
    case 'bulk':
      return timed(task, () => inBulk(task));
    case 'process':
      return processAll(task);
    case 'both':
      return processAll(task, () => oneByOne(task));
    case 'latency': {
      const stopwatch = new Stopwatch();
      const worker = await workerOf(stopwatch.start);
      void worker.run();
      return stopwatch.run(task.seconds, add).finally(() => worker.close());
    }
    case 'clear':
      return timed(task, () => admin.flushall());
  }
});
