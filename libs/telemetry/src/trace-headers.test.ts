import { afterEach, describe, expect, test } from '@jest/globals';
import { traceIdOf } from './spans.ts';
import { startTelemetry } from './telemetry.ts';
import { extractHeaders, forwarded, injectHeaders, parseTraceparent } from './trace-headers.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const SAMPLED = `00-${TRACE_ID}-${SPAN_ID}-01`;
const NOT_SAMPLED = `00-${TRACE_ID}-${SPAN_ID}-00`;

function injected(context: unknown): Record<string, string> {
  const headers: Record<string, string> = {};
  injectHeaders(context, headers);
  return headers;
}

test.each([
  ['nothing', undefined],
  ['empty', ''],
  ['upper case', SAMPLED.toUpperCase()],
  ['version ff', `ff${SAMPLED.slice(2)}`],
  ['version 00 with more behind it', `${SAMPLED}-more`],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN_ID}-01`],
  ['a span id of zeros', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
  ['31 digits', `00-${TRACE_ID.slice(1)}-${SPAN_ID}-01`],
  ['a later version with garbage behind the flags', `01${SAMPLED.slice(2)}x`],
  ['two headers joined', `${SAMPLED}, ${SAMPLED}`],
])('a traceparent is ignored when it is malformed: %s', (_case, text) => {
  expect(parseTraceparent(text)).toBeUndefined();
});

test.each([
  SAMPLED,
  `01${SAMPLED.slice(2)}`,
  `cc${SAMPLED.slice(2)}-what-the-future-brings`,
  `${SAMPLED.slice(0, -1)}3`,
])('a traceparent of this or a later version is read: %s', (text) => {
  expect(parseTraceparent(text)).toEqual({ traceId: TRACE_ID, spanId: SPAN_ID, traceFlags: 1, isRemote: true });
});

test('tracestate and baggage leave as they came, however long', () => {
  const tracestate = `vendor=${'x'.repeat(600)}, other@tenant=1`;
  const headers = { traceparent: SAMPLED, tracestate, baggage: 'user=ann%20lee;secret=no, shard=7' };
  expect(injected(extractHeaders(headers))).toEqual(headers);
});

test('a version to come is answered in the version we speak', () => {
  expect(injected(extractHeaders({ traceparent: `01${SAMPLED.slice(2)}-more` })).traceparent).toBe(SAMPLED);
});

describe('without tracing', () => {
  test.each([
    [{ traceparent: NOT_SAMPLED }],
    [{ traceparent: SAMPLED, tracestate: 'a=1', baggage: 'b=2' }],
    [{ traceparent: 'nonsense' }],
    [{ baggage: 'b=2' }],
  ])('headers are passed on untouched: %j', (headers) => {
    expect(injected(forwarded(headers))).toEqual(headers);
  });

  test('a request without a trace hands nothing on', () => {
    expect(forwarded({ 'content-type': 'text/plain' })).toBeUndefined();
    expect(injected(undefined)).toEqual({});
  });

  test('log lines know the trace that is passed on', () => {
    expect(traceIdOf(forwarded({ traceparent: NOT_SAMPLED }))).toBe(TRACE_ID);
    expect(traceIdOf(undefined)).toBeUndefined();
  });
});

describe('with tracing, of a request that was rejected', () => {
  const env = { OTEL_TRACES_EXPORTER: 'console', OTEL_TRACES_SAMPLER: 'parentbased_always_off' };
  let stop = async () => {};
  const start = async () => ({ stop } = await startTelemetry({ service: 'kv', version: '0', env }));
  afterEach(() => stop());

  test('its own headers are passed on untouched', async () => {
    await start();
    const headers = { traceparent: NOT_SAMPLED, tracestate: 'a=1' };
    expect(injected(forwarded(headers))).toEqual(headers);
  });

  test.each([[{}], [{ traceparent: 'nonsense' }]])(
    'those it calls are told not to begin a trace, when it came with %j',
    async (headers) => {
      await start();
      const { traceparent } = injected(forwarded(headers));
      expect(parseTraceparent(traceparent)).toMatchObject({ traceFlags: 0 });
    },
  );
});
