/** One trace across the bus, seen by a real OTLP receiver. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { endSpan, inContext, serverSpan, startTelemetry, type Telemetry } from '@plinth/telemetry';
import { eventually, type OtlpReceiver, startOtlpReceiver, withNats } from '@plinth/testkit';
import { echo, fail, fixture, SERVICE } from '../test/fixture.ts';
import { type Bus, type BusEvent, connectBus } from './bus.ts';

const nats = withNats();
const NOT_SAMPLED = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00', tracestate: 'a=1' };
let receiver: OtlpReceiver;
let telemetry: Telemetry;
let bus: Bus;
const { operations, seen } = fixture();

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  bus = await connectBus({ url: nats.url, name: 'fixture' });
  await bus.serve(SERVICE, operations);
});
afterAll(() => bus.close());
beforeEach(async () => {
  receiver.clear();
  seen.length = 0;
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
  telemetry = await startTelemetry({ service: 'fixture', version: '1.2.3', env });
});
afterEach(() => telemetry.stop());

test('a request is one trace: the caller, its request, and the processing below it', async () => {
  const caller = serverSpan({}, 'caller')!;
  await bus.request(echo, { trace: caller.context });
  endSpan(caller.span);
  await telemetry.stop();
  const [root, request, processing] = [
    'caller',
    'request plinth.fixture.v1.echo',
    'process plinth.fixture.v1.echo',
  ].map((name) => receiver.spans.find((span) => span.name === name)!);
  expect(new Set(receiver.spans.map(({ traceId }) => traceId)).size).toBe(1);
  expect(request).toMatchObject({ kind: 'client', parentSpanId: root!.spanId });
  expect(processing).toMatchObject({ kind: 'consumer', parentSpanId: request!.spanId });
  expect(request!.attributes).toMatchObject({
    'messaging.operation.name': 'request',
    'messaging.operation.type': 'send',
  });
  expect(processing!.attributes).toEqual({
    'messaging.system': 'nats',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'plinth.fixture.v1.echo',
    'messaging.consumer.group.name': 'fixture',
    'rpc.method': 'fixture/echo',
  });
});

test('the active trace is the parent when none is given', async () => {
  const caller = serverSpan({}, 'caller')!;
  await inContext(caller.context, () => bus.request(echo, {}));
  expect(seen[0]!.headers.traceparent).toContain(caller.span.spanContext().traceId);
});

test('a bug marks both spans, a problem below 500 neither', async () => {
  const caller = serverSpan({}, 'caller')!;
  for (const kind of ['problem', 'bug']) {
    await expect(bus.request(fail, { params: { kind }, trace: caller.context })).rejects.toBeInstanceOf(Problem);
  }
  await telemetry.stop();
  const outcomes = receiver.spans.map(
    ({ kind, attributes, status }) => `${kind} ${attributes['error.type']} ${status.code}`,
  );
  expect(outcomes.sort()).toEqual([
    'client internal error',
    'client precondition_failed unset',
    'consumer internal error',
    'consumer precondition_failed unset',
  ]);
});

test('a request that sampling rejected is passed on untouched and makes no span', async () => {
  await bus.request(echo, { headers: NOT_SAMPLED });
  expect(seen[0]!.headers).toMatchObject(NOT_SAMPLED);
  await bus.request(echo, { trace: seen[0]!.trace });
  expect(seen[1]!.headers).toMatchObject(NOT_SAMPLED);
  await telemetry.stop();
  expect(receiver.spans).toHaveLength(0);
});

test('an event carries the trace of its publisher to each receiver', async () => {
  const caller = serverSpan({}, 'caller')!;
  const events: BusEvent[] = [];
  const subscription = bus.subscribe('plinth.fixture.v1.events.>', (event) => void events.push(event));
  await bus.flush();
  bus.publish('plinth.fixture.v1.events.changes.demo', 'x', { trace: caller.context });
  bus.publish('plinth.fixture.v1.events.changes.demo', 'untraced');
  await eventually(() => expect(events).toHaveLength(2));
  await subscription.stop();
  await telemetry.stop();
  const [published, processed] = ['publish', 'process'].map(
    (verb) => receiver.spans.find(({ name }) => name === `${verb} plinth.fixture.v1.events.changes.>`)!,
  );
  expect(published).toMatchObject({ kind: 'producer', parentSpanId: caller.span.spanContext().spanId });
  expect(processed).toMatchObject({ kind: 'consumer', parentSpanId: published!.spanId });
  expect(receiver.spans).toHaveLength(2);
  expect(Object.keys(events[1]!.headers)).toEqual([]);
});
