/** What pushing needs of the queues: a part of `Queues`, so that a test can bring its own. */
import type { Added, JobView, LeasedJob, NewJob, Renewal, Renewed, Settled, Settlement } from '../core/job.ts';
import type { JobEvent } from '../core/job-event.ts';
import type { PushTarget, QueueChange } from '../core/queue-definition.ts';
import type { LeaseAsk } from '../store/lane.ts';

/** A definition, as far as it matters here. */
export interface PushQueue {
  readonly queue: string;
  readonly push?: PushTarget | undefined;
}

export interface PushEngine {
  list(): Promise<readonly PushQueue[]>;
  definition(queue: string): Promise<PushQueue | undefined>;
  define(queue: string, change: QueueChange): Promise<unknown>;
  enqueue(queue: string, jobs: readonly NewJob[]): Promise<readonly Added[]>;
  lease(queue: string, ask: LeaseAsk, patience: { waitMs: number; signal: AbortSignal }): Promise<readonly LeasedJob[]>;
  settle(queue: string, settlements: readonly Settlement[]): Promise<readonly Settled[]>;
  renew(queue: string, renewals: readonly Renewal[]): Promise<readonly Renewed[]>;
  job(queue: string, id: string): Promise<JobView | undefined>;
  /** Called with jobs that want their end told, after they were kept and before that is answered. */
  onAccepted(accepted: (queue: string, jobs: readonly NewJob[], added: readonly Added[]) => Promise<void>): void;
  /** Called with ends of jobs that asked for something at their end. */
  onDelivery(deliver: (event: JobEvent) => void): () => void;
}

/** Lines for people, as the kit's log. Never a secret, a user's data or a header. */
export interface PushLog {
  info(msg: string, fields?: Record<string, unknown>): void;
  warn(msg: string, fields?: Record<string, unknown>): void;
}

/** Time and chance. */
export interface PushClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** 0 ≤ x < 1. */
  random(): number;
}
