/**
 * Messages in traces, one small span for each call however many jobs it has: `send mail`, `receive mail`,
 * `settle mail`. A job carries the trace of whoever enqueued it, and each of its leases is a span in that trace.
 */
import type { Call } from '@plinth/contracts';
import {
  clientSpan,
  endSpan,
  extractHeaders,
  injectHeaders,
  isTracing,
  type MessageFacts,
  messagingAttributes,
  producerSpan,
} from '@plinth/telemetry';
import type { LeasedJob } from '../core/job.ts';

type Traceable = Pick<Call, 'trace'>;

/** W3C, for a job to carry. */
export interface TraceHeaders {
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

const SYSTEM = 'plinth';
const NO_TRACE: TraceHeaders = { traceparent: undefined, tracestate: undefined };

const facts = (type: MessageFacts['type'], destination: string, batchCount: number): MessageFacts => ({
  system: SYSTEM,
  operation: type,
  type,
  destination,
  ...(batchCount > 1 ? { batchCount } : {}),
});

/**
 * Sends jobs within a span, which they carry. Costs nothing when the call is in no trace.
 *
 * @param send - Gets what the jobs carry.
 */
export function sending<T>(
  call: Traceable,
  queue: string,
  count: number,
  send: (trace: TraceHeaders) => Promise<T>,
): Promise<T> {
  if (call.trace === undefined) return send(NO_TRACE);
  const { name, attributes } = messagingAttributes(facts('send', queue, count));
  const traced = producerSpan(call.trace, name, attributes);
  return ended(traced, () => send(headersOf(traced?.context ?? call.trace)));
}

/** Settles jobs within a span. Costs nothing when the call is in no trace. */
export function settling<T>(call: Traceable, queue: string, count: number, settle: () => Promise<T>): Promise<T> {
  if (call.trace === undefined) return settle();
  const { name, attributes } = messagingAttributes(facts('settle', queue, count));
  return ended(clientSpan(call.trace, name, attributes), settle);
}

/**
 * The lease of a job as a span in the trace that the job carries, and what its worker's span is to be below.
 * Costs nothing unless this process records traces and the job carries one.
 */
export function received(queue: string, job: LeasedJob): TraceHeaders {
  if (job.traceparent === undefined || !isTracing()) return job;
  const { id, traceparent, tracestate, attempt, name: jobName } = job;
  const { name, attributes } = messagingAttributes({ ...facts('receive', queue, 1), messageId: id });
  const ofJob = { 'plinth.job.name': jobName, 'plinth.job.attempt': attempt };
  // By the conventions a consumer is who processes; who fetches is a client.
  const traced = clientSpan(extractHeaders({ traceparent, tracestate }), name, { ...attributes, ...ofJob });
  if (traced === undefined) return job;
  endSpan(traced.span);
  return headersOf(traced.context);
}

async function ended<T>(
  traced: { span: Parameters<typeof endSpan>[0] } | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    const done = await work();
    endSpan(traced?.span);
    return done;
  } catch (error) {
    endSpan(traced?.span, error);
    throw error;
  }
}

function headersOf(trace: unknown): TraceHeaders {
  const headers: Record<string, string> = {};
  injectHeaders(trace, headers);
  return { traceparent: headers.traceparent, tracestate: headers.tracestate };
}
