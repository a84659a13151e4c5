/**
 * Where the jobs of a fast queue are in Redis. All keys of a queue have one hash tag, `plinth:q:{<queue>}:`, and there
 * is a fixed number of them, whatever groups and jobs there are: so a script can name every key that it touches before
 * it runs, as Redis Cluster wants it, and no call has to be made twice for want of a key.
 *
 * A job is a record in `j` and its id in one place more. Which place that is, is its state; a job that is in no other
 * place waits. What a script costs is the entries that it writes, hardly the Lua: so of plain jobs that were leased in
 * one call, and of such that were completed in one call, a whole batch is one entry (`lua/batches.ts`, `lua/pieces.ts`).
 *
 * | Key    | Type | Field or member → value, score                                                                     |
 * | ------ | ---- | -------------------------------------------------------------------------------------------------- |
 * | `m`    | HASH | the queue: `limits` (text), `paused` (`1`), `id`, `token`, `seq` (the last ones given), `waiting` and |
 * |        |      | `live` (jobs that wait, that have not ended), `bucket` (tokens and when), `piece` (the last number), |
 * |        |      | `batched` and `pieced` (jobs in `b` and in `cb`), totals: `enqueued`, `completed`, `failed`,        |
 * |        |      | `retried`, `dead`, `stalled`, `cancelled`, `expired`                                                |
 * | `j`    | HASH | id → what the job is (`record.ts`), until the job is forgotten                                     |
 * | `s`    | HASH | id → what happened to it (`record.ts`); nothing before it has been in a worker's hands, or in `cb` |
 * | `g`    | HASH | group → its state (`lua/groups.ts`): where its list begins and ends, running, deficit, bucket      |
 * | `gl`   | HASH | group → its own limits (text), where it has some                                                   |
 * | `w`    | HASH | group, US, number → a piece of the group's list: ids, each with a comma behind it                  |
 * | `p`    | ZSET | group, US, priority (7 digits), sequence (13 digits), id; score 0: what waits with a priority > 0   |
 * | `v`    | HASH | id → how many of its entries in `w` and `p` are void: cancelled or moved while they waited          |
 * | `ring` | LIST | groups that may be served, in the order of their turns                                             |
 * | `gz`   | ZSET | groups that wait for tokens, by the time when one is there                                         |
 * | `z`    | ZSET | scheduled, by the time when they are due                                                           |
 * | `y`    | ZSET | retrying, by the time when they are due                                                            |
 * | `a`    | HASH | id → lease (`record.ts`): token, attempt, worker …; of those that are leased by themselves          |
 * | `b`    | HASH | number → leases of a batch (`lua/batches.ts`): worker …, ids and slots                             |
 * | `l`    | ZSET | leased, by the time when the lease or the attempt is over: ids of `a`, `b` and numbers of `b`       |
 * | `t`    | ZSET | those that end as `expired` when they have not been started, by that time                          |
 * | `c`    | ZSET | completed, by the time when they are forgotten: ids, `b` and numbers of `cb`                        |
 * | `cb`   | HASH | number → jobs completed together (`lua/pieces.ts`): their history, ids                             |
 * | `d`    | ZSET | dead, by the time when they are forgotten                                                          |
 * | `x`    | ZSET | cancelled, by the time when they are forgotten                                                     |
 * | `r`    | HASH | id → result, JSON text                                                                             |
 * | `o`    | HASH | id → progress, JSON text                                                                           |
 * | `e`    | HASH | id → log lines, each with LF behind it                                                             |
 * | `dd`   | HASH | dedup id → job id, mode, expiry (`lua/dedup.ts`)                                                   |
 * | `de`   | ZSET | dedup ids by the time when they are free                                                           |
 * | `dk`   | HASH | dedup id → record of the job that comes behind the one that is leased (`keep-last`)                 |
 * | `k`    | HASH | print of an idempotency key → when it is free, print of the call, its ids (`lua/once.ts`)           |
 * | `ks`   | LIST | when it is free, and that print: in this order, of keys that are kept for 10 minutes at the most   |
 * | `kl`   | LIST | the same of all others                                                                             |
 * | `f`    | HASH | id of a parent → children that have not ended; who is in here and has more than 0 waits for them   |
 * | `fc`   | HASH | id of a parent → ids of its children, each with a comma behind it                                  |
 *
 * Ids are decimal numbers from 1 up: Redis keeps them in a few bytes, and newest first is downwards. A token is a number
 * of leases × 128 + a slot; numbers count from 16 × the millisecond when the queue was made, so that tokens of a queue
 * that was removed and made anew are greater too.
 */

export const KEY_NAMES = [
  'm',
  'j',
  's',
  'g',
  'gl',
  'w',
  'p',
  'v',
  'ring',
  'gz',
  'z',
  'y',
  'a',
  'b',
  'l',
  't',
  'c',
  'cb',
  'd',
  'x',
  'r',
  'o',
  'e',
  'dd',
  'de',
  'dk',
  'k',
  'ks',
  'kl',
  'f',
  'fc',
] as const;
export type KeyName = (typeof KEY_NAMES)[number];
export type QueueKeys = Readonly<Record<KeyName, string>>;

export const KEY_PREFIX = 'plinth:q:';

/** The names of all fast queues, a SET. No script touches it: it lives in a slot of its own. */
export const queuesKey = (prefix: string = KEY_PREFIX): string => `${prefix}fast-queues`;

/** Braces in a name would end the hash tag too early. */
const tagOf = (queue: string): string =>
  queue.replace(/[%{}]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);

/** @param queue - Not empty, or there would be no hash tag. */
export function queueKeys(queue: string, prefix: string = KEY_PREFIX): QueueKeys {
  if (queue === '') throw new RangeError('a queue has a name');
  const start = `${prefix}{${tagOf(queue)}}:`;
  return Object.fromEntries(KEY_NAMES.map((name) => [name, start + name])) as Record<KeyName, string>;
}
