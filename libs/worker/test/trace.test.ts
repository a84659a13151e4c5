/** The span of a job, as an exporter gets it. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { startTelemetry, type Telemetry } from '@plinth/telemetry';
import { eventually, type OtlpReceiver, startOtlpReceiver } from '@plinth/testkit';
import { type Handler, Worker } from '../src/worker.ts';
import { SmallQueue } from './small-queue.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const traceparent = `00-${TRACE_ID}-${SPAN_ID}-01`;

let receiver: OtlpReceiver;
let telemetry: Telemetry;
let small: SmallQueue;
let worker: Worker;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
});
beforeEach(async () => {
  receiver.clear();
  small = await SmallQueue.start();
  telemetry = await startTelemetry({
    service: 'mailer',
    version: '1.0.0',
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
  });
});
afterEach(async () => {
  await worker.stop({ deadlineMs: 0 });
  await telemetry.stop();
  await small.stop();
});
afterAll(() => receiver.stop());

const work = (handler: Handler) => {
  worker = new Worker({ url: small.url, queue: 'mail', handler });
};
async function processSpan() {
  await telemetry.stop();
  return receiver.spans.find(({ name }) => name === 'process mail')!;
}

test('a job is a consumer span below the span of whoever enqueued it', async () => {
  const [job] = small.add(1, { queue: 'mail', name: 'welcome', traceparent });
  work(() => {});
  await eventually(() => job!.state === 'completed');
  const span = await processSpan();
  expect(span).toMatchObject({ kind: 'consumer', traceId: TRACE_ID, parentSpanId: SPAN_ID });
  expect(span.attributes).toMatchObject({
    'messaging.system': 'plinth',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'mail',
    'messaging.message.id': job!.id,
    'plinth.job.name': 'welcome',
    'plinth.job.attempt': 1,
  });
});

test('one that began over a minute later is a trace of its own, linked to that span', async () => {
  const [job] = small.add(1, { queue: 'mail', traceparent, enqueuedAtMs: Date.now() - 61_000 });
  work(() => {});
  await eventually(() => job!.state === 'completed');
  const span = await processSpan();
  expect(span.traceId).not.toBe(TRACE_ID);
  expect(span.links).toMatchObject([{ traceId: TRACE_ID, spanId: SPAN_ID }]);
});

test('a failed attempt marks its span', async () => {
  const [job] = small.add(1, { queue: 'mail', traceparent });
  work(() => {
    throw new RangeError('no');
  });
  await eventually(() => job!.state === 'failed');
  expect(await processSpan()).toMatchObject({ status: { code: 'error' }, attributes: { 'error.type': 'RangeError' } });
});
