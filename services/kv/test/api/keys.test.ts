import { describe, expect, test } from '@jest/globals';
import { problemIn, withKv } from './kv-under-test.ts';

const kv = withKv();
const MIXED = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

describe('put, get, head and delete', () => {
  test('the bytes that were put are the bytes that come back, whatever they are', async () => {
    await kv.wrote('/v1/kv/b/mixed', MIXED);
    expect((await kv.get('/v1/kv/b/mixed')).bytes).toEqual(MIXED);
    await kv.wrote('/v1/kv/b/empty', '');
    const empty = await kv.get('/v1/kv/b/empty');
    expect([empty.status, empty.bytes.length, empty.headers.get('content-length')]).toEqual([200, 0, '0']);
  });

  test('a put makes a key with 201 and a location, and replaces it with 204; both tell revision, ETag and version', async () => {
    const made = await kv.put('/v1/kv/b/made', '1');
    expect([made.status, made.headers.get('location')]).toEqual([201, '/v1/kv/b/made']);
    const replaced = await kv.put('/v1/kv/b/made', '2');
    expect([replaced.status, replaced.headers.get('location')]).toEqual([204, null]);
    const [first, second] = [made, replaced].map(({ headers }) => Number(headers.get('kv-revision')));
    expect(second!).toBeGreaterThan(first!);
    const get = await kv.get('/v1/kv/b/made');
    for (const { headers } of [replaced, get]) {
      expect(headers.get('etag')).toBe(`"${second}"`);
      expect(headers.get('kv-revision')).toBe(String(second));
      expect(headers.get('kv-create-revision')).toBe(String(first));
      expect(headers.get('kv-version')).toBe('2');
    }
  });

  test('the stored content type and metadata come back; without one it is application/octet-stream', async () => {
    const headers = {
      'content-type': 'image/svg+xml; charset=utf-8',
      'KV-Meta-Owner': 'ann',
      'kv-meta-x-1': 'two words',
    };
    await kv.wrote('/v1/kv/b/typed', '<svg/>', headers);
    const typed = await kv.get('/v1/kv/b/typed');
    expect(typed.headers.get('content-type')).toBe('image/svg+xml; charset=utf-8');
    expect(typed.headers.get('kv-meta-owner')).toBe('ann');
    expect(typed.headers.get('kv-meta-x-1')).toBe('two words');
    await kv.wrote('/v1/kv/b/typed', 'plain');
    const plain = await kv.get('/v1/kv/b/typed');
    expect(plain.headers.get('content-type')).toBe('application/octet-stream');
    expect(plain.headers.get('kv-meta-owner')).toBeNull();
  });

  test('head answers the headers of get without the bytes, and also for a missing key', async () => {
    await kv.wrote('/v1/kv/b/headed', 'twelve bytes', { 'content-type': 'text/plain' });
    const [get, head] = [await kv.get('/v1/kv/b/headed'), await kv.head('/v1/kv/b/headed')];
    expect([head.status, head.bytes.length]).toEqual([200, 0]);
    for (const name of ['content-length', 'content-type', 'etag', 'kv-revision', 'last-modified', 'accept-ranges']) {
      expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name)]);
    }
    const missing = await kv.head('/v1/kv/b/nothing');
    expect([missing.status, missing.bytes.length]).toEqual([404, 0]);
  });

  test('delete says whether there was something to delete, and a key made anew begins at version 1', async () => {
    const first = await kv.wrote('/v1/kv/b/gone', '1');
    const deleted = await kv.delete('/v1/kv/b/gone');
    expect([deleted.status, deleted.headers.get('kv-deleted')]).toEqual([204, '1']);
    problemIn(await kv.get('/v1/kv/b/gone'), 404, 'key_not_found');
    const again = await kv.delete('/v1/kv/b/gone');
    expect([again.status, again.headers.get('kv-deleted')]).toEqual([204, '0']);
    const made = await kv.put('/v1/kv/b/gone', '2');
    expect([made.status, made.headers.get('kv-version')]).toEqual([201, '1']);
    expect(Number(made.headers.get('kv-create-revision'))).toBeGreaterThan(first);
  });

  test('Accept: application/vnd.plinth.entry+json answers the entry as JSON, bytes that are no text in base64', async () => {
    const headers = { 'content-type': 'text/plain', 'kv-meta-owner': 'ann', 'kv-ttl': '1h' };
    const revision = await kv.wrote('/v1/kv/b/json', 'grüße', headers);
    const accept = { accept: 'application/vnd.plinth.entry+json' };
    const text = await kv.get('/v1/kv/b/json', accept);
    expect(text.headers.get('content-type')).toBe('application/vnd.plinth.entry+json');
    expect(text.json).toMatchObject({
      ...{ key: 'json', value: 'grüße', revision, createRevision: revision, version: 1, sizeBytes: 7 },
      ...{ contentType: 'text/plain', metadata: { owner: 'ann' } },
    });
    expect(Date.parse(text.json.expiresAt)).toBeGreaterThan(Date.now());
    await kv.wrote('/v1/kv/b/json', MIXED);
    expect((await kv.get('/v1/kv/b/json', accept)).json.valueBase64).toBe(MIXED.toString('base64'));
  });

  test('the first write to a bucket makes it; reading and deleting do not', async () => {
    problemIn(await kv.get('/v1/kv/fresh/k'), 404, 'bucket_not_found');
    problemIn(await kv.delete('/v1/kv/fresh/k'), 404, 'bucket_not_found');
    problemIn(await kv.get('/v1/kv/fresh'), 404, 'bucket_not_found');
    await kv.wrote('/v1/kv/fresh/k', '1');
    expect((await kv.get('/v1/buckets/fresh')).json).toMatchObject({ keys: 1, settings: { mode: 'durable' } });
  });

  test('everything answered is there after a restart, and revisions go on', async () => {
    const revision = await kv.wrote('/v1/kv/b/stay', 'here', { 'content-type': 'text/plain', 'kv-meta-a': 'b' });
    await kv.restart();
    const { text, headers } = await kv.get('/v1/kv/b/stay');
    expect([text, headers.get('content-type'), headers.get('kv-meta-a')]).toEqual(['here', 'text/plain', 'b']);
    expect(headers.get('etag')).toBe(`"${revision}"`);
    expect(await kv.wrote('/v1/kv/b/stay', 'still')).toBeGreaterThan(revision);
  });
});

describe('keys', () => {
  test('slashes, spaces, question marks, percent signs and colons are legal in keys', async () => {
    for (const key of [
      'a/b/c',
      '/',
      'a//b/',
      ' ',
      'a b?c#d',
      '100%',
      'x:incr',
      ':txn',
      'a:b',
      '...',
      '.hidden',
      'a..b',
      'é/ß/日本',
    ]) {
      await kv.wrote(`/v1/kv/legal/${encodeURIComponent(key)}`, key);
      expect((await kv.get(`/v1/kv/legal/${encodeURIComponent(key)}`)).text).toBe(key);
    }
    // A slash is a slash, however it is written.
    expect((await kv.get('/v1/kv/legal/a/b/c')).text).toBe('a/b/c');
    expect(await kv.keys('legal')).toContain('é/ß/日本');
  });

  test('a key need not be UTF-8: its bytes are percent-encoded in the URL and base64 in JSON', async () => {
    const made = await kv.put('/v1/kv/binary/%ff%00x'.replace('%00', '%01'), 'bytes');
    expect(made.headers.get('location')).toBe('/v1/kv/binary/%FF%01x');
    expect((await kv.get('/v1/kv/binary/%FF%01x')).text).toBe('bytes');
    const [item] = (await kv.get('/v1/kv/binary')).json.items;
    expect([item.key, Buffer.from(item.keyBase64, 'base64').toString('latin1')]).toEqual([undefined, '\xff\x01x']);
    const { results } = (
      await kv.post('/v1/kv/binary:batch', { operations: [{ op: 'get', keyBase64: item.keyBase64 }] })
    ).json;
    expect(results[0]).toMatchObject({ status: 200, entry: { keyBase64: item.keyBase64, value: 'bytes' } });
  });

  test('a key of 1,024 bytes is taken and one of 1,025 is not', async () => {
    const longest = 'k'.repeat(1_024);
    await kv.wrote(`/v1/kv/b/${longest}`, 'x');
    expect((await kv.get(`/v1/kv/b/${longest}`)).text).toBe('x');
    const body = problemIn(await kv.put(`/v1/kv/b/${longest}k`, 'x'), 400, 'invalid_key');
    expect(body).toMatchObject({ sizeBytes: 1_025, limitBytes: 1_024 });
    // Bytes count, not characters.
    problemIn(await kv.put(`/v1/kv/b/${'é'.repeat(513)}`, 'x'), 400, 'invalid_key');
  });
});

describe('preconditions', () => {
  test('If-None-Match: * makes a key only when it does not exist', async () => {
    expect((await kv.put('/v1/kv/if/new', '1', { 'if-none-match': '*' })).status).toBe(201);
    const refused = await kv.put('/v1/kv/if/new', '2', { 'if-none-match': '*' });
    const { revision } = problemIn(refused, 412, 'precondition_failed');
    expect(refused.headers.get('etag')).toBe(`"${revision}"`);
    await kv.delete('/v1/kv/if/new');
    expect((await kv.put('/v1/kv/if/new', '3', { 'if-none-match': '*' })).status).toBe(201);
  });

  test('If-Match writes only over the version that was read, and one of several is enough', async () => {
    const revision = await kv.wrote('/v1/kv/if/match', '1');
    problemIn(await kv.put('/v1/kv/if/match', 'x', { 'if-match': `"${revision + 1}"` }), 412, 'precondition_failed');
    const next = await kv.wrote('/v1/kv/if/match', '2', { 'if-match': `"1", "${revision}"` });
    problemIn(await kv.delete('/v1/kv/if/match', { 'if-match': `"${revision}"` }), 412, 'precondition_failed');
    expect((await kv.delete('/v1/kv/if/match', { 'if-match': `"${next}"` })).status).toBe(204);
  });

  test('If-Match on a missing key is refused, and * means that it exists', async () => {
    problemIn(await kv.put('/v1/kv/if/missing', '1', { 'if-match': '*' }), 412, 'precondition_failed');
    problemIn(await kv.delete('/v1/kv/if/missing', { 'if-match': '"1"' }), 412, 'precondition_failed');
    await kv.wrote('/v1/kv/if/missing', '1');
    await kv.wrote('/v1/kv/if/missing', '2', { 'if-match': '*' });
  });

  test('of a hundred writers with the same If-Match exactly one wins', async () => {
    const revision = await kv.wrote('/v1/kv/if/race', '0');
    const writes = Array.from({ length: 100 }, (_, at) =>
      kv.put('/v1/kv/if/race', String(at), { 'if-match': `"${revision}"` }),
    );
    const statuses = (await Promise.all(writes)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 204)).toHaveLength(1);
    expect(statuses.filter((status) => status === 412)).toHaveLength(99);
  });

  test('get answers 304 to an If-None-Match that has the version, weak tags included, and the value otherwise', async () => {
    const revision = await kv.wrote('/v1/kv/if/get', 'v');
    for (const tag of [`"${revision}"`, `W/"${revision}"`, `"0", "${revision}"`, '*']) {
      const seen = await kv.get('/v1/kv/if/get', { 'if-none-match': tag });
      expect([tag, seen.status, seen.bytes.length, seen.headers.get('etag')]).toEqual([tag, 304, 0, `"${revision}"`]);
    }
    expect((await kv.get('/v1/kv/if/get', { 'if-none-match': '"0"' })).text).toBe('v');
    expect((await kv.head('/v1/kv/if/get', { 'if-none-match': `"${revision}"` })).status).toBe(304);
  });

  test('get answers 412 to an If-Match that does not have it, compared strongly and before If-None-Match', async () => {
    const revision = await kv.wrote('/v1/kv/if/strong', 'v');
    expect((await kv.get('/v1/kv/if/strong', { 'if-match': `"${revision}"` })).text).toBe('v');
    problemIn(await kv.get('/v1/kv/if/strong', { 'if-match': `W/"${revision}"` }), 412, 'precondition_failed');
    const both = { 'if-match': '"0"', 'if-none-match': `"${revision}"` };
    problemIn(await kv.get('/v1/kv/if/strong', both), 412, 'precondition_failed');
  });

  test('a tag that is not one of ours is legal and matches nothing, also within a transaction that made the key', async () => {
    const revision = await kv.wrote('/v1/kv/if/foreign', 'v');
    for (const tag of ['"abc"', '"a,b"', `"0${revision}"`, `W/"${revision}"`, '""']) {
      problemIn(await kv.put('/v1/kv/if/foreign', 'x', { 'if-match': tag }), 412, 'precondition_failed');
    }
    const then = [
      { op: 'put', key: 'if-new', value: '1' },
      { op: 'put', key: 'if-new', value: '2', ifMatch: '"abc"' },
    ];
    problemIn(await kv.post('/v1/kv/if:txn', { then }), 412, 'precondition_failed');
  });

  test('malformed preconditions are 400, on reads and on writes', async () => {
    await kv.wrote('/v1/kv/if/bad', 'v');
    for (const text of ['7', '"7', '7"', '"7" "8"', '"7",', "'7'", '*, "7"', 'W/7', '"a"b"']) {
      for (const name of ['if-match', 'if-none-match']) {
        const answers = [
          await kv.put('/v1/kv/if/bad', 'x', { [name]: text }),
          await kv.get('/v1/kv/if/bad', { [name]: text }),
        ];
        for (const answer of answers) {
          const { issues } = problemIn(answer, 400, 'invalid_precondition');
          expect(issues[0].path).toBe(`/headers/${name}`);
        }
      }
    }
    expect((await kv.get('/v1/kv/if/bad')).text).toBe('v');
  });
});
