/** Live figures of one queue, as this replica sees them: rates, waits, and what went wrong. */
import { Histogram, type Percentiles } from './histogram.ts';
import type { LeasedJob, Settlement } from './job.ts';
import { RateMeter } from './rate-meter.ts';

/** Calls whose settlements are remembered, to tell a second ack from a lease that was lost. */
const CALLS_REMEMBERED = 64;

export const COUNTED = [
  'enqueued',
  'leased',
  'completed',
  'failed',
  'dead',
  'cancelled',
  'stalled',
  'released',
  'leasesLost',
  'duplicateAcks',
  'emptyLeases',
] as const;
export type Counted = (typeof COUNTED)[number];

export interface Figures {
  /** A second, over the last ten. */
  readonly rates: {
    readonly enqueued: number;
    readonly leased: number;
    readonly completed: number;
    readonly failed: number;
  };
  readonly waitMs: Percentiles;
  readonly processMs: Percentiles;
  readonly latenessMs: Percentiles;
  readonly counts: Readonly<Record<Counted, number>>;
  /** Milliseconds since 1970; undefined: nobody has asked this replica for jobs of this queue. */
  readonly lastLeaseAskAtMs: number | undefined;
}

export class QueueFigures {
  /** From when a job could first have been leased until it was. */
  readonly wait = new Histogram();
  /** From its lease until it was settled, where the lane tells. */
  readonly process = new Histogram();
  /** Of jobs with a time of their own: how late they were made ready. */
  readonly lateness = new Histogram();
  readonly counts = Object.fromEntries(COUNTED.map((name) => [name, 0])) as Record<Counted, number>;
  lastLeaseAskAtMs: number | undefined;
  /** Of anything that was counted here. */
  lastActiveAtMs = 0;
  readonly #rates = {
    enqueued: new RateMeter(),
    leased: new RateMeter(),
    completed: new RateMeter(),
    failed: new RateMeter(),
  };
  /** Tokens of the latest calls, in a ring: looked through only when one is refused. */
  readonly #settled: string[][] = [];
  #settledCalls = 0;

  count(name: Counted, nowMs: number, by = 1): void {
    if (by === 0) return;
    this.counts[name] += by;
    this.lastActiveAtMs = nowMs;
    if (name in this.#rates) this.#rates[name as keyof Figures['rates']].add(nowMs, by);
  }

  leased(jobs: readonly LeasedJob[], nowMs: number): void {
    this.lastLeaseAskAtMs = nowMs;
    if (jobs.length === 0) {
      this.counts.emptyLeases += 1;
      return;
    }
    this.count('leased', nowMs, jobs.length);
    for (const { dueAtMs } of jobs) this.wait.record(nowMs - dueAtMs);
  }

  /** These were settled, or refused. */
  settled(settlements: readonly Settlement[]): void {
    this.#settled[this.#settledCalls++ % CALLS_REMEMBERED] = settlements.map(({ token }) => token);
  }

  /** A word came for a lease that is not (any more). Tell of it before `settled`. */
  refused(token: string, nowMs: number): void {
    const isSecond = this.#settled.some((tokens) => tokens.includes(token));
    this.count(isSecond ? 'duplicateAcks' : 'leasesLost', nowMs);
  }

  snapshot(nowMs: number): Figures {
    const { enqueued, leased, completed, failed } = this.#rates;
    return {
      rates: {
        enqueued: enqueued.perSecond(nowMs),
        leased: leased.perSecond(nowMs),
        completed: completed.perSecond(nowMs),
        failed: failed.perSecond(nowMs),
      },
      waitMs: this.wait.percentiles(),
      processMs: this.process.percentiles(),
      latenessMs: this.lateness.percentiles(),
      counts: { ...this.counts },
      lastLeaseAskAtMs: this.lastLeaseAskAtMs,
    };
  }
}
