/** What a handler may throw to say more than "it failed", and why a job's signal was aborted. */

/** Thrown by a handler: no attempt is left, the job is dead at once. Other classes with `isFinal: true` do the same. */
export class FinalError extends Error {
  override name = 'FinalError';
  readonly isFinal = true;
}

/** Thrown by a handler: try again after so many milliseconds, instead of the job's backoff. */
export class RetryLater extends Error {
  override name = 'RetryLater';
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number, message = `again in ${retryAfterMs} ms`, options?: ErrorOptions) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Reason of an aborted signal: somebody cancelled the job. Whatever the handler does then, the job is `cancelled`. */
export class JobCancelled extends Error {
  override name = 'JobCancelled';
}

/** Reason of an aborted signal: the job is no longer this worker's. Another may have begun it: leave its effects be. */
export class LeaseLost extends Error {
  override name = 'LeaseLost';
}

/** Reason of an aborted signal: the attempt ran longer than the job's `timeoutMs`. The service counts it as failed. */
export class JobTimeout extends Error {
  override name = 'JobTimeout';
}

/** Reason of an aborted signal: the worker stops and gives the job back; another goes on with it at once. */
export class WorkerStopping extends Error {
  override name = 'WorkerStopping';
}

/** The thread of a sandboxed processor ended in the middle of a job. Counts as a failed attempt. */
export class ProcessorCrash extends Error {
  override name = 'ProcessorCrash';
}

/** An error as it crosses a thread or the wire. */
export interface ErrorFacts {
  type: string;
  message: string;
  stack?: string;
  retryAfterMs?: number;
  isFinal?: boolean;
}

/** The most characters of a stack that are sent: its top says where, its bottom is the runtime's. */
const STACK_CHARS_MAX = 4_096;
const MESSAGE_CHARS_MAX = 1_024;

/** What is said of something thrown. A thrown string, or anything else that is no Error, is its own message. */
export function errorFacts(thrown: unknown): ErrorFacts {
  if (typeof thrown !== 'object' || thrown === null) return { type: 'Error', message: cut(String(thrown)) };
  const { name, code, message, stack, retryAfterMs, isFinal } = thrown as Record<string, unknown>;
  return {
    type: String(typeof code === 'string' ? code : (name ?? 'Error')).slice(0, 128),
    message: cut(typeof message === 'string' ? message : String(thrown)),
    ...(typeof stack === 'string' ? { stack: stack.slice(0, STACK_CHARS_MAX) } : {}),
    ...(isDelay(retryAfterMs) ? { retryAfterMs: Math.round(retryAfterMs) } : {}),
    ...(isFinal === true ? { isFinal } : {}),
  };
}

/** Back from facts to something to throw. */
export function errorOfFacts({ type, message, stack, retryAfterMs, isFinal }: ErrorFacts): Error {
  const error = Object.assign(new Error(message), { name: type, retryAfterMs, isFinal });
  if (stack !== undefined) error.stack = stack;
  return error;
}

const cut = (text: string): string => text.slice(0, MESSAGE_CHARS_MAX);

const isDelay = (value: unknown): value is number => typeof value === 'number' && value >= 0 && Number.isFinite(value);
