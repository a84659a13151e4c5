/**
 * A job as BullMQ keeps it: a hash, to which the lane adds fields of its own that BullMQ neither reads nor minds. They
 * are written by the very scripts that move the job (`fieldsToUpdate`), and go with it.
 */
import type { JobJson, MinimalJob } from 'bullmq';
import type { Attempt, JobError } from '../../core/job.ts';
import { type Said, type StoredOptions, said } from './job-options.ts';
import type { LeaseRecord } from './lease-record.ts';

/** Attempts that are kept for the timeline. */
const HISTORY_MAX = 20;
/** BullMQ's short names of options, as far as they are read here. */
const FPOF = 'fpof';
const KEEP_LAST = 'de';

/** The lane's own fields of the hash. */
export const OWN_FIELDS = {
  history: 'plinthHistory',
  error: 'plinthError',
  reason: 'plinthReason',
  dueAt: 'plinthDueAt',
  /** Of a failed job: it was cancelled. */
  cancelled: 'plinthCancelled',
  /** Leases of the lane that ended without a word. BullMQ counts those of native workers, and fails a job for two. */
  stalls: 'plinthStalls',
} as const;

export interface JobRecord {
  readonly id: string;
  readonly name: string;
  readonly data: string;
  readonly opts: StoredOptions;
  readonly said: Said;
  /** Attempts that have ended. */
  readonly attemptsMade: number;
  readonly attemptsStarted: number;
  /** Of the lane and of native workers together. */
  readonly stalls: number;
  readonly ownStalls: number;
  readonly enqueuedAtMs: number;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
  readonly worker: string | undefined;
  readonly deferredFailure: string | undefined;
  readonly parentKey: string | undefined;
  readonly dedupId: string | undefined;
  /** When it could first be leased. */
  readonly dueAtMs: number;
  readonly history: readonly Attempt[];
  readonly error: JobError | undefined;
  readonly reason: string | undefined;
  readonly result: string | undefined;
  readonly progress: string | undefined;
}

export type JobHash = Readonly<Record<string, string>>;

const numberOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));

export function recordFromHash(id: string, hash: JobHash): JobRecord {
  const opts = storedOptions(hash.opts ?? '{}', hash.parent);
  const words = said(opts);
  const enqueuedAtMs = Number(hash.timestamp ?? 0);
  return {
    ...{ id, opts, said: words, enqueuedAtMs, name: hash.name ?? '', data: hash.data ?? '{}' },
    attemptsMade: Number(hash.atm ?? hash.attemptsMade ?? 0),
    attemptsStarted: Number(hash.ats ?? 0),
    ...stallsOf(hash.stc, hash[OWN_FIELDS.stalls]),
    startedAtMs: numberOf(hash.processedOn),
    finishedAtMs: numberOf(hash.finishedOn),
    worker: hash.pb,
    deferredFailure: hash.defa,
    parentKey: hash.parentKey,
    dedupId: hash.deid,
    dueAtMs: Number(hash[OWN_FIELDS.dueAt] ?? enqueuedAtMs + words.delayMs),
    history: JSON.parse(hash[OWN_FIELDS.history] ?? '[]') as Attempt[],
    error: errorOf(hash),
    reason: hash[OWN_FIELDS.reason],
    result: hash.returnvalue === 'null' ? undefined : hash.returnvalue,
    progress: hash.progress === '0' ? undefined : hash.progress,
  };
}

function stallsOf(native: string | number | null | undefined, own: string | null | undefined) {
  const ownStalls = Number(own ?? 0);
  return { stalls: Number(native ?? 0) + ownStalls, ownStalls };
}

/** As a lease brings it: BullMQ hands out no fields but its own, so those are `later`. */
export function recordFromLease(
  json: JobJson,
  later: { history?: string; dueAt?: string; stalls?: string },
): JobRecord {
  const opts = json.opts as StoredOptions;
  const words = said(opts);
  return {
    ...{ id: json.id, name: json.name, data: json.data, opts, said: words },
    ...{ attemptsMade: json.attemptsMade, attemptsStarted: json.attemptsStarted },
    ...stallsOf(json.stalledCounter, later.stalls),
    ...{ enqueuedAtMs: json.timestamp, startedAtMs: json.processedOn, finishedAtMs: undefined },
    ...{ worker: json.processedBy, deferredFailure: json.deferredFailure, parentKey: json.parentKey },
    ...{ dedupId: json.deduplicationId, error: undefined, reason: undefined, result: undefined, progress: undefined },
    dueAtMs: Number(later.dueAt ?? json.timestamp + words.delayMs),
    history: JSON.parse(later.history ?? '[]') as Attempt[],
  };
}

/** A leased job as the script `TURN` hands it out: fields and values as they were before, then its id. */
export type LeaseRow = readonly string[];

/** What the stored options of a job say. */
export interface OptionWords {
  readonly opts: StoredOptions;
  readonly said: Said;
}

export function optionWords(text: string): OptionWords {
  const opts = storedOptions(text, undefined);
  return { opts, said: said(opts) };
}

export function recordFromRow(row: LeaseRow, nowMs: number, wordsOf: (opts: string) => OptionWords): JobRecord {
  const hash: Record<string, string> = {};
  for (let at = 0; at + 1 < row.length; at += 2) hash[row[at]!] = row[at + 1]!;
  const { opts, said } = wordsOf(hash.opts!);
  const enqueuedAtMs = Number(hash.timestamp ?? 0);
  const dueAt = hash[OWN_FIELDS.dueAt];
  const history = hash[OWN_FIELDS.history];
  const ownStalls = Number(hash[OWN_FIELDS.stalls] ?? 0);
  return {
    id: row.at(-1)!,
    name: hash.name!,
    data: hash.data ?? '{}',
    opts,
    said,
    attemptsMade: Number(hash.atm ?? 0),
    attemptsStarted: Number(hash.ats ?? 0) + 1,
    stalls: Number(hash.stc ?? 0) + ownStalls,
    ownStalls,
    enqueuedAtMs,
    startedAtMs: nowMs,
    finishedAtMs: undefined,
    worker: undefined,
    deferredFailure: hash.defa,
    parentKey: hash.parentKey,
    dedupId: hash.deid,
    dueAtMs: dueAt === undefined ? enqueuedAtMs + said.delayMs : Number(dueAt),
    history: history === undefined ? [] : (JSON.parse(history) as Attempt[]),
    error: undefined,
    reason: undefined,
    result: undefined,
    progress: undefined,
  };
}

/** Members that BullMQ stores under short names, as far as the lane needs them. */
function storedOptions(text: string, parent: string | undefined): StoredOptions {
  const { [FPOF]: fpof, [KEEP_LAST]: deduplication, tm, ...opts } = JSON.parse(text) as Record<string, unknown>;
  return {
    ...opts,
    ...((fpof === true || parent?.includes('"fpof":true')) && { failParentOnFailure: true }),
    ...(deduplication !== undefined && { deduplication }),
    ...(tm !== undefined && { telemetry: { metadata: tm } }),
  } as StoredOptions;
}

function errorOf(hash: JobHash): JobError | undefined {
  const own = hash[OWN_FIELDS.error];
  if (own !== undefined) return JSON.parse(own) as JobError;
  // Failed by a native worker.
  if (hash.failedReason === undefined || hash[OWN_FIELDS.reason] !== undefined) return undefined;
  const stacks = JSON.parse(hash.stacktrace ?? '[]') as string[];
  return { type: 'Error', message: hash.failedReason, stack: stacks.at(-1) };
}

/** Of a delayed job: it has been leased before. */
export const isRetrying = (attemptsMade: string | null | undefined, ownStalls: string | null | undefined): boolean =>
  Number(attemptsMade ?? 0) > 0 || Number(ownStalls ?? 0) > 0;

/** What BullMQ's operations want of a job. */
export const minimal = ({ id, opts }: JobRecord): MinimalJob => ({ id, opts }) as unknown as MinimalJob;

export function attemptEnded(
  record: JobRecord,
  ended: { readonly outcome: Attempt['outcome']; readonly error?: JobError; readonly nowMs: number },
  lease?: LeaseRecord,
): Attempt[] {
  const attempt: Attempt = {
    attempt: record.attemptsMade + 1,
    worker: lease?.worker ?? record.worker ?? '',
    startedAtMs: lease?.startedAtMs ?? record.startedAtMs ?? ended.nowMs,
    endedAtMs: ended.nowMs,
    outcome: ended.outcome,
    error: ended.error,
  };
  return [...record.history, attempt].slice(-HISTORY_MAX);
}

/** The timeline for people: what was noted, and what can be told from the job itself. */
export function timeline(record: JobRecord, state: string): Attempt[] {
  const { history, worker = '', startedAtMs = 0 } = record;
  const shown: Attempt[] = history.map((attempt) => ({ ...attempt, error: attempt.error }));
  const told = (attempt: number, outcome: Attempt['outcome']): Attempt => ({
    ...{ attempt, worker, startedAtMs, outcome, error: outcome === 'failed' ? record.error : undefined },
    endedAtMs: outcome === 'running' ? undefined : record.finishedAtMs,
  });
  if (state === 'leased') shown.push(told(record.attemptsMade + 1, 'running'));
  if (state === 'completed') shown.push(told(record.attemptsMade, 'completed'));
  // A native worker keeps no history.
  if (state === 'dead' && record.reason === undefined) shown.push(told(record.attemptsMade, 'failed'));
  return shown.slice(-HISTORY_MAX);
}
