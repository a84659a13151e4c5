import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { runProcess, startOtlpReceiver } from '@plinth/testkit';
import { isConfigured, startTelemetry } from './start.ts';

const SCRIPT = fileURLToPath(new URL('../test/traced-process.ts', import.meta.url));
const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

test.each([
  [{}, false],
  [ENDPOINT, true],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:4318/v1/traces' }, true],
  [{ OTEL_TRACES_EXPORTER: 'otlp' }, true],
  [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, false],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }, false],
  [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'false' }, true],
  [{ ...ENDPOINT, OTEL_TRACES_SAMPLER: 'always_off' }, false],
  [{ ...ENDPOINT, OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, true],
])('with %j, spans have somewhere to go: %s', (env, expected) => {
  expect(isConfigured(env)).toBe(expected);
});

test.each([
  [{ OTEL_TRACES_EXPORTER: 'zipkin' }, /must be otlp, console or none/],
  [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /must be http\/protobuf or http\/json/],
])('%j stops the start with what is possible', async (env, words) => {
  await expect(startTelemetry({ service: 'kv', version: '0', env })).rejects.toThrow(words);
});

/** Runs the script with `env` alone of all OTEL variables; resolves with what it printed. */
async function run(env: Record<string, string>): Promise<{ loaded: string[]; traceId?: string }> {
  const child = runProcess({ script: SCRIPT, env });
  const line = await child.waitForLine(/^\{/);
  expect(await child.exited).toMatchObject({ code: 0 });
  return JSON.parse(line);
}

test('without an exporter nothing of the SDK is loaded, and no span is made', async () => {
  const { loaded, traceId } = await run({});
  expect(loaded).toEqual(['api']);
  expect(traceId).toBeUndefined();
});

test.each(['http/protobuf', 'http/json'])('spans of a process arrive over OTLP as %s', async (protocol) => {
  const receiver = await startOtlpReceiver();
  const { loaded, traceId } = await run({
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.instance.id=kv-0',
  });
  expect(loaded).not.toContain('sdk-node');
  const span = await receiver.waitForSpan((candidate) => candidate.name === 'GET /probe');
  expect(span).toMatchObject({ traceId, kind: 'server' });
  expect(span.resource).toMatchObject({
    'service.name': 'probe',
    'service.namespace': 'plinth',
    'service.instance.id': 'kv-0',
    'deployment.environment.name': 'test',
    'process.runtime.name': 'nodejs',
  });
});

test('OTEL_FULL=1 loads sdk-node, whose spans arrive too', async () => {
  const receiver = await startOtlpReceiver();
  const { loaded, traceId } = await run({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_FULL: '1' });
  expect(loaded).toContain('sdk-node');
  expect(await receiver.waitForSpan((span) => span.traceId === traceId)).toMatchObject({ name: 'GET /probe' });
});

test('a collector that is away does not hold up the stop for more than 2 seconds', async () => {
  const startedMs = Date.now();
  const { traceId } = await run({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://192.0.2.1:4318' });
  expect(traceId).toBeDefined();
  expect(Date.now() - startedMs).toBeLessThan(6_000);
});
