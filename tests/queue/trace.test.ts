/**
 * One job, one trace, in a real Jaeger: enqueued over HTTP, leased, failed, leased again, done, and its result written to
 * the key-value store: four processes.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type EngineServer, jaegerServer, startJaeger } from '@plinth/engines';
import { eventually, freePort, runProcess, startTestNats, startTestRedis, tempDir } from '@plinth/testkit';
import { fetchTrace, type Span, treeOf } from './jaeger-trace.ts';

const isHere = await jaegerServer({ mayFetch: false, ignoreUrl: true }).then(
  () => true,
  () => false,
);
if (!isHere) console.log('queue: tests with a real Jaeger are skipped, no Jaeger is on this machine');
const withJaeger = isHere ? describe : describe.skip;

/** A service as it runs anywhere; it is ready when this resolves. */
async function startService(name: string, env: Record<string, string>): Promise<string> {
  const url = `http://127.0.0.1:${env[`${name.toUpperCase()}_PORT`]}`;
  const script = new URL(`../../services/${name}/src/main.ts`, import.meta.url);
  await runProcess({ script, env }).waitForLine(/"msg":"ready"/, 60_000);
  return url;
}

withJaeger('the trace of a job with one retry and a result', () => {
  let jaeger: EngineServer & { otlpUrl: string };
  let spans: Span[];
  let traceId: string;

  beforeAll(async () => {
    const [nats, redis] = await Promise.all([startTestNats(), startTestRedis()]);
    jaeger = await startJaeger({ ignoreUrl: true });
    const tracing = { OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpUrl, OTEL_BSP_SCHEDULE_DELAY: '200' };
    const [queuePort, kvPort] = [await freePort(), await freePort()];
    const bus = { NATS_URL: nats.url, ...tracing };
    const [queueUrl, kvUrl] = await Promise.all([
      startService('queue', { ...bus, REDIS_URL: redis.url, QUEUE_PORT: `${queuePort}` }),
      startService('kv', { ...bus, KV_PORT: `${kvPort}`, KV_DATA_DIR: tempDir('kv') }),
    ]);
    const script = new URL('./traced-worker.ts', import.meta.url);
    const worker = runProcess({ script, args: [queueUrl], env: tracing });
    await worker.waitForLine(/working/, 60_000);
    const job = { name: 'welcome', data: 'ann', backoff: { delayMs: 50, jitter: 0 }, resultTo: 'kv://demo/welcome' };
    const enqueued = await fetch(`${queueUrl}/v1/queues/mails/jobs`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(job),
    });
    traceId = enqueued.headers.get('trace-id')!;
    await eventually(async () => expect((await fetch(`${kvUrl}/v1/kv/demo/welcome`)).status).toBe(200), {
      timeoutMs: 60_000,
    });
    spans = await eventually(
      async () => {
        const found = await fetchTrace(jaeger.url, traceId);
        const names = found.map(({ name }) => name);
        expect(names.filter((name) => name === 'process mails')).toHaveLength(2);
        expect(names.filter((name) => name === 'receive mails')).toHaveLength(2);
        expect(names).toEqual(expect.arrayContaining(['send mails', 'request plinth.kv.v1.put', 'commit']));
        // What is below a span may be told before it.
        const ids = new Set(found.map(({ id }) => id));
        expect(found.filter(({ parentId }) => parentId !== undefined && !ids.has(parentId))).toEqual([]);
        return found;
      },
      { timeoutMs: 60_000 },
    );
    process.stderr.write(`${treeOf(spans)}\n`);
  }, 240_000);

  const named = (name: string) => spans.filter((span) => span.name === name);
  const childrenOf = (above: Span, service: string) =>
    spans
      .filter((span) => span.parentId === above.id && span.service === service)
      .toSorted((one, other) => one.startMs - other.startMs);

  test('is one tree: each lease below what sent the job, its processing below the lease', () => {
    expect(treeOf(spans.filter(({ name }) => !/^(publish|process plinth)|commit/.test(name)))).toBe(
      [
        'queue  POST /v1/queues/{queue}/jobs  server',
        '└─ queue  send mails  producer',
        '   └─ queue  receive mails  client',
        '      └─ mailer  process mails  consumer  ✗ RangeError',
        '   └─ queue  receive mails  client',
        '      └─ mailer  process mails  consumer',
        '   └─ queue  request plinth.kv.v1.put  client',
      ].join('\n'),
    );
    const ids = new Set(spans.map(({ id }) => id));
    expect(spans.filter(({ parentId }) => parentId === undefined)).toHaveLength(1);
    expect(spans.filter(({ parentId }) => parentId !== undefined && !ids.has(parentId))).toEqual([]);
    // Only a commit that many may share lies elsewhere.
    expect(spans.filter(({ links }) => links.length > 0).map(({ name }) => name)).toEqual(['commit']);
  });

  test('has the write of the result, with its commit, behind the attempt that gave it', () => {
    const [request] = named('request plinth.kv.v1.put');
    const [put] = childrenOf(request!, 'kv');
    expect(put).toMatchObject({ name: 'process plinth.kv.v1.put', kind: 'consumer' });
    expect(childrenOf(put!, 'kv').map(({ name }) => name)).toContain('commit');
    expect(request!.startMs).toBeGreaterThanOrEqual(named('process mails')[1]!.startMs);
  });

  test('says in the words of the conventions which queue, which job, which attempt, and what went wrong', () => {
    const [send] = named('send mails');
    const facts = { 'messaging.system': 'plinth', 'messaging.destination.name': 'mails' };
    const said = (operation: string) => ({
      ...facts,
      'messaging.operation.name': operation,
      'messaging.operation.type': operation,
    });
    expect(send!.tags).toMatchObject(said('send'));
    for (const operation of ['receive', 'process']) {
      const both = spans.filter(({ name }) => name === `${operation} mails`).toSorted((a, b) => a.startMs - b.startMs);
      for (const [index, { tags }] of both.entries()) {
        expect(tags).toMatchObject({
          ...said(operation),
          'messaging.message.id': '1',
          'plinth.job.name': 'welcome',
          'plinth.job.attempt': index + 1,
        });
      }
      expect(both).toHaveLength(2);
    }
    const [failed, done] = named('process mails').toSorted((one, other) => one.startMs - other.startMs);
    expect(failed!.tags).toMatchObject({ error: true, 'error.type': 'RangeError', 'otel.status_code': 'ERROR' });
    expect(done!.tags).not.toHaveProperty('error');
  });
});
