import { Metadata } from '@grpc/grpc-js';
import { expect, test } from '@jest/globals';
import { startTelemetry, traceIdOf } from '@plinth/telemetry';
import { startOtlpReceiver } from '@plinth/testkit';
import { perMinute, testDecider } from './decider.fixture.ts';
import { call, encode, entriesOf, grpcClient, SHOULD_RATE_LIMIT } from './envoy.fixture.ts';
import { EnvoyDoor } from './envoy-door.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

test('a call that comes with a trace is one span of it, and the engine is handed what to go on with', async () => {
  const receiver = await startOtlpReceiver();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
  const telemetry = await startTelemetry({ service: 'ratelimit', version: '0', env });
  const decider = testDecider([{ keys: ['user'], policy: perMinute(1) }]);
  const door = new EnvoyDoor({ decider, host: '127.0.0.1', port: 0 });
  const client = grpcClient(await door.listen());

  const metadata = new Metadata();
  metadata.set('traceparent', `00-${TRACE_ID}-00f067aa0ba902b7-01`);
  const request = encode('RateLimitRequest', { domain: 'api', descriptors: [{ entries: entriesOf({ user: 'a' }) }] });
  await call(client, SHOULD_RATE_LIMIT, request, { metadata });
  decider.degraded = 'closed';
  await expect(call(client, SHOULD_RATE_LIMIT, request, { metadata })).rejects.toMatchObject({ code: 14 });
  expect(traceIdOf(decider.asked[0]!.options?.trace)).toBe(TRACE_ID);
  client.close();
  await door.stop();
  await telemetry.stop();

  const { spans } = receiver;
  expect(spans.map(({ name, kind, traceId, parentSpanId }) => [name, kind, traceId, parentSpanId])).toEqual(
    Array.from({ length: 2 }, () => [SHOULD_RATE_LIMIT.slice(1), 'server', TRACE_ID, '00f067aa0ba902b7']),
  );
  expect(spans[0]!.attributes).toMatchObject({ 'rpc.system': 'grpc', 'rpc.method': 'ShouldRateLimit' });
  expect(spans.map(({ status }) => status.code)).toEqual(['unset', 'error']);
});
