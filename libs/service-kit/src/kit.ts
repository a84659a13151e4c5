/** What the kit and a service say to each other. */
import type { IncomingMessage, ServerResponse } from 'node:http';
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

/** A request below the path of a mount: whoever sent it may do so. */
export interface Visit {
  /** As Express hands it on: the path of the mount is taken off `url`. */
  req: IncomingMessage;
  res: ServerResponse;
  /** Nothing is there; or it went wrong, and is answered as a problem. */
  next(error?: unknown): void;
  /** Its key, if one is needed, may write below this path too. */
  mayWrite: boolean;
}

/**
 * Somebody else's Express app or router, below a path of the service. It has the guards, the counts, the span and the
 * stop of every operation; no deadline, and no body without `Content-Length`.
 */
export interface Mount {
  /** As an operation is called, for counts and answers: `board`. */
  name: string;
  /** `/board`: what lies at it and below it. */
  path: string;
  handle(visit: Visit): void;
  /** A page of the service to which a browser without a key is sent; it asks for one and begins a session. */
  signIn?: string;
}

/** What `build` gives back: doors and life. */
export interface Service {
  operations: readonly Served[];
  /** What is not the service's own, below paths of theirs. */
  mounts?: readonly Mount[];
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
