// biome-ignore-all lint/suspicious/noThenProperty: the API's word; no such object is awaited.
import { describe, expect, test } from '@jest/globals';
import { problemIn, withKv } from './kv-under-test.ts';

const kv = withKv();
const batch = (operations: unknown, headers?: Record<string, string>) =>
  kv.post('/v1/kv/b:batch', { operations }, headers);
const txn = (body: unknown, query = '') => kv.post(`/v1/kv/t:txn${query}`, body);
const puts = (count: number, prefix = 'k') =>
  Array.from({ length: count }, (_, at) => ({ op: 'put', key: `${prefix}${at}`, value: String(at) }));

describe(':batch', () => {
  test('each operation has a status of its own, in order, and one that fails does not touch the others', async () => {
    await kv.wrote('/v1/kv/b/there', 'v');
    await kv.wrote('/v1/kv/b/doc', '{"a":1}');
    const { status, json } = await batch([
      { op: 'put', key: 'new', value: '1' },
      { op: 'put', key: 'there', value: '2' },
      { op: 'put', key: 'there', value: '3', ifNoneMatch: '*' },
      { op: 'get', key: 'there' },
      { op: 'get', key: 'missing' },
      { op: 'incr', key: 'n', by: 2 },
      { op: 'incr', key: 'there', by: 1, max: 2 },
      { op: 'touch', key: 'missing', ttl: '1h' },
      { op: 'patch', key: 'doc', patch: { b: 2 } },
      { op: 'delete', key: 'new' },
      { op: 'delete', key: 'missing' },
      { op: 'put', key: '..', value: 'x' },
      { op: 'put', key: 'ttl', value: 'x', ttl: '0s' },
      { op: 'deleteRange', prefix: 'n' },
    ]);
    expect(status).toBe(200);
    expect(json.results.map((result: { status: number }) => result.status)).toEqual([
      201, 204, 412, 200, 404, 200, 422, 404, 204, 204, 204, 400, 400, 200,
    ]);
    expect(json.results[2].problem.code).toBe('precondition_failed');
    expect(json.results[3].entry).toMatchObject({ key: 'there', value: '2' });
    expect(json.results[5].value).toBe(2);
    expect([json.results[9].deleted, json.results[10].deleted, json.results[13].deleted]).toEqual([1, 0, 1]);
    expect(json.results[11].problem.code).toBe('invalid_key');
    expect((await kv.get('/v1/kv/b/doc')).json).toEqual({ a: 1, b: 2 });
  });

  test('values come as text, base64 or JSON, with type and metadata', async () => {
    const bytes = Buffer.from([0, 255, 128]);
    await batch([
      { op: 'put', key: 'text', value: 'grüße', contentType: 'text/plain', metadata: { owner: 'ann' } },
      { op: 'put', key: 'bytes', valueBase64: bytes.toString('base64') },
      { op: 'put', key: 'json', json: { a: [1, null] } },
      { op: 'put', keyBase64: Buffer.from('näme').toString('base64'), value: 'by base64' },
    ]);
    const text = await kv.get('/v1/kv/b/text');
    expect([text.text, text.headers.get('content-type'), text.headers.get('kv-meta-owner')]).toEqual([
      'grüße',
      'text/plain',
      'ann',
    ]);
    expect((await kv.get('/v1/kv/b/bytes')).bytes).toEqual(bytes);
    const json = await kv.get('/v1/kv/b/json');
    expect([json.json, json.headers.get('content-type')]).toEqual([{ a: [1, null] }, 'application/json']);
    expect((await kv.get(`/v1/kv/b/${encodeURIComponent('näme')}`)).text).toBe('by base64');
  });

  test('an empty batch does nothing, a thousand operations are done and 1,001 are refused', async () => {
    expect((await batch([])).json).toEqual({ results: [] });
    const { json } = await batch(puts(1_000));
    expect(new Set(json.results.map((result: { status: number }) => result.status))).toEqual(new Set([201]));
    expect(problemIn(await batch(puts(1_001, 'x')), 400, 'invalid_request').issues[0].path).toBe('/operations');
    expect((await kv.get('/v1/kv/b/x0')).status).toBe(404);
  });

  test('a batch larger than a value is taken, up to 4 MiB', async () => {
    const value = 'x'.repeat(1_000_000);
    const three = [0, 1, 2].map((at) => ({ op: 'put', key: `large${at}`, value }));
    expect((await batch(three)).json.results).toHaveLength(3);
    expect((await kv.head('/v1/kv/b/large2')).headers.get('content-length')).toBe('1000000');
    problemIn(await batch([...three, ...three]), 413, 'body_too_large');
    const over = (await batch([{ op: 'put', key: 'over', value: 'x'.repeat(1_048_577) }])).json.results[0];
    expect(over).toMatchObject({ status: 413, problem: { code: 'value_too_large', limitBytes: 1_048_576 } });
    expect((await batch([{ op: 'put', key: 'over', value: 'x'.repeat(1_048_576) }])).json.results[0].status).toBe(201);
  });
});

describe(':txn', () => {
  test('if all checks hold `then` runs, else `else`, and the answer says which and why', async () => {
    await kv.wrote('/v1/kv/t/a', '1');
    const body = {
      if: [
        { key: 'a', value: '1' },
        { key: 'b', exists: false },
      ],
      then: [{ op: 'put', key: 'b', value: 'then' }],
      else: [{ op: 'put', key: 'b', value: 'else' }],
    };
    expect((await txn(body)).json).toMatchObject({ succeeded: true, failedChecks: [], results: [{ status: 201 }] });
    expect((await kv.get('/v1/kv/t/b')).text).toBe('then');
    expect((await txn(body)).json).toMatchObject({ succeeded: false, failedChecks: [1], results: [{ status: 204 }] });
    expect((await kv.get('/v1/kv/t/b')).text).toBe('else');
  });

  test('everything a transaction writes has one revision', async () => {
    const { revision, results } = (await txn({ then: puts(1_000, 'one') })).json;
    expect(results).toHaveLength(1_000);
    expect(new Set(results.map(({ entry }: { entry: { revision: number } }) => entry.revision))).toEqual(
      new Set([revision]),
    );
    expect((await kv.get('/v1/kv/t/one999')).headers.get('kv-revision')).toBe(String(revision));
  });

  test('a thousand checks and operations together are done; 1,001 are refused whole', async () => {
    const checks = Array.from({ length: 400 }, (_, at) => ({ key: `k${at}`, exists: false }));
    expect((await txn({ if: checks, then: puts(500, 'sum'), else: puts(100, 'sum') })).json.succeeded).toBe(true);
    problemIn(await txn({ if: checks, then: puts(601, 'no') }), 400, 'invalid_request');
    expect(problemIn(await txn({ then: puts(1_001, 'no') }), 400, 'invalid_request').issues[0].path).toBe('/then');
    expect((await kv.get('/v1/kv/t?prefix=no&count=true')).json.count).toBe(0);
  });

  test('one operation that is refused undoes all, and the problem says which', async () => {
    await kv.wrote('/v1/kv/t/text', 'no number');
    const answer = await txn({
      then: [
        { op: 'put', key: 'undone', value: '1' },
        { op: 'incr', key: 'text' },
      ],
    });
    expect(problemIn(answer, 422, 'unprocessable')).toMatchObject({ operation: 1 });
    problemIn(await kv.get('/v1/kv/t/undone'), 404, 'key_not_found');
    const bad = await txn({
      then: [
        { op: 'put', key: 'undone', value: '1' },
        { op: 'put', key: 'x', value: '1', ttl: '0s' },
      ],
    });
    expect(problemIn(bad, 400, 'invalid_ttl').issues[0].path).toBe('/then/1');
  });

  test('operations see those before them, and a key that is written twice changes once', async () => {
    const { json } = await txn({
      then: [
        { op: 'put', key: 'seen', value: '1' },
        { op: 'incr', key: 'seen', by: 41 },
        { op: 'get', key: 'seen' },
        { op: 'delete', key: 'seen' },
        { op: 'get', key: 'seen' },
        { op: 'put', key: 'seen', value: 'last' },
      ],
    });
    expect(json.results.map((result: { status: number }) => result.status)).toEqual([201, 200, 200, 204, 404, 201]);
    expect(json.results[2].entry.value).toBe('42');
    const { events } = (await kv.get(`/v1/kv/t:changes?since=${json.revision - 1}`)).json;
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ type: 'put', key: 'seen', value: 'last' });
  });

  test.each([
    [{ revision: 0 }, false],
    [{ op: '>', revision: 0 }, true],
    [{ version: 2 }, true],
    [{ op: '<', version: 2 }, false],
    [{ op: '>=', version: 2 }, true],
    [{ op: '!=', createRevision: 0 }, true],
    [{ value: 'b' }, true],
    [{ op: '!=', value: 'b' }, false],
    [{ op: '<=', value: 'a' }, false],
    [{ op: '>', value: 'a' }, true],
    [{ valueBase64: 'Yg==' }, true],
    [{ exists: true }, true],
    [{ op: '!=', exists: true }, false],
  ])('the check %j of a key at version 2 with value b is %s', async (check, holds) => {
    await kv.delete('/v1/kv/t/checked');
    await kv.wrote('/v1/kv/t/checked', 'a');
    await kv.wrote('/v1/kv/t/checked', 'b');
    expect((await txn({ if: [{ key: 'checked', ...check }] })).json.succeeded).toBe(holds);
  });

  test('a missing key has revision, version and createRevision 0 and no value', async () => {
    const holds = async (check: object) => (await txn({ if: [{ key: 'never', ...check }] })).json.succeeded;
    expect([await holds({ revision: 0 }), await holds({ version: 0 }), await holds({ createRevision: 0 })]).toEqual([
      true,
      true,
      true,
    ]);
    expect([await holds({ value: '' }), await holds({ op: '!=', value: '' }), await holds({ exists: false })]).toEqual([
      false,
      true,
      true,
    ]);
  });

  test('strict answers 412 when a check fails, else as always', async () => {
    const failing = { if: [{ key: 'never', exists: true }], then: [{ op: 'put', key: 'x', value: '1' }] };
    expect(problemIn(await txn(failing, '?strict=true'), 412, 'precondition_failed').failedChecks).toEqual(['0']);
    expect((await txn(failing, '?strict=false')).json.succeeded).toBe(false);
    expect((await txn({ if: [{ key: 'never', exists: false }] }, '?strict=true')).json.succeeded).toBe(true);
  });

  test('transfers between two keys at the same moment never lose or make a unit', async () => {
    await txn({
      then: [
        { op: 'put', key: 'from', value: '100' },
        { op: 'put', key: 'to', value: '0' },
      ],
    });
    const transfer = () =>
      txn({
        then: [
          { op: 'incr', key: 'from', by: -1, min: 0 },
          { op: 'incr', key: 'to', by: 1 },
        ],
      });
    const statuses = (await Promise.all(Array.from({ length: 120 }, transfer))).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(100);
    expect(statuses.filter((status) => status === 422)).toHaveLength(20);
    expect([(await kv.get('/v1/kv/t/from')).text, (await kv.get('/v1/kv/t/to')).text]).toEqual(['0', '100']);
  });
});

describe('bad transactions and batches', () => {
  test.each([
    ['then/0/op', { then: [{ op: 'destroy', key: 'k' }] }],
    ['then/0/key', { then: [{ op: 'get' }] }],
    ['then/0/key', { then: [{ op: 'get', key: 'a', keyBase64: 'YQ==' }] }],
    ['then/0/value', { then: [{ op: 'put', key: 'a' }] }],
    ['then/0/value', { then: [{ op: 'put', key: 'a', value: '1', json: 1 }] }],
    ['then/0/valueBase64', { then: [{ op: 'put', key: 'a', valueBase64: '###' }] }],
    [
      'then/1/ttll',
      {
        then: [
          { op: 'get', key: 'a' },
          { op: 'put', key: 'a', value: '1', ttll: '1s' },
        ],
      },
    ],
    ['then/0/metadata/UPPER', { then: [{ op: 'put', key: 'a', value: '1', metadata: { UPPER: 'x' } }] }],
    ['if/0', { if: [{ key: 'a' }] }],
    ['if/0', { if: [{ key: 'a', exists: true, version: 1 }] }],
    ['if/0/op', { if: [{ key: 'a', op: '==', exists: true }] }],
    ['iff', { iff: [] }],
    ['then', { then: {} }],
  ])('a fault at /%s is refused with its place', async (path, body) => {
    const { issues } = problemIn(await txn(body), 400, 'invalid_request');
    expect(issues.map((issue: { path: string }) => issue.path)).toContain(`/${path}`);
  });

  test('every fault has its place, up to twenty', async () => {
    const { issues } = problemIn(
      await txn({ then: Array.from({ length: 30 }, () => ({ op: 'get' })) }),
      400,
      'invalid_request',
    );
    expect(issues).toHaveLength(20);
    expect(issues[7].path).toBe('/then/7/key');
  });
});
