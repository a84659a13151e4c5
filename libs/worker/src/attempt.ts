/** One attempt at a job: its span, its time limit, and what came of it. */
import { errorFacts, FinalError, JobTimeout } from './errors.ts';
import type { HeldJob } from './job.ts';
import { inJobSpan } from './job-span.ts';
import type { Outcome } from './outbox.ts';

/** As the service has it; more is a failure that no repeat mends. */
const RESULT_BYTES_MAX = 65_536;

/** Runs the handler. Never rejects: a throw is an outcome. */
export async function attemptJob(job: HeldJob, handle: (job: HeldJob) => unknown): Promise<Outcome> {
  const { timeoutMs = 0 } = job.leased;
  const timer = timeoutMs > 0 ? setTimeout(() => job.abort(timeoutOf(timeoutMs)), leftMs(job)) : undefined;
  try {
    return ackOf(await inJobSpan(job, Date.now(), () => handle(job)));
  } catch (error) {
    return {
      kind: 'fail',
      error: { ...errorFacts(error), ...(job.abortReason instanceof JobTimeout ? TIMED_OUT : {}) },
    };
  } finally {
    clearTimeout(timer);
  }
}

/** As the service calls it, which may have ended the attempt already. */
const TIMED_OUT = { type: 'timeout' };

const timeoutOf = (timeoutMs: number): JobTimeout => new JobTimeout(`the attempt took longer than ${timeoutMs} ms`);

/** The service counts from the lease, the time in which the job waited here included. */
function leftMs(job: HeldJob): number {
  return Math.min(2 ** 31 - 1, Math.max(0, job.deadline!.getTime() - Date.now()));
}

/** @throws FinalError when the result cannot be kept. */
function ackOf(result: unknown): Outcome {
  if (result === undefined) return { kind: 'ack', result, bytes: 0 };
  const text = textOf(result);
  // What has no JSON, a function or a symbol, is no result.
  if (text === undefined) return { kind: 'ack', result: undefined, bytes: 0 };
  const bytes = Buffer.byteLength(text);
  if (bytes <= RESULT_BYTES_MAX) return { kind: 'ack', result, bytes };
  throw new FinalError(`the result is ${bytes} bytes of JSON; the most is ${RESULT_BYTES_MAX}`);
}

function textOf(result: unknown): string | undefined {
  try {
    return JSON.stringify(result);
  } catch (cause) {
    throw new FinalError(`the result has no JSON: ${(cause as Error).message}`, { cause });
  }
}
