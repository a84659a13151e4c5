/** The span of one job, `process <queue>`, below the trace of whoever enqueued it. */
import { type Context, context, ProxyTracerProvider, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import {
  consumerSpan,
  endSpan,
  extractHeaders,
  forwarded,
  inContext,
  isTracing,
  linkTo,
  messagingAttributes,
  type Traced,
} from '@plinth/telemetry';
import type { HeldJob } from './job.ts';

/** After that the job is linked to the trace that enqueued it, not put below: a trace should be one story, not a day. */
const PARENT_MS_MAX = 60_000;

/**
 * Runs `work` inside the span of the job, and ends it with what came of it.
 *
 * Without `@plinth/telemetry` started, but with an SDK of the process's own, the span is made through OpenTelemetry's
 * API. Cost without either: next to nothing.
 */
export function inJobSpan<T>(job: HeldJob, nowMs: number, work: () => Promise<T> | T): Promise<T> | T {
  return isTracing() || hasForeignTracer() ? inSpan(job, nowMs, work) : work();
}

/** What the API answers with where no SDK was started. */
const NO_PROVIDER = new ProxyTracerProvider().getDelegate();

function hasForeignTracer(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegate() !== NO_PROVIDER;
}

async function inSpan<T>(job: HeldJob, nowMs: number, work: () => Promise<T> | T): Promise<T> {
  const headers = headersOf(job);
  const traced = isTracing() ? ownSpan(job, nowMs, headers) : foreignSpan(job, nowMs, headers);
  if (traced === undefined) {
    const trail = isTracing() ? forwarded(headers) : undefined;
    return trail === undefined ? work() : inContext(trail, work);
  }
  try {
    const result = await context.with(traced.context, work);
    endSpan(traced.span);
    return result;
  } catch (error) {
    endSpan(traced.span, error ?? new Error('rejected without a reason'));
    throw error;
  }
}

type TraceHeaders = { traceparent?: string; tracestate?: string };

const headersOf = ({ leased: { traceparent, tracestate } }: HeldJob): TraceHeaders => ({ traceparent, tracestate });

const isLate = (job: HeldJob, nowMs: number): boolean => nowMs - job.leased.enqueuedAtMs > PARENT_MS_MAX;

function ownSpan(job: HeldJob, nowMs: number, headers: TraceHeaders): Traced | undefined {
  const { name, attributes } = factsOf(job);
  if (isLate(job, nowMs)) return consumerSpan({}, name, attributes, [linkTo(extractHeaders(headers))]);
  return consumerSpan(headers, name, attributes);
}

function foreignSpan(job: HeldJob, nowMs: number, headers: TraceHeaders): Traced | undefined {
  const { name, attributes } = factsOf(job);
  const above: Context = headers.traceparent === undefined ? ROOT_CONTEXT : extractHeaders(headers);
  const link = linkTo(above);
  const late = isLate(job, nowMs);
  const options = { kind: SpanKind.CONSUMER, attributes, links: late && link !== undefined ? [link] : [] };
  const span = trace.getTracer('@plinth/worker').startSpan(name, options, late ? ROOT_CONTEXT : above);
  if (!span.isRecording()) return undefined;
  return { span, context: trace.setSpan(late ? ROOT_CONTEXT : above, span) };
}

function factsOf({ queue, id, attempt, leased }: HeldJob) {
  const facts = { system: 'plinth', operation: 'process', type: 'process', destination: queue, messageId: id } as const;
  const { name, attributes } = messagingAttributes(facts);
  return { name, attributes: { ...attributes, 'plinth.job.name': leased.name, 'plinth.job.attempt': attempt } };
}
