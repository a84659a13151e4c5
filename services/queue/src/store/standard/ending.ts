/**
 * How leases end: by what a worker says, or by the lane's own hand. Every change of state is one script of BullMQ's that
 * checks the lock, so of two that end one lease one wins. What follows (`finishClosing`) is bookkeeping that a tick puts
 * right if it was cut off.
 */
import { randomUUID } from 'node:crypto';
import type { JobError, JobState, Settled, Settlement } from '../../core/job.ts';
import { type Ack, completeMany, isToken } from './batch-turn.ts';
import { backoffMs, DEAD_RETENTION, keptCount } from './job-options.ts';
import { attemptEnded, type JobRecord, minimal, OWN_FIELDS, recordFromHash } from './job-record.ts';
import { type LeaseRecord, leaseText } from './lease-record.ts';
import { MARKED, run, SEIZED } from './own-scripts.ts';
import type { QueueHandle } from './queue-handle.ts';

/** How long the lane holds a job that it ends itself. If it dies meanwhile, another goes on after that. */
export const HOLD_MS = 10_000;

export type Total = 'completed' | 'failed' | 'retried' | 'dead' | 'stalled' | 'cancelled' | 'expired';

export interface Ended {
  readonly record: JobRecord;
  /** The token in the lease's record. */
  readonly holder: string;
  readonly state: JobState;
  readonly totals: readonly Total[];
  readonly dueAtMs?: number;
  /** Where BullMQ's script could not write it. */
  readonly history?: string;
}
export interface Gone {
  readonly id: string;
  readonly refused: 'lost' | 'unknown';
}

export const isGone = (one: Ended | Gone): one is Gone => 'refused' in one;

/** Codes of BullMQ's scripts. */
const MISSING_JOB = -1;
const codeOf = (error: unknown): number | undefined => (error as { code?: number }).code;

/** Of a job that is mentioned twice the first word is the one that counts. */
export async function settle(
  handle: QueueHandle,
  settlements: readonly Settlement[],
  random: () => number,
): Promise<Settled[]> {
  const acks = quickOf(settlements);
  const completed = await completeMany(handle, acks);
  return settleOthers(handle, settlements, { acks, completed }, random);
}

/** Acks that `TURN` may take: before them nothing is said of their jobs. */
export function quickOf(settlements: readonly Settlement[]): Ack[] {
  const isAck = (one: Settlement): one is Ack => one.kind === 'ack' && isToken(one.token);
  const acks = settlements.filter(isAck);
  if (acks.length === settlements.length) return acks;
  const spokenOf = new Set<string>();
  return settlements.filter((one): one is Ack => {
    const isFirst = !spokenOf.has(one.id);
    spokenOf.add(one.id);
    return isFirst && isAck(one);
  });
}

/** Settles by BullMQ's scripts what was not completed before. @returns All, in their order. */
export async function settleOthers(
  handle: QueueHandle,
  settlements: readonly Settlement[],
  { acks, completed }: { acks: readonly Ack[]; completed: readonly (Settled | undefined)[] },
  random: () => number,
): Promise<Settled[]> {
  const done = new Map<Settlement, Settled>();
  for (const [at, one] of completed.entries()) if (one !== undefined) done.set(acks[at]!, one);
  const others = settlements.filter((one) => !done.has(one));
  if (others.length === 0) return completed as Settled[];
  const settled = (await settleSlowly(handle, others, random)).values();
  return settlements.map((one) => done.get(one) ?? settled.next().value!);
}

async function settleSlowly(
  handle: QueueHandle,
  settlements: readonly Settlement[],
  random: () => number,
): Promise<Settled[]> {
  const ended: (Ended | Gone)[] = new Array(settlements.length);
  for (const places of roundsOf(settlements)) {
    const ends = await Promise.all(places.map((place) => settleOne(handle, settlements[place]!, random)));
    for (const [at, place] of places.entries()) ended[place] = ends[at]!;
  }
  await finishClosing(handle, ended);
  return ended.map((one) =>
    isGone(one) ? one : { id: one.record.id, state: one.state, dueAtMs: one.dueAtMs ?? undefined },
  );
}

/** All at once, but what is said again of a job comes after what was said first. */
function roundsOf(settlements: readonly Settlement[]): number[][] {
  const rounds: number[][] = [];
  const seen = new Map<string, number>();
  for (const [place, { id }] of settlements.entries()) {
    const round = seen.get(id) ?? 0;
    seen.set(id, round + 1);
    rounds[round] ??= [];
    rounds[round].push(place);
  }
  return rounds;
}

async function settleOne(handle: QueueHandle, settlement: Settlement, random: () => number): Promise<Ended | Gone> {
  const { id, token } = settlement;
  const record = await readRecord(handle, id);
  if (record === undefined) return { id, refused: 'unknown' };
  if (!isToken(token)) return { id, refused: 'lost' };
  try {
    if (settlement.kind === 'ack') return await complete(handle, record, settlement);
    if (settlement.kind === 'release') return await giveBack(handle, record, token);
    const { error, retryAfterMs, isFinal } = settlement;
    const how = { token, holder: token, error, retryAfterMs, isFinal, outcome: 'failed' as const };
    return await fail(handle, record, how, random);
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    if (code === MISSING_JOB) return { id, refused: 'unknown' };
    return (await endMarked(handle, record, token, settlement.kind)) ?? { id, refused: 'lost' };
  }
}

export async function readRecord(handle: QueueHandle, id: string): Promise<JobRecord | undefined> {
  const hash = await handle.redis.hgetall(handle.jobKey(id));
  return hash.name === undefined ? undefined : recordFromHash(id, hash);
}

async function complete(
  handle: QueueHandle,
  record: JobRecord,
  { token, result }: { token: string; result: string | undefined },
): Promise<Ended> {
  const backend = handle.backend();
  const args = backend.moveToCompletedArgs(minimal(record), result, keptCount(record.said.retain), token, false);
  await backend.moveToFinished(record.id, args);
  return { record, holder: token, state: 'completed', totals: ['completed'] };
}

/** A lease as it is ended: the value of the lock, and the token in the lease's record. */
interface Hold {
  readonly token: string;
  readonly holder: string;
  readonly lease?: LeaseRecord;
}

/** Back to the head of its group; no attempt is counted. */
async function giveBack(handle: QueueHandle, record: JobRecord, token: string): Promise<Ended> {
  await handle.backend().moveJobFromActiveToWait(record.id, token);
  const history = JSON.stringify(attemptEnded(record, { outcome: 'released', nowMs: Date.now() }));
  return { record, holder: token, state: 'waiting', totals: [], history };
}

/** As `giveBack`, of a lease that ended without a word. The lane has its lock, so what is noted first stays true. */
export async function giveBackStalled(
  handle: QueueHandle,
  record: JobRecord,
  { token, holder, lease }: Hold,
): Promise<Ended> {
  const history = JSON.stringify(attemptEnded(record, { outcome: 'stalled', nowMs: Date.now() }, lease));
  const key = handle.jobKey(record.id);
  await run(handle.redis, 'NOTE', [key, key], [OWN_FIELDS.stalls, record.ownStalls + 1, OWN_FIELDS.history, history]);
  await handle.backend().moveJobFromActiveToWait(record.id, token);
  return { record, holder, state: 'waiting', totals: ['stalled'] };
}

/** After the second stall a job rests up to so long, after each next one up to twice as long. */
const REST_MS = 1_000;
const REST_MAX_MS = 60_000;

/**
 * Whoever was in the hands of a worker that died stalls with the job that killed it. If all of them came back at once
 * they would be taken together again, and die together: so from the second time on each rests for a while of its own.
 */
export async function restStalled(
  handle: QueueHandle,
  record: JobRecord,
  { token, holder, lease }: Hold,
  random: () => number,
): Promise<Ended> {
  const nowMs = Date.now();
  const delayMs = Math.floor(random() * Math.min(REST_MAX_MS, REST_MS * 2 ** (record.stalls - 1)));
  const dueAtMs = nowMs + delayMs;
  await handle.backend().moveToDelayed(record.id, nowMs, delayMs, token, {
    skipAttempt: true,
    fieldsToUpdate: {
      [OWN_FIELDS.stalls]: record.ownStalls + 1,
      [OWN_FIELDS.history]: JSON.stringify(attemptEnded(record, { outcome: 'stalled', nowMs }, lease)),
      [OWN_FIELDS.dueAt]: dueAtMs,
    },
  });
  return { record, holder, state: 'retrying', dueAtMs, totals: ['stalled'] };
}

export interface Failure extends Hold {
  readonly error: JobError;
  readonly retryAfterMs: number | undefined;
  readonly isFinal: boolean;
  readonly outcome: 'failed' | 'timed-out';
}

export async function fail(
  handle: QueueHandle,
  record: JobRecord,
  failure: Failure,
  random: () => number,
): Promise<Ended> {
  const { token, holder, error, retryAfterMs, isFinal, outcome, lease } = failure;
  const attempt = record.attemptsMade + 1;
  const nowMs = Date.now();
  if (isFinal || attempt >= record.said.attempts) {
    const reason = isFinal ? 'failed' : 'attempts';
    const how = { token, holder, reason, error, outcome, wasStarted: true, totals: ['failed', 'dead'] as const };
    return endAsDead(handle, record, { ...how, ...(lease && { lease }) });
  }
  const delayMs = retryAfterMs ?? backoffMs(record.said.backoff, attempt, random());
  const dueAtMs = nowMs + delayMs;
  await handle.backend().moveToDelayed(record.id, nowMs, delayMs, token, {
    fieldsToUpdate: {
      ...errorFields(error),
      [OWN_FIELDS.history]: JSON.stringify(attemptEnded(record, { outcome, error, nowMs }, lease)),
      [OWN_FIELDS.dueAt]: dueAtMs,
    },
  });
  return { record, holder, state: 'retrying', dueAtMs, totals: ['failed', 'retried'] };
}

const errorFields = (error: JobError) => ({
  failedReason: error.message,
  stacktrace: JSON.stringify([error.stack ?? `${error.type}: ${error.message}`]),
  [OWN_FIELDS.error]: JSON.stringify(error),
});

export interface Death {
  readonly token: string;
  readonly holder?: string;
  readonly reason: string;
  /** An attempt was under way: it counts and stands in the timeline. */
  readonly wasStarted: boolean;
  readonly error?: JobError;
  readonly outcome?: 'failed' | 'timed-out' | 'cancelled' | 'stalled';
  readonly isCancelled?: boolean;
  /** Nothing of it is kept. */
  readonly isForgotten?: boolean;
  readonly totals?: readonly Total[];
  readonly lease?: LeaseRecord;
  readonly stalls?: number;
}

export async function endAsDead(handle: QueueHandle, record: JobRecord, death: Death): Promise<Ended> {
  const { token, holder = token, reason, wasStarted, error, outcome = 'failed', isCancelled = false, lease } = death;
  const ended = { outcome, nowMs: Date.now(), ...(error && { error }) };
  const fields = {
    ...(error !== undefined && errorFields(error)),
    [OWN_FIELDS.reason]: reason,
    ...(death.stalls !== undefined && { [OWN_FIELDS.stalls]: death.stalls }),
    ...(isCancelled && { [OWN_FIELDS.cancelled]: '1' }),
    // BullMQ counts an attempt whenever it fails a job.
    ...(wasStarted
      ? { [OWN_FIELDS.history]: JSON.stringify(attemptEnded(record, ended, lease)) }
      : { atm: record.attemptsMade - 1 }),
  };
  const backend = handle.backend();
  const message = error?.message ?? (isCancelled ? `cancelled: ${reason}` : reason);
  const keep = death.isForgotten ? { count: 0 } : keptCount(DEAD_RETENTION);
  const args = backend.moveToFailedArgs(minimal(record), message, keep, token, false, fields);
  await backend.moveToFinished(record.id, args);
  const totals = death.totals ?? (isCancelled ? ['cancelled'] : reason === 'expired' ? ['dead', 'expired'] : ['dead']);
  return { record, holder, state: isCancelled ? 'cancelled' : 'dead', totals };
}

/** A lease that was marked when its job was cancelled: however it ends, the job is cancelled. */
async function endMarked(
  handle: QueueHandle,
  record: JobRecord,
  holder: string,
  kind: Settlement['kind'],
): Promise<Ended | undefined> {
  const reason = await handle.redis.hget(handle.place.own.cancels, record.id);
  if (reason === null) return undefined;
  const totals: Total[] = kind === 'fail' ? ['failed', 'cancelled'] : ['cancelled'];
  const how = { token: MARKED + holder, holder, reason, isCancelled: true, wasStarted: true, totals };
  try {
    return await endAsDead(handle, record, { ...how, outcome: 'cancelled' });
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return undefined;
  }
}

/** Takes jobs that nobody works on into the lane's own hands. @returns Per id what `SEIZE` said, and the lock. */
export async function seize(
  handle: QueueHandle,
  ids: readonly string[],
  mode: 'cancelled' | 'expired' | 'child',
  reason: string,
): Promise<{ token: string; found: string[] }> {
  const { keys, own } = handle.place;
  const token = SEIZED + randomUUID();
  if (ids.length === 0) return { token, found: [] };
  const record = leaseText({ token, startedAtMs: Date.now(), timeoutAtMs: 0, group: '', worker: '', purpose: mode });
  const found = await run<string[]>(
    handle.redis,
    'SEIZE',
    [
      ...['wait', 'prioritized', 'delayed', 'waiting-children', 'active'].map((name) => keys[name]!),
      ...[own.lease, own.deadlines, own.cancels, keys.completed!, keys.failed!, own.retrying, own.running],
      ...ids.flatMap((id) => [handle.jobKey(id), handle.lockKey(id)]),
    ],
    [mode, token, HOLD_MS, reason, record, ...ids],
  );
  return { token, found };
}

export async function cancel(
  handle: QueueHandle,
  ids: readonly string[],
  reason: string,
): Promise<(JobState | undefined)[]> {
  const several = [...new Set(ids)];
  if (several.length > 1 && (await hasFamily(handle, several))) {
    const states = new Map<string, JobState | undefined>();
    for (const id of several) states.set(id, (await cancelEach(handle, [id], reason))[0]);
    return ids.map((id) => states.get(id));
  }
  const states = await cancelEach(handle, several, reason);
  return ids.map((id) => states[several.indexOf(id)]);
}

/** Of a family one is cancelled after the other: the end of one may be that of others. */
async function hasFamily(handle: QueueHandle, ids: readonly string[]): Promise<boolean> {
  const pipeline = handle.redis.pipeline();
  for (const id of ids) pipeline.hexists(handle.jobKey(id), 'parentKey').exists(`${handle.jobKey(id)}:dependencies`);
  return ((await pipeline.exec()) ?? []).some(([, isThere]) => isThere === 1);
}

async function cancelEach(
  handle: QueueHandle,
  ids: readonly string[],
  reason: string,
): Promise<(JobState | undefined)[]> {
  if (ids.length === 0) return [];
  const { token, found } = await seize(handle, ids, 'cancelled', reason);
  const taken = ids.filter((_, at) => found[at] === 'seized');
  await endSeized(handle, taken, { token, reason, isCancelled: true, wasStarted: false });
  return Promise.all(
    ids.map(async (id, at) => {
      if (found[at] === 'seized') return 'cancelled';
      if (found[at] === 'completed' || found[at] === 'leased') return found[at];
      if (found[at] === 'none') return undefined;
      const mark = await handle.redis.hget(handle.jobKey(id), OWN_FIELDS.cancelled);
      return mark === null ? 'dead' : 'cancelled';
    }),
  );
}

/** Ends jobs that were seized, and cancels the children that they waited for. */
export async function endSeized(handle: QueueHandle, ids: readonly string[], death: Death): Promise<Ended[]> {
  if (ids.length === 0) return [];
  const records = await Promise.all(ids.map((id) => readRecord(handle, id)));
  const children = await Promise.all(ids.map((id) => childrenOf(handle, id)));
  const there = records.filter((record) => record !== undefined);
  const isFlow = children.flat().length > 0 || there.some(({ parentKey }) => parentKey !== undefined);
  const ended: Ended[] = [];
  // Of a family one after the other, each with its children: what one's end does to another depends on the order.
  for (const some of isFlow ? there.map((record) => [record]) : [there]) {
    const ends = await Promise.all(some.map((record) => endAsDead(handle, record, death)));
    for (const { record } of isFlow ? ends : []) await orphan(handle, children[ids.indexOf(record.id)]!);
    await finishClosing(handle, ends);
    ended.push(...ends);
  }
  return ended;
}

/** Children that their parent waited for and nobody has in hand are not needed any more. */
async function orphan(handle: QueueHandle, ids: readonly string[]): Promise<void> {
  const { token, found } = await seize(handle, ids, 'child', '');
  const taken = ids.filter((_, at) => found[at] === 'seized');
  await endSeized(handle, taken, { token, reason: 'parent', isCancelled: true, wasStarted: false });
}

/** Those of this queue that have not ended. */
async function childrenOf(handle: QueueHandle, id: string): Promise<string[]> {
  const keys = await handle.redis.smembers(`${handle.jobKey(id)}:dependencies`);
  return keys.filter((key) => key.startsWith(handle.place.base)).map((key) => key.slice(handle.place.base.length));
}

/** Notes what has ended, and lets parents know. */
export async function finishClosing(handle: QueueHandle, outcomes: readonly (Ended | Gone)[]): Promise<void> {
  const ended = outcomes.filter((one): one is Ended => !isGone(one));
  if (ended.length === 0) return;
  const { own } = handle.place;
  const pipeline = handle.redis.pipeline();
  const words = ended.flatMap(({ record, holder }) => [record.id, holder]);
  void run(pipeline, 'CLOSE', [own.lease, own.deadlines, own.running, own.cancels], words);
  for (const [total, count] of tally(ended)) pipeline.hincrby(own.totals, total, count);
  const nowMs = Date.now();
  for (const { record, state, dueAtMs, history } of ended) {
    if (state === 'retrying') pipeline.zadd(own.retrying, dueAtMs!, record.id);
    if (state === 'cancelled') pipeline.zadd(own.cancelled, nowMs, record.id);
    if (history !== undefined) void run(pipeline, 'NOTE', [handle.jobKey(record.id)], [OWN_FIELDS.history, history]);
    if (record.said.expiresAtMs > 0) pipeline.zrem(own.expiries, record.id);
    const outlivesMs = record.enqueuedAtMs + record.said.dedupTtlMs - nowMs;
    if (outlivesMs > 0 && record.dedupId !== undefined && state !== 'retrying' && state !== 'waiting') {
      pipeline.set(`${handle.place.keys.de}:${record.dedupId}`, record.id, 'PX', outlivesMs, 'NX');
    }
  }
  await pipeline.exec();
  for (const { record, state } of ended) {
    if (state === 'dead' || state === 'cancelled') await failParent(handle, record);
  }
}

function tally(ended: readonly Ended[]): Map<Total, number> {
  const counts = new Map<Total, number>();
  for (const { totals } of ended) for (const total of totals) counts.set(total, (counts.get(total) ?? 0) + 1);
  return counts;
}

/** BullMQ has put the parent back to be failed by the next worker; here it is failed at once. */
async function failParent(handle: QueueHandle, { parentKey, opts }: JobRecord): Promise<void> {
  if (opts.failParentOnFailure !== true || !parentKey?.startsWith(handle.place.base)) return;
  const id = parentKey.slice(handle.place.base.length);
  if ((await handle.redis.hget(parentKey, 'defa')) === null) return;
  const { token, found } = await seize(handle, [id], 'child', '');
  if (found[0] === 'seized') await endSeized(handle, [id], { token, reason: 'child', wasStarted: false });
}
