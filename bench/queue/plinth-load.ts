/**
 * Producer and worker of ours in this process, the service in its own:
 *
 *     node plinth-load.ts <url of the service> <fast|standard> [url of NATS]
 *
 * With NATS both come by the bus. The worker lives as long as the run, as workers do: starting one means starting the
 * thread of its heartbeats. Between slots its queue is paused.
 */
import { workOff } from '../driver-main.ts';
import { Countdown, enqueueAll, Stopwatch } from './pace.ts';
import { openPlinthQueue } from './plinth-queue.ts';
import type { QueueEffort, QueueTask } from './task.ts';
import { BATCH, CONCURRENCY, dataOf, JOB_NAME, type JobData } from './workload.ts';

const [url, lane, natsUrl] = process.argv.slice(2) as [string, 'fast' | 'standard', string | undefined];
/** As many jobs at work as our opponents have. */
const SETTINGS = { concurrency: CONCURRENCY };
/** Requests of arrays under way: enough that the service never waits for its client. */
const ARRAYS_IN_FLIGHT = 4;
/** The last batch is settled a moment after its last handler. */
const SETTLED_WITHIN_MS = 5_000;

const queue = openPlinthQueue({ url, queue: `bench-${lane}-${process.pid}`, natsUrl });
await queue.define(lane);
await queue.pause();
let handle = (_: JobData): void => {};
await queue.work((data) => handle(data), SETTINGS);

type Enqueue = (jobs: { name: string; data: JobData }[]) => Promise<void>;
const enqueueBy = (enqueue: Enqueue) => (jobs: number) =>
  enqueueAll({ jobs, perCall: BATCH, inFlight: ARRAYS_IN_FLIGHT }, (first, count) =>
    enqueue(Array.from({ length: count }, (_, index) => ({ name: JOB_NAME, data: dataOf(first + index) }))),
  );
const post = enqueueBy(queue.post);
const enqueue = enqueueBy(queue.enqueue);

async function processAll({ jobs }: QueueTask, before: () => Promise<unknown>): Promise<QueueEffort> {
  const completedBefore = (await queue.stats()).totals.completed;
  const countdown = new Countdown(jobs);
  handle = countdown.count;
  const startedMs = performance.now();
  await before();
  await queue.resume();
  await countdown.done;
  const elapsedMs = performance.now() - startedMs;
  await untilCompleted(completedBefore + jobs);
  await queue.pause();
  return { jobs, elapsedMs };
}

/** A worker that has seen all jobs has not settled them: only a queue that says so is done. */
async function untilCompleted(jobs: number): Promise<void> {
  for (const deadlineMs = performance.now() + SETTLED_WITHIN_MS; ; ) {
    const { totals } = await queue.stats();
    if (totals.completed === jobs) return;
    if (performance.now() > deadlineMs) throw new Error(`of ${jobs} jobs ${totals.completed} are completed`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function latency({ seconds }: QueueTask): Promise<QueueEffort> {
  const stopwatch = new Stopwatch();
  handle = stopwatch.start;
  await queue.resume();
  return stopwatch
    .run(seconds, (number, at) => queue.enqueue([{ name: JOB_NAME, data: dataOf(number, at) }]))
    .finally(() => queue.pause());
}

async function timed({ jobs }: QueueTask, work: () => Promise<unknown>): Promise<QueueEffort> {
  const startedMs = performance.now();
  await work();
  return { jobs, elapsedMs: performance.now() - startedMs };
}

await workOff<QueueTask, QueueEffort>(async (task) => {
  switch (task.phase) {
    case 'process':
      return processAll(task, async () => {});
    case 'both':
      return processAll(task, () => enqueue(task.jobs));
    case 'latency':
      return latency(task);
    case 'clear':
      return timed(task, () => queue.empty());
    default:
      return timed(task, () => post(task.jobs));
  }
});
