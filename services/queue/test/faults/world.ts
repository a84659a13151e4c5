/** All that a fault test needs: a Redis and a service of its own, one queue, workers, and the books about them. */
import { expect } from '@jest/globals';
import type { JobInput, QueueInput, State } from '@plinth/contracts/queue';
import { eventually, startTestRedis, type TestEngine, tempDir } from '@plinth/testkit';
import { Fleet } from './fleet.ts';
import { countExecutions, readLedger } from './ledger.ts';
import { QueueApi } from './queue-api.ts';
import { QueueProcess } from './queue-process.ts';
import { tell } from './sizes.ts';

/** So that nothing that ended is forgotten before it is counted. */
const KEEP_ALL = { count: 1_000_000, ageMs: 3_600_000 } as const;
const PER_CALL = 100;
/** Of the tests that do not name one. */
const LANE = process.env.LANE === 'standard' ? 'standard' : 'fast';

export interface WorldOptions {
  appendFsync?: 'always' | 'everysec';
  lane?: 'fast' | 'standard';
  /** Beside the retention. */
  settings?: QueueInput;
  leaseMs?: number;
  concurrency?: number;
}

export class World {
  readonly redis: TestEngine;
  readonly service: QueueProcess;
  readonly api: QueueApi;
  readonly ledgerDir = tempDir('queue-ledger');
  readonly concurrency: number;
  readonly leaseMs: number;
  /** Jobs that the queue has taken. */
  enqueued = 0;

  private constructor(redis: TestEngine, service: QueueProcess, options: WorldOptions) {
    this.redis = redis;
    this.service = service;
    this.api = new QueueApi(service.url, 'work');
    this.concurrency = options.concurrency ?? 20;
    this.leaseMs = options.leaseMs ?? 2_000;
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const redis = await startTestRedis({ appendFsync: options.appendFsync ?? 'everysec' });
    const service = await QueueProcess.start({ REDIS_URL: redis.url });
    const world = new World(redis, service, options);
    const { defaults, ...settings } = options.settings ?? {};
    await world.api.define({ lane: options.lane ?? LANE, ...settings, defaults: { retain: KEEP_ALL, ...defaults } });
    return world;
  }

  startFleet(size: number, leaseMs = this.leaseMs): Promise<Fleet> {
    const { ledgerDir, concurrency, api } = this;
    return Fleet.start({ url: api.url, queue: api.queue, ledgerDir, concurrency, leaseMs }, size);
  }

  /** Enqueues jobs, each surely and once, in arrays. @param jobOf - What to add to a job. */
  async enqueue(jobs: number, jobOf: (number: number) => Partial<JobInput> & { tookMs?: number }): Promise<void> {
    const end = this.enqueued + jobs;
    while (this.enqueued < end) {
      const first = this.enqueued;
      const batch = Array.from({ length: Math.min(PER_CALL, end - first) }, (_, index): JobInput => {
        const number = first + index;
        const { tookMs = 0, ...more } = jobOf(number);
        // Outlives the job, so that a repeat that comes late does not run it again.
        const dedup = { id: `job-${number}`, mode: 'throttle', ttlMs: 3_600_000 } as const;
        return { name: 'work', data: { number, tookMs }, dedup, ...more };
      });
      await this.api.enqueueSurely(batch);
      this.enqueued += batch.length;
    }
  }

  /** Waits until so many jobs have ended in whatever way. */
  async untilEnded(jobs: number, timeoutMs: number): Promise<void> {
    await eventually(
      async () => {
        const { counts } = await this.api.stats();
        expect(counts.completed + counts.dead + counts.cancelled).toBe(jobs);
      },
      { timeoutMs, intervalMs: 100 },
    );
  }

  /** Waits until so many are completed, of which some may be forgotten by now. */
  async untilCompleted(jobs: number, timeoutMs: number): Promise<void> {
    const areDone = async () => expect((await this.api.stats()).totals.completed).toBe(jobs);
    await eventually(areDone, { timeoutMs, intervalMs: 50 });
  }

  /**
   * Every job is in exactly one state, and none is missing: enqueued is the sum of all states.
   * @returns How many are in each.
   */
  async assertWhole(): Promise<Record<State, number>> {
    const byState = await this.api.idsByState();
    const all = [...byState.values()].flat();
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBe(this.enqueued);
    const { counts, totals } = await this.api.stats();
    expect(totals.enqueued).toBe(this.enqueued);
    for (const [state, ids] of byState) expect({ state, count: counts[state] }).toEqual({ state, count: ids.length });
    return counts;
  }

  /** What the workers' books say of all jobs. Prints it. @throws when one was lost, or too many ran twice. */
  assertExecuted(what: string, { kills, more = {} }: { kills: number; more?: Record<string, number | string> }): void {
    const { lost, duplicates } = countExecutions(readLedger(this.ledgerDir), this.enqueued);
    const duplicatesMax = kills * this.concurrency;
    tell(what, { jobs: this.enqueued, lost: lost.length, duplicates, 'of at most': duplicatesMax, kills, ...more });
    expect(lost).toEqual([]);
    expect(duplicates).toBeLessThanOrEqual(duplicatesMax);
  }
}
