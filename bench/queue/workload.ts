/** What every queue is given: jobs that do nothing, with the same payload. */

/** A service's typical job: an id, a kind, a little text. */
export const PAYLOAD_BYTES = 141;
export const JOB_NAME = 'send';

/** Jobs of raw BullMQ and of asynq at work at once, and calls of their producers under way. */
export const CONCURRENCY = 50;
/** Jobs that ours leases, and settles, in one call; and jobs in one request. */
export const BATCH = 100;
/** BullMQ's largest sensible pipeline. */
export const BULK = 1_000;
/** Connections over which jobs come one by one. */
export const CONNECTIONS = 64;
/** Jobs that wait while memory is looked at. */
export const WAITING_JOBS = 20_000;
/** Of the latency race: so few that every worker is idle when a job comes. */
export const IDLE_JOBS_PER_SECOND = 100;

/** The data of job `number`, of exactly `PAYLOAD_BYTES` as JSON. @param at - When it was enqueued, by the producer's clock. */
export function dataOf(number: number, at = 0): JobData {
  const data = { at, id: String(number).padStart(9, '0'), pad: '' };
  return { ...data, pad: 'x'.repeat(Math.max(0, PAYLOAD_BYTES - JSON.stringify(data).length)) };
}

export interface JobData {
  at: number;
  id: string;
  pad: string;
}
