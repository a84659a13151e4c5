/** What the kit and a service say to each other. */
import type { Bus } from '@plinth/bus';
import type { Operation, Served } from '@plinth/contracts';

/** Structured log lines. `fields` never hold a secret or a user's value. */
export interface Log {
  debug(msg: string, fields?: Record<string, unknown>): void;
  info(msg: string, fields?: Record<string, unknown>): void;
  warn(msg: string, fields?: Record<string, unknown>): void;
  error(msg: string, fields?: Record<string, unknown>): void;
}

/** Everything of the world that a service may touch. Nothing is global, so several services live in one process. */
export interface Kit {
  name: string;
  log: Log;
  /** Wall-clock milliseconds since 1970. */
  now(): number;
  /** 0 ≤ x < 1. */
  random(): number;
  /** The connection to the other services, or undefined when no `NATS_URL` is set. */
  bus: Bus | undefined;
}

/** What `build` gives back: doors and life. */
export interface Service {
  operations: readonly Served[];
  /** Undefined when the service can do its work, else the reason why not, in words: `/readyz` answers it with 503. */
  notReady(): string | undefined;
  /** True: `/readyz` tells that the bus is away, and is 200 all the same. Omitted: no bus, no requests. */
  worksWithoutBus?: boolean;
  /**
   * Called first when the service stops, while requests under way are still served: end the streams and tell their
   * readers where to resume.
   */
  drain?(): Promise<void> | void;
  /** Called last, after the doors are shut: flush and close. */
  stop(): Promise<void>;
  /** The longest body in bytes, of all operations or by operation; 1 MiB unless told. Longer ones are not read. */
  bodyBytesMax?: number | ((operation: Operation) => number);
  /** Lines in Prometheus' text format, for `/metrics`; the kit adds its own. */
  metrics?(): string;
  /** Members of the start-up log line and of `/version`: which backend, which folder. */
  describe?(): Record<string, string>;
}
