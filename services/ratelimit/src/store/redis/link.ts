/**
 * The way to Redis. Three promises, none of which a client keeps by itself:
 *
 * - An answer in time or none: whoever asks is told `BackendAway` at the deadline at the latest, and at once while there
 *   is no connection. What comes later is dropped.
 * - Nothing is asked twice: what was sent may have been done, so it is not sent again when a connection breaks. Only the
 *   explicit NOSCRIPT, after which nothing has happened, has its script sent in full.
 * - What waits is bounded: a server that stands still collects so many commands and then a new connection.
 */

import type { RedisAddress } from '@plinth/redis-address';
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { BackendAway } from '../backend.ts';
import type { Script } from './script.ts';
import { slotOf } from './slot.ts';

export interface LinkOptions {
  readonly address: RedisAddress;
  /** Instead of those in the address. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** The sentinels' own. */
  readonly sentinelPassword?: string | undefined;
  /** Until an answer must be here, in milliseconds. */
  readonly commandTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Told when the state of the connection changes. */
  readonly onChange?: ((state: string) => void) | undefined;
}

/** What one server may owe us: at 5 ms each it is far behind by then, and each is a batch of asks. */
const UNANSWERED_MAX = 1_000;
/** A server that owes answers and sends nothing for so long is given up: behind a cut cable no end of it is heard. */
const SILENCE_MS = 2_000;
const RECONNECT_MS = 50;
const RECONNECT_MS_MAX = 500;
/** A slot that moves while it is asked for is asked for at its new place, once and once more. */
const REDIRECTIONS_MAX = 3;
/** How soon a change of the cluster is heard of that no answer has told. */
const SLOTS_REFRESH_MS = 2_000;

export class RedisLink {
  readonly #client: Redis | Cluster;
  readonly #options: LinkOptions;
  #unanswered = 0;
  #lastError = 'no connection yet';

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#client = connect(options);
    this.#client.on('error', (error: Error) => {
      this.#lastError = error.message;
    });
    // Nodes connect at their first command otherwise, and those that come meanwhile are turned away.
    this.#client.on('+node', (node: Redis) => {
      if (node.status === 'wait') node.connect().catch(() => undefined);
    });
    for (const state of ['ready', 'close', 'reconnecting', 'end'] as const) {
      this.#client.on(state, () => options.onChange?.(state));
    }
  }

  get isCluster(): boolean {
    return this.#client instanceof Cluster;
  }

  /** What of a cluster a key lives in: keys of one slot can be decided over in one script. */
  slotOf(key: string): number {
    return this.isCluster ? slotOf(key) : 0;
  }

  notReady(): string | undefined {
    return this.#client.status === 'ready' ? undefined : `Redis is ${this.#client.status}: ${this.#lastError}`;
  }

  /** Commands that were sent and not answered, late ones included. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** Runs a script that answers whole numbers. @throws BackendAway */
  run({ sha1, text }: Script, keys: readonly string[], args: readonly string[]): Promise<readonly number[]> {
    const client = this.#client;
    return this.#inTime(
      () => client.evalsha(sha1, keys.length, ...keys, ...args) as Promise<readonly number[]>,
      () => client.eval(text, keys.length, ...keys, ...args) as Promise<readonly number[]>,
    );
  }

  /** True when the key was not there. @throws BackendAway */
  setIfAbsent(key: string, forMs: number): Promise<boolean> {
    return this.#inTime(async () => (await this.#client.set(key, '1', 'PX', forMs, 'NX')) === 'OK');
  }

  /** @throws BackendAway */
  remove(keys: readonly string[]): Promise<unknown> {
    return this.#inTime(() => this.#client.unlink(...keys));
  }

  close(): void {
    this.#client.disconnect(false);
  }

  /** @param inFull - What to do instead where Redis does not know the script: then nothing has happened. */
  #inTime<T>(work: () => Promise<T>, inFull?: () => Promise<T>): Promise<T> {
    const reason = this.notReady() ?? (this.#unanswered < UNANSWERED_MAX ? undefined : 'Redis owes too many answers');
    if (reason !== undefined) return Promise.reject(new BackendAway(reason));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const late = () => reject(new BackendAway(`Redis did not answer within ${this.#options.commandTimeoutMs} ms`));
    // After a stall of our own the answer may be here and unread: reading comes before `setImmediate`.
    const timer = setTimeout(() => setImmediate(late), this.#options.commandTimeoutMs);
    const settle = () => {
      this.#unanswered -= 1;
      clearTimeout(timer);
    };
    const succeed = (value: T) => {
      settle();
      resolve(value);
    };
    const fail = (error: Error) => {
      settle();
      reject(new BackendAway(`Redis says: ${error.message}`, { cause: error }));
    };
    this.#unanswered += 1;
    work().then(succeed, (error: Error) => {
      if (inFull !== undefined && error.message.startsWith('NOSCRIPT')) inFull().then(succeed, fail);
      else fail(error);
    });
    return promise;
  }
}

function connect(options: LinkOptions): Redis | Cluster {
  const { address, connectTimeoutMs } = options;
  const { nodes, db, primaryName } = address;
  const common = commonOptions(options);
  if (address.kind === 'cluster') return new Cluster([...nodes], clusterOptions(common));
  if (address.kind === 'single') return new Redis({ ...common, ...nodes[0], db });
  return new Redis({
    ...common,
    db,
    name: primaryName!,
    sentinels: [...nodes],
    sentinelPassword: options.sentinelPassword,
    enableTLSForSentinelMode: address.isTls,
    sentinelTLS: address.isTls ? {} : undefined,
    sentinelRetryStrategy: backoff,
    sentinelCommandTimeout: connectTimeoutMs,
    // The sentinels tell of a failover; the dead primary does not.
    failoverDetector: true,
  } as RedisOptions);
}

function commonOptions({ address, username, password, connectTimeoutMs }: LinkOptions): RedisOptions {
  return {
    username: username ?? address.username,
    password: password ?? address.password,
    tls: address.isTls ? {} : undefined,
    connectTimeout: connectTimeoutMs,
    socketTimeout: SILENCE_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // What was sent may have been done.
    autoResendUnfulfilledCommands: false,
    retryStrategy: backoff,
    // A primary that became a replica: look for the new one.
    reconnectOnError: (error) => error.message.includes('READONLY'),
  } as RedisOptions;
}

function clusterOptions(redisOptions: RedisOptions): ClusterOptions {
  return {
    redisOptions,
    enableOfflineQueue: false,
    maxRedirections: REDIRECTIONS_MAX,
    clusterRetryStrategy: backoff,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    // Commands that a lost connection took along are not sent again.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
  };
}

const backoff = (times: number): number => Math.min(RECONNECT_MS * 2 ** Math.min(times - 1, 8), RECONNECT_MS_MAX);
