/**
 * How jobs get into workers' hands, and out of them in the same call: in batches, by the lane's own script. Where turns
 * are taken between groups, or groups are held back, leases take the longer way (`leasing-in-turns.ts`).
 */
import type { LeasedJob, Settled, Settlement } from '../../core/job.ts';
import type { LeaseAnswer, LeaseAsk } from '../lane.ts';
import { BATCH_MAX, type BatchTurn, batchTurn, completeMany, leased, settledOf } from './batch-turn.ts';
import { quickOf, settle, settleOthers } from './ending.ts';
import { sortOut } from './ending-at-lease.ts';
import { leaseInTurns } from './leasing-in-turns.ts';
import type { QueueHandle } from './queue-handle.ts';

/** Of one lease, when much of what came had to be ended at once. Then the caller may ask again. */
const ROUNDS_MAX = 50;

export async function lease(handle: QueueHandle, ask: LeaseAsk): Promise<LeaseAnswer> {
  const { isFair } = await handle.settings();
  return isFair ? leaseInTurns(handle, ask) : leaseMany(handle, ask);
}

/** Settles, then leases: in one call, where all are acks of the common kind. */
export async function turn(
  handle: QueueHandle,
  settlements: readonly Settlement[],
  ask: LeaseAsk,
  random: () => number,
): Promise<LeaseAnswer & { settled: Settled[] }> {
  const { isFair } = await handle.settings();
  const acks = quickOf(settlements);
  if (isFair || acks.length === 0 || acks.length < settlements.length) {
    const settled = await settle(handle, settlements, random);
    return { ...(await lease(handle, ask)), settled };
  }
  const last = acks.slice(-BATCH_MAX);
  const completed = await completeMany(handle, acks.slice(0, -BATCH_MAX));
  const first = await batchTurn(handle, last, { ...ask, max: Math.min(BATCH_MAX, ask.max) });
  completed.push(...settledOf(last, first.completed));
  const settled = await settleOthers(handle, settlements, { acks, completed }, random);
  // What ended the longer way may have brought something: a parent, or the next of a dedup id.
  const isMore = completed.includes(undefined);
  return { ...(await leaseMany(handle, ask, { first, isMore })), settled };
}

async function leaseMany(
  handle: QueueHandle,
  ask: LeaseAsk,
  begun?: { readonly first: BatchTurn; readonly isMore: boolean },
): Promise<LeaseAnswer> {
  const jobs: LeasedJob[] = [];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const max = Math.min(BATCH_MAX, ask.max - jobs.length);
    const { first, isMore = false } = round === 0 ? (begun ?? {}) : {};
    const { held, nowMs, isPlain, isPaused, nextInMs } = first ?? (await batchTurn(handle, [], { ...ask, max }));
    if (!isPlain) {
      const others = await leaseInTurns(handle, { ...ask, max: ask.max - jobs.length });
      return { ...others, jobs: [...jobs, ...others.jobs] };
    }
    const live = await sortOut(handle, held, nowMs);
    for (const one of live) jobs.push(leased(one));
    const isDry = held.length < max && live.length === held.length && !isMore;
    if (jobs.length >= ask.max || isDry) return { jobs, nextInMs, isPaused: isPaused && jobs.length === 0 };
  }
  return { jobs, nextInMs: 0, isPaused: false };
}
