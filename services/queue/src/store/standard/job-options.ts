/**
 * A job of ours as options of BullMQ, and back.
 *
 * What BullMQ has a word for is said in its words, so that native workers act on it. The rest (group, tags, time to
 * live, timeout, callbacks …) is one member `plinth` of the job's options: options travel with the job through every
 * state, are written once, and are ignored by clients that do not know them; `job.data` stays exactly what was
 * enqueued. The trace is where bullmq-otel has it, so that a native worker with it joins the trace.
 *
 * The backoff is BullMQ's nearest built-in one, with its factor and longest delay in `plinth`: the lane goes by both. A
 * custom type would fail the jobs of each native worker that was not given the strategy.
 */
import type { JobJson, JobsOptions } from 'bullmq';
import type { Backoff, Dedup, NewJob, Retention } from '../../core/job.ts';

/** Short names: they are stored with every job. Absent is the default. */
export interface OwnOptions {
  readonly g?: string | undefined;
  readonly t?: readonly string[] | undefined;
  readonly x?: number | undefined;
  readonly o?: number | undefined;
  /** Of the backoff what BullMQ has no word for: factor and longest. */
  readonly b?: readonly [number, number];
  /** Count and age in milliseconds, where BullMQ's words do not say it. */
  readonly r?: readonly [number, number];
  /** The priority that was asked for, where BullMQ's means a turn between groups. */
  readonly p?: number | undefined;
  readonly c?: string | undefined;
  readonly f?: string | undefined;
  readonly k?: string | undefined;
  /** Tells the job that was enqueued from its duplicate. */
  readonly n?: string | undefined;
  /** Of a `simple` dedup: how long it outlives the enqueue. */
  readonly d?: number | undefined;
}

export interface StoredOptions extends JobsOptions {
  readonly plinth?: OwnOptions;
  readonly failParentOnFailure?: boolean;
}

/** Dead letters, cancelled ones among them, are kept so many and so long. */
export const DEAD_RETENTION: Retention = { count: 10_000, ageMs: 14 * 24 * 3_600_000 };
const NO_BACKOFF = { type: 'fixed', delayMs: 0, jitter: 0 } as const;
/** BullMQ's own factor, and the service's default: not said again with each job. */
const USUAL_FACTOR = 2;
const USUAL_MAX_MS = 3_600_000;

export interface Placing {
  readonly nowMs: number;
  /** BullMQ's, 0 … 2,097,151. */
  readonly priority: number;
  readonly nonce: string | undefined;
}

/** The job as the scripts of BullMQ take it. */
export function jobJson(job: NewJob, { nowMs, priority, nonce }: Placing): JobJson {
  const delayMs = job.dedup?.mode === 'debounce' ? (job.dedup.ttlMs ?? 0) : Math.max(0, job.runAtMs - nowMs);
  const opts: StoredOptions = {
    attempts: job.attempts,
    ...(delayMs > 0 && { delay: delayMs }),
    ...(priority > 0 && { priority }),
    ...(job.backoff.delayMs > 0 && { backoff: nativeBackoff(job.backoff) }),
    removeOnComplete: nativeRetention(job.retain),
    removeOnFail: nativeRetention(DEAD_RETENTION),
    ...(job.dedup !== undefined && { deduplication: deduplication(job.dedup) }),
    ...(job.traceparent !== undefined && { telemetry: { metadata: traceText(job) } }),
    plinth: ownOptions(job, priority, nonce),
  };
  return {
    id: '',
    name: job.name,
    data: job.data,
    opts,
    progress: 0,
    attemptsMade: 0,
    attemptsStarted: 0,
    stalledCounter: 0,
    timestamp: nowMs,
    failedReason: '',
    returnvalue: '',
    ...(job.dedup !== undefined && { deduplicationId: job.dedup.id }),
  };
}

function ownOptions(job: NewJob, priority: number, nonce: string | undefined): OwnOptions {
  const { factor, maxMs } = job.backoff;
  const { count, ageMs } = job.retain;
  const outlives = job.dedup?.mode === 'simple' && job.dedup.ttlMs !== undefined;
  return {
    ...((factor !== USUAL_FACTOR || maxMs !== USUAL_MAX_MS) && { b: [factor, maxMs] as const }),
    ...((ageMs % 1_000 !== 0 || (count === 0 && ageMs > 0)) && { r: [count, ageMs] as const }),
    ...(job.group !== '' && { g: job.group }),
    ...(job.tags.length > 0 && { t: job.tags }),
    ...(job.expiresAtMs > 0 && { x: job.expiresAtMs }),
    ...(job.timeoutMs > 0 && { o: job.timeoutMs }),
    ...(job.priority !== priority && { p: job.priority }),
    ...(job.callbackUrl !== undefined && { c: job.callbackUrl }),
    ...(job.failureCallbackUrl !== undefined && { f: job.failureCallbackUrl }),
    ...(job.resultTo !== undefined && { k: job.resultTo }),
    ...(nonce !== undefined && { n: nonce }),
    ...(outlives && { d: job.dedup!.ttlMs! }),
  };
}

const nativeBackoff = ({ type, delayMs, jitter }: Backoff) => ({ type, delay: delayMs, jitter });

/** BullMQ counts ages in seconds. */
function nativeRetention({ count, ageMs }: Retention): { count: number; age?: number } {
  if (count === 0 && ageMs === 0) return { count: 0 };
  return { count: count === 0 ? -1 : count, ...(ageMs > 0 && { age: Math.ceil(ageMs / 1_000) }) };
}

/** What the lane itself hands to BullMQ at an end: the count; ages differ from job to job, so a tick sees to them. */
export const keptCount = ({ count, ageMs }: Retention): { count: number } => ({
  count: count === 0 && ageMs > 0 ? -1 : count,
});

function deduplication({ id, mode, ttlMs }: Dedup): NonNullable<JobsOptions['deduplication']> {
  if (mode === 'throttle') return { id, ttl: ttlMs ?? 0 };
  if (mode === 'debounce') return { id, ttl: ttlMs ?? 0, extend: true, replace: true };
  if (mode === 'keep-last') return { id, keepLastIfActive: true };
  // The time of `simple` begins to matter when the job has ended: `own-scripts.ts`, `close`.
  return { id };
}

const traceText = ({ traceparent, tracestate }: NewJob): string =>
  JSON.stringify({ traceparent, ...(tracestate !== undefined && { tracestate }) });

/** The other way: what was said of the job when it was enqueued, by us or by a native client. */
export interface Said {
  readonly group: string;
  readonly tags: readonly string[];
  readonly priority: number;
  readonly attempts: number;
  readonly backoff: Backoff;
  readonly retain: Retention;
  readonly timeoutMs: number;
  readonly expiresAtMs: number;
  readonly delayMs: number;
  readonly dedupTtlMs: number;
  readonly callbackUrl: string | undefined;
  readonly failureCallbackUrl: string | undefined;
  readonly resultTo: string | undefined;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

export function said(opts: StoredOptions): Said {
  const own = opts.plinth ?? {};
  // BullMQ knows no longest delay.
  const [factor, maxMs] = own.b ?? [USUAL_FACTOR, opts.plinth === undefined ? 2 ** 40 : USUAL_MAX_MS];
  return {
    group: own.g ?? '',
    tags: own.t ?? [],
    priority: own.p ?? opts.priority ?? 0,
    // A native client that brings no number means one, as BullMQ has it.
    attempts: Math.max(1, opts.attempts ?? 1),
    backoff: { ...backoffOf(opts.backoff), factor, maxMs },
    retain: own.r === undefined ? retentionOf(opts.removeOnComplete) : { count: own.r[0], ageMs: own.r[1] },
    timeoutMs: own.o ?? 0,
    expiresAtMs: own.x ?? 0,
    delayMs: opts.delay ?? 0,
    dedupTtlMs: own.d ?? 0,
    ...{ callbackUrl: own.c, failureCallbackUrl: own.f, resultTo: own.k },
    ...trace(opts.telemetry?.metadata),
  };
}

function trace(metadata: string | undefined): Pick<Said, 'traceparent' | 'tracestate'> {
  const none = { traceparent: undefined, tracestate: undefined };
  if (metadata === undefined) return none;
  try {
    const { traceparent, tracestate } = JSON.parse(metadata) as Record<string, string | undefined>;
    return { traceparent, tracestate };
  } catch {
    // Another telemetry's words: not ours to read.
    return none;
  }
}

function backoffOf(backoff: JobsOptions['backoff']): Pick<Backoff, 'type' | 'delayMs' | 'jitter'> {
  if (backoff === undefined) return NO_BACKOFF;
  const { type, delay = 0, jitter = 0 } = typeof backoff === 'number' ? { type: 'fixed', delay: backoff } : backoff;
  return { type: type === 'exponential' ? 'exponential' : 'fixed', delayMs: delay, jitter };
}

function retentionOf(keep: JobsOptions['removeOnComplete']): Retention {
  if (keep === true) return { count: 0, ageMs: 0 };
  if (typeof keep === 'number') return { count: keep, ageMs: 0 };
  if (typeof keep !== 'object') return { count: -1, ageMs: 0 };
  const { count = -1, age } = keep as { count?: number; age?: number };
  return { count, ageMs: (age ?? 0) * 1_000 };
}

/** Before the retry that follows attempt `attempt`. @param random - 0 ≤ random < 1. */
export function backoffMs({ type, delayMs, factor, maxMs, jitter }: Backoff, attempt: number, random: number): number {
  const grown = type === 'fixed' ? delayMs : delayMs * factor ** (attempt - 1);
  return Math.floor(Math.min(grown, maxMs) * (1 - jitter * random));
}
