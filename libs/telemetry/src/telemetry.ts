/**
 * Slim tracing: one span where something begins, none where head sampling said no, and no SDK in memory unless an
 * exporter is configured. README.md shows it at work.
 *
 * A *trace* in these signatures is the opaque value of `call.trace`: an OpenTelemetry `Context`, or undefined when the
 * request is not traced. Its type is `unknown` so that rooms which import no OpenTelemetry can hand it on.
 *
 * Nothing here is mutable at module level. The one thing that must be found from anywhere, the `Gate`, hangs on the
 * global tracer provider that `@opentelemetry/api` keeps: so two services in one process, and two copies of this
 * module, share one provider and one exporter.
 */
export { type BatchSpan, batchSpan, type Waiting } from './batch-span.ts';
export { isTracing } from './gate.ts';
export { type MessageFacts, messagingAttributes } from './messaging.ts';
export {
  clientSpan,
  consumerSpan,
  endSpan,
  inContext,
  internalSpan,
  linkTo,
  producerSpan,
  serverSpan,
  type Traced,
  traceIdOf,
} from './spans.ts';
export { type StartOptions, startTelemetry, type Telemetry } from './start.ts';
export { extractHeaders, forwarded, type IncomingHeaders, injectHeaders } from './trace-headers.ts';
