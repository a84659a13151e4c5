/**
 * Schedules in Redis: what they are as text, when each is due next, and which replica is at which.
 *
 * A text is changed only by who knows what it was (`swap`), so that of two that change it at once one wins. What is due
 * is lent to one replica for some seconds (`due`), to save the others the work; that no run is made twice does not
 * hang on it. All keys have one hash tag.
 */
import type { Cluster, Redis } from 'ioredis';

export interface StoredSchedule {
  readonly id: string;
  readonly text: string;
}

export interface ScheduleStoreOptions {
  /** The connection stays its owner's. */
  readonly redis: Redis | Cluster;
  /** `plinth:q:` unless told: what all keys begin with. */
  readonly prefix: string;
}

/** A second more than what a replica needs for the enqueue, when Redis is slow. */
const LENT_MS = 5_000;

/** KEYS texts, times, lent. ARGV id, text as it was ('' none), new text ('' none), time of the next run ('' none), most, 1: lent on. */
const SWAP = `
local was = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if was ~= ARGV[2] then return 0 end
if was == '' and tonumber(ARGV[5]) <= redis.call('HLEN', KEYS[1]) then return -1 end
if ARGV[6] ~= '1' then redis.call('ZREM', KEYS[3], ARGV[1]) end
if ARGV[4] == '' then redis.call('ZREM', KEYS[2], ARGV[1]) else redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1]) end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
`;

/** KEYS as above. ARGV now of whoever asks, most, lent for. The server's own time rules what is lent. */
const DUE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local untilMs = redis.call('ZSCORE', KEYS[3], id)
  local text = redis.call('HGET', KEYS[1], id)
  if text and not (untilMs and tonumber(untilMs) > now) then
    redis.call('ZADD', KEYS[3], now + ARGV[3], id)
    found[#found + 1] = id
    found[#found + 1] = text
  end
end
return found
`;

/** The `ScheduleKeeper` of core; what the texts say is not its business. */
export class ScheduleStore {
  readonly #redis: ScheduleStoreOptions['redis'];
  readonly #keys: readonly [texts: string, times: string, lent: string];

  constructor({ redis, prefix }: ScheduleStoreOptions) {
    this.#redis = redis;
    const base = `${prefix}{schedules}:`;
    this.#keys = [`${base}texts`, `${base}times`, `${base}lent`];
  }

  async get(id: string): Promise<string | undefined> {
    return (await this.#redis.hget(this.#keys[0], id)) ?? undefined;
  }

  list(): Promise<string[]> {
    return this.#redis.hvals(this.#keys[0]);
  }

  /**
   * Changes a schedule, makes it (`was` undefined) or ends it (`text` undefined).
   *
   * @param nextMs - When it is due; undefined: not any more.
   * @param isLentOn - Nobody tries it again before the loan has ended.
   * @returns `changed`: it was not what it was thought to be. `full`: there are `max` already.
   */
  async swap(
    id: string,
    change: {
      was: string | undefined;
      text: string | undefined;
      nextMs: number | undefined;
      max: number;
      isLentOn?: boolean | undefined;
    },
  ): Promise<'done' | 'changed' | 'full'> {
    const { was = '', text = '', nextMs, max, isLentOn } = change;
    const done = await this.#redis.eval(SWAP, 3, ...this.#keys, id, was, text, nextMs ?? '', max, isLentOn ? 1 : 0);
    return done === 1 ? 'done' : done === 0 ? 'changed' : 'full';
  }

  /** Those that are due, but for those that another replica is at; they are lent to the caller for 5 s or until `swap`. */
  async due(nowMs: number, max: number): Promise<StoredSchedule[]> {
    const found = (await this.#redis.eval(DUE, 3, ...this.#keys, nowMs, max, LENT_MS)) as string[];
    return Array.from({ length: found.length / 2 }, (_, at) => ({ id: found[2 * at]!, text: found[2 * at + 1]! }));
  }

  /** When the next is due after a moment; and is anything due before it, that some replica is at or has failed to do? */
  async ahead(nowMs: number): Promise<{ nextMs: number | undefined; isOverdue: boolean }> {
    const times = this.#keys[1];
    const [overdue, later] = await Promise.all([
      this.#redis.zcount(times, '-inf', nowMs),
      this.#redis.zrangebyscore(times, `(${nowMs}`, '+inf', 'WITHSCORES', 'LIMIT', 0, 1),
    ]);
    const nextMs = later[1] === undefined ? undefined : Number(later[1]);
    return { nextMs, isOverdue: overdue > 0 };
  }
}
