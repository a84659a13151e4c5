/** How services talk: requests to operations, and events. NATS behind it. README.md documents what goes on the wire. */
import type { NatsConnection } from '@nats-io/transport-node';
import type { Operation, Reply, Served } from '@plinth/contracts';

export { type ConnectBusOptions, connectBus } from './connect.ts';

export interface BusRequest {
  /** Path parameters as byte strings (each char one byte), as handlers get them. */
  params?: Record<string, string>;
  /** Query members: strings, or what `String` makes of them. Undefined ones are left out. */
  query?: Record<string, unknown>;
  /** Names lower case, as over HTTP. */
  headers?: Record<string, string>;
  /** Bytes are not copied: they must not change before the answer is there. */
  body?: Uint8Array | string;
  /** Give up after this many milliseconds. Default 5,000; passed on to the service as its deadline. */
  timeoutMs?: number;
  /** Stops the waiting, not the work. The promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** The trace of the request this belongs to: `call.trace`. Omitted: the active one, if any. */
  trace?: unknown;
}

export interface BusReply extends Reply {
  /** Names lower case. */
  headers: Record<string, string>;
  /** Owned by the caller. */
  body: Uint8Array;
}

export interface Bus {
  /**
   * Asks an operation of any service.
   *
   * @throws The `Problem` in the answer; `unavailable` when the bus is away or no such service is on it (nothing
   * happened); `body_too_large` beyond the server's `max_payload`; when no answer came in time `deadline_exceeded` for
   * an idempotent operation and `outcome_unknown` for another; `overloaded` with 16,384 requests waiting already.
   */
  request(operation: Operation, request: BusRequest): Promise<BusReply>;
  /**
   * Serves operations as a NATS service: a queue group shares the requests among replicas, and `nats micro ls`,
   * `info` and `stats` show it. Resolves when the server knows the subscriptions. Operations that stream, in or out,
   * are left out: they are for HTTP.
   */
  serve(service: BusService, operations: readonly Served[]): Promise<BusEndpoint>;
  /**
   * Publishes an event; delivered at most once, in order per publisher. Trace headers are added. The payload is
   * copied before it returns.
   *
   * @throws Problem `unavailable` while the bus is away: nothing is kept for later. `body_too_large` beyond `max_payload`.
   */
  publish(subject: string, payload: Uint8Array | string, options?: PublishOptions): void;
  /** Calls `receive` for each event, one at a time in order; a throw is logged. Wildcards as NATS has them. */
  subscribe(subject: string, receive: (event: BusEvent) => void | Promise<void>): BusSubscription;
  /**
   * The connection itself, for what the bus has no words for: JetStream, KV, bare messages. The bus owns it: whoever
   * borrows it leaves closing and draining to `close`. nats.js keeps what is published while the server is away, so
   * ask `notReady` first.
   */
  readonly nats: NatsConnection;
  /** Undefined when connected, else why not. */
  notReady(): string | undefined;
  /** Resolves when everything published so far has reached the server. @throws Problem `unavailable` */
  flush(): Promise<void>;
  /** Stops taking requests and events, lets what is under way end, flushes, then closes. At most about 15 seconds. */
  close(): Promise<void>;
}

export interface BusService {
  /** Letters, digits, `-` and `_`: `kv`. Also the name of the queue group. */
  name: string;
  /** Semantic: `1.2.3`. */
  version: string;
  description: string;
  /** Requests under way at once in this process; more are answered `overloaded`. Default 1,000. */
  inFlightMax?: number;
}

export interface PublishOptions {
  headers?: Record<string, string>;
  /** As in `BusRequest`. */
  trace?: unknown;
}

export interface BusEvent {
  subject: string;
  /** Owned by the receiver: it does not change, and does not hold more than twice its size in memory. */
  payload: Uint8Array;
  /** Names lower case. */
  headers: Record<string, string>;
  /** The trace it is processed in, for what is done about it. */
  trace: unknown;
}

export interface BusEndpoint {
  /** No new requests; resolves when those under way are answered. */
  drain(): Promise<void>;
}

export interface BusSubscription {
  /** No new events; resolves when those that have arrived are processed. */
  stop(): Promise<void>;
}

/** Where the bus tells what happened to it. `Log` of the service kit is one. */
export interface BusLog {
  info(msg: string, fields?: Record<string, unknown>): void;
  warn(msg: string, fields?: Record<string, unknown>): void;
  error(msg: string, fields?: Record<string, unknown>): void;
}
