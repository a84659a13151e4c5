/** The span of one call to a target, below the trace that enqueued the job, and the headers that go on from there. */
import { consumerSpan, forwarded, injectHeaders, messagingAttributes, type Traced } from '@plinth/telemetry';
import type { LeasedJob } from '../core/job.ts';

/** Begins the span; undefined when the job is not traced here. */
export function callSpan(queue: string, job: LeasedJob): Traced | undefined {
  const { name, attributes } = messagingAttributes({
    system: 'plinth',
    operation: 'push',
    type: 'process',
    destination: queue,
    messageId: job.id,
  });
  return consumerSpan(traceHeaders(job), name, { ...attributes, 'plinth.job.attempt': job.attempt });
}

/** `traceparent` and `tracestate` for the call: of its span, or of whoever enqueued the job when there is none. */
export function outgoingTrace(traced: Traced | undefined, job: LeasedJob): Record<string, string> {
  const headers: Record<string, string> = {};
  injectHeaders(traced?.context ?? forwarded(traceHeaders(job)), headers);
  return headers;
}

const traceHeaders = ({ traceparent, tracestate }: LeasedJob) => ({ traceparent, tracestate });
