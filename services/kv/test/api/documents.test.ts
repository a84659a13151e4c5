import { describe, expect, test } from '@jest/globals';
import { kv as contract } from '@plinth/contracts';
import { KvUnderTest, withKv } from './kv-under-test.ts';

const kv = withKv();

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const LINE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|NaN|[+-]Inf)$/;

/** Reads Prometheus' text format, and throws at what is not of it. */
function parse(text: string): { samples: Sample[]; types: Map<string, string> } {
  expect(text.endsWith('\n')).toBe(true);
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  for (const line of text.trimEnd().split('\n')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (type) {
      expect([type[1], types.has(type[1]!)]).toEqual([type[1], false]);
      types.set(type[1]!, type[2]!);
    } else if (!/^# HELP \S+ \S/.test(line)) {
      const match = LINE.exec(line);
      expect([line, match !== null]).toEqual([line, true]);
      const labels = Object.fromEntries(
        [...(match![2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
      );
      samples.push({ name: match![1]!, labels, value: Number(match![3]) });
    }
  }
  return { samples, types };
}

describe('what a service says of itself', () => {
  test('/metrics is Prometheus text: each metric described once, every sample below its own', async () => {
    await kv.bucket('counted', { mode: 'write-back' });
    await kv.bucket('cached', { mode: 'cache', bytesMax: 10_000 });
    await kv.wrote('/v1/kv/counted/k', 'value');
    await kv.wrote('/v1/kv/counted/k', 'value2');
    await kv.get('/v1/kv/counted/missing');
    const answer = await kv.get('/metrics');
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const { samples, types } = parse(answer.text);
    for (const { name } of samples)
      expect([name, types.has(name) || types.has(name.replace(/_(bucket|sum|count)$/, ''))]).toEqual([name, true]);
    const value = (name: string, labels: Record<string, string> = {}) =>
      samples.find(
        (each) =>
          each.name === name && Object.entries(labels).every(([label, wanted]) => each.labels[label] === wanted),
      )?.value;
    expect(value('plinth_kv_bucket_keys', { bucket: 'counted' })).toBe(1);
    expect(value('plinth_kv_bucket_bytes', { bucket: 'counted' })).toBe(7);
    expect(value('plinth_kv_bucket_past_versions', { bucket: 'counted' })).toBe(1);
    expect(value('plinth_kv_revision', { engine: 'write-back' })).toBeGreaterThan(0);
    for (const engine of ['durable', 'write-back', 'memory'])
      expect([engine, value('plinth_kv_waiting_writes', { engine })]).toEqual([engine, 0]);
    expect(value('plinth_kv_watchers')).toBe(0);
    expect(value('plinth_kv_http_requests_total', { operation: 'get', status: '404' })).toBe(1);
    expect(value('plinth_kv_http_requests_total', { operation: 'put', status: '201' })).toBe(1);
    expect(value('plinth_kv_http_request_duration_seconds_count', { operation: 'put' })).toBe(2);
  });

  test('/openapi.json describes every operation of the contract, with its problems', async () => {
    const document = (await kv.get('/openapi.json')).json;
    expect(document.openapi).toMatch(/^3\.1/);
    expect(document.info.title).toBe('Plinth kv');
    for (const operation of contract.OPERATIONS) {
      const path = operation.path.replaceAll('{+', '{');
      const described = document.paths[path]?.[operation.method.toLowerCase()];
      expect([operation.name, described?.operationId]).toEqual([
        operation.name,
        expect.stringContaining(operation.name),
      ]);
      expect(Object.keys(described.responses).length).toBeGreaterThanOrEqual(operation.replies.length);
    }
  });

  test('every operation of the contract is served', async () => {
    const unserved = [];
    for (const { method, path } of contract.OPERATIONS) {
      const target = path.replace('{bucket}', 'none').replace('{+key}', 'none').replace('{id}', 'none');
      if (/buckets\/none|:restore|snapshots$/.test(target) && method !== 'GET') continue;
      const { status, headers, body } = await fetch(kv.url + target, { method });
      await body?.cancel();
      if (status === 405 || (status === 404 && headers.get('content-type') !== 'application/problem+json'))
        unserved.push(`${method} ${path}`);
    }
    expect(unserved).toEqual([]);
  });

  test('/version says what is running and on what, /healthz that it lives, /readyz that it serves', async () => {
    expect((await kv.get('/version')).json).toMatchObject({
      name: 'kv',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      node: process.version,
      dataDir: kv.dir,
    });
    expect((await kv.get('/healthz')).json).toEqual({ status: 'alive' });
    const ready = await kv.get('/readyz');
    expect([ready.status, ready.json]).toEqual([200, { status: 'ready', parts: { service: 'ready' } }]);
  });

  test('a second service on the same folder does not start, and the first one goes on', async () => {
    await expect(new KvUnderTest({ dir: kv.dir }).start()).rejects.toThrow(/use/);
    expect((await kv.get('/readyz')).status).toBe(200);
  });

  test('a misspelt setting does not start, and is told what was meant', async () => {
    await expect(new KvUnderTest({ env: { KV_SNAPSHOT_MAX: '3' } }).start()).rejects.toThrow(/KV_SNAPSHOTS_MAX/);
    await expect(new KvUnderTest({ env: { KV_WATCH_STALL_MS: 'soon' } }).start()).rejects.toThrow(/KV_WATCH_STALL_MS/);
  });
});
