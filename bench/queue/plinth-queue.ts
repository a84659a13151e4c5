/** One queue of ours, as a driver sees it: by the SDK's producer and worker at their defaults. */
import { Producer, Worker } from '@plinth/worker';
import type { JobData } from './workload.ts';

/** Where the queue is. */
export interface QueuePlace {
  /** Of the service. */
  url: string;
  queue: string;
  /** Jobs and workers come by the bus instead of HTTP. */
  natsUrl?: string | undefined;
}

export interface PlinthQueue {
  /** Makes the queue. */
  define(lane: 'fast' | 'standard'): Promise<void>;
  /** By the SDK's producer. @throws Error unless each job was taken. */
  enqueue(jobs: readonly { name: string; data: unknown }[]): Promise<void>;
  /** As anybody could, without the key that makes a repeat harmless. @throws Error unless each job was taken. */
  post(jobs: readonly { name: string; data: unknown }[]): Promise<void>;
  /** A worker, until it is stopped. */
  work(
    handle: (data: JobData) => void | Promise<void>,
    options: { concurrency?: number; prefetch?: number },
  ): Promise<{ stop(): Promise<void> }>;
  /** Jobs are given to nobody, until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Forgets what waits and what has ended. */
  empty(): Promise<void>;
  stats(): Promise<{ counts: { waiting: number; leased: number }; totals: { completed: number } }>;
  remove(): Promise<void>;
}

export function openPlinthQueue({ url, queue, natsUrl }: QueuePlace): PlinthQueue {
  const base = `${url}/v1/queues/${queue}`;
  const where = natsUrl === undefined ? { url } : { nats: { url: natsUrl } };
  const producer = new Producer(where);
  return {
    async define(lane) {
      await answerOf(base, 'PUT', { lane });
    },
    async enqueue(jobs) {
      assertTaken(await producer.enqueue(queue, jobs));
    },
    async post(jobs) {
      assertTaken(((await answerOf(`${base}/jobs`, 'POST', jobs)) as { jobs: object[] }).jobs);
    },
    async work(handle, options) {
      const worker = new Worker({ ...where, ...options, queue, handler: ({ data }) => handle(data as JobData) });
      return { stop: () => worker.stop() };
    },
    async pause() {
      await answerOf(`${base}:pause`, 'POST', {});
    },
    async resume() {
      await answerOf(`${base}:resume`, 'POST', {});
    },
    async empty() {
      await answerOf(`${base}:drain`, 'POST', { scheduled: true });
      await answerOf(`${base}:purge`, 'POST', { states: ['completed'] });
    },
    stats: async () => (await answerOf(`${base}/stats`, 'GET')) as Awaited<ReturnType<PlinthQueue['stats']>>,
    async remove() {
      await answerOf(`${base}?force=true`, 'DELETE');
    },
  };
}

function assertTaken(added: readonly object[]): void {
  const refused = added.find((each) => !('id' in each));
  if (refused !== undefined) throw new Error(`a job was refused: ${JSON.stringify(refused)}`);
}

async function answerOf(url: string, method: string, body?: unknown): Promise<unknown> {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const response = await fetch(url, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${text.slice(0, 300)}`);
  return text === '' ? undefined : JSON.parse(text);
}
