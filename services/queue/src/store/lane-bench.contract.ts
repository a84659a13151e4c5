/** What the tests of the battery work with: two replicas of one lane, a fresh queue for each test, short words. */
import { expect, test } from '@jest/globals';
import { JOB_STATES, type JobState, type JobView, type LeasedJob, type NewJob, type Settled } from '../core/job.ts';
import type { FlowNode, GroupLimits, JobFilter, Lane, QueueLimits } from './lane.ts';

/**
 * Promises that a lane may be excused from because the engine below cannot keep them; each is documented where it is
 * used. Everything else holds for every lane.
 */
export type Excuse =
  /** A debounced job gets a new id with each enqueue; only the last one is the job that runs. */
  | 'debounce-id'
  /** A burst that was saved up is not given: the rate is counted in windows. */
  | 'burst'
  /** A parent that still waits, waits again for a child that was redriven, and takes it along when it dies. */
  | 'redriven-child';

export const MINUTE_MS = 60_000;
/** So long that no test outlives it. */
export const LONG_MS = 10 * MINUTE_MS;
/** So short that tests can wait for its end, and so long that a lease is still there at the next call. */
export const SHORT_MS = 150;

export const NO_LIMITS: QueueLimits = { jobsMax: 0, concurrency: 0, ratePerSecond: 0, burst: 0, maxStalls: 5 };
export const EVEN_GROUPS: GroupLimits = { weight: 1, concurrency: 0, ratePerSecond: 0, burst: 0 };

/** A job with the defaults of the service, without jitter. */
export function newJob(wish: Partial<NewJob> = {}): NewJob {
  return {
    name: 'test',
    data: '{}',
    runAtMs: 0,
    priority: 0,
    attempts: 5,
    backoff: { type: 'exponential', delayMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: 0 },
    timeoutMs: 0,
    expiresAtMs: 0,
    dedup: undefined,
    group: '',
    tags: [],
    retain: { count: 1_000, ageMs: 3_600_000 },
    callbackUrl: undefined,
    failureCallbackUrl: undefined,
    resultTo: undefined,
    traceparent: undefined,
    tracestate: undefined,
    ...wish,
  };
}

/** A node of a flow; without children a leaf. */
export const flowOf = (
  wish: Partial<NewJob>,
  children: readonly FlowNode[] = [],
  onFailure: FlowNode['onFailure'] = 'fail-parent',
): FlowNode => ({ job: newJob(wish), children, onFailure });

/** So many jobs whose names are `<prefix>0`, `<prefix>1` … */
export const named = (count: number, prefix: string, wish: Partial<NewJob> = {}): Partial<NewJob>[] =>
  Array.from({ length: count }, (_, at) => ({ ...wish, name: `${prefix}${at}` }));

export const namesOf = (jobs: readonly { name: string }[]): string[] => jobs.map(({ name }) => name);
export const idsOf = (jobs: readonly { id: string }[]): string[] => jobs.map(({ id }) => id);

/** What a settlement or renewal came to: the new state, or why it was refused. */
export const outcomesOf = (settled: readonly Settled[]): string[] =>
  settled.map((one) => ('refused' in one ? one.refused : one.state));

export class LaneBench {
  readonly #excuses: ReadonlySet<Excuse>;
  #lane: Lane | undefined;
  #other: Lane | undefined;
  #queues = 0;

  constructor(excuses: readonly Excuse[]) {
    this.#excuses = new Set(excuses);
  }

  async use(open: () => Promise<Lane>): Promise<void> {
    this.#lane = await open();
    this.#other = await open();
  }

  async stop(): Promise<void> {
    await this.#other?.stop();
    await this.#lane?.stop();
  }

  get lane(): Lane {
    return this.#lane!;
  }

  /** Another replica on the same store. */
  get other(): Lane {
    return this.#other!;
  }

  /** A test that a lane with this excuse leaves out. */
  unless(excuse: Excuse): typeof test.skip {
    return this.isExcused(excuse) ? test.skip : (test as unknown as typeof test.skip);
  }

  isExcused(excuse: Excuse): boolean {
    return this.#excuses.has(excuse);
  }

  /** A queue that is new. */
  async queue(limits: Partial<QueueLimits> = {}, groups: Partial<GroupLimits> = {}): Promise<string> {
    this.#queues += 1;
    const queue = `battery-${this.#queues}`;
    await this.lane.configure(queue, { ...NO_LIMITS, ...limits }, { ...EVEN_GROUPS, ...groups });
    return queue;
  }

  /** @returns Their ids; all have been taken. */
  async add(queue: string, ...wishes: Partial<NewJob>[]): Promise<string[]> {
    const added = await this.lane.add(queue, wishes.map(newJob));
    return added.map((one) => {
      if ('refused' in one) throw new Error(`a job was refused: ${one.refused}`);
      return one.id;
    });
  }

  /** Leases until it has so many or nothing comes. */
  async lease(queue: string, max: number, leaseMs = LONG_MS, lane = this.lane): Promise<LeasedJob[]> {
    const jobs: LeasedJob[] = [];
    while (jobs.length < max) {
      const answer = await lane.lease(queue, { max: max - jobs.length, leaseMs, worker: 'tester' });
      if (answer.jobs.length === 0) break;
      jobs.push(...answer.jobs);
    }
    return jobs;
  }

  async leaseOne(queue: string, leaseMs = LONG_MS): Promise<LeasedJob> {
    const [job] = await this.lease(queue, 1, leaseMs);
    if (job === undefined) throw new Error(`nothing could be leased from ${queue}`);
    return job;
  }

  async ack(queue: string, ...jobs: readonly { id: string; token: string }[]): Promise<string[]> {
    const settlements = jobs.map(({ id, token }) => ({ id, token, kind: 'ack' as const, result: undefined }));
    return outcomesOf(await this.lane.settle(queue, settlements));
  }

  /** Fails one job. */
  async fail(
    queue: string,
    { id, token }: { id: string; token: string },
    how: { retryAfterMs?: number; isFinal?: boolean; message?: string } = {},
  ): Promise<Settled> {
    const error = { type: 'Error', message: how.message ?? 'it broke', stack: undefined };
    const kind = 'fail' as const;
    const { retryAfterMs, isFinal = false } = how;
    const [settled] = await this.lane.settle(queue, [{ id, token, kind, error, retryAfterMs, isFinal }]);
    return settled!;
  }

  async release(queue: string, ...jobs: readonly { id: string; token: string }[]): Promise<string[]> {
    const settlements = jobs.map(({ id, token }) => ({ id, token, kind: 'release' as const }));
    return outcomesOf(await this.lane.settle(queue, settlements));
  }

  async renew(queue: string, { id, token }: { id: string; token: string }, leaseMs = LONG_MS) {
    const [renewed] = await this.lane.renew(queue, [{ id, token, leaseMs, progress: undefined, log: [] }]);
    return renewed!;
  }

  /** Leases one job and fails it for good. @returns Its id. */
  async bury(queue: string): Promise<string> {
    const job = await this.leaseOne(queue);
    expect(await this.fail(queue, job, { isFinal: true })).toMatchObject({ state: 'dead' });
    return job.id;
  }

  async view(queue: string, id: string): Promise<JobView> {
    const view = await this.lane.get(queue, id);
    if (view === undefined) throw new Error(`there is no job ${id} in ${queue}`);
    return view;
  }

  async stateOf(queue: string, id: string): Promise<JobState | undefined> {
    return (await this.lane.get(queue, id))?.state;
  }

  /** All pages of a list. */
  async all(queue: string, filter: JobFilter, limit = 100): Promise<JobView[]> {
    const jobs: JobView[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.lane.list(queue, filter, { limit, cursor });
      expect(page.jobs.length).toBeLessThanOrEqual(limit);
      jobs.push(...page.jobs);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return jobs;
  }

  /** Every job is in exactly one state, the counts say how many, and none is missing but those the test took away. */
  async expectSound(queue: string, gone = 0): Promise<void> {
    const { counts, totals } = await this.lane.stats(queue);
    const seen = new Map<string, JobState>();
    for (const state of JOB_STATES) {
      const jobs = await this.all(queue, { states: [state] });
      for (const job of jobs) {
        expect([job.id, job.state, seen.get(job.id)]).toEqual([job.id, state, undefined]);
        seen.set(job.id, state);
      }
      expect([state, jobs.length]).toEqual([state, counts[state]]);
    }
    expect(seen.size + gone).toBe(totals.enqueued);
  }
}
