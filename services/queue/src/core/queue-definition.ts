/** What a queue is told once, and where that is kept. */
import type { GroupLimits, QueueLimits } from '../store/lane.ts';
import type { Backoff, Retention } from './job.ts';

export const LANES = ['fast', 'standard'] as const;
export type LaneKind = (typeof LANES)[number];

/** What jobs of a queue get where they say nothing themselves. Undefined: the service's own default. */
export interface JobDefaults {
  readonly attempts?: number | undefined;
  readonly backoff?: Backoff | undefined;
  readonly timeoutMs?: number | undefined;
  readonly ttlMs?: number | undefined;
  readonly retain?: Retention | undefined;
  readonly leaseMs?: number | undefined;
}

/** A webhook that jobs of a queue are sent to, instead of workers that come for them. */
export interface PushTarget {
  readonly url: string;
  /** Of the Standard Webhooks signature: `whsec_…`, several with a space between. */
  readonly secret: string;
  readonly concurrency: number;
  /** 0: no limit. */
  readonly ratePerSecond: number;
  readonly timeoutMs: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Why nothing is pushed any more: the target answered 410. */
  readonly disabledReason?: string;
}

export interface QueueDefinition {
  readonly queue: string;
  /** Fixed when the queue is made. */
  readonly lane: LaneKind;
  readonly limits: QueueLimits;
  /** For groups without their own. */
  readonly groups: GroupLimits;
  /** JSON Schema of `data`. */
  readonly schema?: unknown;
  readonly defaults: JobDefaults;
  readonly push?: PushTarget | undefined;
  /** A job has come that wants its result written or its end told: ends of this queue are looked at more closely. */
  readonly delivers?: boolean | undefined;
}

/** What may be told of a queue: what is left out stays as it is, or gets its default when the queue is made. */
export type QueueChange = Partial<Omit<QueueDefinition, 'queue'>>;

export const SEEN_BY_ALL_MS = 1_000;

/** Keeps definitions. All replicas see the same, at the latest `SEEN_BY_ALL_MS` later. */
export interface Registry {
  /** `isFresh`: as it is now, to be changed. That there is none is always as it is now. */
  get(queue: string, isFresh?: boolean): Promise<QueueDefinition | undefined>;
  /** Kept only if there is none: of two replicas at once one wins. @returns The one that is kept. */
  create(definition: QueueDefinition): Promise<QueueDefinition>;
  put(definition: QueueDefinition): Promise<void>;
  list(): Promise<QueueDefinition[]>;
  remove(queue: string): Promise<void>;
}

export const DEFAULT_LIMITS: QueueLimits = { jobsMax: 0, concurrency: 0, ratePerSecond: 0, burst: 0, maxStalls: 5 };
export const DEFAULT_GROUPS: GroupLimits = { weight: 1, concurrency: 0, ratePerSecond: 0, burst: 0 };
