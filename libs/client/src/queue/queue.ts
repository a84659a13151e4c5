/** One queue, and everything that can be done with it. */
import type * as contract from '@plinth/contracts/queue';
import type { Caller, CallOptions, WriteOptions } from '../caller.ts';
import type { Endpoint } from '../endpoint.ts';
import { queueEndpoints } from './endpoints.ts';
import { JobListing, type JobListOptions } from './job-listing.ts';
import { callQueue, type QueueAsk } from './queue-call.ts';

type Output<Schema extends { _zod: { output: unknown } }> = Schema['_zod']['output'];
type GroupLimits = Output<typeof contract.groupLimits>;
type ProblemItem = { problem: Output<typeof contract.problem> };
type JobState = { id: string; state: contract.State };
/** What became of one job of an array. */
export type AddedItem = contract.AddedAnswer | ProblemItem;
/** What became of one item of a worker's call. */
export type SettledItem = Output<typeof contract.settled>['settled'][number];
export type RenewedItem = contract.RenewAnswer['renewed'][number];
/** Which dead jobs to give new attempts. */
export type RedriveFilter = NonNullable<(typeof contract.redrive.body.schema)['_zod']['input']>;

/** Time on top of what the service may keep a call for. */
const BEYOND_WAIT_MS = 5_000;

/**
 * Every call takes `signal` and `timeoutMs`, and may throw the problems of the service's state: `overloaded`,
 * `unavailable`, `deadline_exceeded`, and where it changes something `outcome_unknown`. The first job makes a queue.
 *
 * `lease`, `next`, `settle` and `renew` are a worker's calls; `@plinth/worker` makes them for you.
 */
export class Queue {
  readonly name: string;
  readonly #caller: Caller;

  constructor(caller: Caller, name: string) {
    this.#caller = caller;
    this.name = name;
  }

  // ---------------------------------------------------------------- the queue

  /** Makes it, or sets its settings; what is left out is the default. @throws Problem `conflict` for another lane. */
  put(settings: contract.QueueInput = {}, options: CallOptions = {}): Promise<contract.QueueInfo> {
    return this.#call(queueEndpoints.putQueue, { body: settings }, options);
  }

  /** @throws Problem `queue_not_found`. */
  get(options: CallOptions = {}): Promise<contract.QueueInfo> {
    return this.#call(queueEndpoints.getQueue, {}, options);
  }

  /** Removes it with all its jobs. @throws Problem `conflict` while a worker has one of them, unless it is forced. */
  remove({ force, ...options }: CallOptions & { force?: boolean } = {}): Promise<void> {
    return this.#call(queueEndpoints.removeQueue, { query: { force } }, options);
  }

  stats(options: CallOptions = {}): Promise<contract.StatsAnswer> {
    return this.#call(queueEndpoints.stats, {}, options);
  }

  putGroup(group: string, limits: GroupLimits, options: CallOptions = {}): Promise<Required<GroupLimits>> {
    return this.#call(queueEndpoints.putGroup, { params: { group }, body: limits }, options);
  }

  /** Back to the queue's limits for groups. */
  removeGroup(group: string, options: CallOptions = {}): Promise<void> {
    return this.#call(queueEndpoints.removeGroup, { params: { group } }, options);
  }

  // ---------------------------------------------------------------- enqueueing

  /**
   * Enqueues one job. A repeat after a lost answer enqueues once: the call carries an idempotency key.
   *
   * @throws Problem `payload_too_large`, `schema_mismatch`, `queue_full`.
   */
  enqueue(job: contract.JobInput, options: WriteOptions = {}): Promise<contract.AddedAnswer> {
    return this.#call(queueEndpoints.enqueue, { body: job }, options);
  }

  /** Enqueues up to 1,000 jobs. @returns What became of each, in order: a bad one harms no other. */
  async enqueueAll(jobs: readonly contract.JobInput[], options: WriteOptions = {}): Promise<AddedItem[]> {
    return (await this.#call<{ jobs: AddedItem[] }>(queueEndpoints.enqueue, { body: jobs }, options)).jobs;
  }

  /** A job and those that have to be done before it: all of them or none. Not repeated when its answer was lost. */
  enqueueFlow(flow: contract.FlowInput, options: CallOptions = {}): Promise<Output<typeof contract.flowAdded>> {
    return this.#call(queueEndpoints.enqueueFlow, { body: flow }, options);
  }

  // ---------------------------------------------------------------- jobs

  /** All that is known of a job. @throws Problem `job_not_found`. */
  job(id: string, options: CallOptions = {}): Promise<contract.JobAnswer> {
    return this.#call(queueEndpoints.getJob, { params: { id } }, options);
  }

  /** As `job`, when it has ended, or as it is after `waitMs`, at most 60,000. */
  awaitEnd(id: string, { waitMs, ...options }: CallOptions & { waitMs: number }): Promise<contract.JobAnswer> {
    const ask = { params: { id }, query: { waitMs } };
    return this.#call(queueEndpoints.getJob, ask, { timeoutMs: waitMs + BEYOND_WAIT_MS, ...options });
  }

  /** Newest first. Lazy: see `JobListing`. */
  jobs(options: JobListOptions = {}): JobListing {
    return new JobListing(this.#caller, this.name, options);
  }

  /** Cancels it at once when nobody has it; else asks its worker to stop, and answers `leased`. */
  cancel(id: string, { reason, ...options }: CallOptions & { reason?: string } = {}): Promise<JobState> {
    return this.#call(queueEndpoints.cancelJob, { params: { id }, body: { reason } }, options);
  }

  /** As `cancel`, for up to 1,000. @returns In their order. */
  async cancelAll(
    ids: readonly string[],
    { reason, ...options }: CallOptions & { reason?: string } = {},
  ): Promise<(JobState | (ProblemItem & { id: string }))[]> {
    const ask = { body: { ids, reason } };
    return (await this.#call<{ jobs: JobState[] }>(queueEndpoints.cancelJobs, ask, options)).jobs;
  }

  /** Makes a scheduled or retrying job due now. @throws Problem `conflict` when it is neither. */
  promote(id: string, options: CallOptions = {}): Promise<JobState> {
    return this.#call(queueEndpoints.promoteJob, { params: { id } }, options);
  }

  // ---------------------------------------------------------------- an operator's calls

  /** Gives jobs of the queue, or of a group, to nobody; enqueueing goes on. */
  pause({ group, ...options }: CallOptions & { group?: string } = {}): Promise<{ paused: boolean }> {
    return this.#call(queueEndpoints.pause, { body: { group } }, options);
  }

  resume({ group, ...options }: CallOptions & { group?: string } = {}): Promise<{ paused: boolean }> {
    return this.#call(queueEndpoints.resume, { body: { group } }, options);
  }

  /** Removes what waits; with `scheduled` also what is scheduled or retrying. */
  drain({ scheduled, ...options }: CallOptions & { scheduled?: boolean } = {}): Promise<{ removed: number }> {
    return this.#call(queueEndpoints.drain, { body: { scheduled } }, options);
  }

  /** Forgets what has ended in these states. */
  purge(states: readonly ('completed' | 'dead' | 'cancelled')[], options: CallOptions = {}) {
    return this.#call<{ removed: number }>(queueEndpoints.purge, { body: { states } }, options);
  }

  /** Gives dead jobs all their attempts anew, oldest first. Not repeated when its answer was lost. */
  redrive(filter: RedriveFilter = {}, options: CallOptions = {}) {
    const ask = { body: filter };
    return this.#call<{ redriven: number; ids: string[]; more: boolean }>(queueEndpoints.redrive, ask, options);
  }

  // ---------------------------------------------------------------- a webhook instead of workers

  putPush(push: contract.PushInput, options: CallOptions = {}): Promise<contract.PushInfo> {
    return this.#call(queueEndpoints.putPush, { body: push }, options);
  }

  /** @throws Problem `push_not_found`. */
  push(options: CallOptions = {}): Promise<contract.PushInfo> {
    return this.#call(queueEndpoints.getPush, {}, options);
  }

  removePush(options: CallOptions = {}): Promise<void> {
    return this.#call(queueEndpoints.removePush, {}, options);
  }

  // ---------------------------------------------------------------- a worker's calls

  /** Takes jobs, waiting `waitMs` for the first. Not repeated when its answer was lost: its jobs come back by themselves. */
  async lease(ask: contract.LeaseInput = {}, options: CallOptions = {}): Promise<contract.LeasedAnswer[]> {
    const patience = waitingFor(ask.waitMs, options);
    return (await this.#call<{ jobs: contract.LeasedAnswer[] }>(queueEndpoints.lease, { body: ask }, patience)).jobs;
  }

  /** Says how jobs went and takes the next ones, in one call. Not repeated when its answer was lost. */
  next(ask: contract.NextInput, options: CallOptions = {}): Promise<contract.NextAnswer> {
    return this.#call(queueEndpoints.next, { body: ask }, waitingFor(ask.waitMs, options));
  }

  /**
   * Says how jobs went.
   *
   * @returns First of the acks, then of the fails, then of the releases. A lost lease is a problem of its item.
   * @throws Problem `lease_lost` or `job_not_found` of a single item.
   */
  async settle(settlements: contract.SettleInput, options: CallOptions = {}): Promise<SettledItem[]> {
    return (await this.#call<{ settled: SettledItem[] }>(queueEndpoints.ack, { body: settlements }, options)).settled;
  }

  /** Keeps jobs for longer, and hears whether to stop. @throws As `settle`. */
  async renew(leases: contract.RenewInput['leases'], options: CallOptions = {}): Promise<RenewedItem[]> {
    return (await this.#call<{ renewed: RenewedItem[] }>(queueEndpoints.renew, { body: { leases } }, options)).renewed;
  }

  #call<Answer>(endpoint: Endpoint, ask: QueueAsk, options: WriteOptions): Promise<Answer> {
    return callQueue(this.#caller, endpoint, { ...ask, params: { queue: this.name, ...ask.params } }, options);
  }
}

function waitingFor(waitMs: number | undefined, options: CallOptions): CallOptions {
  return waitMs === undefined || waitMs === 0 ? options : { timeoutMs: waitMs + BEYOND_WAIT_MS, ...options };
}
