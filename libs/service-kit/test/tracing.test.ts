import { beforeAll, describe, expect, test } from '@jest/globals';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '@plinth/testkit';
import { startFixture } from './fixture-service.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT_ID = 'b7ad6b7169203331';
const traceparent = (flags: string) => `00-${TRACE_ID}-${PARENT_ID}-${flags}`;

let receiver: OtlpReceiver;
let port: number;
/** The trace id that each answer named. */
const answered: Record<string, string | null> = {};

/** Asks everything first: spans are gathered for seconds, and sent at once when the service stops. */
beforeAll(async () => {
  receiver = await startOtlpReceiver();
  const running = await startFixture({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
  port = running.port;
  const ask = async (name: string, path: string, init?: RequestInit) => {
    answered[name] = (await fetch(running.url + path, init)).headers.get('trace-id');
  };
  await ask('alone', '/v1/items/a%2Fb?limit=1');
  await ask('below', '/v1/items/a:count', { method: 'POST', headers: { traceparent: traceparent('01') } });
  await ask('rejected', '/v1/items/a', { headers: { traceparent: traceparent('00') } });
  await ask('bug', '/v1/fail/bug');
  await ask('mistake', '/v1/items/%zz');
  await running.stop();
});

const spanOf = (name: string): ReceivedSpan => {
  const spans = receiver.spans.filter(({ traceId, kind }) => traceId === answered[name] && kind === 'server');
  expect(spans).toHaveLength(1);
  return spans[0]!;
};

describe('a traced request', () => {
  test('has one server span, which the answer names', () => {
    const span = spanOf('alone');
    expect(span).toMatchObject({ name: 'GET /v1/items/{+key}', parentSpanId: undefined, status: { code: 'unset' } });
    expect(span.attributes).toMatchObject({
      'http.request.method': 'GET',
      'http.route': '/v1/items/{+key}',
      'http.response.status_code': 200,
      'url.path': '/v1/items/a%2Fb',
      'server.address': '127.0.0.1',
      'server.port': port,
    });
  });

  test('goes on the trace it came with, behind Express too', () => {
    expect(answered.below).toBe(TRACE_ID);
    expect(spanOf('below')).toMatchObject({ name: 'POST /v1/items/{+key}:count', parentSpanId: PARENT_ID });
  });

  test('is marked red by a failure of the service, not by a mistake of the caller', () => {
    expect(spanOf('bug')).toMatchObject({
      status: { code: 'error' },
      attributes: { 'error.type': 'internal', 'http.response.status_code': 500 },
    });
    expect(spanOf('mistake')).toMatchObject({
      status: { code: 'unset' },
      attributes: { 'http.response.status_code': 400 },
    });
  });

  test('has no span when its caller decided against', () => {
    expect(answered.rejected).toBeNull();
    expect(receiver.spans).toHaveLength(4);
  });
});
