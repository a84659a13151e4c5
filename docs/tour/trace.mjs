// One put and one job, and the trace of each as a tree: services, spans, how long each took.
//   node docs/tour/trace.mjs http://127.0.0.1:7401 http://127.0.0.1:7403
// The trace is fetched from Jaeger (PLINTH_JAEGER_URL, http://127.0.0.1:16686 by default) by the id in the answer's
// Trace-Id header. Where no Jaeger answers, it comes from a store and a small receiver of this script's own.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = new URL('../../', import.meta.url).pathname;
const JAEGER = (env.PLINTH_JAEGER_URL || 'http://127.0.0.1:16686').replace(/\/$/, '');
/** A service sends its spans every few seconds. */
const ARRIVAL_MS_MAX = 15_000;

const put = (url) => fetch(`${url}/v1/kv/demo/traced`, { method: 'PUT', body: 'value' });

const JSON_HEADERS = { 'Content-Type': 'application/json' };
const post = (url, body) => fetch(url, { method: 'POST', headers: JSON_HEADERS, body: JSON.stringify(body) });

/** A job that is enqueued, leased and done, and whose result goes to the store. */
async function doJob(queueUrl) {
  const queue = `${queueUrl}/v1/queues/tour`;
  const enqueued = await post(`${queue}/jobs`, { name: 'traced', resultTo: 'kv://demo/traced-job' });
  const { jobs } = await (await post(`${queue}:lease`, { max: 1_000, waitMs: 5_000 })).json();
  await post(`${queue}:ack`, { acks: jobs.map(({ id, token }) => ({ id, token, result: 'done' })) });
  return enqueued;
}

/** Prints a span and all below it; `spans` also holds what they link to. */
function print(span, spans, depth = 0) {
  const linked = depth > 0 && spans.find(({ id }) => id === span.linkId);
  const link = linked ? `  → ${linked.name}, shared by ${linked.tags['plinth.batch.requests']}` : '';
  const branch = depth === 0 ? '' : `${'   '.repeat(depth - 1)}└─ `;
  console.log(`${branch}${span.service}  ${span.name}  ${span.ms.toFixed(1)} ms${link}`);
  const below = spans.filter(({ parentId }) => parentId === span.id);
  for (const child of below.sort((left, right) => left.startMs - right.startMs)) print(child, spans, depth + 1);
}

// --- from Jaeger ---

/**
 * The spans of what `work` does in services that run. @throws Error that says why Jaeger does not have them.
 *
 * @param work - Gives back the answer that carries the trace's id.
 * @param last - The name of a span that comes last.
 */
async function fromJaeger(work, last) {
  await fetch(`${JAEGER}/api/services`, { signal: AbortSignal.timeout(2_000) }).catch(() => {
    throw new Error(`no Jaeger answers at ${JAEGER}`);
  });
  const answer = await work();
  const traceId = answer.headers.get('trace-id');
  if (traceId === null) throw new Error(`${new URL(answer.url).origin} does not trace`);
  const deadlineMs = Date.now() + ARRIVAL_MS_MAX;
  while (Date.now() < deadlineMs) {
    const spans = await spansOf(traceId);
    if (isWhole(spans) && spans.some(({ name }) => name === last)) return { spans, traceId };
    await sleep(200);
  }
  throw new Error(`${JAEGER} was not sent trace ${traceId}`);
}

const isWhole = (spans) => {
  const has = (wanted) => spans.some(({ id }) => id === wanted);
  return spans.some(({ parentId }) => parentId === undefined) && spans.every(({ linkId }) => !linkId || has(linkId));
};

/** Of this trace, and of those that its spans link to: a commit that many share is a trace of its own. */
async function spansOf(traceId) {
  const own = await ask(traceId);
  const elsewhere = [...new Set(own.map(({ linkedTraceId }) => linkedTraceId).filter(Boolean))];
  const linked = await Promise.all(elsewhere.map(ask));
  // Whatever the linked ones are below, and link to, is not part of this tree.
  return [...own, ...linked.flat().map((span) => ({ ...span, parentId: 'elsewhere', linkId: undefined }))];
}

async function ask(traceId) {
  const { data } = await (await fetch(`${JAEGER}/api/traces/${traceId}`)).json();
  return (data ?? []).flatMap(({ spans, processes }) =>
    spans.map((span) => {
      const parent = span.references.find(({ refType }) => refType === 'CHILD_OF');
      const link = span.references.find(({ refType }) => refType === 'FOLLOWS_FROM');
      return {
        id: span.spanID,
        parentId: parent?.spanID,
        linkId: link?.spanID,
        linkedTraceId: link?.traceID,
        service: processes[span.processID].serviceName,
        name: span.operationName,
        startMs: span.startTime / 1e3,
        ms: span.duration / 1e3,
        tags: Object.fromEntries(span.tags.map(({ key, value }) => [key, value])),
      };
    }),
  );
}

// --- without one ---

/** The spans of a put to a store that is started for it. */
async function fromOwnReceiver() {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-trace-'));
  const spans = [];
  const receiver = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      for (const each of JSON.parse(Buffer.concat(chunks)).resourceSpans) spans.push(...spansOfOtlp(each));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const { store, url } = await startStore({ folder, otlpUrl: `http://127.0.0.1:${receiver.address().port}` });
  await put(url);
  store.kill('SIGTERM');
  await new Promise((resolve) => store.once('exit', resolve));
  receiver.close();
  rmSync(folder, { recursive: true, force: true });
  return spans;
}

async function startStore({ folder, otlpUrl }) {
  const tracing = { OTEL_EXPORTER_OTLP_ENDPOINT: otlpUrl, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };
  const store = spawn(join(ROOT, 'node_modules/node/bin/node'), [join(ROOT, 'services/kv/src/main.ts')], {
    env: { ...env, KV_PORT: '0', KV_DATA_DIR: join(folder, 'data'), NATS_URL: '', ...tracing },
  });
  store.stderr.pipe(process.stderr);
  for await (const chunk of store.stdout) {
    const url = /"url":"([^"]+)"/.exec(chunk.toString())?.[1];
    if (url !== undefined) return { store, url };
  }
  throw new Error('the store did not start');
}

function spansOfOtlp({ resource, scopeSpans }) {
  const service = tagsOf(resource)['service.name'];
  return scopeSpans.flatMap((scope) =>
    scope.spans.map((span) => ({
      id: span.spanId,
      parentId: span.parentSpanId || undefined,
      linkId: span.links?.[0]?.spanId,
      service,
      name: span.name,
      startMs: Number(span.startTimeUnixNano) / 1e6,
      ms: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
      tags: tagsOf(span),
    })),
  );
}

const tagsOf = ({ attributes = [] }) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.intValue ?? value.stringValue]));

// --- the tree ---

const [storeUrl = 'http://127.0.0.1:7401', queueUrl] = argv.slice(2);
const found = await fromJaeger(() => put(storeUrl), 'commit').catch((error) => ({ reason: error.message }));
const spans = found.spans ?? (await fromOwnReceiver());
const root = spans.find(({ name }) => name.startsWith('PUT'));
if (root === undefined) throw new Error(`no trace arrived; ${spans.length} spans did`);
print(root, spans);
if (found.traceId) console.log(`${JAEGER}/trace/${found.traceId}`);
else console.log(`(${found.reason}; with \`jaeger\` on PATH or Docker, \`npm run up\` starts one)`);
if (found.traceId && queueUrl) {
  const job = await fromJaeger(() => doJob(queueUrl), 'process plinth.kv.v1.put');
  print(
    job.spans.find(({ name }) => name.startsWith('POST')),
    job.spans,
  );
  console.log(`${JAEGER}/trace/${job.traceId}`);
}
