/**
 * Spans that begin by one call and end by `endSpan`. Each call answers undefined when no span is to be made, after
 * about 10 ns when tracing is off; a span that is made costs 4 to 6 µs from start to export (spans.bench.ts).
 *
 * Two rules keep traces whole and small. A *local root* (`serverSpan`, `consumerSpan`) asks the gate. Everything else
 * needs a parent that is traced: a background loop does not fill Jaeger with traces of one span.
 */
import {
  type Attributes,
  type Context,
  type Link,
  context as otelContext,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { currentGate } from './gate.ts';
import { DECIDED } from './head-sampler.ts';
import { contextBelow, type IncomingHeaders, parseTraceparent, traceIdIn } from './trace-headers.ts';

/** A span, and the context to hand to what happens inside it. */
export interface Traced {
  span: Span;
  context: Context;
}

/**
 * Begins the span of a request that was received, below the trace in its headers or as a new trace.
 *
 * @param name - Of low cardinality, as the conventions ask: `GET /v1/kv/{bucket}/{+key}`.
 * @returns Undefined when tracing is off or head sampling said no: then hand `forwarded(headers)` on.
 */
export function serverSpan(headers: IncomingHeaders, name: string, attributes?: Attributes): Traced | undefined {
  return localRoot(headers, name, SpanKind.SERVER, attributes);
}

/** As `serverSpan`, for a message or job that is being processed. Attributes: `messagingAttributes`. */
export function consumerSpan(
  headers: IncomingHeaders,
  name: string,
  attributes?: Attributes,
  links?: readonly (Link | undefined)[],
): Traced | undefined {
  return localRoot(headers, name, SpanKind.CONSUMER, attributes, links);
}

/** Begins the span of a request that is sent. `parent`: a trace, or undefined for the active context. */
export function clientSpan(parent: unknown, name: string, attributes?: Attributes): Traced | undefined {
  return child(parent, name, SpanKind.CLIENT, attributes);
}

/** Begins the span of a message that is sent and answered by nobody. `parent` as in `clientSpan`. */
export function producerSpan(parent: unknown, name: string, attributes?: Attributes): Traced | undefined {
  return child(parent, name, SpanKind.PRODUCER, attributes);
}

/** Begins the span of work inside the process that is worth seeing by itself. `parent` as in `clientSpan`. */
export function internalSpan(
  parent: unknown,
  name: string,
  attributes?: Attributes,
  links?: readonly (Link | undefined)[],
): Traced | undefined {
  return child(parent, name, SpanKind.INTERNAL, attributes, links);
}

/** A link to the span of a trace; undefined when it has none. A trace that was not sampled is no use to link to. */
export function linkTo(to: unknown): Link | undefined {
  const span = to === undefined ? undefined : trace.getSpanContext(to as Context);
  return span === undefined || (span.traceFlags & TraceFlags.SAMPLED) === 0 ? undefined : { context: span };
}

/**
 * Ends a span. With an error, `error.type` is its problem code, or else its class. The status becomes ERROR unless the
 * error has a `status` below 500: a missing key is an answer, and a red mark on it hides the red marks that matter.
 */
export function endSpan(span: Span | undefined, error?: unknown): void {
  if (span === undefined) return;
  if (error !== undefined) noteError(span, error);
  span.end();
}

/** The trace id as 32 hex digits, also of a trace that is only passed on; undefined when there is none. */
export function traceIdOf(of: unknown): string | undefined {
  return traceIdIn(of as Context | undefined);
}

/** Runs `work` with the trace active, for code that asks OpenTelemetry itself. Costs an `AsyncLocalStorage` run. */
export function inContext<T>(active: unknown, work: () => T): T {
  return active === undefined || currentGate() === undefined ? work() : otelContext.with(active as Context, work);
}

function localRoot(
  headers: IncomingHeaders,
  name: string,
  kind: SpanKind,
  attributes?: Attributes,
  links?: readonly (Link | undefined)[],
): Traced | undefined {
  const gate = currentGate();
  if (gate === undefined) return undefined;
  const parent = headers.traceparent === undefined ? undefined : parseTraceparent(headers.traceparent);
  if (!gate.admits(parent) || (parent !== undefined && gate.refusesOneMore(parent.traceId))) return undefined;
  const above = contextBelow(parent, headers).setValue(DECIDED, true);
  const span = gate.tracer.startSpan(name, { kind, attributes, links: present(links) }, above);
  return { span, context: trace.setSpan(above, span) };
}

function child(
  parent: unknown,
  name: string,
  kind: SpanKind,
  attributes?: Attributes,
  links?: readonly (Link | undefined)[],
): Traced | undefined {
  const gate = currentGate();
  if (gate === undefined) return undefined;
  const above = (parent as Context | undefined) ?? otelContext.active();
  const spanAbove = trace.getSpanContext(above);
  if (spanAbove === undefined || (spanAbove.traceFlags & TraceFlags.SAMPLED) === 0) return undefined;
  if (gate.refusesOneMore(spanAbove.traceId)) return undefined;
  const span = gate.tracer.startSpan(name, { kind, attributes, links: present(links) }, above);
  return { span, context: trace.setSpan(above, span) };
}

function present(links: readonly (Link | undefined)[] | undefined): Link[] | undefined {
  return links?.filter((link) => link !== undefined);
}

function noteError(span: Span, error: unknown): void {
  const { code, status, name, message } = error as {
    code?: unknown;
    status?: unknown;
    name?: string;
    message?: string;
  };
  span.setAttribute('error.type', typeof code === 'string' ? code : (name ?? '_OTHER'));
  if (typeof status === 'number' && status < 500) return;
  span.setStatus({ code: SpanStatusCode.ERROR, message: message ?? String(error) });
}
