/**
 * A lane: where the jobs of queues are, and the machine that moves them. Two of them, one battery (`lane.contract.ts`).
 *
 * Every method is atomic for each job: a job is in exactly one state before and after, whoever is killed in between.
 * All may be called by several replicas at once. Times are those of the store (Redis' `TIME`), so that the clocks of
 * replicas do not matter; `now` in arguments is only for what callers have computed.
 */
import type {
  Added,
  JobState,
  JobView,
  LeasedJob,
  NewJob,
  Renewal,
  Renewed,
  Settled,
  Settlement,
} from '../core/job.ts';

/** What holds for a queue as a whole. Kept in the store, so that all replicas see the same. */
export interface QueueLimits {
  /** The most jobs that are not finished; 0: as many as there is memory for. */
  readonly jobsMax: number;
  /** The most leases at a time; 0: no limit. */
  readonly concurrency: number;
  /** Leases a second, and how many at once after a rest; 0: no limit. */
  readonly ratePerSecond: number;
  readonly burst: number;
  /** Leases that may end without a word before the job is dead. Default 5. */
  readonly maxStalls: number;
}

/** What holds for one group of a queue; a group without its own has the queue's default for groups. */
export interface GroupLimits {
  /** Its share, relative to other groups: 1 … 1,000. */
  readonly weight: number;
  readonly concurrency: number;
  readonly ratePerSecond: number;
  readonly burst: number;
}

export interface LeaseAsk {
  /** 1 … 1,000. */
  readonly max: number;
  readonly leaseMs: number;
  /** Who asks; for people. */
  readonly worker: string;
}

/** Why a lease brought nothing or less than was asked for: when it is worth asking again. */
export interface LeaseAnswer {
  readonly jobs: readonly LeasedJob[];
  /** Milliseconds until something may be due that is not now (delay, retry, rate); undefined: nothing is known. */
  readonly nextInMs: number | undefined;
  readonly isPaused: boolean;
}

export interface JobFilter {
  readonly states: readonly JobState[];
  readonly name?: string | undefined;
  readonly group?: string | undefined;
  readonly tag?: string | undefined;
  /** Enqueued at or after / before. */
  readonly fromMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

/** Which of the dead. */
export interface RedriveFilter extends Omit<JobFilter, 'states'> {
  /** Of these alone; at the most 1,000. */
  readonly ids?: readonly string[] | undefined;
}

export interface JobPage {
  readonly jobs: readonly JobView[];
  /** Undefined: that was the last page. */
  readonly cursor: string | undefined;
}

export interface QueueStats {
  readonly counts: Readonly<Record<JobState, number>>;
  /** Milliseconds since the oldest waiting job could first have been leased; 0: none waits. Counts as a `lag` for KEDA. */
  readonly oldestWaitingMs: number;
  readonly isPaused: boolean;
  readonly pausedGroups: readonly string[];
  /** Since the queue is there; only grow. */
  readonly totals: {
    readonly enqueued: number;
    readonly completed: number;
    readonly failed: number;
    readonly retried: number;
    readonly dead: number;
    readonly stalled: number;
    readonly cancelled: number;
    readonly expired: number;
  };
  /** Bytes of the queue in the store, about. */
  readonly bytes: number;
}

/** What a tick did, for events and metrics. */
export interface Ticked {
  readonly promoted: readonly { readonly id: string; readonly lateMs: number }[];
  readonly stalled: readonly { readonly id: string; readonly state: JobState }[];
  readonly timedOut: readonly { readonly id: string; readonly state: JobState }[];
  readonly expired: readonly string[];
  /** Milliseconds until the next thing is due; undefined: nothing is. */
  readonly nextInMs: number | undefined;
}

export interface Lane {
  readonly kind: 'fast' | 'standard';

  /** Makes a queue, or changes its limits. */
  configure(queue: string, limits: QueueLimits, groupDefault: GroupLimits): Promise<void>;
  /** Undefined: back to the queue's default for groups. */
  configureGroup(queue: string, group: string, limits: GroupLimits | undefined): Promise<void>;

  /** In order; each by itself: a refused one harms no other. */
  add(queue: string, jobs: readonly NewJob[]): Promise<Added[]>;
  /**
   * As `add`, and then as `lease`, in one round trip: somebody waits, and what comes may be for him. At least one job.
   * A lane without it is asked twice.
   */
  addLease?(queue: string, jobs: readonly NewJob[], ask: LeaseAsk): Promise<LeaseAnswer & { added: Added[] }>;
  /** A tree: the children first, the parent when they are done. All of it or nothing. @returns Ids as `jobs`. */
  addFlow?(queue: string, flow: FlowNode): Promise<{ id: string; childIds: readonly string[] }>;

  lease(queue: string, ask: LeaseAsk): Promise<LeaseAnswer>;
  /** Settles and leases in one round trip. */
  turn(queue: string, settlements: readonly Settlement[], ask: LeaseAsk): Promise<LeaseAnswer & { settled: Settled[] }>;
  settle(queue: string, settlements: readonly Settlement[]): Promise<Settled[]>;
  renew(queue: string, renewals: readonly Renewal[]): Promise<Renewed[]>;

  get(queue: string, id: string): Promise<JobView | undefined>;
  /** Newest first. Looks at 1,000 jobs at the most for one page. */
  list(queue: string, filter: JobFilter, page: { limit: number; cursor?: string | undefined }): Promise<JobPage>;
  stats(queue: string): Promise<QueueStats>;
  queues(): Promise<string[]>;

  /** Waiting ones are cancelled at once; leased ones are asked to stop. @returns Per id: its state now, or undefined. */
  cancel(queue: string, ids: readonly string[], reason: string): Promise<(JobState | undefined)[]>;
  /** Leases are given to nobody (of the group). */
  pause(queue: string, group?: string): Promise<void>;
  resume(queue: string, group?: string): Promise<void>;
  /** Removes what waits; with `isScheduledToo` also what is scheduled or retrying. @returns How many. */
  drain(queue: string, isScheduledToo: boolean): Promise<number>;
  /** Removes what has ended in these states. @returns How many. */
  purge(queue: string, states: readonly ('completed' | 'dead' | 'cancelled')[]): Promise<number>;
  /** Removes the queue with all it holds. @returns False: there are leases, and `isForced` is false. */
  remove(queue: string, isForced: boolean): Promise<boolean>;
  /** From `dead` back to `waiting`, with all attempts anew; at the most `max`, oldest first. @returns Their ids. */
  redrive(queue: string, filter: RedriveFilter, max: number): Promise<string[]>;
  /** A scheduled or retrying job is due now. */
  promote(queue: string, id: string): Promise<boolean>;

  /** Promotes what is due, ends leases and attempts that are over, forgets what was kept long enough. */
  tick(queue: string): Promise<Ticked>;
  /** Why jobs cannot be kept or leased now; undefined: they can. */
  notReady(): string | undefined;
  stop(): Promise<void>;
}

export interface FlowNode {
  readonly job: NewJob;
  /** What a child that ends dead or cancelled does to its parent. Default `fail-parent`. */
  readonly onFailure: 'fail-parent' | 'ignore';
  readonly children: readonly FlowNode[];
}
