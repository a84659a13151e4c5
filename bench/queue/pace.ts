/** What the drivers in Node share: calls under way at once, and jobs at an even pace. */
import { setTimeout as sleep } from 'node:timers/promises';
import { percentiles } from '../driver-main.ts';
import { IDLE_JOBS_PER_SECOND, type JobData } from './workload.ts';

/** Has all numbers below `jobs` enqueued, in calls of `perCall`, so many calls at once. */
export async function enqueueAll(
  { jobs, perCall, inFlight }: { jobs: number; perCall: number; inFlight: number },
  call: (first: number, count: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < jobs) {
      const first = next;
      next = Math.min(jobs, next + perCall);
      await call(first, next - first);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

/** Counts down to the last job. */
export class Countdown {
  readonly done: Promise<void>;
  #left: number;
  #resolve: () => void = () => {};

  constructor(jobs: number) {
    this.#left = jobs;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  readonly count = (): void => {
    if (--this.#left === 0) this.#resolve();
  };
}

/** How long jobs took from their producer to their handler, in one process and by one clock. */
export class Stopwatch {
  readonly #tookMs: number[] = [];

  readonly start = (data: JobData): void => {
    this.#tookMs.push(performance.now() - data.at);
  };

  get count(): number {
    return this.#tookMs.length;
  }

  /** Enqueues at an even pace, waits for the last job, and sums up. @throws Error when jobs do not come. */
  async run(seconds: number, enqueue: (number: number, at: number) => Promise<unknown>) {
    const startedMs = performance.now();
    const jobs = seconds * IDLE_JOBS_PER_SECOND;
    const calls: Promise<unknown>[] = [];
    for (let number = 0; number < jobs; number++) {
      const dueMs = startedMs + (number * 1_000) / IDLE_JOBS_PER_SECOND;
      await sleep(Math.max(0, dueMs - performance.now()));
      calls.push(enqueue(number, performance.now()));
    }
    await Promise.all(calls);
    for (let waitedMs = 0; this.count < jobs; waitedMs += 10) {
      if (waitedMs > 20_000) throw new Error(`of ${jobs} jobs only ${this.count} came`);
      await sleep(10);
    }
    return { jobs, elapsedMs: performance.now() - startedMs, ...percentiles(this.#tookMs) };
  }
}
