/** How services talk: requests to operations, and events. NATS behind it. */
import type { Operation, Reply, Served } from '@plinth/contracts';

export interface BusRequest {
  params?: Record<string, string>;
  query?: Record<string, unknown>;
  headers?: Record<string, string>;
  body?: Uint8Array | string;
  /** Give up after this many milliseconds. Default 5,000; passed on to the service as its deadline. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface BusReply extends Reply {
  headers: Record<string, string>;
  body: Uint8Array;
}

export interface Bus {
  /** Asks an operation of any service. A problem in the answer is thrown as `Problem`. */
  request(operation: Operation, request: BusRequest): Promise<BusReply>;
  /**
   * Serves operations as a NATS service: a queue group shares the requests among replicas, and `nats micro ls`,
   * `info` and `stats` show it. Resolves when the server knows the subscriptions.
   */
  serve(
    service: { name: string; version: string; description: string },
    operations: readonly Served[],
  ): Promise<BusEndpoint>;
  /** Publishes an event; delivered at most once, in order per publisher. Trace headers are added. */
  publish(subject: string, payload: Uint8Array | string, headers?: Record<string, string>): void;
  /** Calls `receive` for each event, one at a time in order; a throw is logged. Wildcards as NATS has them. */
  subscribe(subject: string, receive: (event: BusEvent) => void | Promise<void>): BusSubscription;
  /** Undefined when connected, else why not. */
  notReady(): string | undefined;
  /** Resolves when everything published so far has reached the server. */
  flush(): Promise<void>;
  /** Stops taking requests, lets those under way end, then closes. */
  close(): Promise<void>;
}

export interface BusEvent {
  subject: string;
  payload: Uint8Array;
  headers: Record<string, string>;
}

export interface BusEndpoint {
  /** No new requests; resolves when those under way are answered. */
  drain(): Promise<void>;
}

export interface BusSubscription {
  stop(): void;
}
