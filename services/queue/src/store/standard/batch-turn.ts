/**
 * Many acks and many leases in one call of the lane's own script (`TURN`), where they are of the common kind; what is not
 * comes back, and takes BullMQ's way.
 */
import type { LeasedJob, Settled, Settlement } from '../../core/job.ts';
import type { LeaseAsk } from '../lane.ts';
import { type JobRecord, type LeaseRow, recordFromRow } from './job-record.ts';
import { run } from './own-scripts.ts';
import { LOCK_GRACE_MS, type QueueHandle } from './queue-handle.ts';

/** Of each kind in one call: together they keep Redis for less than 10 ms. */
export const BATCH_MAX = 250;
/** Only digits are tokens: BullMQ takes some words for "whatever the lock says". */
export const isToken = (token: string): boolean => /^[1-9]\d*$/.test(token);

export type Ack = Extract<Settlement, { kind: 'ack' }>;

/** A job that was leased. */
export interface Held {
  readonly record: JobRecord;
  readonly token: string;
  readonly timeoutAtMs: number;
  readonly deadlineMs: number;
}

export interface BatchTurn {
  readonly nowMs: number;
  /** Leases may be given so: no turns are taken between groups, no job is parked, no group paused. */
  readonly isPlain: boolean;
  readonly isPaused: boolean;
  /** Until something may be leased that is not now. */
  readonly nextInMs: number | undefined;
  /** Per ack, whether it completed its job; where not, nothing was done. */
  readonly completed: readonly boolean[];
  readonly held: readonly Held[];
}

type Reply = [
  nowMs: number,
  isPlain: number,
  isPaused: number,
  rateWaitMs: number,
  nextDueMs: number,
  firstToken: number,
  verdicts: string,
  ...rows: LeaseRow[],
];

/** @param ask - `max` may be 0. At most `BATCH_MAX` of either. */
export async function batchTurn(handle: QueueHandle, acks: readonly Ack[], ask: LeaseAsk): Promise<BatchTurn> {
  const { base } = handle.place;
  const { max, leaseMs, worker } = ask;
  const args: (string | number)[] = [
    base,
    max,
    leaseMs,
    LOCK_GRACE_MS,
    worker,
    encodeURIComponent(worker),
    acks.length,
  ];
  for (const { id, token, result } of acks) args.push(id, token, result ?? 'null');
  const reply = await run<Reply>(handle.redis, 'TURN', handle.turnKeys, args);
  const [nowMs, isPlain, isPaused, rateWaitMs, nextDueMs, firstToken, verdicts, ...rows] = reply;
  return {
    nowMs,
    isPlain: isPlain === 1,
    isPaused: isPaused === 1,
    nextInMs: nextOf(nowMs, rateWaitMs, nextDueMs),
    completed: acks.map((_, at) => verdicts[at] === '1'),
    held: rows.map((row, at) => heldOf(handle, row, { nowMs, token: `${firstToken + at}`, leaseMs })),
  };
}

function nextOf(nowMs: number, rateWaitMs: number, nextDueMs: number): number | undefined {
  const dueInMs = nextDueMs > 0 ? Math.max(0, nextDueMs - nowMs) : undefined;
  if (rateWaitMs < 0) return dueInMs;
  return dueInMs === undefined ? rateWaitMs : Math.min(rateWaitMs, dueInMs);
}

function heldOf(
  handle: QueueHandle,
  row: LeaseRow,
  { nowMs, token, leaseMs }: { nowMs: number; token: string; leaseMs: number },
): Held {
  const record = recordFromRow(row, nowMs, handle.wordsOf);
  const { timeoutMs } = record.said;
  const timeoutAtMs = timeoutMs === 0 ? 0 : nowMs + timeoutMs;
  const endsAtMs = nowMs + leaseMs;
  return { record, token, timeoutAtMs, deadlineMs: timeoutAtMs === 0 ? endsAtMs : Math.min(endsAtMs, timeoutAtMs) };
}

/** Where a job is in a worker's hands. */
export function leased({ record, token, deadlineMs }: Held): LeasedJob {
  const { said } = record;
  return {
    id: record.id,
    name: record.name,
    data: record.data,
    group: said.group,
    tags: said.tags,
    token,
    attempt: record.attemptsMade + 1,
    attempts: said.attempts,
    stalls: record.stalls,
    enqueuedAtMs: record.enqueuedAtMs,
    // A promoted job comes before its time.
    dueAtMs: Math.min(record.dueAtMs, record.startedAtMs ?? record.dueAtMs),
    deadlineMs,
    timeoutMs: said.timeoutMs,
    traceparent: said.traceparent,
    tracestate: said.tracestate,
  };
}

/** Completes jobs. @returns In their place what was completed; undefined: it takes BullMQ's way. */
export async function completeMany(handle: QueueHandle, acks: readonly Ack[]): Promise<(Settled | undefined)[]> {
  const settled: (Settled | undefined)[] = [];
  const nothing = { max: 0, leaseMs: 0, worker: '' };
  for (let from = 0; from < acks.length; from += BATCH_MAX) {
    const some = acks.slice(from, from + BATCH_MAX);
    settled.push(...settledOf(some, (await batchTurn(handle, some, nothing)).completed));
  }
  return settled;
}

/** @returns As `completeMany`. */
export const settledOf = (acks: readonly Ack[], completed: readonly boolean[]): (Settled | undefined)[] =>
  acks.map(({ id }, at) => (completed[at] ? { id, state: 'completed', dueAtMs: undefined } : undefined));
