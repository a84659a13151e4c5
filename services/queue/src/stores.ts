/** The lanes and all else that is kept in Redis, on its connections. */
import type { Redis } from 'ioredis';
import type { QueueConfig } from './config.ts';
import type { QueueDefinition } from './core/queue-definition.ts';
import { FastLane } from './store/fast-lane.ts';
import { type Durability, type RedisSettings, RedisStore } from './store/redis.ts';
import { RedisRegistry } from './store/registry.ts';
import { StandardLane } from './store/standard-lane.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** A Redis that is started together with the service may have a log to load. */
const READY_TIMEOUT_MS = 30_000;

export interface StoresOptions {
  config: Pick<QueueConfig, 'redisUrl' | 'redisPassword' | 'redisTimeoutMs' | 'unsafe' | 'prefix' | 'bullPrefix'>;
  random(): number;
  onChange(state: string): void;
}

export class Stores {
  readonly lanes: { readonly fast: FastLane; readonly standard: StandardLane };
  readonly registry: RedisRegistry<QueueDefinition>;
  /** For what else is kept: all calls fail at once while it is away. */
  readonly redis: Redis;
  readonly #store: RedisStore;

  private constructor({ config, random }: StoresOptions, stores: { fast: RedisStore; standard: RedisStore }) {
    const { prefix, bullPrefix } = config;
    // Of a cluster only commands are used, which it has as a single server has them.
    const redis = stores.fast.client as Redis;
    this.#store = stores.fast;
    this.redis = redis;
    this.lanes = {
      fast: new FastLane({ store: stores.fast, prefix, random }),
      standard: new StandardLane({ store: stores.standard, prefix: bullPrefix, random }),
    };
    this.registry = new RedisRegistry({ redis, prefix, now: () => performance.now() });
  }

  /**
   * @throws Error when Redis cannot be reached in half a minute; RangeError when it may throw jobs away, unless that
   * is allowed.
   */
  static async open(options: StoresOptions): Promise<Stores> {
    const fast = await connected(options);
    try {
      // The scripts of one lane do not wait behind those of the other.
      return new Stores(options, { fast, standard: await connected({ ...options, onChange: () => undefined }) });
    } catch (error) {
      fast.close();
      throw error;
    }
  }

  /** What a crash or a power cut may take along. */
  get durability(): Durability {
    return this.#store.durability;
  }

  async stop(): Promise<void> {
    await this.lanes.standard.stop();
    await this.lanes.fast.stop();
  }
}

async function connected({ config, onChange }: StoresOptions): Promise<RedisStore> {
  const settings: RedisSettings = {
    url: config.redisUrl,
    password: config.redisPassword,
    commandTimeoutMs: config.redisTimeoutMs,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    isUnsafe: config.unsafe,
    onChange,
  };
  const store = new RedisStore(settings);
  try {
    await store.ready(READY_TIMEOUT_MS);
    return store;
  } catch (error) {
    store.close();
    throw error;
  }
}
