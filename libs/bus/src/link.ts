/**
 * The connection to the server: whether it is there, since when it is away, and how eagerly to try again.
 *
 * While it is away nothing is buffered. What nats.js would keep is lost at its next attempt anyway, and a caller that
 * is told at once can do something about it.
 */
import type { NatsConnection, Status } from '@nats-io/transport-node';
import { Problem } from '@plinth/problem';
import type { BusLog } from './bus.ts';

/** The first try comes soon, since most servers that go away come back at once; later ones spare a server that boots. */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 5_000;

export class Link {
  readonly #log: BusLog | undefined;
  #awaySinceMs: number | undefined;
  #isClosed = false;
  #latestError: string | undefined;

  constructor(log: BusLog | undefined) {
    this.#log = log;
  }

  /** Undefined when connected, else why not, in words. */
  notReady(): string | undefined {
    if (this.#isClosed) return 'the bus is closed';
    if (this.#awaySinceMs === undefined) return undefined;
    const error = this.#latestError === undefined ? '' : `: ${this.#latestError}`;
    return `the bus has been away for ${((Date.now() - this.#awaySinceMs) / 1_000).toFixed(1)} s${error}`;
  }

  /** @throws Problem `unavailable` while nothing can be sent. */
  assertReady(): void {
    const reason = this.notReady();
    if (reason !== undefined) throw new Problem('unavailable', reason, { retryAfterMs: 1_000 });
  }

  /**
   * Milliseconds to wait before the next try: a quarter of the time already spent waiting, ±50 % so that a hundred
   * clients do not come back as one. nats.js may ask more than once per try, so it must not count the questions.
   */
  retryDelayMs(): number {
    const awayMs = this.#awaySinceMs === undefined ? 0 : Date.now() - this.#awaySinceMs;
    return Math.min(Math.max(awayMs / 4, RETRY_MS_MIN), RETRY_MS_MAX) * (0.5 + Math.random());
  }

  /** Follows the connection until it is closed. */
  async watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) this.#note(status);
    this.#isClosed = true;
  }

  /** From now on nothing is sent. */
  close(): void {
    this.#isClosed = true;
  }

  #note(status: Status): void {
    if (status.type === 'disconnect') this.#left(status.server);
    else if (status.type === 'reconnect') this.#cameBack(status.server);
    else if (status.type === 'error') this.#failed(status.error);
    else if (status.type === 'ldm')
      this.#log?.info('the NATS server asks its clients to leave', { server: status.server });
  }

  /** It is said again after each failed try; the first one counts. */
  #left(server: string): void {
    if (this.#awaySinceMs !== undefined || this.#isClosed) return;
    this.#awaySinceMs = Date.now();
    this.#log?.warn('the connection to NATS is lost; trying again', { server });
  }

  #cameBack(server: string): void {
    const awayMs = this.#awaySinceMs === undefined ? 0 : Date.now() - this.#awaySinceMs;
    this.#awaySinceMs = undefined;
    this.#latestError = undefined;
    this.#log?.info('connected to NATS again', { server, awayMs });
  }

  #failed(error: Error): void {
    this.#latestError = error.message;
    this.#log?.error('NATS refuses something', { error: error.message });
  }
}
