/** A decision is one small span in the caller's trace, with rule and verdict. */
import { expect, test } from '@jest/globals';
import { startService } from '@plinth/service-kit';
import { eventually, startOtlpReceiver } from '@plinth/testkit';
import { ratelimitService } from '../../src/service.ts';
import { silent } from './limiter-under-test.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

test('a check that comes with a trace leaves a span with rule and verdict in it', async () => {
  const receiver = await startOtlpReceiver();
  const limiter = await startService(ratelimitService, {
    port: 0,
    kit: { log: silent },
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, RATELIMIT_RLS_PORT: '0', RATELIMIT_RESP_PORT: '0' },
  });
  const check = (headers: Record<string, string> = {}) =>
    fetch(`${limiter.url}/v1/limits/check`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ key: 'k', limit: { limit: 1, windowMs: 60_000 } }),
    });
  try {
    for (let round = 0; round < 2; round++) await check({ traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01` });
  } finally {
    await limiter.stop();
  }
  const decisions = await eventually(() => {
    const found = receiver.spans.filter(({ name, traceId }) => name === 'decide' && traceId === TRACE_ID);
    return found.length === 2 && found;
  });
  expect(decisions.map(({ attributes }) => attributes['plinth.ratelimit.verdict'])).toEqual(['allowed', 'denied']);
  expect(decisions[0]!.attributes['plinth.ratelimit.rules']).toBe('inline');
  const servers = receiver.spans.filter(({ name }) => name === 'POST /v1/limits/check');
  expect(servers.map(({ spanId }) => spanId)).toEqual(decisions.map(({ parentSpanId }) => parentSpanId));
});
