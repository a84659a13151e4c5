import {
  type Context,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
  trace,
} from '@opentelemetry/api';
import { contextBelow, injectHeaders, parseTraceparent } from './trace-headers.ts';

const FIELDS = ['traceparent', 'tracestate', 'baggage'];

/** Our headers for libraries that ask OpenTelemetry's own `propagation`. A span that is present already is kept. */
export const traceContextPropagator: TextMapPropagator = {
  fields: () => FIELDS,

  inject(context: Context, carrier: unknown, setter: TextMapSetter): void {
    const headers: Record<string, string> = {};
    injectHeaders(context, headers);
    for (const [name, value] of Object.entries(headers)) setter.set(carrier, name, value);
  },

  extract(context: Context, carrier: unknown, getter: TextMapGetter): Context {
    const headers = Object.fromEntries(FIELDS.map((name) => [name, getter.get(carrier, name)]));
    const parent = parseTraceparent(headers.traceparent);
    const remote = trace.getSpanContext(contextBelow(parent, headers));
    return remote === undefined ? context : trace.setSpanContext(context, remote);
  },
};
