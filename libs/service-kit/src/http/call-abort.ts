/** When a call is no longer wanted: its caller has gone, its deadline has passed, or the service stops. */
import type { ServerResponse } from 'node:http';
import { Problem } from '@plinth/problem';

/** The latest moment that a timer of Node can be set for, from now. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The reason of a signal whose caller went away. Nobody will read an answer. */
export class CallerGone extends Error {
  override name = 'AbortError';

  constructor() {
    super('the caller has gone');
  }
}

/**
 * Made only when a handler asks for `call.signal`: an `AbortController` and its listeners cost about as much as all
 * else that the kit does for a small request.
 */
export class CallAbort {
  readonly isStream: boolean;
  readonly #controller = new AbortController();
  readonly #res: ServerResponse;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #refusal: () => Problem | undefined;

  /**
   * @param leftMs - Time to the deadline; Infinity for none.
   * @param refusal - Why the call would be refused if it came now.
   */
  constructor(res: ServerResponse, options: { leftMs: number; isStream: boolean; refusal: () => Problem | undefined }) {
    const { leftMs, isStream, refusal } = options;
    this.#res = res;
    this.#refusal = refusal;
    this.isStream = isStream;
    if (res.closed) this.#callerGone();
    else res.once('close', this.#callerGone);
    if (leftMs <= TIMER_MS_MAX) this.#timer = setTimeout(this.#tooLate, leftMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The service stops and waits no longer. */
  stop(): void {
    this.#controller.abort(new Problem('stopping', 'the service is stopping', { retryAfterMs: 1_000 }));
  }

  /** The keys have changed: whose key was taken away gets no more of a stream either. */
  endIfRefused(): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) this.#controller.abort(refusal);
  }

  /** The call is answered: nothing aborts it any more. */
  release(): void {
    clearTimeout(this.#timer);
    this.#res.off('close', this.#callerGone);
  }

  readonly #callerGone = () => this.#controller.abort(new CallerGone());
  readonly #tooLate = () => this.#controller.abort(deadlinePassed());
}

export function deadlinePassed(): Problem {
  return new Problem('deadline_exceeded', 'the deadline of the request has passed');
}

/** Milliseconds that `Request-Timeout-Ms` allows; Infinity without it. @throws Problem `invalid_request`. */
export function readTimeoutMs(header: string | string[] | undefined): number {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  const ms = /^\d{1,7}$/.test(String(header)) ? Number(header) : 0;
  if (ms >= 1 && ms <= 3_600_000) return ms;
  const message = 'must be a whole number from 1 to 3,600,000';
  throw new Problem('invalid_request', `Request-Timeout-Ms ${message}`, {
    issues: [{ path: '/headers/request-timeout-ms', message }],
  });
}
