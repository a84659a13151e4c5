/**
 * Jobs that are enqueued and worked off while pods come and go. What was acknowledged and what was executed is counted on
 * this side, by a number in each job, so nobody who is killed can hide a job or an execution.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@plinth/client';
import type { StatsAnswer } from '@plinth/contracts/queue';
import { Worker } from '@plinth/worker';

const PRODUCERS = 4;
const JOBS_PER_CALL = 5;
/** Of a producer between two calls: steady, not as fast as it can. */
const PAUSE_MS = 40;
/** How long one call is retried before it counts as failed. */
const PATIENCE_MS = 120_000;
const RETRY_MS = 50;
const TIMEOUT_MS = 10_000;
const JOB_MS_MAX = 20;
const WORKERS = 2;
const CONCURRENCY = 8;

/** Jobs that can be at work at a moment: what one kill may have done twice, at the most. */
export const AT_WORK_MAX = WORKERS * CONCURRENCY;

export interface QueueLoadOptions {
  url: string;
  /** An API key. */
  key: string;
  /** Of this run alone. */
  queue: string;
  /** How long a job stays with a worker that says nothing. */
  leaseMs: number;
}

export interface QueueLoadReport {
  /** Acknowledged by the service. */
  enqueued: number;
  executed: number;
  /** Acknowledged, and executed by nobody. */
  lost: number;
  /** Executions beyond the first of a job. */
  duplicates: number;
  /** Calls of producers that were retried, by reason. */
  retried: Record<string, number>;
  failed: string[];
  /** The longest that a producer waited for an answer, retries included. */
  waitMsMax: number;
  /** The longest time without an execution, while jobs were enqueued. */
  idleMsMax: number;
  /** What the workers were told besides: `lost`, `undelivered`, `failed`. */
  told: Record<string, number>;
  stats: StatsAnswer;
}

export class QueueLoad {
  readonly #options: QueueLoadOptions;
  readonly #accepted = new Set<number>();
  readonly #executions = new Map<number, number>();
  readonly #retried: Record<string, number> = {};
  readonly #told: Record<string, number> = {};
  readonly #failed: string[] = [];
  #workers: Worker[] = [];
  #producers: Promise<void>[] = [];
  #isStopping = false;
  #next = 0;
  #waitMsMax = 0;
  #idleMsMax = 0;
  #executedAtMs = 0;
  /** The greatest number that was executed. */
  #latest = -1;
  #trouble = '';

  constructor(options: QueueLoadOptions) {
    this.#options = options;
  }

  start(): this {
    this.#executedAtMs = performance.now();
    this.#workers = Array.from({ length: WORKERS }, () => this.#worker());
    this.#producers = Array.from({ length: PRODUCERS }, () => this.#produce());
    return this;
  }

  /** Resolves when jobs that are enqueued from now on are executed. @throws Error with the latest trouble, when none is. */
  async flows(): Promise<void> {
    const from = this.#next;
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (this.#latest < from) {
      if (performance.now() > deadlineMs) throw new Error(`no job is executed any more: ${this.#trouble}`);
      await sleep(50);
    }
  }

  /** Enqueues no more, has all that was enqueued worked off, then ends. */
  async stop(): Promise<QueueLoadReport> {
    this.#isStopping = true;
    await Promise.all(this.#producers);
    const deadlineMs = performance.now() + this.#options.leaseMs + 60_000;
    while (this.#lost() > 0 && performance.now() < deadlineMs) await sleep(100);
    await Promise.all(this.#workers.map((worker) => worker.stop({ deadlineMs: 10_000 })));
    const executed = [...this.#executions.values()].reduce((sum, times) => sum + times, 0);
    return {
      enqueued: this.#accepted.size,
      executed,
      lost: this.#lost(),
      duplicates: executed - this.#executions.size,
      retried: this.#retried,
      failed: this.#failed,
      waitMsMax: this.#waitMsMax,
      idleMsMax: this.#idleMsMax,
      told: this.#told,
      stats: await this.#settledStats(),
    };
  }

  #lost(): number {
    return [...this.#accepted].filter((number) => !this.#executions.has(number)).length;
  }

  #worker(): Worker {
    const { url, key: apiKey, queue, leaseMs } = this.#options;
    return new Worker<{ number: number }>({
      client: createClient({ url, apiKey }),
      queue,
      concurrency: CONCURRENCY,
      leaseMs,
      handler: async ({ data: { number } }) => {
        await sleep(Math.random() * JOB_MS_MAX);
        this.#executions.set(number, (this.#executions.get(number) ?? 0) + 1);
        this.#latest = Math.max(this.#latest, number);
        this.#executed();
      },
      onEvent: (event) => {
        const { type } = event;
        if (['lost', 'undelivered', 'failed'].includes(type)) this.#told[type] = (this.#told[type] ?? 0) + 1;
        if (type === 'trouble') this.#trouble = JSON.stringify(event);
      },
    });
  }

  #executed(): void {
    const nowMs = performance.now();
    if (!this.#isStopping) this.#idleMsMax = Math.max(this.#idleMsMax, nowMs - this.#executedAtMs);
    this.#executedAtMs = nowMs;
  }

  async #produce(): Promise<void> {
    while (!this.#isStopping) {
      const numbers = Array.from({ length: JOBS_PER_CALL }, () => this.#next++);
      const startedMs = performance.now();
      if (await this.#insist(numbers, startedMs + PATIENCE_MS))
        for (const number of numbers) this.#accepted.add(number);
      this.#waitMsMax = Math.max(this.#waitMsMax, performance.now() - startedMs);
      await sleep(PAUSE_MS);
    }
  }

  /** Each call has an idempotency key, so its repeat enqueues nothing twice. */
  async #insist(numbers: readonly number[], deadlineMs: number): Promise<boolean> {
    for (;;) {
      const outcome = await this.#try(numbers);
      if (outcome === true) return true;
      const isFinal = typeof outcome === 'number' && outcome < 500;
      if (isFinal || performance.now() > deadlineMs) {
        this.#failed.push(`${numbers[0]}…: ${outcome}`);
        return false;
      }
      this.#retried[outcome] = (this.#retried[outcome] ?? 0) + 1;
      await sleep(RETRY_MS);
    }
  }

  /** True when all were taken; else the status, or why there was none. */
  async #try(numbers: readonly number[]): Promise<true | number | string> {
    const { url, key, queue } = this.#options;
    try {
      const response = await fetch(`${url}/v1/queues/${queue}/jobs`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${key}`,
          'idempotency-key': `${queue}-${numbers[0]}`,
        },
        body: JSON.stringify(numbers.map((number) => ({ name: 'load', data: { number } }))),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.status !== 200) {
        await response.arrayBuffer();
        return response.status;
      }
      const { jobs } = (await response.json()) as { jobs: { id?: string; problem?: { code: string } }[] };
      return jobs.find(({ problem }) => problem !== undefined)?.problem?.code ?? true;
    } catch (error) {
      const { cause, name } = error as Error & { cause?: { code?: string } };
      return cause?.code ?? name;
    }
  }

  /** When no lease is out any more. */
  async #settledStats(): Promise<StatsAnswer> {
    const { url, key: apiKey, queue, leaseMs } = this.#options;
    const client = createClient({ url, apiKey });
    const deadlineMs = performance.now() + leaseMs + 10_000;
    for (;;) {
      const stats = await client.queues.queue(queue).stats();
      if (stats.load === 0 || performance.now() > deadlineMs) return stats;
      await sleep(200);
    }
  }
}

/** For the log of a run: what happened, in a line. */
export function summary(report: QueueLoadReport): string {
  const list = (counts: Record<string, number>) =>
    Object.entries(counts)
      .map(([kind, count]) => `${count} × ${kind}`)
      .join(', ') || 'none';
  const { totals } = report.stats;
  return [
    `${report.enqueued} enqueued, ${report.executed} executed, ${report.lost} lost, ${report.duplicates} twice`,
    `${report.failed.length} calls failed, retried ${list(report.retried)}`,
    `longest wait of a producer ${report.waitMsMax.toFixed(0)} ms, longest time without work ${report.idleMsMax.toFixed(0)} ms`,
    `workers were told: ${list(report.told)}; stalled ${totals.stalled}`,
  ].join('; ');
}
