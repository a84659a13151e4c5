/** What drivers of queues are told to do, and what they answer. The Go program in `asynq/` speaks the same. */
import type { Driver, Task } from '../driver.ts';

/**
 * `fill` enqueues by the fastest way there is, `process` works off what is there; `enqueue` and `bulk` are races of
 * producers, one by one and in arrays; `both` enqueues and then works off; `latency` enqueues at a slow and even pace
 * while a worker waits; `clear` forgets all jobs.
 */
export type Phase = 'fill' | 'process' | 'enqueue' | 'bulk' | 'both' | 'latency' | 'clear';

export interface QueueTask extends Task {
  phase: Phase;
  jobs: number;
}

export interface QueueEffort {
  jobs: number;
  elapsedMs: number;
  /** From the call of the producer to the first line of the handler. */
  p50Ms?: number;
  p99Ms?: number;
}

export type QueueDriver = Driver<QueueTask, QueueEffort>;
