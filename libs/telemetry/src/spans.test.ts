import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { context as otelContext, trace } from '@opentelemetry/api';
import { Problem } from '@plinth/problem';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '@plinth/testkit';
import {
  batchSpan,
  clientSpan,
  consumerSpan,
  endSpan,
  extractHeaders,
  inContext,
  injectHeaders,
  internalSpan,
  isTracing,
  linkTo,
  messagingAttributes,
  producerSpan,
  serverSpan,
  startTelemetry,
  type Telemetry,
  traceIdOf,
} from './telemetry.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const SAMPLED = { traceparent: `00-${TRACE_ID}-${SPAN_ID}-01`, tracestate: 'vendor=1' };
const NOT_SAMPLED = { traceparent: `00-${TRACE_ID}-${SPAN_ID}-00` };

let receiver: OtlpReceiver;
let telemetry: Telemetry;
const start = (env: Record<string, string> = {}) =>
  startTelemetry({ service: 'kv', version: '1.2.3', env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...env } });

beforeAll(async () => {
  receiver = await startOtlpReceiver();
});
beforeEach(async () => {
  receiver.clear();
  telemetry = await start();
});
afterEach(() => telemetry.stop());

/** All spans made, by name. */
async function spansMade(): Promise<Map<string, ReceivedSpan[]>> {
  await telemetry.stop();
  return Map.groupBy(receiver.spans, (span) => span.name);
}

test('a request becomes one server span below the span of its caller', async () => {
  const traced = serverSpan(SAMPLED, 'GET /v1/kv/{bucket}/{+key}', { 'http.request.method': 'GET' });
  endSpan(traced?.span);
  const [span] = (await spansMade()).get('GET /v1/kv/{bucket}/{+key}')!;
  expect(span).toMatchObject({ kind: 'server', traceId: TRACE_ID, parentSpanId: SPAN_ID, status: { code: 'unset' } });
  expect(span!.attributes).toEqual({ 'http.request.method': 'GET' });
  expect(span!.resource).toMatchObject({
    'service.name': 'kv',
    'service.namespace': 'plinth',
    'service.version': '1.2.3',
  });
});

test('what a request sends carries its span, its tracestate and one trace id', async () => {
  const server = serverSpan(SAMPLED, 'server')!;
  const client = clientSpan(server.context, 'client')!;
  const headers: Record<string, string> = {};
  injectHeaders(client.context, headers);
  expect(headers).toEqual({
    traceparent: `00-${TRACE_ID}-${client.span.spanContext().spanId}-01`,
    tracestate: 'vendor=1',
  });
  const consumer = consumerSpan(headers, 'consumer')!;
  expect(traceIdOf(consumer.context)).toBe(TRACE_ID);
  for (const { span } of [consumer, client, server]) endSpan(span);
  const made = await spansMade();
  expect(made.get('consumer')![0]!.parentSpanId).toBe(made.get('client')![0]!.spanId);
  expect(made.get('client')![0]!.parentSpanId).toBe(made.get('server')![0]!.spanId);
});

test('a request that head sampling rejects makes no span, and nothing below it does', async () => {
  expect(serverSpan(NOT_SAMPLED, 'server')).toBeUndefined();
  expect(consumerSpan(NOT_SAMPLED, 'consumer')).toBeUndefined();
  expect(clientSpan(extractHeaders(NOT_SAMPLED), 'client')).toBeUndefined();
  expect((await spansMade()).size).toBe(0);
});

test('a malformed traceparent begins a trace of its own', () => {
  const traced = serverSpan({ traceparent: `00-${TRACE_ID}-zz-01` }, 'server')!;
  expect(traceIdOf(traced.context)).not.toBe(TRACE_ID);
  expect(traced.span.isRecording()).toBe(true);
});

test('what has no traced parent makes no span, so that background loops make no traces', () => {
  expect(clientSpan(undefined, 'client')).toBeUndefined();
  expect(producerSpan(undefined, 'producer')).toBeUndefined();
  expect(internalSpan(undefined, 'internal')).toBeUndefined();
});

test('the active context is the parent when none is given', () => {
  const server = serverSpan({}, 'server')!;
  inContext(server.context, () => {
    expect(trace.getSpan(otelContext.active())).toBe(server.span);
    expect(traceIdOf(clientSpan(undefined, 'client')?.context)).toBe(traceIdOf(server.context));
  });
});

test('an error sets error.type, and the status only when it is the service that failed', async () => {
  endSpan(serverSpan({}, 'missing')?.span, new Problem('key_not_found', 'no such key'));
  endSpan(serverSpan({}, 'full')?.span, new Problem('disk_full', 'no space left'));
  endSpan(serverSpan({}, 'bug')?.span, new TypeError('x is undefined'));
  const made = await spansMade();
  const outcome = (name: string) => [made.get(name)![0]!.attributes['error.type'], made.get(name)![0]!.status.code];
  expect(outcome('missing')).toEqual(['key_not_found', 'unset']);
  expect(outcome('full')).toEqual(['disk_full', 'error']);
  expect(outcome('bug')).toEqual(['TypeError', 'error']);
});

test('a trace gets at most 1,000 spans from a process, and its root says how many are missing', async () => {
  const server = serverSpan({}, 'server')!;
  const children = Array.from({ length: 1_005 }, () => clientSpan(server.context, 'client'));
  expect(children.filter((child) => child !== undefined)).toHaveLength(999);
  for (const child of children) endSpan(child?.span);
  endSpan(server.span);
  expect((await spansMade()).get('server')![0]!.attributes['plinth.trace.dropped_spans']).toBe(6);
});

test('a link leads to a traced request only', () => {
  const server = serverSpan(SAMPLED, 'server')!;
  expect(linkTo(server.context)).toEqual({ context: server.span.spanContext() });
  expect(linkTo(extractHeaders(NOT_SAMPLED))).toBeUndefined();
  expect(linkTo(undefined)).toBeUndefined();
});

test('a shared commit is linked with the wait of each request, both ways', async () => {
  const first = serverSpan({}, 'first')!;
  const second = serverSpan({}, 'second')!;
  const sinceMs = Date.now() - 50;
  const waiting = [{ trace: first.context, sinceMs }, { trace: undefined }, { trace: second.context }];
  const commit = batchSpan('commit', waiting, { 'plinth.commit.bytes': 4_096 })!;
  commit.end();
  for (const { span } of [first, second]) endSpan(span);
  const made = await spansMade();
  const commits = made.get('commit')!;
  const shared = commits.find((span) => span.parentSpanId === undefined)!;
  const waitOf = (name: string) => commits.find((span) => span.parentSpanId === made.get(name)![0]!.spanId)!;
  expect(shared.attributes).toMatchObject({ 'plinth.commit.bytes': 4_096, 'plinth.batch.requests': 3 });
  expect(shared.links.map((link) => link.spanId)).toEqual([
    made.get('first')![0]!.spanId,
    made.get('second')![0]!.spanId,
  ]);
  for (const name of ['first', 'second']) {
    expect(waitOf(name).links).toMatchObject([{ traceId: shared.traceId, spanId: shared.spanId }]);
    expect(waitOf(name).traceId).toBe(made.get(name)![0]!.traceId);
  }
  expect(Number(waitOf('first').endTimeUnixNano - waitOf('first').startTimeUnixNano) / 1e6).toBeGreaterThanOrEqual(50);
});

test('a commit links 128 requests and answers each of more', async () => {
  const requests = Array.from({ length: 130 }, () => ({ trace: serverSpan({}, 'request')!.context }));
  batchSpan('commit', requests)!.end();
  const commits = (await spansMade()).get('commit')!;
  expect(commits).toHaveLength(131);
  expect(commits.find((span) => span.parentSpanId === undefined)!.links).toHaveLength(128);
});

test('a commit of untraced requests makes no span', () => {
  expect(batchSpan('commit', [{ trace: undefined }, { trace: extractHeaders(NOT_SAMPLED) }])).toBeUndefined();
});

test('messages are named as the semantic conventions ask', () => {
  const facts = { system: 'nats', operation: 'process', type: 'process', destination: 'chat.room.7' } as const;
  expect(messagingAttributes({ ...facts, template: 'chat.room.*', group: 'chat', bodyBytes: 12 })).toEqual({
    name: 'process chat.room.*',
    attributes: {
      'messaging.system': 'nats',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'chat.room.7',
      'messaging.destination.template': 'chat.room.*',
      'messaging.consumer.group.name': 'chat',
      'messaging.message.body.size': 12,
    },
  });
});

test('two services in one process share tracing until both have stopped', async () => {
  const other = await start();
  await telemetry.stop();
  await telemetry.stop();
  expect(isTracing()).toBe(true);
  await other.stop();
  expect(isTracing()).toBe(false);
});
