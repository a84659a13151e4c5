/**
 * What a request pays for tracing: nothing to speak of when it is off or sampling says no.
 *
 *     node libs/telemetry/src/spans.bench.ts
 */
import { batchSpan, clientSpan, endSpan, forwarded, injectHeaders, serverSpan, startTelemetry } from './telemetry.ts';

const ROUNDS = 7;
const CALLS = 20_000;
const NOT_SAMPLED = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' };
const ATTRIBUTES = {
  'http.request.method': 'GET',
  'http.route': '/v1/kv/{bucket}/{+key}',
  'url.path': '/v1/kv/demo/hello',
  'url.scheme': 'http',
  'server.address': 'localhost',
  'server.port': 7401,
};
/** Nobody listens there: spans are encoded, and their sending fails. */
const EXPORTER = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
const untraced = Array.from({ length: 100 }, () => ({ trace: undefined }));
const rows: { state: string; what: string; ns: number }[] = [];

/** The best of several rounds: everything that disturbs makes it slower. */
function measure(state: string, what: string, work: () => void): void {
  let bestNs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startedMs = performance.now();
    for (let call = 0; call < CALLS; call++) work();
    bestNs = Math.min(bestNs, ((performance.now() - startedMs) * 1e6) / CALLS);
  }
  rows.push({ state, what, ns: Math.round(bestNs) });
}

async function whileTracing(sampler: string, work: () => void): Promise<void> {
  const env = { ...EXPORTER, OTEL_TRACES_SAMPLER: sampler };
  const telemetry = await startTelemetry({ service: 'bench', version: '0.0.0', env });
  work();
  await telemetry.stop();
}

function measureUntraced(state: string): void {
  measure(state, 'serverSpan', () => serverSpan({}, 'bench'));
  measure(state, 'serverSpan, parent not sampled', () => serverSpan(NOT_SAMPLED, 'bench'));
  measure(state, 'clientSpan', () => clientSpan(undefined, 'bench'));
  measure(state, 'forwarded', () => forwarded({}));
  measure(state, 'forwarded with a trace', () => forwarded(NOT_SAMPLED));
  measure(state, 'forwarded and injected', () => injectHeaders(forwarded({}), {}));
  measure(state, 'batchSpan of 100', () => batchSpan('commit', untraced));
}

function measureTraced(): void {
  measure('traced', 'serverSpan to end, 6 attributes', () => endSpan(serverSpan({}, 'bench', ATTRIBUTES)?.span));
  measure('traced', 'serverSpan and clientSpan to end', () => {
    const server = serverSpan({}, 'bench', ATTRIBUTES)!;
    endSpan(clientSpan(server.context, 'bench', ATTRIBUTES)?.span);
    endSpan(server.span);
  });
}

measureUntraced('off');
await whileTracing('parentbased_always_off', () => measureUntraced('rejected'));
await whileTracing('always_on', measureTraced);
console.table(rows);
console.log(JSON.stringify({ bench: 'spans', node: process.version, rows }));
process.exit(0);
