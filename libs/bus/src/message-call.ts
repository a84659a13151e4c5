import type { Call } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import { TIMEOUT_MS } from './wire-headers.ts';

/** What is known of a request before its operation has read it. */
export interface Arrival {
  headers: Readonly<Record<string, string>>;
  receivedMs: number;
  id: string;
  trace: unknown;
}

const TIMEOUT_MS_MAX = 3_600_000;

/**
 * A call that came as a message. The signal and its timer, which few handlers look at, are made when they are asked
 * for: they cost about as much as the rest.
 */
export class MessageCall implements Call {
  readonly params: Call['params'];
  readonly query: Call['query'];
  readonly body: unknown;
  readonly deadlineMs: number;
  readonly id: string;
  readonly trace: unknown;
  /** NATS does not say. */
  readonly peer = undefined;
  readonly #headers: Arrival['headers'];
  #abort: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @throws Problem `invalid_request` when the caller's time is no number of milliseconds. */
  constructor(parts: Pick<Call, 'params' | 'query' | 'body'>, { headers, receivedMs, id, trace }: Arrival) {
    this.params = parts.params;
    this.query = parts.query;
    this.body = parts.body;
    this.deadlineMs = receivedMs + timeoutMsIn(headers[TIMEOUT_MS]);
    this.id = id;
    this.trace = trace;
    this.#headers = headers;
  }

  header(name: string): string | undefined {
    return this.#headers[name];
  }

  headersWith(prefix: string): readonly (readonly [string, string])[] {
    const entries = Object.entries(this.#headers).filter(([name]) => name.startsWith(prefix));
    return entries.map(([name, value]) => [name.slice(prefix.length), value]);
  }

  /** Aborts at the deadline, and when the service stops and waits no longer. A caller on the bus cannot be seen leaving. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.deadlineMs !== Number.POSITIVE_INFINITY) this.#timer = setTimeout(this.#tooLate, this.#leftMs());
    }
    return this.#abort.signal;
  }

  /** The service stops and waits no longer. */
  stop(): void {
    this.#abort?.abort(new Problem('stopping', 'the service is stopping', { retryAfterMs: 1_000 }));
  }

  /** It is answered: nothing aborts it any more. */
  release(): void {
    clearTimeout(this.#timer);
  }

  #leftMs(): number {
    return Math.max(0, this.deadlineMs - Date.now());
  }

  readonly #tooLate = () => {
    this.#abort?.abort(new Problem('deadline_exceeded', 'the deadline of the request has passed'));
  };
}

/** Infinity when the caller set no time. */
function timeoutMsIn(header: string | undefined): number {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  const ms = /^\d{1,7}$/.test(header) ? Number(header) : 0;
  if (ms >= 1 && ms <= TIMEOUT_MS_MAX) return ms;
  const message = 'must be a whole number from 1 to 3,600,000';
  const issues = [{ path: `/headers/${TIMEOUT_MS}`, message }];
  throw new Problem('invalid_request', `Request-Timeout-Ms ${message}`, { issues });
}
