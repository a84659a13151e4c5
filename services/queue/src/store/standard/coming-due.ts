/**
 * How delayed jobs come to be waiting. BullMQ promotes what is due at each lease; on a queue with turns the lane does it
 * first, so that a job takes its turn when it comes due: by the turn of the time when it was enqueued a tenant's
 * thousand jobs for nine o'clock would go before everybody else's.
 */
import { prioritiesOf } from './adding.ts';
import { OWN_FIELDS, recordFromHash } from './job-record.ts';
import { run } from './own-scripts.ts';
import type { QueueHandle } from './queue-handle.ts';
import { DELAYED_SCORE_UNIT, PARKED_SCORE } from './queue-place.ts';

/** The most at once; the next time brings the others. */
const BATCH_MAX = 500;

export interface Promoted {
  readonly id: string;
  readonly lateMs: number;
}

/** Promotes what is due; of two replicas that do it at once each promotes some. */
export async function promoteDue(handle: QueueHandle, nowMs: number): Promise<Promoted[]> {
  const scoreMax = (nowMs + 1) * DELAYED_SCORE_UNIT - 1;
  const { keys } = handle.place;
  const due = await handle.redis.zrangebyscore(keys.delayed!, 0, scoreMax, 'WITHSCORES', 'LIMIT', 0, BATCH_MAX);
  const jobs = Array.from({ length: due.length / 2 }, (_, at) => ({
    id: due[2 * at]!,
    lateMs: Math.max(0, nowMs - Math.floor(Number(due[2 * at + 1]) / DELAYED_SCORE_UNIT)),
  }));
  const promoted = new Set(
    await promoteAll(
      handle,
      jobs.map(({ id }) => id),
    ),
  );
  return jobs.filter(({ id }) => promoted.has(id));
}

/** A scheduled or retrying job is due now. */
export async function promote(handle: QueueHandle, id: string): Promise<boolean> {
  const score = await handle.redis.zscore(handle.place.keys.delayed!, id);
  if (score === null || Number(score) >= Number(PARKED_SCORE)) return false;
  if ((await promoteAll(handle, [id])).length === 0) return false;
  await run(handle.redis, 'NOTE', [handle.jobKey(id)], [OWN_FIELDS.dueAt, Date.now()]);
  return true;
}

/** @returns Those that were delayed until now. */
async function promoteAll(handle: QueueHandle, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  await takeTurns(handle, ids);
  const done = await Promise.allSettled(ids.map((id) => handle.backend().promote(id)));
  for (const result of done) {
    // BullMQ's own errors have a code: somebody else was quicker.
    if (result.status === 'rejected' && typeof (result.reason as { code?: unknown }).code !== 'number') {
      throw result.reason;
    }
  }
  await handle.redis.zrem(handle.place.own.retrying, ...ids);
  return ids.filter((_, at) => done[at]!.status === 'fulfilled');
}

/** Gives jobs that are about to wait the turns of now. */
export async function takeTurns(handle: QueueHandle, ids: readonly string[]): Promise<void> {
  const settings = await handle.settings();
  if (!settings.isFair) return;
  const pipeline = handle.redis.pipeline();
  for (const id of ids) pipeline.hget(handle.jobKey(id), 'opts');
  const read = (await pipeline.exec()) ?? [];
  const jobs = read.map(([, opts]) => recordFromHash('', { opts: (opts as string | null) ?? '{}' }).said);
  const priorities = await prioritiesOf(
    handle,
    settings,
    jobs.map(({ group, priority }) => ({ group, priority, isLater: false })),
  );
  const fields = priorities.flatMap((priority) => ['priority', priority]);
  await run(
    handle.redis,
    'NOTE',
    ids.map((id) => handle.jobKey(id)),
    fields,
  );
}
