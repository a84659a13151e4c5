/**
 * W3C Trace Context and Baggage, to and from headers with lower-case names: https://www.w3.org/TR/trace-context/
 *
 * Written here rather than taken from the SDK, because a service without an exporter must pass a trace on too, and
 * because a request that is not traced should cost nothing but the copying of three strings. `tracestate` and
 * `baggage` are never taken apart: they leave as they came.
 */
import { type Context, createContextKey, ROOT_CONTEXT, type SpanContext, TraceFlags, trace } from '@opentelemetry/api';
import { isTracing } from './gate.ts';
import { OpaqueTraceState } from './opaque-trace-state.ts';

/** Headers as `node:http` or the bus give them: names lower case. */
export type IncomingHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The headers of a request that makes no span, to be sent on as they came. */
interface Forwarded {
  headers: IncomingHeaders;
  /** Head sampling said no here, so whom the request calls must not begin a trace in its stead. */
  isRejected: boolean;
}
const FORWARDED = createContextKey('plinth forwarded headers');
const BAGGAGE = createContextKey('plinth baggage header');

/** version-traceid-parentid-flags; what follows is for versions to come. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE_ID = '0'.repeat(32);
const NO_SPAN_ID = '0'.repeat(16);

/** All bytes in hex: looked up, a pair of random ids takes 0.3 µs; by `toString(16)` it takes 2.5. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** A context for requests that were rejected here without having come with a trace. It holds nothing of its own. */
const REJECTED = ROOT_CONTEXT.setValue(FORWARDED, { headers: {}, isRejected: true } satisfies Forwarded);

/**
 * Reads a `traceparent`.
 *
 * @returns Undefined when it is malformed: the receiver then begins a trace of its own. Versions above 00 are read as
 * far as version 00 reaches, as the specification asks. Cost: about 200 ns.
 */
export function parseTraceparent(text: unknown): SpanContext | undefined {
  const match = typeof text === 'string' ? TRACEPARENT.exec(text) : null;
  if (match === null) return undefined;
  const [, version, traceId, spanId, flags, rest] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string?,
  ];
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (traceId === NO_TRACE_ID || spanId === NO_SPAN_ID) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

/** A context below the span that the headers speak of; the root context when they speak of none. */
export function extractHeaders(headers: IncomingHeaders): Context {
  return contextBelow(parseTraceparent(headers.traceparent), headers);
}

/** As `extractHeaders`, with the `traceparent` already read. */
export function contextBelow(parent: SpanContext | undefined, headers: IncomingHeaders): Context {
  const { tracestate, baggage } = headers;
  let context = ROOT_CONTEXT;
  if (parent !== undefined) {
    const traceState = typeof tracestate === 'string' ? new OpaqueTraceState(tracestate) : undefined;
    context = trace.setSpanContext(context, { ...parent, traceState });
  }
  return typeof baggage === 'string' ? context.setValue(BAGGAGE, baggage) : context;
}

/**
 * What a request that is not traced hands to the calls it makes: its own headers, untouched. When traces begin in this
 * process, it was rejected by head sampling; if it came without a trace, those it calls are told so by a `traceparent`
 * whose flag is 0, or each of them would throw the dice again and keep a piece of what is no trace.
 *
 * @param isRejected - For callers that have asked `isTracing()` already.
 * @returns Undefined when there is nothing to hand on. Cost: about 100 ns.
 */
export function forwarded(headers: IncomingHeaders, isRejected = isTracing()): Context | undefined {
  if (headers.traceparent !== undefined || headers.baggage !== undefined) {
    return ROOT_CONTEXT.setValue(FORWARDED, { headers, isRejected } satisfies Forwarded);
  }
  return isRejected ? REJECTED : undefined;
}

/** Writes `traceparent`, `tracestate` and `baggage` of a trace into `headers`; nothing when there is no trace. */
export function injectHeaders(from: unknown, headers: Record<string, string>): void {
  if (from === undefined) return;
  const context = from as Context;
  const incoming = context.getValue(FORWARDED) as Forwarded | undefined;
  if (incoming !== undefined) {
    forward(incoming, headers);
    return;
  }
  const span = trace.getSpanContext(context);
  const baggage = context.getValue(BAGGAGE);
  if (span !== undefined) writeSpan(span, headers);
  if (typeof baggage === 'string') headers.baggage = baggage;
}

/** The trace id that a context speaks of, traced here or not: for log lines. */
export function traceIdIn(context: Context | undefined): string | undefined {
  if (context === undefined) return undefined;
  const incoming = context.getValue(FORWARDED) as Forwarded | undefined;
  return incoming ? parseTraceparent(incoming.headers.traceparent)?.traceId : trace.getSpanContext(context)?.traceId;
}

function forward({ headers: incoming, isRejected }: Forwarded, headers: Record<string, string>): void {
  const { traceparent, tracestate, baggage } = incoming;
  // A malformed one counts as none, yet where no trace begins it is nobody's business here.
  if (isRejected && parseTraceparent(traceparent) === undefined) headers.traceparent = notSampled();
  else if (typeof traceparent === 'string') headers.traceparent = traceparent;
  if (typeof tracestate === 'string') headers.tracestate = tracestate;
  if (typeof baggage === 'string') headers.baggage = baggage;
}

function writeSpan(span: SpanContext, headers: Record<string, string>): void {
  headers.traceparent = `00-${span.traceId}-${span.spanId}-${(span.traceFlags & TraceFlags.SAMPLED) === 0 ? '00' : '01'}`;
  const traceState = span.traceState?.serialize();
  if (traceState) headers.tracestate = traceState;
}

/** Nobody will ever look these ids up, so cheap randomness does. */
function notSampled(): string {
  return `00-${hexDigits(32)}-${hexDigits(16)}-00`;
}

/** `count` random hex digits, a multiple of 8. The first is never 0, so that no id is all zeros. */
function hexDigits(count: number): string {
  let digits = '';
  for (let at = 0; at < count; at += 8) {
    const bits = Math.floor(Math.random() * 2 ** 32);
    digits +=
      HEX[(bits >>> 24) | (at === 0 ? 0x10 : 0)]! +
      HEX[(bits >>> 16) & 0xff]! +
      HEX[(bits >>> 8) & 0xff]! +
      HEX[bits & 0xff]!;
  }
  return digits;
}
