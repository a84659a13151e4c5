/**
 * How one request reaches a service: over HTTP or over NATS. A transport tries once; `Caller` decides about repeats.
 */
import type { Endpoint } from './endpoint.ts';

export interface TransportRequest {
  endpoint: Endpoint;
  /** Path parameters as byte strings: each char one byte. */
  params: Readonly<Record<string, string>>;
  /** Undefined members are left out. */
  query: Readonly<Record<string, QueryValue>>;
  /** Names lower case. */
  headers: Readonly<Record<string, string>>;
  /** An async iterable is sent chunk by chunk, over HTTP only. */
  body?: Uint8Array | string | AsyncIterable<Uint8Array>;
  /** Milliseconds left for this attempt, passed on to the service as `Request-Timeout-Ms`; Infinity: no deadline. */
  timeoutMs: number;
  /** The promise rejects with the signal's reason, whatever the service still does. */
  signal?: AbortSignal;
}

export type QueryValue = string | number | boolean | undefined;

export interface TransportReply {
  status: number;
  /** Names lower case. */
  headers: Readonly<Record<string, string>>;
  /** Owned by the caller. */
  body: Uint8Array;
}

export interface TransportStream extends Omit<TransportReply, 'body'> {
  /**
   * The body as it comes, read with back-pressure; leaving the loop closes the connection. Throws the signal's reason,
   * or Problem `unavailable` when it breaks off: an end without a throw is the end.
   */
  chunks: AsyncIterable<Uint8Array>;
}

/** A request whose answer is a stream. */
export interface StreamRequest extends TransportRequest {
  /** Milliseconds without a byte in either direction after which the connection counts as dead. */
  silenceMsMax: number;
}

export interface Transport {
  /** An attempt without an answer for so long is lost. Undefined where a lost connection shows. */
  readonly attemptMsMax?: number;
  /**
   * @returns An answer below 400.
   * @throws The `Problem` of any other answer. Without an answer: `unavailable` or `deadline_exceeded` when the request
   * surely did not happen or was a read, `outcome_unknown` when it may have happened.
   */
  send(request: TransportRequest): Promise<TransportReply>;
  /** As `send`, resolved when the head of the answer is there. Undefined where streams do not pass: NATS. */
  openStream?(request: StreamRequest): Promise<TransportStream>;
  /** Calls `notice` when something was published on a subject. Undefined where nothing is: HTTP. */
  subscribe?(subject: string, notice: () => void): { stop(): void };
  /** Ends what is under way and refuses what comes. */
  close(): Promise<void>;
}
