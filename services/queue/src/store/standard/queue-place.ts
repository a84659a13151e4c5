/**
 * Where a queue of this lane is in Redis.
 *
 * Everything of BullMQ's is where BullMQ puts it, so that native clients work on the same queue: they open it as
 * `{<queue>}` (the braces are part of the name: a hash tag, so that Redis Cluster keeps the queue in one slot) with the
 * same prefix. What BullMQ does not know is beside it, in the same slot, under `…:plinth:…`.
 */
import { type KeysMap, QueueKeys } from 'bullmq';

export interface QueuePlace {
  readonly queue: string;
  /** As native clients call it. */
  readonly name: string;
  /** Before every key: `bull:{<queue>}:`. */
  readonly base: string;
  readonly keys: KeysMap;
  readonly own: OwnKeys;
}

export interface OwnKeys {
  /** HASH: limits of the queue and of its groups, as JSON. */
  readonly settings: string;
  /** STRING: the counter of lease tokens. */
  readonly token: string;
  /** HASH id → who has it (`lease-record.ts`). */
  readonly lease: string;
  /** ZSET of leased ids by deadline. */
  readonly deadlines: string;
  /** HASH id → why it is to be cancelled. */
  readonly cancels: string;
  /** ZSET of those failed jobs that were cancelled, by when; BullMQ knows only `failed`. */
  readonly cancelled: string;
  /** ZSET of those delayed jobs that wait for a retry, by due time; BullMQ knows only `delayed`. */
  readonly retrying: string;
  /** ZSET of jobs with a time to live, by its end. */
  readonly expiries: string;
  /** HASH place → id, of an idempotent call: its jobs. */
  readonly callOf: (call: string) => string;
  /** ZSET of dedup ids and of calls that may outlive their jobs, by when they are over: so that
   * they do not outlive the queue. */
  readonly dedups: string;
  /** HASH of totals. */
  readonly totals: string;
  /** HASH group → leases. */
  readonly running: string;
  /** HASH group → virtual time; `*` is the queue's own. */
  readonly virtual: string;
  /** HASH group → token bucket `<tokens>:<at>`. */
  readonly buckets: string;
  /** SET of groups that are paused. */
  readonly paused: string;
  /** HASH group → how many of its jobs are parked. */
  readonly parked: string;
  /** ZSET of the parked ids of one group, by their place in the order. */
  readonly parkedOf: (group: string) => string;
}

/** Parked jobs are `delayed` until then (the year 2096), which is how BullMQ leaves them alone. */
export const PARKED_UNTIL_MS = 4_000_000_000_000;
/** BullMQ's scores of `delayed` are the time in milliseconds times this, plus a counter. */
export const DELAYED_SCORE_UNIT = 0x1000;
/** From this score on, what is delayed is parked. */
export const PARKED_SCORE = `${PARKED_UNTIL_MS * DELAYED_SCORE_UNIT}`;

/** Characters that keys give a meaning to are escaped; everybody else's names stay as they are. */
export const escapeName = (name: string): string =>
  name.replace(/[:{}%|\s]/gu, (character) => `%${character.codePointAt(0)!.toString(16).padStart(2, '0')}`);

export function queuePlace(prefix: string, queue: string): QueuePlace {
  const name = `{${escapeName(queue)}}`;
  const base = `${prefix}:${name}:`;
  const own = (part: string) => `${base}plinth:${part}`;
  return {
    ...{ queue, name, base },
    keys: new QueueKeys(prefix).getKeys(name),
    own: {
      settings: own('settings'),
      token: own('token'),
      lease: own('lease'),
      deadlines: own('deadlines'),
      cancels: own('cancels'),
      cancelled: own('cancelled'),
      retrying: own('retrying'),
      expiries: own('expiries'),
      dedups: own('dedups'),
      callOf: (call) => own(`call:${call}`),
      totals: own('totals'),
      running: own('running'),
      virtual: own('virtual'),
      buckets: own('buckets'),
      paused: own('paused'),
      parked: own('parked'),
      parkedOf: (group) => own(`parked:${escapeName(group)}`),
    },
  };
}

/** The queues of this lane; in a slot of its own. */
export const queuesKey = (prefix: string): string => `${prefix}:plinth:queues`;
