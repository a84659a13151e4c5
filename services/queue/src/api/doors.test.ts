/** The same operations over the bus, and jobs in their traces. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bus, type BusRequest, connectBus } from '@plinth/bus';
import { queue as contract, type Operation } from '@plinth/contracts';
import { eventually, type OtlpReceiver, startOtlpReceiver, withNats, withRedis } from '@plinth/testkit';
import { type RunningApi, startApi } from './running.fixture.ts';

const redis = withRedis();
const nats = withNats();
let receiver: OtlpReceiver;
let api: RunningApi;
let bus: Bus;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  api = await startApi(redis.url, { NATS_URL: nats.url, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  bus = await connectBus({ url: nats.url, name: 'test' });
});
afterAll(async () => {
  await bus.close();
  await api.stop();
});

async function ask(operation: Operation, body: unknown, request: BusRequest = {}) {
  const reply = await bus.request(operation, { params: { queue: 'mail' }, body: JSON.stringify(body), ...request });
  return { status: reply.status, body: JSON.parse(Buffer.from(reply.body).toString()) };
}

test('the document of the service has every operation, with the body of each', async () => {
  const { body } = await api.get('/openapi.json');
  for (const { method, path, body: wanted } of contract.OPERATIONS) {
    const operation = body.paths[path.replace('{+', '{')]?.[method.toLowerCase()];
    expect(operation).toBeDefined();
    expect(operation.requestBody !== undefined).toBe(wanted.kind !== 'none');
  }
  expect(Object.keys(body.paths['/v1/queues/{queue}/jobs'].post.requestBody.content)).toEqual([
    'application/json',
    'application/cloudevents+json',
    'application/cloudevents-batch+json',
  ]);
});

describe('over the bus', () => {
  test('jobs are enqueued, leased and settled as over HTTP', async () => {
    const added = await ask(contract.enqueue, [{ name: 'a', data: { x: 1 } }, { nam: 'b' }]);
    expect(added).toMatchObject({
      status: 200,
      body: { jobs: [{ state: 'waiting' }, { problem: { code: 'invalid_request' } }] },
    });
    const leased = await ask(contract.lease, { worker: 'w' });
    const [{ id, token, data }] = leased.body.jobs;
    expect(data).toEqual({ x: 1 });
    await expect(ask(contract.ack, { acks: [{ id, token: '1' }] })).rejects.toMatchObject({ code: 'lease_lost' });
    expect((await ask(contract.next, { acks: [{ id, token }] })).body).toEqual({
      settled: [{ id, state: 'completed' }],
      jobs: [],
    });
  });

  test('CloudEvents and idempotency keys are known too', async () => {
    const event = { specversion: '1.0', type: 'paid', source: '/shop', id: '1' };
    const headers = { 'content-type': 'application/cloudevents+json' };
    expect(await ask(contract.enqueue, event, { headers })).toMatchObject({ status: 201, body: { duplicate: false } });
    expect(await ask(contract.enqueue, event, { headers })).toMatchObject({ status: 201, body: { duplicate: true } });
    const once = { headers: { 'idempotency-key': 'k' } };
    const first = await ask(contract.enqueue, { name: 'n' }, once);
    expect((await ask(contract.enqueue, { name: 'n' }, once)).body.id).toBe(first.body.id);
  });
});

describe('a job of a traced call', () => {
  const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
  const traceparent = `00-${TRACE_ID}-00f067aa0ba902b7-01`;
  const spansOf = (name: string) => receiver.spans.filter((span) => span.traceId === TRACE_ID && span.name === name);

  test('is sent, received and settled in that trace, each time it is leased', async () => {
    await api.post('/v1/queues/traced/jobs', { name: 'n', backoff: { delayMs: 0 } }, { traceparent });
    const parents: (string | undefined)[] = [];
    for (const attempt of [1, 2]) {
      const [job] = await eventually(async () => {
        const jobs = await api.lease('traced');
        return jobs.length > 0 && (jobs as ((typeof jobs)[0] & { attempt: number; traceparent: string })[]);
      });
      expect(job).toMatchObject({ attempt });
      parents.push(job!.traceparent);
      const fails = [{ id: job!.id, token: job!.token, error: { message: 'no' } }];
      await api.post('/v1/queues/traced:ack', { fails }, { traceparent });
    }
    await eventually(() => expect(spansOf('settle traced')).toHaveLength(2), { timeoutMs: 30_000 });
    // Workers' spans go below those of the leases.
    expect(spansOf('receive traced').map(({ spanId }) => `00-${TRACE_ID}-${spanId}-01`)).toEqual(parents);
    expect(spansOf('receive traced').map(({ attributes }) => attributes['plinth.job.attempt'])).toEqual([1, 2]);
    const [send] = spansOf('send traced');
    expect(send).toMatchObject({ kind: 'producer', attributes: { 'messaging.destination.name': 'traced' } });
    expect(spansOf('receive traced').map(({ parentSpanId }) => parentSpanId)).toEqual([send!.spanId, send!.spanId]);
  });

  test('that was told by another trace than its CloudEvent’s keeps that of the call', async () => {
    const event = {
      specversion: '1.0',
      type: 'e',
      source: '/s',
      id: '1',
      traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`,
    };
    const headers = { 'content-type': 'application/cloudevents+json', traceparent };
    const { body } = await api.post('/v1/queues/ce/jobs', event, headers);
    expect((await api.get(`/v1/queues/ce/jobs/${body.id}`)).body.traceparent).toContain(TRACE_ID);
  });
});
