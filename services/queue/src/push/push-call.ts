/** One job as one call: what is sent, and what its answer means. */
import { endSpan } from '@plinth/telemetry';
import type { LeasedJob } from '../core/job.ts';
import type { PushTarget } from '../core/queue-definition.ts';
import { callSpan, outgoingTrace } from './call-span.ts';
import { secretsOf } from './push-target.ts';
import { signedHeaders, webhookId } from './signature.ts';
import { type Verdict, verdictOf, verdictOfFailure } from './verdict.ts';
import { type WebhookClient, WebhookFailure } from './webhook-client.ts';

export interface PushCall {
  readonly queue: string;
  readonly job: LeasedJob;
  readonly target: PushTarget;
  readonly signal: AbortSignal;
}

/**
 * Sends a job to its target. Never throws for what the target does.
 *
 * @param now - Of the signature.
 */
export async function callTarget(client: WebhookClient, call: PushCall, now: () => number): Promise<Verdict> {
  const { queue, job, target, signal } = call;
  const traced = callSpan(queue, job);
  const body = callBody(queue, job);
  const id = webhookId('job', queue, job.id);
  const headers = {
    ...target.headers,
    'content-type': 'application/json',
    'user-agent': 'plinth-queue',
    ...signedHeaders({ id, atMs: now(), body }, secretsOf(target.secret)),
    ...outgoingTrace(traced, job),
    'plinth-queue': encodeURIComponent(queue),
    'plinth-job-id': job.id,
    'plinth-attempt': String(job.attempt),
    'plinth-lease-token': job.token,
  };
  const timeoutMs = job.timeoutMs > 0 ? Math.min(job.timeoutMs, target.timeoutMs) : target.timeoutMs;
  const verdict = await client.post({ url: target.url, headers, body, timeoutMs, signal }).then(
    (reply) => {
      traced?.span.setAttribute('http.response.status_code', reply.status);
      return verdictOf(reply, now());
    },
    (thrown) => {
      if (thrown instanceof WebhookFailure) return verdictOfFailure(thrown);
      throw thrown;
    },
  );
  endSpan(
    traced?.span,
    verdict.kind === 'fail' ? { code: verdict.error.type, message: verdict.error.message } : undefined,
  );
  return verdict;
}

/** The job as JSON; its data goes in as the text that it is. */
function callBody(queue: string, job: LeasedJob): string {
  const { id, name, attempt, attempts, group, tags, enqueuedAtMs } = job;
  const enqueuedAt = new Date(enqueuedAtMs).toISOString();
  const head = JSON.stringify({ id, name, attempt, attempts, queue, group, tags, enqueuedAt });
  return `${head.slice(0, -1)},"data":${job.data}}`;
}
