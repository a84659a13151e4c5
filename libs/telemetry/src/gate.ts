/** Where traces begin, and where they do not: the decision that comes before any span is made. */
import { type SpanContext, type Tracer, trace } from '@opentelemetry/api';

export interface Gate {
  readonly tracer: Tracer;
  /** Head sampling: whether to trace a request that came with `parent`, or with none. */
  admits(parent: SpanContext | undefined): boolean;
  /** Whether this process made as many spans of the trace as it may; if so, notes that one more was wanted. */
  refusesOneMore(traceId: string): boolean;
}

/** Known across copies of this module, as the global that carries it is. */
const GATE = Symbol.for('plinth.telemetry.gate');

interface Gated {
  [GATE]?: Gate;
}

/** The gate of this process; undefined while nothing is traced. Cost: about 10 ns. */
export function currentGate(): Gate | undefined {
  return (trace.getTracerProvider() as Gated)[GATE];
}

/** Hangs the gate on the global tracer provider, which must be set already: `trace.disable()` takes it away again. */
export function installGate(gate: Gate): void {
  (trace.getTracerProvider() as Gated)[GATE] = gate;
}

/** Whether spans are made in this process. Cheap enough to ask before building attributes. */
export function isTracing(): boolean {
  return currentGate() !== undefined;
}
