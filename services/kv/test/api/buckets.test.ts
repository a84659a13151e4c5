// biome-ignore-all lint/suspicious/noThenProperty: the API's word; no such object is awaited.
import { describe, expect, test } from '@jest/globals';
import { KvUnderTest, problemIn, withKv } from './kv-under-test.ts';

const kv = withKv();
const putBucket = (name: string, settings: unknown) => kv.call('PUT', `/v1/buckets/${name}`, { json: settings });

describe('buckets', () => {
  test('a bucket is made with 201, changed with 200, looked at, listed by name and deleted', async () => {
    const made = await putBucket('made', { ttlMs: 60_000 });
    expect([made.status, made.headers.get('location')]).toEqual([201, '/v1/buckets/made']);
    expect(made.json).toMatchObject({
      ...{ name: 'made', keys: 0, bytes: 0, revision: 0, compactedRevision: 0 },
      settings: { mode: 'durable', ttlMs: 60_000, valueBytesMax: 1_048_576, historyCount: 1, historyMs: 300_000 },
    });
    const changed = await putBucket('made', { historyCount: 5 });
    // PUT says what the settings are: what is not named goes back to its default.
    expect([changed.status, changed.json.settings.historyCount, changed.json.settings.ttlMs]).toEqual([
      200,
      5,
      undefined,
    ]);
    await kv.wrote('/v1/kv/made/key', 'value');
    expect((await kv.get('/v1/buckets/made')).json).toMatchObject({ keys: 1, bytes: 8 });
    await putBucket('a-first', {});
    const names = (await kv.get('/v1/buckets')).json.buckets.map(({ name }: { name: string }) => name);
    expect(names).toEqual(['a-first', 'made']);
    expect((await kv.delete('/v1/buckets/made')).status).toBe(204);
    problemIn(await kv.get('/v1/kv/made/key'), 404, 'bucket_not_found');
    problemIn(await kv.delete('/v1/buckets/made'), 404, 'bucket_not_found');
  });

  test('a bucket that is made anew under its old name is empty, and knows nothing of its past', async () => {
    const revision = await kv.wrote('/v1/kv/anew/k', 'old');
    await kv.delete('/v1/buckets/anew');
    expect(await kv.wrote('/v1/kv/anew/other', 'new')).toBeGreaterThan(revision);
    expect(await kv.keys('anew')).toEqual(['other']);
    problemIn(await kv.get(`/v1/kv/anew/k?rev=${revision}`), 404, 'key_not_found');
  });

  test.each(['a', '0', 'a-b_c', 'a'.repeat(63)])('%s is a bucket name', async (name) => {
    expect((await putBucket(name, {})).status).toBe(201);
    expect((await kv.put(`/v1/kv/${name}/k`, 'v')).status).toBe(201);
    await kv.delete(`/v1/buckets/${name}`);
  });

  test.each(['A', '-a', 'a-', '_a', 'a.b', 'a%20b', '%C3%A9', 'a'.repeat(64), 'a%00', '...'])(
    '%s is no bucket name',
    async (name) => {
      expect(problemIn(await putBucket(name, {}), 400, 'invalid_request').issues[0].path).toBe('/params/bucket');
      problemIn(await kv.put(`/v1/kv/${name}/k`, 'v'), 400, 'invalid_request');
      problemIn(await kv.post(`/v1/kv/${name}:batch`, { operations: [] }), 400, 'invalid_request');
      problemIn(await kv.get(`/v1/kv/${name}/k`), 404, 'bucket_not_found');
    },
  );

  test.each([
    [{ mode: 'fast' }, '/mode'],
    [{ ttlMs: 99 }, '/ttlMs'],
    [{ historyCount: 65 }, '/historyCount'],
    [{ historyMs: 9_999 }, '/historyMs'],
    [{ historyRevisionsMax: 999 }, '/historyRevisionsMax'],
    [{ valueBytesMax: 1_048_577 }, '/valueBytesMax'],
    [{ valueBytesMax: 0 }, '/valueBytesMax'],
    [{ keysMax: 0 }, '/keysMax'],
    [{ bytesMax: '1MB' }, '/bytesMax'],
    [{ flushMs: 9 }, '/flushMs'],
    [{ colour: 'red' }, '/colour'],
    [{ mode: 'read-through', bytesMax: 1_000 }, '/origin'],
    [{ mode: 'durable', origin: { url: 'http://localhost/' } }, '/origin'],
    [{ mode: 'cache' }, '/bytesMax'],
    [{ mode: 'read-through', bytesMax: 1_000, origin: { url: 'file:///etc/passwd' } }, '/origin/url'],
    [
      { mode: 'read-through', bytesMax: 1_000, origin: { url: 'http://localhost/', timeoutMs: 5 } },
      '/origin/timeoutMs',
    ],
    [[], ''],
  ])('the settings %j are refused with the place of the fault', async (settings, path) => {
    const { issues } = problemIn(await putBucket('faulty', settings), 400, 'invalid_request');
    expect(issues.map((issue: { path: string }) => issue.path)).toContain(path);
    problemIn(await kv.get('/v1/buckets/faulty'), 404, 'bucket_not_found');
  });

  test('the mode is fixed when the bucket is made', async () => {
    await putBucket('fixed', {});
    problemIn(await putBucket('fixed', { mode: 'write-back' }), 409, 'conflict');
    problemIn(await putBucket('fixed', { mode: 'cache', bytesMax: 1_000 }), 409, 'conflict');
    expect((await kv.get('/v1/buckets/fixed')).json.settings.mode).toBe('durable');
  });

  test('with KV_AUTO_CREATE_BUCKETS=false the first write does not make a bucket', async () => {
    const strict = await new KvUnderTest({ env: { KV_AUTO_CREATE_BUCKETS: 'false' } }).start();
    problemIn(await strict.put('/v1/kv/b/k', 'v'), 404, 'bucket_not_found');
    problemIn(await strict.post('/v1/kv/b:txn', {}), 404, 'bucket_not_found');
    await strict.bucket('b');
    expect((await strict.put('/v1/kv/b/k', 'v')).status).toBe(201);
    await strict.stop();
  });

  test('settings survive a restart', async () => {
    await putBucket('lasting', { historyCount: 7, keysMax: 3 });
    await kv.restart();
    expect((await kv.get('/v1/buckets/lasting')).json.settings).toMatchObject({ historyCount: 7, keysMax: 3 });
  });
});

describe('quotas', () => {
  test('the key above keysMax is a 507 for this bucket only; replacing, deleting and other buckets go on', async () => {
    await kv.bucket('few', { keysMax: 2 });
    await kv.wrote('/v1/kv/few/a', '1');
    await kv.wrote('/v1/kv/few/b', '1');
    const body = problemIn(await kv.put('/v1/kv/few/c', '1'), 507, 'quota_exceeded');
    expect(body).toMatchObject({ bucket: 'few', quota: 'keysMax', limit: 2, present: 2 });
    await kv.wrote('/v1/kv/few/a', '2');
    await kv.wrote('/v1/kv/others/c', '1');
    problemIn(await kv.post('/v1/kv/few/n:incr'), 507, 'quota_exceeded');
    await kv.delete('/v1/kv/few/b');
    await kv.wrote('/v1/kv/few/c', '1');
    expect((await kv.get('/readyz')).status).toBe(200);
  });

  test('bytesMax counts keys and values, to the byte', async () => {
    await kv.bucket('small', { bytesMax: 100 });
    await kv.wrote('/v1/kv/small/k', 'x'.repeat(99));
    expect(problemIn(await kv.put('/v1/kv/small/k', 'x'.repeat(100)), 507, 'quota_exceeded').quota).toBe('bytesMax');
    expect((await kv.get('/v1/kv/small/k')).bytes.length).toBe(99);
    await kv.wrote('/v1/kv/small/k', '');
    expect((await kv.get('/v1/buckets/small')).json.bytes).toBe(1);
  });

  test('a transaction that would pass a quota is refused whole; one that makes room for itself is done', async () => {
    await kv.bucket('swap', { keysMax: 1 });
    await kv.wrote('/v1/kv/swap/a', '1');
    const put = { op: 'put', key: 'b', value: '1' };
    problemIn(await kv.post('/v1/kv/swap:txn', { then: [put] }), 507, 'quota_exceeded');
    expect((await kv.post('/v1/kv/swap:txn', { then: [put, { op: 'delete', key: 'a' }] })).status).toBe(200);
    expect(await kv.keys('swap')).toEqual(['b']);
    const { results } = (await kv.post('/v1/kv/swap:batch', { operations: [put, { ...put, key: 'c' }] })).json;
    expect(results.map(({ status }: { status: number }) => status)).toEqual([204, 507]);
  });

  test('a quota that is lowered below what is there refuses growth and lets it shrink', async () => {
    for (const key of ['a', 'b', 'c']) await kv.wrote(`/v1/kv/shrink/${key}`, '1');
    await kv.bucket('shrink', { keysMax: 1 });
    problemIn(await kv.put('/v1/kv/shrink/d', '1'), 507, 'quota_exceeded');
    expect((await kv.delete('/v1/kv/shrink/a')).status).toBe(204);
  });

  test("a value above the bucket's own valueBytesMax is refused with that limit", async () => {
    await kv.bucket('tiny', { valueBytesMax: 10 });
    await kv.wrote('/v1/kv/tiny/k', 'x'.repeat(10));
    const body = problemIn(await kv.put('/v1/kv/tiny/k', 'x'.repeat(11)), 413, 'value_too_large');
    expect(body).toMatchObject({ sizeBytes: 11, limitBytes: 10 });
  });
});
