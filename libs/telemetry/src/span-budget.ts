/**
 * The most spans of one trace that this process makes. A loop that calls out once per item, or a job that fans out,
 * makes traces which no one can read and which have killed their storage (langwatch#5896: 330,000 spans, Tempo out of
 * memory). What is left out is noted on the local root as `plinth.trace.dropped_spans`.
 *
 * It counts as a span processor, so spans that others make with the API count too, though only ours can be refused.
 */
import type { Context, SpanContext } from '@opentelemetry/api';

/** More than anyone reads in Jaeger's timeline. */
const SPANS_MAX = 1_000;
/** Traces remembered; the oldest is forgotten first. At about 200 bytes each, 800 KiB. */
const TRACES_MAX = 4_096;

/** What the SDK hands to a span processor, as far as it matters here. */
interface CountedSpan {
  spanContext(): SpanContext;
  readonly parentSpanContext?: SpanContext;
  setAttribute(name: string, value: number): unknown;
}

export class SpanBudget {
  readonly #spansMax: number;
  readonly #traces = new Map<string, { spans: number; dropped: number }>();

  constructor(spansMax = SPANS_MAX) {
    this.#spansMax = spansMax;
  }

  /** Whether the budget of the trace is spent; if so, one more counts as dropped. Cost: one look-up in a map. */
  refusesOneMore(traceId: string): boolean {
    const counted = this.#traces.get(traceId);
    if (counted === undefined || counted.spans < this.#spansMax) return false;
    counted.dropped++;
    return true;
  }

  onStart(span: CountedSpan, _parent: Context): void {
    const { traceId } = span.spanContext();
    const counted = this.#traces.get(traceId);
    if (counted !== undefined) counted.spans++;
    else this.#remember(traceId);
  }

  onEnding(span: CountedSpan): void {
    const { parentSpanContext } = span;
    if (parentSpanContext !== undefined && !parentSpanContext.isRemote) return;
    const dropped = this.#traces.get(span.spanContext().traceId)?.dropped ?? 0;
    if (dropped > 0) span.setAttribute('plinth.trace.dropped_spans', dropped);
  }

  onEnd(): void {}

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {
    this.#traces.clear();
  }

  #remember(traceId: string): void {
    if (this.#traces.size >= TRACES_MAX) this.#traces.delete(this.#traces.keys().next().value!);
    this.#traces.set(traceId, { spans: 1, dropped: 0 });
  }
}
