// biome-ignore-all lint/suspicious/noThenProperty: the API's word; no such object is awaited.
import { describe, expect, test } from '@jest/globals';
import { problemIn, withKv } from './kv-under-test.ts';

const kv = withKv();
const NDJSON = { 'content-type': 'application/x-ndjson' };
const importInto = (bucket: string, text: string | Uint8Array) =>
  kv.call('POST', `/v1/kv/${bucket}:import`, { headers: NDJSON, body: text });
const lines = (items: unknown[]) => items.map((item) => `${JSON.stringify(item)}\n`).join('');
const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, at) => ({ key: `k${String(at + from).padStart(5, '0')}`, value: 'v' }));
const count = async (bucket: string) => (await kv.get(`/v1/kv/${bucket}?count=true`)).json.count;

describe('export and import', () => {
  test('what was exported and imported is the same: bytes, types, metadata, ends of life, binary keys', async () => {
    await kv.wrote('/v1/kv/source/text', 'grüße\n"quoted"', { 'content-type': 'text/plain', 'kv-meta-owner': 'ann' });
    await kv.wrote('/v1/kv/source/binary', Buffer.from([0, 255, 254]), { 'kv-ttl': '1h' });
    await kv.wrote('/v1/kv/source/%ff%01', 'a binary key');
    await kv.wrote('/v1/kv/source/empty', '');
    const exported = await kv.get('/v1/kv/source:export');
    expect(exported.headers.get('content-type')).toBe('application/x-ndjson');
    expect(exported.headers.get('content-disposition')).toBe('attachment; filename="source.ndjson"');
    const answer = await importInto('target', exported.bytes);
    expect([answer.status, answer.json]).toEqual([200, { imported: 4, expired: 0, revision: expect.any(Number) }]);
    for (const key of ['text', 'binary', '%ff%01', 'empty']) {
      const [source, target] = [await kv.get(`/v1/kv/source/${key}`), await kv.get(`/v1/kv/target/${key}`)];
      expect(target.bytes).toEqual(source.bytes);
      for (const name of ['content-type', 'kv-meta-owner', 'kv-expires-at'])
        expect(target.headers.get(name)).toBe(source.headers.get(name));
    }
    const again = (await kv.get('/v1/kv/target:export')).text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const plain = (entry: Record<string, unknown>) => ({ ...entry, revision: 0, createRevision: 0, modifiedAt: '' });
    expect(again.map(plain)).toEqual(
      exported.text
        .trimEnd()
        .split('\n')
        .map((line) => plain(JSON.parse(line))),
    );
  });

  test('an export shows one revision while writers go on, and takes a prefix', async () => {
    for (let round = 0; round < 4; round++) {
      const operations = numbered(1_000, round * 1_000).map((item) => ({ op: 'put', ...item }));
      await kv.post('/v1/kv/wide:txn', { then: operations });
    }
    const response = await fetch(`${kv.url}/v1/kv/wide:export`);
    await kv.post('/v1/kv/wide:txn', {
      then: numbered(1_000, 3_000).map((item) => ({ op: 'put', ...item, value: 'new' })),
    });
    await kv.delete('/v1/kv/wide?prefix=k02');
    const exported = (await response.text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(exported).toHaveLength(4_000);
    expect(new Set(exported.map(({ value }) => value))).toEqual(new Set(['v']));
    expect((await kv.get('/v1/kv/wide:export?prefix=k0100')).text.trimEnd().split('\n')).toHaveLength(10);
    problemIn(await kv.get('/v1/kv/missing:export'), 404, 'bucket_not_found');
  });

  test('an empty import is an import of nothing, and blank lines and CRLF are read over', async () => {
    expect((await importInto('blank', '')).json.imported).toBe(0);
    expect((await importInto('blank', '\n\r\n{"key":"a","value":"1"}\r\n\n')).json.imported).toBe(1);
    expect(await kv.keys('blank')).toEqual(['a']);
  });

  test('importing the same lines twice stores the same entries', async () => {
    const text = lines(numbered(10));
    await importInto('twice', text);
    expect((await importInto('twice', text)).json.imported).toBe(10);
    expect(await count('twice')).toBe(10);
  });

  test('entries that have expired since the export are read over and counted', async () => {
    const items = [
      { key: 'a', value: '1', expiresAt: '2020-01-01T00:00:00Z' },
      { key: 'b', value: '1', expiresAt: '2099-01-01T00:00:00Z' },
    ];
    expect((await importInto('late', lines(items))).json).toMatchObject({ imported: 1, expired: 1 });
    expect(await kv.keys('late')).toEqual(['b']);
  });

  test('an import that was cut off stores every whole line, and says how many and where it stops', async () => {
    const text = lines(numbered(1_200));
    const body = problemIn(await importInto('cut', text.slice(0, -5)), 400, 'invalid_request');
    expect(body).toMatchObject({ line: 1_200, imported: 1_199 });
    expect(await count('cut')).toBe(1_199);
    // The newline alone is missing: who can tell that no more should follow?
    expect(problemIn(await importInto('cut2', text.slice(0, -1)), 400, 'invalid_request')).toMatchObject({
      line: 1_200,
      imported: 1_199,
    });
  });

  test.each([
    ['{"key":"bad","value":', 'invalid_request'],
    ['{"key":"bad"}', 'invalid_request'],
    ['{"value":"no key"}', 'invalid_key'],
    ['{"key":"","value":"x"}', 'invalid_key'],
    ['{"key":"a/../b","value":"x"}', 'invalid_key'],
    ['{"key":"bad","keyBase64":"YQ==","value":"x"}', 'invalid_key'],
    ['{"key":"bad","value":"x","valueBase64":"YQ=="}', 'invalid_request'],
    ['{"key":"bad","valueBase64":"%"}', 'invalid_request'],
    ['{"key":"bad","value":"x","ttl":"1y"}', 'invalid_ttl'],
    ['{"key":"bad","value":"x","expiresAt":"soon"}', 'invalid_ttl'],
    ['{"key":7,"value":"x"}', 'invalid_request'],
    ['{"key":"bad","value":"x","metadata":{"a":"\\n"}}', 'invalid_request'],
    ['{"key":"bad","value":"x","metadata":{"A":"x"}}', 'invalid_request'],
    ['[]', 'invalid_request'],
    ['null', 'invalid_request'],
  ])('the bad line %s in the middle stops the import; the lines before it are stored', async (bad, code) => {
    await kv.delete('/v1/buckets/middle');
    const text = `${lines(numbered(700))}${bad}\n${lines(numbered(300, 700))}`;
    const body = problemIn(await importInto('middle', text), 400, code);
    expect(body).toMatchObject({ line: 701, imported: 700, revision: expect.any(Number) });
    expect(body.detail).toMatch(/^line 701: .*; 700 entries are stored$/s);
    expect(await count('middle')).toBe(700);
  });

  test('a line that is no UTF-8 is named', async () => {
    const body = Buffer.concat([Buffer.from('{"key":"a","value":"1"}\n'), Buffer.from([0x22, 0xff, 0x0a])]);
    expect(problemIn(await importInto('utf8', body), 400, 'invalid_request')).toMatchObject({ line: 2, imported: 1 });
  });

  test('values of a mebibyte are imported, a byte more is refused with its line', async () => {
    const value = (length: number) =>
      lines([
        { key: 'first', value: '1' },
        { key: 'large', valueBase64: Buffer.alloc(length).toString('base64') },
      ]);
    expect((await importInto('large', value(1_048_576))).json.imported).toBe(2);
    expect(problemIn(await importInto('over', value(1_048_577)), 413, 'value_too_large')).toMatchObject({
      line: 2,
      imported: 1,
    });
    const endless = `{"key":"first","value":"1"}\n{"key":"k","value":"${'x'.repeat(3_000_000)}`;
    expect(problemIn(await importInto('endless', endless), 413, 'value_too_large')).toMatchObject({
      line: 2,
      imported: 1,
    });
  });

  test("a value above the bucket's own limit names its line; a quota names the lines that were refused together", async () => {
    await kv.bucket('own', { valueBytesMax: 5 });
    const items = [
      { key: 'a', value: '12345' },
      { key: 'b', value: '123456' },
      { key: 'c', value: '1' },
    ];
    expect(problemIn(await importInto('own', lines(items)), 413, 'value_too_large')).toMatchObject({
      line: 2,
      imported: 0,
    });
    await kv.bucket('quota', { keysMax: 600 });
    const body = problemIn(await importInto('quota', lines(numbered(1_000))), 507, 'quota_exceeded');
    expect(body).toMatchObject({ line: 501, imported: 500 });
    expect(body.detail).toMatch(/^lines 501–1000: bucket quota would have 1,000 keys/);
    expect(await count('quota')).toBe(500);
  });

  test('a body of another media type is not understood, nor is one that is compressed', async () => {
    const text = lines(numbered(1));
    for (const headers of [{ 'content-type': 'text/csv' }, { ...NDJSON, 'content-encoding': 'gzip' }]) {
      problemIn(await kv.call('POST', '/v1/kv/media:import', { headers, body: text }), 415, 'unsupported_media_type');
    }
  });

  test('a caller that goes away in the middle leaves whole lines behind and nothing else', async () => {
    const controller = new AbortController();
    const body = new ReadableStream({
      async start(stream) {
        stream.enqueue(Buffer.from(lines(numbered(1_000))));
        await new Promise((resolve) => setTimeout(resolve, 200));
        controller.abort();
      },
    });
    const request = fetch(`${kv.url}/v1/kv/away:import`, {
      method: 'POST',
      headers: NDJSON,
      body,
      duplex: 'half',
      signal: controller.signal,
    } as RequestInit);
    await expect(request).rejects.toThrow();
    expect((await kv.get('/readyz')).status).toBe(200);
    expect(await count('away')).toBeLessThanOrEqual(1_000);
  });
});
