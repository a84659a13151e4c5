/**
 * Leases on a queue with groups: turns between them are taken at the lease.
 *
 * One small script says how many can be had and sets tokens aside for them; so many of BullMQ's `moveToActive` then go
 * out at once on the one connection; another small script remembers the leases. Jobs whose group may have no more are
 * parked: back to `delayed`, for a time that never comes, until their group may again (`unpark`).
 */
import type { JobJson } from 'bullmq';
import type { LeasedJob } from '../../core/job.ts';
import type { LeaseAnswer, LeaseAsk } from '../lane.ts';
import { priorityTurns, TURN_UNIT } from './adding.ts';
import { type Held, leased } from './batch-turn.ts';
import { promoteDue } from './coming-due.ts';
import { sortOut } from './ending-at-lease.ts';
import { keptCount } from './job-options.ts';
import { type JobRecord, OWN_FIELDS, recordFromLease } from './job-record.ts';
import { leaseText } from './lease-record.ts';
import { run } from './own-scripts.ts';
import { groupWords, LOCK_GRACE_MS, type QueueHandle, type Settings } from './queue-handle.ts';
import { PARKED_UNTIL_MS } from './queue-place.ts';

/** Rounds of one lease, when what came had to be parked: each job is parked once. Then the caller may ask again at once. */
const ROUNDS_MAX = 50;

interface Leave {
  readonly nowMs: number;
  readonly firstToken: number;
  readonly count: number;
  readonly isPaused: boolean;
  readonly nextInMs: number | undefined;
  readonly hasParked: boolean;
  readonly hasDue: boolean;
}

export async function leaseInTurns(handle: QueueHandle, ask: LeaseAsk): Promise<LeaseAnswer> {
  const jobs: LeasedJob[] = [];
  let nextInMs: number | undefined;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    let leave = await mayLease(handle, ask.max - jobs.length);
    if (leave.hasParked) {
      const { count, nextMs } = await unpark(handle);
      if (count > 0) leave = await mayLease(handle, ask.max - jobs.length, leave);
      nextInMs = soonest(leave.nextInMs, nextMs);
    } else nextInMs = leave.nextInMs;
    if (leave.hasDue && (await handle.settings()).isFair) await promoteDue(handle, leave.nowMs);
    if (leave.count === 0) return { jobs, nextInMs, isPaused: leave.isPaused };
    const taken = await take(handle, ask, leave);
    jobs.push(...taken.jobs);
    if (jobs.length >= ask.max || taken.notLeased === 0) return { jobs, nextInMs, isPaused: false };
  }
  return { jobs, nextInMs: 0, isPaused: false };
}

export const soonest = (...times: (number | undefined)[]): number | undefined => {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
};

async function mayLease(handle: QueueHandle, max: number, earlier?: Leave): Promise<Leave> {
  // Tokens that were set aside and are not used are only a gap.
  const { keys, own } = handle.place;
  const names = ['meta', 'wait', 'prioritized', 'delayed', 'active', 'limiter'] as const;
  const [nowMs, lastToken, count, paused, rateWaitMs, nextDueMs, parked, due] = await run<number[]>(
    handle.redis,
    'ASK',
    [...names.map((name) => keys[name]!), own.token, own.parked],
    [max],
  );
  const dueInMs = nextDueMs! > 0 ? Math.max(0, nextDueMs! - nowMs!) : undefined;
  return {
    nowMs: nowMs!,
    firstToken: lastToken! - count! + 1,
    count: count!,
    isPaused: paused === 1,
    nextInMs: soonest(dueInMs, rateWaitMs! >= 0 ? rateWaitMs : undefined, earlier?.nextInMs),
    hasParked: parked! > 0,
    hasDue: due! > 0,
  };
}

async function take(
  handle: QueueHandle,
  ask: LeaseAsk,
  { firstToken, count, nowMs }: Leave,
): Promise<{ jobs: LeasedJob[]; notLeased: number }> {
  const backend = handle.backend(ask.leaseMs, ask.worker);
  const tokens = Array.from({ length: count }, (_, at) => `${firstToken + at}`);
  const moved = await Promise.all(tokens.map((token) => backend.moveToActive(token, ask.worker)));
  const got: { json: JobJson; token: string }[] = [];
  for (const [at, [json, id]] of moved.entries()) {
    if (json) got.push({ json: { ...(json as JobJson), id: `${id}` }, token: tokens[at]! });
  }
  if (got.length === 0) return { jobs: [], notLeased: 0 };
  const records = await recordsOf(handle, got);
  const held = records.map((record, at): Held => {
    const startedAtMs = record.startedAtMs ?? nowMs;
    const timeoutAtMs = record.said.timeoutMs === 0 ? 0 : startedAtMs + record.said.timeoutMs;
    const endsAtMs = nowMs + ask.leaseMs;
    const deadlineMs = timeoutAtMs === 0 ? endsAtMs : Math.min(endsAtMs, timeoutAtMs);
    return { record, token: got[at]!.token, timeoutAtMs, deadlineMs };
  });
  const settings = await handle.settings();
  const verdicts = await remember(handle, held, { settings, nowMs, ask });
  const kept = held.filter((_, at) => verdicts[at] === 1);
  const [live] = await Promise.all([sortOut(handle, kept, nowMs), park(handle, held, verdicts)]);
  return { jobs: live.map(leased), notLeased: held.length - live.length };
}

/** BullMQ hands out only its own fields; a job that was never leased before has no others. */
async function recordsOf(
  { redis, place }: QueueHandle,
  got: readonly { readonly json: JobJson }[],
): Promise<JobRecord[]> {
  const isNew = ({ json }: { json: JobJson }) => json.attemptsStarted <= 1 && json.stalledCounter === 0;
  const again = got.filter((one) => !isNew(one));
  const pipeline = redis.pipeline();
  for (const { json } of again)
    pipeline.hmget(place.base + json.id, OWN_FIELDS.history, OWN_FIELDS.dueAt, OWN_FIELDS.stalls);
  const read = again.length === 0 ? [] : ((await pipeline.exec()) ?? []);
  const later = new Map(again.map(({ json }, at) => [json.id, read[at]![1] as (string | null)[]]));
  return got.map(({ json }) => {
    const [history, dueAt, stalls] = later.get(json.id) ?? [];
    return recordFromLease(json, { ...(history && { history }), ...(dueAt && { dueAt }), ...(stalls && { stalls }) });
  });
}

async function remember(
  handle: QueueHandle,
  held: readonly Held[],
  { settings, nowMs, ask }: { settings: Settings; nowMs: number; ask: LeaseAsk },
): Promise<number[]> {
  const { own } = handle.place;
  const groups = [...new Set(held.map(({ record }) => record.said.group))];
  const words = held.flatMap(({ record, token, timeoutAtMs, deadlineMs }) => {
    const { group } = record.said;
    const startedAtMs = record.startedAtMs ?? nowMs;
    const quickly = quickWords(record);
    const text = leaseText({ token, startedAtMs, timeoutAtMs, group, worker: ask.worker, purpose: '', quickly });
    return [record.id, text, deadlineMs, groups.indexOf(group) + 1, placeOf(record)];
  });
  return run<number[]>(
    handle.redis,
    'OPEN',
    [
      ...[own.lease, own.deadlines, own.running, own.virtual, own.buckets, own.paused, own.parked],
      ...groups.map(own.parkedOf),
      ...held.map(({ record }) => handle.lockKey(record.id)),
    ],
    [
      nowMs,
      virtualTime(settings, held),
      groups.length,
      ask.leaseMs + LOCK_GRACE_MS,
      ...groups.flatMap((group) => groupWords(settings, group)),
      ...words,
    ],
  );
}

/** As `TURN` says it of its own leases. */
function quickWords({ said, attemptsMade, dedupId }: JobRecord): string {
  if (said.dedupTtlMs > 0) return '';
  return `${keptCount(said.retain).count}:${attemptsMade + 1}${dedupId === undefined ? '' : '+'}`;
}

/** Of those that were leased just now, the furthest turn: the virtual time of the queue. */
function virtualTime({ isFair }: Settings, held: readonly Held[]): number {
  if (!isFair) return 0;
  const turns = held.map(({ record: { opts, said } }) => {
    const isTurn = opts.plinth?.p !== undefined || said.priority === 0;
    return isTurn ? (opts.priority ?? 0) / TURN_UNIT - priorityTurns(said.priority) : 0;
  });
  return Math.max(0, ...turns);
}

/** Where a parked job stands among those of its group: as it stood before. */
const placeOf = ({ id, opts }: JobRecord): number =>
  (opts.priority ?? 0) * 2 ** 32 + (/^\d+$/.test(id) ? Number(id) % 2 ** 32 : 0);

async function park(handle: QueueHandle, held: readonly Held[], verdicts: readonly number[]): Promise<void> {
  const backend = handle.backend();
  await Promise.all(
    held.map(async ({ record, token }, at) => {
      if (verdicts[at] === 1) return;
      const nowMs = Date.now();
      const before = { skipAttempt: true, fieldsToUpdate: { ats: record.attemptsStarted - 1 } };
      await backend.moveToDelayed(record.id, nowMs, PARKED_UNTIL_MS - nowMs, token, before);
    }),
  );
}

/** Lets parked jobs go whose group may have more leases. @returns How many, and when there may be more. */
export async function unpark(handle: QueueHandle): Promise<{ count: number; nextMs: number | undefined }> {
  const { own } = handle.place;
  const groups = await handle.redis.smembers(own.parked);
  if (groups.length === 0) return { count: 0, nextMs: undefined };
  const settings = await handle.settings();
  const [nextWaitMs, idsByGroup] = await run<[number, string[][]]>(
    handle.redis,
    'UNPARK',
    [own.running, own.buckets, own.paused, own.parked, ...groups.map(own.parkedOf)],
    groups.flatMap((group) => groupWords(settings, group)),
  );
  const backend = handle.backend();
  const pipeline = handle.redis.pipeline();
  let count = 0;
  for (const [at, ids] of idsByGroup.entries()) {
    if (ids.length === 0) continue;
    // Promoted first and forgotten then: what is forgotten first would be parked for ever if this process died here.
    const promoted = await Promise.allSettled(ids.map((id) => backend.promote(id)));
    count += promoted.filter(({ status }) => status === 'fulfilled').length;
    pipeline.zrem(own.parkedOf(groups[at]!), ...ids);
  }
  if (pipeline.length > 0) await pipeline.exec();
  return { count, nextMs: nextWaitMs >= 0 ? nextWaitMs : undefined };
}
