/**
 * Enqueues jobs, many callers at a time: while a call is under way, the jobs that come are gathered, and go with the
 * next. A caller that is alone waits for nobody.
 */
import { context, propagation } from '@opentelemetry/api';
import { type AddedItem, type Client, createClient } from '@plinth/client';
import type { AddedAnswer, JobInput } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { Connection } from './settings.ts';

export type ProducerOptions = Connection & {
  /** Calls under way at a time for one queue. Default 2: one travels while the service works on the other. */
  callsMax?: number;
  /** Jobs that wait to be sent, over all queues; beyond: Problem `overloaded`. Default 100,000. */
  waitingMax?: number;
};

/** One job as it was taken, or why it was not. */
export type Enqueued = AddedAnswer | { problem: Problem };

interface Waiting {
  jobs: readonly JobInput[];
  resolve(added: Enqueued[]): void;
  reject(error: unknown): void;
}

/** Calls of one queue within one trace: the trace is that of a call, so jobs of two traces do not share one. */
interface Lane {
  waiting: Waiting[];
  calls: number;
  send(jobs: readonly JobInput[]): Promise<AddedItem[]>;
}

const JOBS_PER_CALL_MAX = 1_000;
/** Well below what the service and NATS take in a message; a job that is larger goes alone. */
const CALL_BYTES_MAX = 512 * 1_024;

/** Enqueues jobs with an idempotency key made for each call, so that a repeat after a lost answer enqueues once. */
export class Producer {
  readonly #client: Client;
  readonly #isOwner: boolean;
  readonly #callsMax: number;
  readonly #waitingMax: number;
  readonly #lanes = new Map<string, Lane>();
  #waitingCount = 0;

  constructor(options: ProducerOptions) {
    this.#isOwner = options.client === undefined;
    this.#client = options.client ?? createClient(options);
    this.#callsMax = options.callsMax ?? 2;
    this.#waitingMax = options.waitingMax ?? 100_000;
  }

  /** One job. @throws Problem `payload_too_large`, `schema_mismatch`, `queue_full`, `outcome_unknown`, and others. */
  enqueue(queue: string, job: JobInput): Promise<AddedAnswer>;
  /** Any number, in calls of up to 1,000. @returns In their order; a bad one harms no other. */
  enqueue(queue: string, jobs: readonly JobInput[]): Promise<Enqueued[]>;
  async enqueue(queue: string, given: JobInput | readonly JobInput[]): Promise<AddedAnswer | Enqueued[]> {
    if (Array.isArray(given)) return this.#enqueueAll(queue, given as readonly JobInput[]);
    const [added] = await this.#gather(queue, [given as JobInput]);
    if ('problem' in added!) throw added.problem;
    return added!;
  }

  /** Resolves when all that was enqueued is answered. */
  async close(): Promise<void> {
    while (this.#waitingCount > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    if (this.#isOwner) await this.#client.close();
  }

  async #enqueueAll(queue: string, jobs: readonly JobInput[]): Promise<Enqueued[]> {
    const parts = partsOf(jobs);
    // A part that failed as a whole is told of each of its jobs: the other parts may have been taken.
    const settled = await Promise.allSettled(parts.map((part) => this.#gather(queue, part)));
    return settled.flatMap((outcome, at) => {
      if (outcome.status === 'fulfilled') return outcome.value;
      if (!(outcome.reason instanceof Problem)) throw outcome.reason;
      return parts[at]!.map(() => ({ problem: outcome.reason as Problem }));
    });
  }

  #gather(queue: string, jobs: readonly JobInput[]): Promise<Enqueued[]> {
    if (this.#waitingCount + jobs.length > this.#waitingMax) {
      return Promise.reject(new Problem('overloaded', `${this.#waitingCount} jobs wait to be sent already`));
    }
    this.#waitingCount += jobs.length;
    const [key, lane] = this.#laneOf(queue);
    const { promise, resolve, reject } = Promise.withResolvers<Enqueued[]>();
    lane.waiting.push({ jobs, resolve, reject });
    // Those that are enqueued in the same breath go together.
    if (lane.waiting.length === 1) queueMicrotask(() => this.#pump(key, lane));
    return promise.finally(() => {
      this.#waitingCount -= jobs.length;
    });
  }

  #laneOf(queue: string): [string, Lane] {
    const headers: Record<string, string> = {};
    propagation.inject(context.active(), headers);
    const key = `${queue} ${headers.traceparent ?? ''}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      const active = context.active();
      const target = this.#client.queues.queue(queue);
      lane = { waiting: [], calls: 0, send: (jobs) => context.with(active, () => target.enqueueAll(jobs)) };
      this.#lanes.set(key, lane);
    }
    return [key, lane];
  }

  #pump(key: string, lane: Lane): void {
    while (lane.calls < this.#callsMax && lane.waiting.length > 0) void this.#send(key, lane, takeCall(lane));
    if (lane.calls === 0 && lane.waiting.length === 0) this.#lanes.delete(key);
  }

  async #send(key: string, lane: Lane, taken: readonly Waiting[]): Promise<void> {
    lane.calls++;
    try {
      const added = await lane.send(taken.flatMap(({ jobs }) => jobs));
      let at = 0;
      for (const { jobs, resolve } of taken) {
        resolve(added.slice(at, at + jobs.length).map(enqueuedOf));
        at += jobs.length;
      }
    } catch (error) {
      for (const { reject } of taken) reject(error);
    }
    lane.calls--;
    this.#pump(key, lane);
  }
}

function enqueuedOf(item: AddedItem): Enqueued {
  return 'problem' in item ? { problem: Problem.fromBody(item.problem) } : item;
}

/** As many of the waiting as fit into one call, and at least one. */
function takeCall(lane: Lane): Waiting[] {
  let jobs = 0;
  let bytes = 0;
  let count = 0;
  for (const waiting of lane.waiting) {
    jobs += waiting.jobs.length;
    bytes += waiting.jobs.reduce((sum, job) => sum + bytesOf(job), 0);
    if (count > 0 && (jobs > JOBS_PER_CALL_MAX || bytes > CALL_BYTES_MAX)) break;
    count++;
  }
  return lane.waiting.splice(0, count);
}

function partsOf(jobs: readonly JobInput[]): JobInput[][] {
  const parts: JobInput[][] = [];
  let bytes = Infinity;
  for (const job of jobs) {
    const size = bytesOf(job);
    bytes += size;
    if (bytes > CALL_BYTES_MAX || parts.at(-1)!.length === JOBS_PER_CALL_MAX) {
      parts.push([]);
      bytes = size;
    }
    parts.at(-1)!.push(job);
  }
  return parts;
}

/** About: by the characters of the JSON of its data. What has none, the call itself will refuse. */
function bytesOf({ data }: JobInput): number {
  if (data === undefined || data === null || typeof data === 'number' || typeof data === 'boolean') return 64;
  try {
    return 64 + (JSON.stringify(data)?.length ?? 0);
  } catch {
    return 64;
  }
}
