/**
 * Definitions of queues, in one hash of Redis: all replicas see the same. What was read is believed for a second, so
 * that no job waits for its queue to be looked up; while Redis is away, what was read last.
 */
import type { Redis } from 'ioredis';

export interface RedisRegistryOptions {
  redis: Pick<Redis, 'hget' | 'hset' | 'hsetnx' | 'hdel' | 'hgetall'>;
  /** `plinth:q:` unless told: what all keys begin with. */
  prefix: string;
  /** Milliseconds, on any clock that only goes forward. */
  now(): number;
}

interface Read<Definition> {
  readonly definition: Promise<Definition | undefined>;
  readonly atMs: number;
}

export const CACHED_MS = 1_000;
/** Names that are asked for, and may be none. */
const CACHED_MAX = 20_000;

/** The `Registry` of core; what a definition holds besides its name is not its business. */
export class RedisRegistry<Definition extends { readonly queue: string }> {
  readonly #redis: RedisRegistryOptions['redis'];
  readonly #key: string;
  readonly #now: () => number;
  readonly #cache = new Map<string, Read<Definition>>();

  constructor({ redis, prefix, now }: RedisRegistryOptions) {
    this.#redis = redis;
    this.#key = `${prefix}queues`;
    this.#now = now;
  }

  /**
   * Cost: nothing, for a second after it was read, unless it is wanted fresh. That a queue is not there is not believed:
   * its first job may have come to another replica, and the word of its worker comes here.
   */
  get(queue: string, isFresh = false): Promise<Definition | undefined> {
    const nowMs = this.#now();
    const read = this.#cache.get(queue);
    if (!isFresh && read !== undefined && nowMs - read.atMs < CACHED_MS) return read.definition;
    const definition = this.#read(queue, read?.definition);
    this.#remember(queue, definition, nowMs);
    const forget = () => {
      if (this.#cache.get(queue)?.definition === definition) this.#cache.delete(queue);
    };
    // Who asked hears of a failure; who comes next shall ask anew.
    definition.then((found) => found === undefined && forget(), forget);
    return definition;
  }

  async create(definition: Definition): Promise<Definition> {
    await this.#redis.hsetnx(this.#key, definition.queue, JSON.stringify(definition));
    // Whoever was first, what is kept is read back.
    this.#cache.delete(definition.queue);
    return (await this.get(definition.queue)) ?? definition;
  }

  async put(definition: Definition): Promise<void> {
    await this.#redis.hset(this.#key, definition.queue, JSON.stringify(definition));
    this.#remember(definition.queue, Promise.resolve(definition), this.#now());
  }

  async list(): Promise<Definition[]> {
    const all = Object.values(await this.#redis.hgetall(this.#key)).map((text) => this.#parse(text));
    return all.sort((one, other) => (one.queue < other.queue ? -1 : 1));
  }

  async remove(queue: string): Promise<void> {
    await this.#redis.hdel(this.#key, queue);
    this.#cache.delete(queue);
  }

  async #read(queue: string, last: Promise<Definition | undefined> | undefined): Promise<Definition | undefined> {
    try {
      const text = await this.#redis.hget(this.#key, queue);
      return text === null ? undefined : this.#parse(text);
    } catch (error) {
      // A queue that was there is there; whether one that was not has been made meanwhile, nobody can say.
      const definition = await last?.catch(() => undefined);
      if (definition === undefined) throw error;
      return definition;
    }
  }

  #remember(queue: string, definition: Read<Definition>['definition'], atMs: number): void {
    if (this.#cache.size >= CACHED_MAX) this.#cache.clear();
    this.#cache.set(queue, { definition, atMs });
  }

  #parse(text: string): Definition {
    return JSON.parse(text) as Definition;
  }
}
