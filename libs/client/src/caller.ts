/**
 * One call of an operation: its deadline, its idempotency key, and its repeats.
 *
 * Repeated is only what is safe: when the service says that it did not happen, or when it may have happened and doing
 * it twice is doing it once, by its nature or by its `Idempotency-Key`. Once one attempt may have happened, no later
 * refusal of another makes it undone: what is then thrown is `outcome_unknown`, with the key to ask again with.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { context, propagation } from '@opentelemetry/api';
import { Problem } from '@plinth/problem';
import { waitMsAfter } from './backoff.ts';
import type { Endpoint } from './endpoint.ts';
import type { Transport, TransportReply, TransportRequest, TransportStream } from './transport.ts';

export interface CallOptions {
  /** The call rejects with the signal's reason. Whether a write happened is then not known. */
  signal?: AbortSignal;
  /**
   * Milliseconds for the whole call, repeats included. The client's `timeoutMs` unless told. Over NATS, where nobody
   * says that a service died, an attempt without an answer is given up after 2 s, unless a time is given here.
   */
  timeoutMs?: number;
}

export interface WriteOptions extends CallOptions {
  /**
   * 1 to 255 printable ASCII characters. A call with the same key and the same request answers what the first one
   * answered. Made up by itself for every write that a repeat would change: `incr`, `batch`, `txn`, `enqueue`, all with
   * conditions; queues know such a key for ten minutes, and one that is given for a day.
   */
  idempotencyKey?: string;
}

/** What to ask for. Members as in `TransportRequest`; all but the endpoint may be left out. */
export type Ask = Pick<TransportRequest, 'endpoint'> &
  Partial<Pick<TransportRequest, 'params' | 'query' | 'headers' | 'body'>>;

export interface CallerOptions {
  transport: Transport;
  /** How often a call is repeated at most. */
  retries: number;
  timeoutMs: number;
  /** Sent with every request, names lower case. */
  headers: Readonly<Record<string, string>>;
  /** From 0 to 1: for the jitter. */
  random(): number;
}

/** Keys that are made here are for the repeats of one call, and for whoever looks into what became of it: ten minutes. */
const KEY_TTL_S = '600';
/** Silence of a stream that is not watched for progress: as good as none. */
const SILENCE_MS_MAX = 60_000;

export class Caller {
  readonly transport: Transport;
  readonly #options: CallerOptions;

  constructor(options: CallerOptions) {
    this.transport = options.transport;
    this.#options = options;
  }

  /** @throws The `Problem` of the last attempt, `outcome_unknown` once one may have happened, or the signal's reason. */
  call(ask: Ask, options: WriteOptions = {}): Promise<TransportReply> {
    const request = this.#requestOf(ask, options);
    return this.#repeat(request, options, (timeoutMs) => this.transport.send({ ...request, timeoutMs }));
  }

  /**
   * Opens a stream; only the opening is repeated and has a deadline.
   *
   * @throws As `call`. Problem `not_acceptable` when the transport carries no streams.
   */
  async openStream(ask: Ask, options: CallOptions & { silenceMsMax?: number } = {}): Promise<TransportStream> {
    const { silenceMsMax = SILENCE_MS_MAX } = options;
    const request = this.#requestOf(ask, options);
    const open = this.transport.openStream?.bind(this.transport);
    if (open === undefined) {
      throw new Problem('not_acceptable', `${ask.endpoint.name} is a stream, which NATS does not carry: use HTTP`);
    }
    return this.#repeat(request, options, (timeoutMs) => open({ ...request, timeoutMs, silenceMsMax }));
  }

  #requestOf(ask: Ask, { signal, idempotencyKey }: WriteOptions): Omit<TransportRequest, 'timeoutMs'> {
    const headers: Record<string, string> = { ...this.#options.headers, ...ask.headers };
    if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
    else if (wantsKey(ask.endpoint, headers)) {
      headers['idempotency-key'] = crypto.randomUUID();
      headers['idempotency-key-ttl'] = KEY_TTL_S;
    }
    propagation.inject(context.active(), headers);
    return { params: {}, query: {}, ...ask, headers, signal };
  }

  async #repeat<T>(
    request: Omit<TransportRequest, 'timeoutMs'>,
    options: CallOptions,
    attempt: (timeoutMs: number) => Promise<T>,
  ): Promise<T> {
    const { timeoutMs = this.#options.timeoutMs, signal } = options;
    const deadlineMs = performance.now() + timeoutMs;
    const attemptMsMax = options.timeoutMs === undefined ? (this.transport.attemptMsMax ?? timeoutMs) : timeoutMs;
    const failures = new Failures(request);
    for (let count = 0; ; count++) {
      signal?.throwIfAborted();
      try {
        return await attempt(Math.min(deadlineMs - performance.now(), attemptMsMax));
      } catch (error) {
        const problem = failures.add(error);
        const waitMs = waitMsAfter(problem, count, this.#options.random());
        const mayRepeat = count < this.#options.retries && failures.isRepeatable(problem);
        if (!mayRepeat || performance.now() + waitMs >= deadlineMs) throw failures.summary(problem);
        await pause(waitMs, signal);
      }
    }
  }
}

/** Also what is idempotent needs one with a condition: its repeat would meet its own change, and be refused. */
function wantsKey(endpoint: Endpoint, headers: Readonly<Record<string, string>>): boolean {
  if (!endpoint.isKeyed) return false;
  return !endpoint.idempotent || headers['if-match'] !== undefined || headers['if-none-match'] !== undefined;
}

/** What the attempts at one call came to. */
class Failures {
  readonly #request: Omit<TransportRequest, 'timeoutMs'>;
  #mayHaveHappened = false;

  constructor(request: Omit<TransportRequest, 'timeoutMs'>) {
    this.#request = request;
  }

  /** @throws What is no Problem: the caller's own abort, or a bug. */
  add(error: unknown): Problem {
    if (!(error instanceof Problem)) throw error;
    if (error.kind.retryable === 'unknown') this.#mayHaveHappened = true;
    return error;
  }

  isRepeatable({ kind }: Problem): boolean {
    const { endpoint, headers, body } = this.#request;
    // What was read from an iterator is gone.
    if (typeof body === 'object' && !(body instanceof Uint8Array)) return false;
    if (kind.retryable === 'safe') return true;
    if (kind.retryable === 'no') return false;
    return endpoint.idempotent || (endpoint.isKeyed && headers['idempotency-key'] !== undefined);
  }

  /** What to throw when the last attempt ended with `problem`. */
  summary(problem: Problem): Problem {
    // An answer that no repeat changes is the answer, also to an earlier attempt of the same key.
    if (!this.#mayHaveHappened || problem.kind.retryable === 'no') return problem;
    const idempotencyKey = this.#request.headers['idempotency-key'];
    const members = { ...problem.members, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
    return new Problem('outcome_unknown', problem.message, { members, cause: problem.cause ?? problem });
  }
}

/** @throws The signal's reason. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    signal?.throwIfAborted();
  }
}
