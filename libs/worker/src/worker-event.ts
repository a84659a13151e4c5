/** What a worker tells of itself, to the hook `onEvent`: for logs and metrics. It prints nothing by itself. */
import type { ErrorFacts } from './errors.ts';

interface OfJob {
  queue: string;
  id: string;
  name: string;
  attempt: number;
}

export type WorkerEvent =
  | ({ type: 'started' } & OfJob)
  | ({ type: 'completed'; tookMs: number } & OfJob)
  /** `isFinal`: the handler asked for no further attempt. Whether one is left the service knows. */
  | ({ type: 'failed'; tookMs: number; error: ErrorFacts; isFinal: boolean } & OfJob)
  /** Given back without an attempt counted: the worker stops, or the job waited too long for its turn here. */
  | ({ type: 'released'; reason: string } & OfJob)
  | ({ type: 'cancelled'; reason: string } & OfJob)
  /** The service gave the job to another, or ended it: nothing that is said of it here counts any more. */
  | ({ type: 'lost'; reason: string } & OfJob)
  /** The outcome was not taken, and never will be: the service could not be reached while the lease lasted, or refused it. */
  | ({ type: 'undelivered'; outcome: 'ack' | 'fail' | 'release'; reason: string } & OfJob)
  /** A call failed; it is tried again after `retryInMs`. */
  | { type: 'trouble'; call: 'next' | 'settle' | 'renew' | 'beat'; error: unknown; retryInMs: number }
  /** The main thread was blocked longer than `maxBlockMs`, so that its leases were no longer renewed. */
  | { type: 'blocked'; blockedMs: number }
  | { type: 'state'; state: WorkerState };

export type WorkerState = 'running' | 'quiet' | 'stopping' | 'stopped';

/** Tells the hook; a throw in it is not ours to handle: it surfaces as an uncaught exception, outside of the worker. */
export function teller(hook: ((event: WorkerEvent) => void) | undefined): ((event: WorkerEvent) => void) | undefined {
  if (hook === undefined) return undefined;
  return (event) => {
    try {
      hook(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}

export function factsOfJob({ queue, id, name, attempt }: OfJob): OfJob {
  return { queue, id, name, attempt };
}
