/**
 * What time does to jobs: promotes what is due, takes back leases that are over, ends what has outlived its time,
 * forgets what was kept long enough, and keeps turns within BullMQ's priorities.
 *
 * BullMQ promotes on each lease too, and its workers look for stalled jobs themselves; a tick does both also when nobody
 * asks for jobs. Of its own leases the lane knows the deadline of each, so it need not look through all that is active.
 */
import { randomUUID } from 'node:crypto';
import type { JobState } from '../../core/job.ts';
import type { Ticked } from '../lane.ts';
import { TURN_UNIT } from './adding.ts';
import { promoteDue } from './coming-due.ts';
import {
  type Ended,
  endAsDead,
  endSeized,
  fail,
  finishClosing,
  giveBackStalled,
  HOLD_MS,
  readRecord,
  restStalled,
  seize,
} from './ending.ts';
import { DEAD_RETENTION } from './job-options.ts';
import { OWN_FIELDS, recordFromHash } from './job-record.ts';
import { leaseRecord } from './lease-record.ts';
import { soonest, unpark } from './leasing-in-turns.ts';
import { run, SEIZED } from './own-scripts.ts';
import type { QueueHandle } from './queue-handle.ts';
import { DELAYED_SCORE_UNIT, PARKED_UNTIL_MS } from './queue-place.ts';

/** The most of each kind in one tick; the next goes on. */
const BATCH_MAX = 500;
/** Looking for what to forget reads jobs, so it is done so often and looks at so many of the oldest. */
const SWEEP_EVERY_MS = 1_000;
const SWEEP_MAX = 100;
/** Turns are brought down from here: above the middle, so that those which were can be told from those which were not. */
const REBASE_FROM = 1_100_000;

export async function tick(handle: QueueHandle, random: () => number): Promise<Ticked> {
  const nowMs = await run<number>(handle.redis, 'TIME', [handle.place.keys.meta!], []);
  const promoted = await promoteDue(handle, nowMs);
  const reaped = await reap(handle, nowMs, random);
  const expired = [...handle.expiredAtLease.splice(0), ...(await expire(handle, nowMs))];
  const parked = await unpark(handle);
  await handle.backend().moveStalledJobsToWait();
  if (nowMs - handle.sweptAtMs >= SWEEP_EVERY_MS) {
    handle.sweptAtMs = nowMs;
    await Promise.all([sweep(handle, 'completed', nowMs), sweep(handle, 'failed', nowMs)]);
    await handle.redis.zremrangebyscore(handle.place.own.dedups, '-inf', nowMs);
    await rebase(handle);
  }
  const nextInMs = soonest(await nextDue(handle, nowMs), parked.nextMs);
  return { promoted, ...reaped, expired, nextInMs };
}

type Reaped = Pick<Ticked, 'stalled' | 'timedOut'>;

async function reap(handle: QueueHandle, nowMs: number, random: () => number): Promise<Reaped> {
  const { keys, own } = handle.place;
  const ids = await handle.redis.zrangebyscore(own.deadlines, '-inf', nowMs, 'LIMIT', 0, BATCH_MAX);
  if (ids.length === 0) return { stalled: [], timedOut: [] };
  const token = SEIZED + randomUUID();
  const found = await run<[string, string][] | [][]>(
    handle.redis,
    'REAP',
    [keys.active!, own.lease, own.deadlines, own.cancels, own.running, ...ids.map((id) => handle.lockKey(id))],
    [token, HOLD_MS, ...ids],
  );
  const { maxStalls } = (await handle.settings()).limits;
  const ends = await Promise.all(
    ids.map(async (id, at) => {
      const [text, reason] = found[at]!;
      if (text === undefined) return undefined;
      return endReaped(handle, { id, token, text, cancelReason: reason ?? '', maxStalls, nowMs }, random);
    }),
  );
  const ended = ends.filter((one) => one !== undefined);
  await finishClosing(handle, ended);
  const cancelled = await cancelledWithParents(handle, ended);
  const answer = ({ record: { id }, state }: Ended): { id: string; state: JobState } => ({
    id,
    state: cancelled.has(id) ? 'cancelled' : state,
  });
  const isTimeout = ({ totals }: Ended) => totals.includes('failed');
  return {
    stalled: ended.filter((one) => !isTimeout(one)).map(answer),
    timedOut: ended.filter(isTimeout).map(answer),
  };
}

/** Of jobs that were given back just now: those that a brother's death took along with their parent. */
async function cancelledWithParents(handle: QueueHandle, ended: readonly Ended[]): Promise<ReadonlySet<string>> {
  const children = ended.filter(({ record }) => record.parentKey !== undefined);
  if (children.every(({ state }) => state !== 'dead' && state !== 'cancelled')) return new Set();
  const ids = children
    .filter(({ state }) => state === 'waiting' || state === 'retrying')
    .map(({ record }) => record.id);
  const marks = await Promise.all(ids.map((id) => handle.redis.hexists(handle.jobKey(id), OWN_FIELDS.cancelled)));
  return new Set(ids.filter((_, at) => marks[at] === 1));
}

interface Found {
  readonly id: string;
  readonly token: string;
  readonly text: string;
  readonly cancelReason: string;
  readonly maxStalls: number;
  readonly nowMs: number;
}

async function endReaped(handle: QueueHandle, found: Found, random: () => number): Promise<Ended | undefined> {
  const { id, token, text, cancelReason, maxStalls, nowMs } = found;
  const record = await readRecord(handle, id);
  if (record === undefined) return undefined;
  const lease = leaseRecord(text);
  const hold = { token, holder: lease.token, lease };
  if (cancelReason !== '') {
    const wasStarted = lease.purpose === '' || record.startedAtMs !== undefined;
    const hasRunOut = lease.timeoutAtMs > 0 && nowMs >= lease.timeoutAtMs;
    const totals = lease.purpose !== '' ? [] : [hasRunOut ? ('failed' as const) : ('stalled' as const)];
    const how = { ...hold, reason: cancelReason, isCancelled: true, outcome: 'cancelled' as const, wasStarted };
    return endAsDead(handle, record, { ...how, totals: [...totals, 'cancelled'] });
  }
  // The lane itself was about to end it when a process died.
  if (lease.purpose !== '') return endAsDead(handle, record, { ...hold, reason: lease.purpose, wasStarted: false });
  if (lease.timeoutAtMs > 0 && nowMs >= lease.timeoutAtMs) {
    const message = `the attempt ran longer than its ${record.said.timeoutMs} ms`;
    const error = { type: 'timeout', message, stack: undefined };
    const how = { ...hold, error, retryAfterMs: undefined, isFinal: false, outcome: 'timed-out' as const };
    return fail(handle, record, how, random);
  }
  if (record.stalls === 0 && maxStalls > 0) return giveBackStalled(handle, record, hold);
  if (record.stalls < maxStalls) return restStalled(handle, record, hold, random);
  const totals = ['stalled', 'dead'] as const;
  const how = { ...hold, reason: 'stalled', outcome: 'stalled' as const, stalls: record.ownStalls + 1, totals };
  return endAsDead(handle, record, { ...how, wasStarted: true });
}

async function expire(handle: QueueHandle, nowMs: number): Promise<string[]> {
  const { own } = handle.place;
  const ids = await handle.redis.zrangebyscore(own.expiries, '-inf', nowMs, 'LIMIT', 0, BATCH_MAX);
  if (ids.length === 0) return [];
  const { token, found } = await seize(handle, ids, 'expired', '');
  const taken = ids.filter((_, at) => found[at] === 'seized');
  const ended = await endSeized(handle, taken, { token, reason: 'expired', wasStarted: false });
  // Whatever was not taken has been started, has ended or is gone.
  await handle.redis.zrem(own.expiries, ...ids);
  return ended.map(({ record }) => record.id);
}

/** Removes what was kept as long as it wished. BullMQ sees to the counts. */
async function sweep(handle: QueueHandle, state: 'completed' | 'failed', nowMs: number): Promise<void> {
  const { keys } = handle.place;
  const ids = await handle.redis.zrange(keys[state]!, 0, `${SWEEP_MAX - 1}`);
  if (ids.length === 0) return;
  const pipeline = handle.redis.pipeline();
  for (const id of ids) pipeline.hmget(handle.jobKey(id), 'opts', 'finishedOn');
  const read = (await pipeline.exec()) ?? [];
  const old = ids.filter((_, at) => {
    const [opts, finishedOn] = read[at]![1] as [string | null, string | null];
    if (opts === null || finishedOn === null) return false;
    const retain = state === 'failed' ? DEAD_RETENTION : recordFromHash('', { opts }).said.retain;
    return retain.ageMs > 0 && Number(finishedOn) + retain.ageMs <= nowMs;
  });
  await Promise.allSettled(old.map((id) => handle.backend().remove(id, false)));
}

async function rebase(handle: QueueHandle): Promise<void> {
  const { keys, own } = handle.place;
  const [virtual, begun] = await handle.redis.hmget(own.virtual, '@', '#');
  if (begun === null && Number(virtual ?? 0) * TURN_UNIT < REBASE_FROM) return;
  const offset = Number(begun ?? Math.floor(Number(virtual)) * TURN_UNIT);
  // Whoever goes on after a crash takes the same offset, and leaves alone what has been brought down.
  await handle.redis.hset(own.virtual, '#', offset);
  const lower = async (ids: readonly string[]) => {
    const from = [keys.prioritized!, ...ids.map((id) => handle.jobKey(id))];
    if (ids.length > 0) await run(handle.redis, 'REBASE', from, [offset, ...ids]);
  };
  for (;;) {
    const above = offset * 2 ** 32;
    const ids = await handle.redis.zrangebyscore(keys.prioritized!, above, '+inf', 'LIMIT', 0, BATCH_MAX);
    if (ids.length === 0) break;
    await lower(ids);
  }
  for (let at = 0; ; at += BATCH_MAX) {
    const ids = await handle.redis.zrange(keys.delayed!, at, `${at + BATCH_MAX - 1}`);
    if (ids.length === 0) break;
    await lower(ids);
  }
  await lower(await handle.redis.lrange(keys.active!, 0, -1));
  const clocks = await handle.redis.hgetall(own.virtual);
  const units = offset / TURN_UNIT;
  const lowered = Object.entries(clocks).flatMap(([field, at]) =>
    field === '#' ? [] : [field, Math.max(0, Number(at) - units)],
  );
  await handle.redis
    .multi()
    .hset(own.virtual, ...lowered)
    .hdel(own.virtual, '#')
    .exec();
}

async function nextDue({ redis, place: { keys, own } }: QueueHandle, nowMs: number): Promise<number | undefined> {
  const first = (key: string) => redis.zrange(key, 0, '0', 'WITHSCORES');
  const [delayed, deadline, expiry] = await Promise.all([keys.delayed!, own.deadlines, own.expiries].map(first));
  const due = delayed![1] === undefined ? undefined : Math.floor(Number(delayed![1]) / DELAYED_SCORE_UNIT);
  const inMs = (atMs: string | number | undefined) =>
    atMs === undefined ? undefined : Math.max(0, Number(atMs) - nowMs);
  return soonest(
    due !== undefined && due < PARKED_UNTIL_MS ? inMs(due) : undefined,
    inMs(deadline![1]),
    inMs(expiry![1]),
  );
}
