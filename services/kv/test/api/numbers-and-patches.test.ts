import { describe, expect, test } from '@jest/globals';
import { problemIn, withKv } from './kv-under-test.ts';

const kv = withKv();
const patch = (path: string, json: unknown, headers: Record<string, string> = {}) =>
  kv.call('PATCH', path, { json, headers: { 'content-type': 'application/merge-patch+json', ...headers } });

describe(':incr', () => {
  test('a missing number begins at `initial` and grows by `by`; without a body by 1 from 0', async () => {
    expect((await kv.post('/v1/kv/n/plain:incr')).json.value).toBe(1);
    expect((await kv.post('/v1/kv/n/plain:incr')).json.value).toBe(2);
    expect((await kv.post('/v1/kv/n/from:incr', { by: 5, initial: 100 })).json.value).toBe(105);
    expect((await kv.post('/v1/kv/n/from:incr', { by: -200, initial: 7 })).json.value).toBe(-95);
    const { text, headers } = await kv.get('/v1/kv/n/from');
    expect([text, headers.get('content-type')]).toEqual(['-95', 'text/plain']);
  });

  test('the answer carries number, revision and ETag', async () => {
    const answer = await kv.post('/v1/kv/n/told:incr');
    expect(answer.headers.get('etag')).toBe(`"${answer.json.revision}"`);
    expect((await kv.get('/v1/kv/n/told')).headers.get('etag')).toBe(`"${answer.json.revision}"`);
  });

  test('a hundred at once are counted every one', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => kv.post('/v1/kv/n/many:incr')));
    expect(new Set(answers.map(({ json }) => json.value)).size).toBe(100);
    expect((await kv.get('/v1/kv/n/many')).text).toBe('100');
  });

  test('a bound is reached and never passed; the refusal tells the present number', async () => {
    expect((await kv.post('/v1/kv/n/max:incr', { by: 10, max: 10 })).json.value).toBe(10);
    expect(problemIn(await kv.post('/v1/kv/n/max:incr', { max: 10 }), 422, 'out_of_bounds').value).toBe(10);
    expect((await kv.post('/v1/kv/n/max:incr', { by: -10, min: 0 })).json.value).toBe(0);
    expect(problemIn(await kv.post('/v1/kv/n/max:incr', { by: -1, min: 0 }), 422, 'out_of_bounds').value).toBe(0);
    problemIn(await kv.post('/v1/kv/n/missing:incr', { by: 1, max: 0 }), 422, 'out_of_bounds');
    problemIn(await kv.get('/v1/kv/n/missing'), 404, 'key_not_found');
  });

  test('numbers stay whole: beyond 2^53 − 1 is out of bounds, and what is no number is unprocessable', async () => {
    await kv.wrote('/v1/kv/n/huge', String(Number.MAX_SAFE_INTEGER));
    problemIn(await kv.post('/v1/kv/n/huge:incr'), 422, 'out_of_bounds');
    for (const text of ['', 'seven', '1.5', '1e3', ' 1', '9007199254740993', '0x10']) {
      await kv.wrote('/v1/kv/n/text', text);
      problemIn(await kv.post('/v1/kv/n/text:incr'), 422, 'unprocessable');
    }
  });

  test('preconditions hold for it too', async () => {
    const revision = (await kv.post('/v1/kv/n/if:incr')).json.revision;
    problemIn(await kv.post('/v1/kv/n/if:incr', {}, { 'if-none-match': '*' }), 412, 'precondition_failed');
    expect((await kv.post('/v1/kv/n/if:incr', {}, { 'if-match': `"${revision}"` })).json.value).toBe(2);
  });

  test.each([
    [{ by: 1.5 }, '/by'],
    [{ by: '1' }, '/by'],
    [{ steps: 1 }, '/steps'],
    [{ by: 2 ** 53 }, '/by'],
    [[], ''],
    [{ max: null }, '/max'],
  ])('%j is refused with the place of the fault', async (body, path) => {
    const { issues } = problemIn(await kv.post('/v1/kv/n/bad:incr', body), 400, 'invalid_request');
    expect(issues[0].path).toBe(path);
  });
});

describe('PATCH', () => {
  test('merges as RFC 7396 has it: members are set, null removes, lists are replaced', async () => {
    await kv.wrote('/v1/kv/p/doc', JSON.stringify({ a: 1, b: { c: 2, d: 3 }, e: [1, 2] }), {
      'content-type': 'application/json',
    });
    const answer = await patch('/v1/kv/p/doc', { a: null, b: { c: null, x: { y: null } }, e: [3] });
    expect(answer.status).toBe(204);
    const { json, headers } = await kv.get('/v1/kv/p/doc');
    expect(json).toEqual({ b: { d: 3, x: {} }, e: [3] });
    expect([headers.get('etag'), headers.get('kv-version')]).toEqual([answer.headers.get('etag'), '2']);
  });

  test('makes a missing key with 201, as application/json', async () => {
    const made = await patch('/v1/kv/p/new', { a: { b: null, c: 1 } });
    expect([made.status, made.headers.get('location')]).toEqual([201, '/v1/kv/p/new']);
    const { json, headers } = await kv.get('/v1/kv/p/new');
    expect([json, headers.get('content-type')]).toEqual([{ a: { c: 1 } }, 'application/json']);
  });

  test('a patch that is no object replaces the value, and __proto__ is a member like any other', async () => {
    await patch('/v1/kv/p/whole', [1, 2]);
    expect((await kv.get('/v1/kv/p/whole')).json).toEqual([1, 2]);
    const body = '{"__proto__":{"polluted":true}}';
    await kv.call('PATCH', '/v1/kv/p/proto', { body, headers: { 'content-type': 'application/merge-patch+json' } });
    expect((await kv.get('/v1/kv/p/proto')).text).toBe(body);
  });

  test('a value that is no JSON is unprocessable and stays as it is', async () => {
    await kv.wrote('/v1/kv/p/text', 'no json');
    problemIn(await patch('/v1/kv/p/text', { a: 1 }), 422, 'unprocessable');
    expect((await kv.get('/v1/kv/p/text')).text).toBe('no json');
  });

  test('a result above the limit of the bucket is refused', async () => {
    await kv.bucket('tight', { valueBytesMax: 20 });
    await patch('/v1/kv/tight/doc', { a: '12345' });
    expect(problemIn(await patch('/v1/kv/tight/doc', { b: '123456' }), 413, 'value_too_large').limitBytes).toBe(20);
    expect((await kv.get('/v1/kv/tight/doc')).json).toEqual({ a: '12345' });
  });

  test('preconditions hold for it too', async () => {
    problemIn(await patch('/v1/kv/p/if', { a: 1 }, { 'if-match': '*' }), 412, 'precondition_failed');
    const { headers } = await patch('/v1/kv/p/if', { a: 1 }, { 'if-none-match': '*' });
    expect((await patch('/v1/kv/p/if', { a: 2 }, { 'if-match': headers.get('etag')! })).status).toBe(204);
  });

  test('other media types are 415, bad JSON is 400 with line and column, and no body at all is 400', async () => {
    for (const type of ['text/plain', 'application/json-patch+json', 'application/xml']) {
      problemIn(await patch('/v1/kv/p/media', {}, { 'content-type': type }), 415, 'unsupported_media_type');
    }
    const body = '{"a":\n 1,}';
    const broken = await kv.call('PATCH', '/v1/kv/p/media', { body, headers: { 'content-type': 'application/json' } });
    expect(problemIn(broken, 400, 'invalid_request')).toMatchObject({ line: 2 });
    const deep = '['.repeat(200) + ']'.repeat(200);
    const nested = await kv.call('PATCH', '/v1/kv/p/media', {
      body: deep,
      headers: { 'content-type': 'application/json' },
    });
    problemIn(nested, 422, 'unprocessable');
    const empty = await kv.call('PATCH', '/v1/kv/p/media', { headers: { 'content-type': 'application/json' } });
    problemIn(empty, 400, 'invalid_request');
    problemIn(await kv.get('/v1/kv/p/media'), 404, 'key_not_found');
  });
});
