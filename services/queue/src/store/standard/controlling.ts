/** What people do to a queue: limits, pause, drain, purge, remove, redrive, promote. */
import type { GroupLimits, QueueLimits, RedriveFilter } from '../lane.ts';
import { callKeyOf } from './calls.ts';
import { takeTurns } from './coming-due.ts';
import { endSeized, seize } from './ending.ts';
import { isRetrying, type JobHash, type JobRecord, minimal, OWN_FIELDS, recordFromHash } from './job-record.ts';
import { unpark } from './leasing-in-turns.ts';
import { fits } from './looking.ts';
import { run } from './own-scripts.ts';
import { groupField, type QueueHandle } from './queue-handle.ts';
import { PARKED_SCORE } from './queue-place.ts';

/** Jobs that are read or removed in one go. */
const CHUNK = 500;

/**
 * Concurrency and rate are BullMQ's own, in its `meta`, so that native workers keep to them as well. Its rate is a
 * window: `burst` jobs in the time that the rate needs for them.
 */
export async function configure(handle: QueueHandle, limits: QueueLimits, groupDefault: GroupLimits): Promise<void> {
  const { keys, own } = handle.place;
  const { concurrency, ratePerSecond, burst } = limits;
  const pipeline = handle.redis.pipeline();
  pipeline.hset(own.settings, 'queue', JSON.stringify({ limits, groupDefault }));
  if (concurrency > 0) pipeline.hset(keys.meta!, 'concurrency', concurrency);
  else pipeline.hdel(keys.meta!, 'concurrency');
  if (ratePerSecond > 0) {
    const max = burst > 0 ? burst : Math.max(1, Math.ceil(ratePerSecond));
    pipeline.hset(keys.meta!, 'max', max, 'duration', Math.ceil((max * 1_000) / ratePerSecond));
  } else pipeline.hdel(keys.meta!, 'max', 'duration');
  if (hasGroupLimits(groupDefault)) pipeline.hset(own.settings, 'fair', '1');
  await pipeline.exec();
  handle.forgetSettings();
}

const hasGroupLimits = ({ concurrency, ratePerSecond }: GroupLimits): boolean => concurrency > 0 || ratePerSecond > 0;

export async function configureGroup(
  handle: QueueHandle,
  group: string,
  limits: GroupLimits | undefined,
): Promise<void> {
  const { own } = handle.place;
  if (limits === undefined) await handle.redis.hdel(own.settings, groupField(group));
  else await handle.redis.hset(own.settings, { [groupField(group)]: JSON.stringify(limits), fair: '1' });
  handle.forgetSettings();
}

export async function pause(handle: QueueHandle, group: string | undefined): Promise<void> {
  if (group === undefined) return handle.backend().pause(true);
  // Its jobs stay where they are; those that a lease comes upon are parked.
  await handle.redis.sadd(handle.place.own.paused, group);
}

export async function resume(handle: QueueHandle, group: string | undefined): Promise<void> {
  if (group === undefined) return handle.backend().pause(false);
  await handle.redis.srem(handle.place.own.paused, group);
  await unpark(handle);
}

/** @returns How many were removed. Jobs of BullMQ's schedulers stay, as BullMQ has it. */
export async function drain(handle: QueueHandle, isScheduledToo: boolean): Promise<number> {
  let count = await drainWaiting(handle);
  if (!isScheduledToo) return count;
  for (const isRetry of [false, true]) count += await drainLater(handle, isRetry);
  return count;
}

async function drainWaiting(handle: QueueHandle): Promise<number> {
  const { redis, place } = handle;
  const [wait, prioritized, parked] = await Promise.all([
    redis.lrange(place.keys.wait!, 0, -1),
    redis.zrange(place.keys.prioritized!, 0, '-1'),
    redis.zrangebyscore(place.keys.delayed!, PARKED_SCORE, '+inf'),
  ]);
  const ids = [...wait, ...prioritized, ...parked];
  const family = await familyOf(handle, ids);
  const { token, found } = await seize(handle, family, 'child', '');
  await removeEach(
    handle,
    parked.filter((id) => !family.includes(id)),
  );
  await handle.backend().drain(false);
  await endDrained(handle, family, { token, found });
  return ids.length;
}

async function drainLater(handle: QueueHandle, isRetry: boolean): Promise<number> {
  const { redis, place } = handle;
  const later = await redis.zrangebyscore(place.keys.delayed!, '-inf', `(${PARKED_SCORE}`);
  const read = await Promise.all(later.map((id) => redis.hmget(handle.jobKey(id), 'atm', OWN_FIELDS.stalls)));
  const ids = later.filter((_, at) => isRetrying(read[at]![0], read[at]![1]) === isRetry);
  const family = await familyOf(handle, ids);
  const { token, found } = await seize(handle, family, 'child', '');
  const alone = ids.filter((id) => !family.includes(id));
  const count = await removeEach(handle, alone);
  if (isRetry && alone.length > 0) await redis.zrem(place.own.retrying, ...alone);
  return count + (await endDrained(handle, family, { token, found }));
}

async function removeEach(handle: QueueHandle, ids: readonly string[]): Promise<number> {
  const removed = await Promise.allSettled(ids.map((id) => handle.backend().remove(id, false)));
  return removed.filter(({ status }) => status === 'fulfilled').length;
}

/**
 * Those that have a parent, the oldest first: what the end of one does to its family depends on the order. BullMQ removes
 * a parent, even a dead one, together with the last of its children that is drained; here it is told, as of a child that
 * failed.
 */
async function familyOf(handle: QueueHandle, ids: readonly string[]): Promise<string[]> {
  const { redis, place } = handle;
  const hadFlows = (await redis.hexists(place.own.totals, 'flowJobs')) === 1;
  if (!hadFlows && (await redis.zcard(place.keys['waiting-children']!)) === 0) return [];
  const parents = await Promise.all(ids.map((id) => redis.hget(handle.jobKey(id), 'parentKey')));
  const children = ids.filter((_, at) => parents[at] !== null);
  return children.sort((one, other) => Number.parseInt(one, 36) - Number.parseInt(other, 36));
}

/** @returns How many there were. */
async function endDrained(
  handle: QueueHandle,
  ids: readonly string[],
  { token, found }: { token: string; found: readonly string[] },
): Promise<number> {
  const taken = ids.filter((_, at) => found[at] === 'seized');
  const death = { token, reason: 'drained', wasStarted: false, isForgotten: true, totals: [] };
  await endSeized(handle, taken, death);
  return taken.length;
}

export async function purge(
  handle: QueueHandle,
  states: readonly ('completed' | 'dead' | 'cancelled')[],
): Promise<number> {
  let count = 0;
  if (states.includes('completed')) count += await removeAll(handle, 'completed', () => true);
  const wants = (hash: JobHash) => states.includes(hash[OWN_FIELDS.cancelled] === undefined ? 'dead' : 'cancelled');
  if (states.includes('dead') || states.includes('cancelled')) count += await removeAll(handle, 'failed', wants);
  return count;
}

async function removeAll(
  handle: QueueHandle,
  state: 'completed' | 'failed',
  isMeant: (hash: JobHash) => boolean,
): Promise<number> {
  let [count, kept] = [0, 0];
  for (;;) {
    const ids = await handle.redis.zrange(handle.place.keys[state]!, kept, `${kept + CHUNK - 1}`);
    if (ids.length === 0) return count;
    const marks = await Promise.all(ids.map((id) => handle.redis.hget(handle.jobKey(id), OWN_FIELDS.cancelled)));
    const meant = ids.filter((_, at) => isMeant(marks[at] == null ? {} : { [OWN_FIELDS.cancelled]: marks[at] }));
    const removed = await Promise.allSettled(meant.map((id) => handle.backend().remove(id, false)));
    const done = removed.filter(({ status }) => status === 'fulfilled').length;
    if (meant.length > 0) await handle.redis.zrem(handle.place.own.cancelled, ...meant);
    count += done;
    kept += ids.length - done;
  }
}

/** @returns False: there are leases. */
export async function remove(handle: QueueHandle, isForced: boolean): Promise<boolean> {
  const { keys, own } = handle.place;
  const backend = handle.backend();
  const wasPaused = (await handle.redis.hexists(keys.meta!, 'paused')) === 1;
  // BullMQ obliterates only what is paused; and so no lease comes in between.
  await backend.pause(true);
  if (!isForced && (await handle.redis.llen(keys.active!)) > 0) {
    if (!wasPaused) await backend.pause(false);
    return false;
  }
  await removeParents(handle);
  const groups = await handle.redis.smembers(own.parked);
  while ((await backend.obliterate({ force: true, count: CHUNK })) !== 0);
  await removeDedupKeys(handle);
  const { parkedOf, callOf, ...rest } = own;
  await handle.redis.del(...Object.values(rest), ...groups.map(parkedOf), keys['waiting-children']!, keys.limiter!);
  handle.forgetSettings();
  return true;
}

/** BullMQ's `obliterate` passes over jobs that wait for their children. */
async function removeParents(handle: QueueHandle): Promise<void> {
  const ids = await handle.redis.zrange(handle.place.keys['waiting-children']!, 0, '-1');
  await Promise.allSettled(ids.map((id) => handle.backend().remove(id, true)));
}

/** Dedup ids outlive their jobs, but not the queue. */
async function removeDedupKeys({ redis, place: { base, own } }: QueueHandle): Promise<void> {
  for (;;) {
    const ids = await redis.zrange(own.dedups, 0, `${CHUNK - 1}`);
    if (ids.length === 0) return;
    await redis.del(
      ...ids.flatMap((id) => {
        const call = callKeyOf(id);
        return call === undefined ? [`${base}de:${id}`, `${base}dn:${id}`] : [call];
      }),
    );
    await redis.zrem(own.dedups, ...ids);
  }
}

/** Oldest first. */
export async function redrive(handle: QueueHandle, filter: RedriveFilter, max: number): Promise<string[]> {
  const redriven: string[] = [];
  let passed = 0;
  while (redriven.length < max) {
    const ids = await deadIds(handle, filter.ids, passed);
    if (ids.length === 0) break;
    const hashes = await Promise.all(ids.map((id) => handle.redis.hgetall(handle.jobKey(id))));
    const meant: JobRecord[] = [];
    for (const [at, hash] of hashes.entries()) {
      if (hash.name === undefined || hash[OWN_FIELDS.cancelled] !== undefined) continue;
      const record = recordFromHash(ids[at]!, hash);
      if (fits(record, filter) && redriven.length + meant.length < max) meant.push(record);
    }
    const done = await Promise.all(meant.map((record) => revive(handle, record)));
    const revived = meant.filter((_, at) => done[at]).map(({ id }) => id);
    redriven.push(...revived);
    passed += ids.length - revived.length;
  }
  return redriven;
}

/** The next of the failed; of those that were named, such as are. */
async function deadIds({ redis, place }: QueueHandle, named: readonly string[] | undefined, passed: number) {
  const failed = place.keys.failed!;
  if (named === undefined) return redis.zrange(failed, passed, `${passed + CHUNK - 1}`);
  const some = [...new Set(named)];
  const scores = await redis.zmscore(failed, ...some);
  return some.filter((_, at) => scores[at] !== null).slice(passed, passed + CHUNK);
}

/** @returns False: somebody else was quicker. */
async function revive(handle: QueueHandle, record: JobRecord): Promise<boolean> {
  const key = handle.jobKey(record.id);
  // A job that was started does not expire, which is what a redriven one is to be taken for: `ats` stays.
  await takeTurns(handle, [record.id]);
  const { parentKey } = record;
  if (parentKey?.startsWith(handle.place.base)) {
    // It goes its own way; BullMQ would have the parent wait for it again.
    await Promise.all([
      handle.redis.zrem(`${parentKey}:unsuccessful`, key),
      handle.redis.hdel(`${parentKey}:failed`, key),
    ]);
  }
  const anew = { stc: 0, [OWN_FIELDS.stalls]: 0, [OWN_FIELDS.dueAt]: Date.now(), ats: 1 };
  await run(handle.redis, 'NOTE', Array(4).fill(key), Object.entries(anew).flat());
  try {
    await handle.backend().retryFinishedJob(minimal(record) as never, 'failed', { resetAttemptsMade: true });
  } catch (error) {
    if (typeof (error as { code?: number }).code === 'number') return false;
    throw error;
  }
  await handle.redis.hdel(key, OWN_FIELDS.reason, OWN_FIELDS.error, 'stacktrace');
  await holdDedup(handle, record);
  // It does not wait for its children any more; BullMQ would not let it complete with a failed one.
  await handle.redis.del(`${key}:dependencies`, `${key}:unsuccessful`);
  return true;
}

/** A dedup id that holds until its job has ended holds again, unless another job has it now. */
async function holdDedup({ redis, place: { base } }: QueueHandle, { id, opts, dedupId }: JobRecord): Promise<void> {
  if (dedupId === undefined || opts.deduplication?.ttl !== undefined) return;
  const key = `${base}de:${dedupId}`;
  await redis.set(key, id, 'NX');
  if ((await redis.get(key)) === id) await redis.persist(key);
}
