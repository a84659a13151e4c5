/**
 * The way to Redis or Valkey: one server, Sentinel or Cluster.
 *
 * - Nothing waits in the client: while there is no connection every call is told so at once.
 * - Nothing is sent twice: what a broken connection took along may have been done.
 * - A server that may evict keys, and so lose jobs, is refused; also when one takes another's place later.
 */

import { type RedisAddress, redisAddress } from '@plinth/redis-address';
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { QueueKeys } from './fast/keys.ts';
import { type Reply, runScript, type Script, type ScriptClient } from './fast/scripts.ts';

export interface RedisSettings {
  /** As `@plinth/redis-address` says. */
  readonly url: string;
  /** Instead of those in the address. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly sentinelPassword?: string | undefined;
  /** Until an answer must be here, in milliseconds. */
  readonly commandTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Takes a server that evicts: jobs may then be lost. */
  readonly isUnsafe?: boolean | undefined;
  /** Told when the state of the connection changes. */
  readonly onChange?: ((state: string) => void) | undefined;
}

/** Redis cannot be asked, or has not answered. */
export class StoreAway extends Error {
  /** False: what was asked has certainly not been done. */
  readonly isOutcomeUnknown: boolean;

  constructor(message: string, isOutcomeUnknown: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreAway';
    this.isOutcomeUnknown = isOutcomeUnknown;
  }
}

/** What a power cut or a crash of the server takes along: all, about a second, nothing. */
export type Durability = 'memory' | 'everysec' | 'always';
const DURABILITIES: readonly Durability[] = ['memory', 'everysec', 'always'];

const RECONNECT_MS = 50;
const RECONNECT_MS_MAX = 500;
/** A server that owes answers and sends nothing for so long is given up: behind a cut cable no end of it is heard. */
const SILENCE_MS = 10_000;
const REDIRECTIONS_MAX = 3;
const INSPECT_AGAIN_MS = 1_000;
const SLOTS_REFRESH_MS = 2_000;

/** Answers after which nothing has been done: Redis refuses before a script's first write, or at it. */
const REFUSALS =
  /^(OOM|LOADING|READONLY|MISCONF|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|NOAUTH|NOPERM|TRYAGAIN|BUSY|MOVED|ASK)\b|OOM command not allowed|enableOfflineQueue/;

export class RedisStore {
  readonly client: Redis | Cluster;
  readonly #isUnsafe: boolean;
  #lastError = 'no connection yet';
  /** Why the server must not be used; undefined: it may. */
  #unfit: string | undefined = 'Redis has not been looked at yet';
  #durability: Durability = 'memory';

  constructor(settings: RedisSettings) {
    this.#isUnsafe = settings.isUnsafe ?? false;
    this.client = connectRedis(settings);
    this.client.on('error', (error: Error) => {
      this.#lastError = error.message;
    });
    // Nodes connect at their first command otherwise, and those that come meanwhile are turned away.
    this.client.on('+node', (node: Redis) => {
      if (node.status === 'wait') node.connect().catch(() => undefined);
    });
    for (const state of ['ready', 'close', 'reconnecting', 'end'] as const) {
      this.client.on(state, () => settings.onChange?.(state));
    }
    // Another server may have taken its place, with other settings.
    this.client.on('ready', () => this.#inspectUntilDone());
  }

  /** What the weakest of the servers promises; `memory` until the first has been asked. */
  get durability(): Durability {
    return this.#durability;
  }

  /** Why jobs cannot be kept now; undefined: they can. */
  notReady(): string | undefined {
    return this.client.status === 'ready' ? this.#unfit : `Redis is ${this.client.status}: ${this.#lastError}`;
  }

  /**
   * Waits for the connection and looks at the server.
   * @throws StoreAway when there is none by `timeoutMs`; RangeError when the server may evict jobs.
   */
  async ready(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    if (this.client.status === 'ready') resolve();
    this.client.once('ready', resolve);
    await promise;
    clearTimeout(timer);
    this.client.off('ready', resolve);
    if (this.client.status !== 'ready') throw new StoreAway(this.notReady()!, false);
    await this.inspect();
    if (this.#unfit !== undefined) throw new RangeError(this.#unfit);
  }

  /** As long as there is a connection, and without an answer. */
  #inspectUntilDone(): void {
    this.inspect().catch((error: Error) => {
      if (this.#unfit !== undefined) this.#unfit = `Redis does not say whether it may evict: ${error.message}`;
      if (this.client.status === 'ready') setTimeout(() => this.#inspectUntilDone(), INSPECT_AGAIN_MS).unref();
    });
  }

  /** Reads eviction and durability of all primaries. */
  async inspect(): Promise<void> {
    const nodes = this.client instanceof Cluster ? this.client.nodes('master') : [this.client];
    const found = await Promise.all(nodes.map(inspectNode));
    const evicting = found.find(({ policy }) => policy !== 'noeviction')?.policy;
    this.#unfit =
      evicting === undefined || this.#isUnsafe
        ? undefined
        : `Redis may throw jobs away: its maxmemory-policy is ${evicting}, and it must be noeviction`;
    const weakest = Math.min(...found.map(({ durability }) => DURABILITIES.indexOf(durability)));
    this.#durability = DURABILITIES[weakest] ?? 'memory';
  }

  /** @throws StoreAway; any other error is a bug in the script. */
  run(script: Script, keys: QueueKeys, args: readonly (string | number)[]): Promise<Reply> {
    return this.ask(() => runScript(this.client as unknown as ScriptClient, script, keys, args));
  }

  /** Sends one command, or some. @throws StoreAway */
  async ask<T>(commands: () => Promise<T>): Promise<T> {
    const reason = this.notReady();
    if (reason !== undefined) throw new StoreAway(reason, false);
    try {
      return await commands();
    } catch (error) {
      throw explained(error);
    }
  }

  close(): void {
    this.client.disconnect(false);
  }
}

function explained(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof StoreAway) return error;
  const isRefused = REFUSALS.test(error.message);
  // What Redis says of a script is a bug of ours; all the rest comes from the way there.
  if (error.name === 'ReplyError' && !isRefused) return error;
  return new StoreAway(`Redis says: ${error.message}`, !isRefused, { cause: error });
}

async function inspectNode(node: Redis): Promise<{ policy: string; durability: Durability }> {
  const [memory, persistence] = await Promise.all([node.info('memory'), node.info('persistence')]);
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? 'noeviction';
  if (!/^aof_enabled:1/m.test(persistence)) return { policy, durability: 'memory' };
  // Managed servers know no CONFIG; everysec is the default, and what they have.
  const config = await node.config('GET', 'appendfsync').catch(() => undefined);
  const fsync = (config as string[] | undefined)?.[1] ?? 'everysec';
  return { policy, durability: fsync === 'always' ? 'always' : fsync === 'everysec' ? 'everysec' : 'memory' };
}

/**
 * A connection of its own. @param more - For those who need it otherwise, as BullMQ's blocking workers do.
 * @throws RangeError when the URL is none.
 */
export function connectRedis(settings: RedisSettings, more: Partial<RedisOptions> = {}): Redis | Cluster {
  const address = redisAddress(settings.url);
  const { nodes, db, primaryName } = address;
  const options = { ...connectionOptions(settings, address), ...more } as RedisOptions;
  if (address.kind === 'cluster') return new Cluster([...nodes], clusterOptions(options));
  if (address.kind === 'single') return new Redis({ ...options, ...nodes[0], db });
  return new Redis({
    ...options,
    db,
    name: primaryName!,
    sentinels: [...nodes],
    sentinelPassword: settings.sentinelPassword,
    enableTLSForSentinelMode: address.isTls,
    sentinelTLS: address.isTls ? {} : undefined,
    sentinelRetryStrategy: backoff,
    sentinelCommandTimeout: settings.connectTimeoutMs,
    // The sentinels tell of a failover; the dead primary does not.
    failoverDetector: true,
  } as RedisOptions);
}

function connectionOptions(settings: RedisSettings, address: RedisAddress): RedisOptions {
  const { username, password, connectTimeoutMs, commandTimeoutMs } = settings;
  return {
    username: username ?? address.username,
    password: password ?? address.password,
    tls: address.isTls ? {} : undefined,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    socketTimeout: SILENCE_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // What was sent may have been done.
    autoResendUnfulfilledCommands: false,
    retryStrategy: backoff,
    // A primary that became a replica: look for the new one.
    reconnectOnError: (error: Error) => error.message.includes('READONLY'),
  } as RedisOptions;
}

function clusterOptions(redisOptions: RedisOptions): ClusterOptions {
  return {
    redisOptions,
    enableOfflineQueue: redisOptions.enableOfflineQueue ?? false,
    maxRedirections: REDIRECTIONS_MAX,
    clusterRetryStrategy: backoff,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    // Commands that a lost connection took along are not sent again.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
  };
}

const backoff = (times: number): number => Math.min(RECONNECT_MS * 2 ** Math.min(times - 1, 8), RECONNECT_MS_MAX);
