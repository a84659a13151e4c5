/**
 * Jobs as JSON text. Data, results and progress are kept as text and go out as they are: they are neither parsed nor
 * written again.
 */
import type { JobView, LeasedJob } from '../core/job.ts';
import type { JobPage } from '../store/lane.ts';
import { received } from './message-span.ts';

const quoted = JSON.stringify;

/**
 * The array of a lease's answer. Its pieces are joined at the end: a text that is added to thousands of times is a tree
 * of pieces, and to write that out costs more than all the rest of the answer.
 */
export function leasedText(queue: string, jobs: readonly LeasedJob[], how: LeaseTextOptions): string {
  const pieces: string[] = [];
  for (const job of jobs) pushLeasedJob(pieces, queue, job, how);
  return `[${pieces.join('')}]`;
}

export interface LeaseTextOptions {
  /** As it was asked for. */
  leaseMs: number;
  /** Without what is as most jobs have it. */
  isBrief: boolean;
}

function pushLeasedJob(pieces: string[], queue: string, job: LeasedJob, { leaseMs, isBrief }: LeaseTextOptions): void {
  const { id, token, name, data, attempt, attempts, enqueuedAtMs } = job;
  const { traceparent, tracestate } = received(queue, job);
  pieces.push(
    `${pieces.length === 0 ? '' : ','}{"id":${quoted(id)},"token":"${token}","name":${quoted(name)},"data":`,
    data,
    `,"attempt":${attempt},"attempts":${attempts},"enqueuedAtMs":${enqueuedAtMs}`,
  );
  if (!isBrief || !isPlain(job)) pieces.push(restText(job, leaseMs));
  if (traceparent !== undefined) pieces.push(`,"traceparent":${quoted(traceparent)}`);
  if (tracestate !== undefined) pieces.push(`,"tracestate":${quoted(tracestate)}`);
  pieces.push('}');
}

const isPlain = ({ group, tags, stalls, timeoutMs, dueAtMs, enqueuedAtMs }: LeasedJob): boolean =>
  group === '' && tags.length === 0 && stalls === 0 && timeoutMs === 0 && dueAtMs === enqueuedAtMs;

function restText({ group, tags, stalls, dueAtMs, deadlineMs, timeoutMs }: LeasedJob, leaseMs: number): string {
  // An attempt that may not run longer has no longer lease either.
  const leftMs = timeoutMs > 0 ? Math.min(leaseMs, timeoutMs) : leaseMs;
  return (
    `,"group":${quoted(group)},"tags":${quoted(tags)},"stalls":${stalls},"dueAtMs":${dueAtMs}` +
    `,"deadlineMs":${deadlineMs},"leaseMs":${leftMs},"timeoutMs":${timeoutMs}`
  );
}

/** All that is known of a job. */
export function jobText(view: JobView): string {
  const { data, progress, result, ...rest } = view;
  const known = quoted(rest);
  return (
    `${known.slice(0, -1)},"data":${data}` +
    (progress === undefined ? '' : `,"progress":${progress}`) +
    (result === undefined ? '' : `,"result":${result}`) +
    '}'
  );
}

export function jobPageText({ jobs, cursor }: JobPage): string {
  return `{"jobs":[${jobs.map(jobText).join(',')}]${cursor === undefined ? '' : `,"cursor":${quoted(cursor)}`}}`;
}
