/** What handlers read of a call: names in its path, and how long it waits. */
import type { Call } from '@plinth/contracts';
import { JOB_ID, LIMITS, NO_CONTROLS, QUEUE, QUEUE_RULE, WORKER } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { JobState } from '../core/job.ts';

export interface Patience {
  waitMs: number;
  signal: AbortSignal;
}

const OWN_QUEUES = 'plinth-';

type Named = Pick<Call, 'params'>;

/** An answer takes so long to be written and sent: an empty one in time is better than a deadline that passed. */
const ANSWER_MS = 50;
/** Of calls that do not wait: nobody leaves within a round trip, and a signal of its own would cost more than that. */
const NEVER = new AbortController().signal;

/** @throws Problem `invalid_request`. */
export const queueOf = (call: Named): string => param(call, 'queue', QUEUE, QUEUE_RULE);

/**
 * A queue whose jobs callers make and take. What lies in the service's own queues is signed and sent in its name, so
 * callers may look at these, pause and redrive them, no more.
 *
 * @throws Problem `invalid_request`, `forbidden`.
 */
export function openQueueOf(call: Named): string {
  return openQueue(queueOf(call));
}

export const isOwnQueue = (queue: string): boolean => queue.startsWith(OWN_QUEUES);

/** @throws Problem `forbidden`. */
export function openQueue(queue: string): string {
  if (!isOwnQueue(queue)) return queue;
  throw new Problem('forbidden', `queues whose names begin with ${OWN_QUEUES} are the service’s own`);
}

/** @throws Problem `job_not_found`: what is no id is the id of no job. */
export function jobIdOf({ params }: Named): string {
  const id = params.id!;
  if (JOB_ID.test(id)) return id;
  throw new Problem('job_not_found', `there is no job ${JSON.stringify(id.slice(0, LIMITS.idCharsMax))}`);
}

/** @throws Problem `invalid_request`. */
export const workerOf = (call: Named): string => param(call, 'worker', WORKER, '1–128 visible ASCII characters');

/** Its bytes are UTF-8. @throws Problem `invalid_request`. */
export function groupOf({ params }: Named): string {
  const group = Buffer.from(params.group!, 'latin1').toString('utf8');
  if (group.length <= LIMITS.groupCharsMax && NO_CONTROLS.test(group)) return group;
  throw badParam('group', `up to ${LIMITS.groupCharsMax} characters without control characters`);
}

/** @throws Problem `invalid_request`. */
export function param({ params }: Named, name: string, pattern: RegExp, rule: string): string {
  const value = params[name]!;
  if (pattern.test(value)) return value;
  throw badParam(name, rule);
}

function badParam(name: string, rule: string): Problem {
  const issues = [{ path: `/params/${name}`, message: `it takes ${rule}` }];
  return new Problem('invalid_request', `the ${name} in the path: it takes ${rule}`, { issues });
}

/** As long as was asked for, and no longer than the call's deadline. */
export function patienceOf(call: Pick<Call, 'signal' | 'deadlineMs'>, waitMs: number, nowMs: number): Patience {
  const leftMs = Math.min(waitMs, call.deadlineMs - nowMs - ANSWER_MS);
  return leftMs <= 0 ? { waitMs: 0, signal: NEVER } : { waitMs: leftMs, signal: call.signal };
}

export const unknownJob = (queue: string, id: string): Problem =>
  new Problem('job_not_found', `there is no job ${id} in the queue ${queue}`);

export const lostLease = (id: string, token: string): Problem =>
  new Problem('lease_lost', `the lease of the job ${id} is not, or not any more, that of token ${token}`);

/** The state of one of many jobs, or that there is none. */
export const stateItem = (queue: string, id: string, state: JobState | undefined): Record<string, unknown> =>
  state === undefined ? { id, problem: unknownJob(queue, id).toBody() } : { id, state };
