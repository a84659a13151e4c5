// One put, and the trace of it: starts a small OTLP receiver and a key-value store that exports to it, puts one value
// and prints the spans as a tree.
//   node docs/tour/trace.mjs
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = new URL('../../', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'plinth-trace-'));
const spans = [];

const receiver = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    for (const { scopeSpans } of JSON.parse(Buffer.concat(chunks)).resourceSpans) {
      for (const scope of scopeSpans) spans.push(...scope.spans);
    }
    response.setHeader('content-type', 'application/json').end('{}');
  });
});

const listening = (server) =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));

async function startStore(collectorPort) {
  const env = {
    ...process.env,
    KV_PORT: '0',
    KV_DATA_DIR: join(folder, 'data'),
    NATS_URL: '',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  };
  const store = spawn(join(root, 'node_modules/node/bin/node'), [join(root, 'services/kv/src/main.ts')], { env });
  store.stderr.pipe(process.stderr);
  for await (const chunk of store.stdout) {
    const url = /"url":"([^"]+)"/.exec(chunk.toString())?.[1];
    if (url !== undefined) return { store, url };
  }
  throw new Error('the store did not start');
}

const milliseconds = ({ startTimeUnixNano, endTimeUnixNano }) =>
  `${(Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano)) / 1e6).toFixed(1)} ms`;

const attribute = (span, key) => {
  const value = span.attributes?.find((each) => each.key === key)?.value;
  return value?.intValue ?? value?.stringValue;
};

function print(span, depth) {
  const linked = spans.find(({ spanId }) => spanId === span.links?.[0]?.spanId && depth > 0);
  const link = linked ? `  → ${linked.name}, shared by ${attribute(linked, 'plinth.batch.requests')}` : '';
  console.log(`${depth === 0 ? '' : `${'   '.repeat(depth - 1)}└─ `}${span.name}  ${milliseconds(span)}${link}`);
  for (const child of spans) if (child.parentSpanId === span.spanId) print(child, depth + 1);
}

const { store, url } = await startStore(await listening(receiver));
await fetch(`${url}/v1/kv/demo/traced`, { method: 'PUT', body: 'value' });
store.kill('SIGTERM');
await new Promise((resolve) => store.once('exit', resolve));
receiver.close();
rmSync(folder, { recursive: true, force: true });

const put = spans.find(({ name }) => name.startsWith('PUT'));
if (put === undefined) throw new Error(`no trace arrived; ${spans.length} spans did`);
print(put, 0);
