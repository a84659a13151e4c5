import { connect } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { PROBLEM_TYPE_PREFIX } from '@plinth/problem';
import { problemIn, withKv } from './kv-under-test.ts';

const kv = withKv();

interface RawAnswer {
  status: number;
  headers: string;
  // biome-ignore lint/suspicious/noExplicitAny: a problem, or nothing.
  body: any;
}

/** Sends bytes as they are, which `fetch` would put right, and reads one answer. */
function raw(text: string, { waitMs = 2_000 } = {}): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(kv.port, '127.0.0.1');
    let received = '';
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      const [headers = '', body = ''] = received.split('\r\n\r\n');
      if (headers === '') reject(new Error('no answer'));
      else
        resolve({
          status: Number(headers.split(' ')[1]),
          headers: headers.toLowerCase(),
          body: body && JSON.parse(body),
        });
    };
    const timer = setTimeout(done, waitMs);
    socket.on('error', () => {});
    socket.on('close', done);
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
      const length = /content-length: (\d+)/i.exec(received)?.[1];
      const head = received.indexOf('\r\n\r\n');
      if (head >= 0 && length !== undefined && received.length >= head + 4 + Number(length)) done();
    });
    socket.write(text, 'latin1');
  });
}

const request = (line: string, headers: Record<string, string> = {}) =>
  raw(
    `${line} HTTP/1.1\r\n${Object.entries({ host: 'localhost', connection: 'close', ...headers })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`,
  );

function refused(answer: RawAnswer, status: number, code: string) {
  expect([answer.status, answer.body?.code]).toEqual([status, code]);
  expect(answer.headers).toContain('content-type: application/problem+json');
  expect(answer.body.type).toBe(PROBLEM_TYPE_PREFIX + code);
  return answer.body;
}

describe('keys', () => {
  test.each([
    '',
    '..',
    '.',
    '%2e%2e',
    '%2E',
    'a/../b',
    'a/%2e%2e/b',
    'a%2f..',
    '../a',
    './a',
    'a/.',
    '%00',
    'a%00b',
    '%',
    '%2',
    '%zz',
    'a%2',
    '%%20',
  ])('the key "%s" is refused, whatever is to be done with it', async (key) => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
      const headers: Record<string, string> =
        method === 'PATCH' || method === 'PUT' ? { 'content-length': '2', 'content-type': 'application/json' } : {};
      const answer = await raw(
        `${method} /v1/kv/b/${key} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${Object.entries(headers)
          .map(([name, value]) => `${name}: ${value}\r\n`)
          .join('')}\r\n${'content-length' in headers ? '{}' : ''}`,
      );
      // A missing bucket is told first on reads: it has no key at all.
      if (answer.body.code !== 'bucket_not_found') refused(answer, 400, 'invalid_key');
      else expect(['GET', 'DELETE']).toContain(method);
    }
  });

  test('and none of them made a bucket or a key', async () => {
    problemIn(await kv.get('/v1/buckets/b'), 404, 'bucket_not_found');
    await kv.wrote('/v1/kv/b/k', 'v');
    refused(await request('GET /v1/kv/b/%2e%2e'), 400, 'invalid_key');
    expect(await kv.keys('b')).toEqual(['k']);
  });

  test('an address that is none of ours is 404, with the path as it came', async () => {
    for (const path of [
      '/',
      '/v1',
      '/v2/kv/b/k',
      '/v1/kv',
      '/v1/kv/',
      '/v1/kv/b:nothing',
      '/v1/snapshots/x:undo',
      '/favicon.ico',
      '/v1/kv//k',
    ]) {
      const answer = await request(`POST ${path}`, { 'content-length': '0' });
      expect([path, answer.status]).toEqual([path, path === '/v1/kv/b:nothing' ? 404 : 404]);
    }
  });
});

describe('values', () => {
  const MAX = 1_048_576;

  test('a value of 1,048,576 bytes is taken', async () => {
    expect((await kv.put('/v1/kv/b/max', Buffer.alloc(MAX, 7))).status).toBe(201);
    expect((await kv.get('/v1/kv/b/max')).bytes.equals(Buffer.alloc(MAX, 7))).toBe(true);
  });

  test('one byte more, declared, is refused before a byte of it is sent', async () => {
    const answer = await raw(`PUT /v1/kv/b/over HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${MAX + 1}\r\n\r\n`);
    expect(refused(answer, 413, 'value_too_large')).toMatchObject({ limitBytes: MAX });
    expect(answer.headers).toContain('connection: close');
  });

  test('one byte more, in chunks, is refused as soon as the limit is passed: the end never has to come', async () => {
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    const exact = chunk.repeat(16);
    const head = 'PUT /v1/kv/b/chunked HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n';
    refused(await raw(`${head}${exact}1\r\nx\r\n`), 413, 'value_too_large');
    expect((await raw(`${head}${exact}0\r\n\r\n`, { waitMs: 3_000 }).catch(() => ({ status: 0 }))).status).toBe(201);
    problemIn(await kv.get('/v1/kv/b/over'), 404, 'key_not_found');
  });

  test('Expect: 100-continue is answered with the refusal, not with the welcome', async () => {
    const head = (bytes: number) =>
      `PUT /v1/kv/b/expect HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: ${bytes}\r\n\r\n`;
    refused(await raw(head(MAX + 1)), 413, 'value_too_large');
    expect((await raw(head(5), { waitMs: 200 })).status).toBe(100);
  });

  test('metadata: 1,024 bytes of it are taken and one more is not; names are a–z, 0–9 and -', async () => {
    const bytes = 1_024 - '{"a":""}'.length;
    await kv.wrote('/v1/kv/b/meta', 'v', { 'kv-meta-a': 'x'.repeat(bytes) });
    expect((await kv.get('/v1/kv/b/meta')).headers.get('kv-meta-a')).toHaveLength(bytes);
    problemIn(await kv.put('/v1/kv/b/meta', 'v', { 'kv-meta-a': 'x'.repeat(bytes + 1) }), 400, 'invalid_request');
    for (const name of ['a_b', 'a.b', 'x'.repeat(65)]) {
      const { issues } = problemIn(
        await kv.put('/v1/kv/b/meta', 'v', { [`kv-meta-${name}`]: 'x' }),
        400,
        'invalid_request',
      );
      expect(issues[0].path).toBe(`/headers/kv-meta-${name}`);
    }
  });

  test('a content type of 255 characters is taken and one of 256 is not', async () => {
    const type = (length: number) => ({ 'content-type': `text/${'x'.repeat(length - 5)}` });
    await kv.wrote('/v1/kv/b/type', 'v', type(255));
    problemIn(await kv.put('/v1/kv/b/type', 'v', type(256)), 400, 'invalid_request');
  });

  test('a compressed body is 415: what is stored is what was sent, or nothing', async () => {
    problemIn(await kv.put('/v1/kv/b/gzip', 'v', { 'content-encoding': 'gzip' }), 415, 'unsupported_media_type');
  });
});

describe('queries', () => {
  test.each([
    ['/v1/kv/b?prefx=a', 'prefx', 'prefix'],
    ['/v1/kv/b?Limit=1', 'Limit', 'limit'],
    ['/v1/kv/b/k?revision=1', 'revision', 'known are'],
    ['/v1/watch/b?sinse=1', 'sinse', 'since'],
    ['/v1/buckets?x=1', 'x', 'no parameters'],
  ])('%s is refused and told what was meant', async (path, name, hint) => {
    const { issues } = problemIn(await kv.get(path), 400, 'invalid_request');
    expect(issues[0].path).toBe(`/query/${name}`);
    expect(issues[0].message).toContain(hint);
  });

  test.each([
    'limit=0',
    'limit=10001',
    'limit=-1',
    'limit=1.5',
    'limit=ten',
    'limit=',
    'limit=1&limit=2',
    'reverse=yes',
    'reverse=',
    'values=1',
    'delimiter=',
    'prefix=%ff',
    'prefix=%',
    'count=TRUE',
    'rev=x',
    'at=now',
  ])('?%s is refused with the parameter that is wrong', async (query) => {
    const { issues } = problemIn(await kv.get(`/v1/kv/b?${query}`), 400, 'invalid_request');
    expect(issues[0].path).toBe(`/query/${query.split('=')[0]}`);
  });

  test('every fault of a query is told at once', async () => {
    const { issues } = problemIn(await kv.get('/v1/kv/b?limit=0&reverse=yes&foo=1'), 400, 'invalid_request');
    expect(issues.map(({ path }: { path: string }) => path).sort()).toEqual([
      '/query/foo',
      '/query/limit',
      '/query/reverse',
    ]);
  });
});

describe('methods, media types, bodies', () => {
  test.each([
    ['POST', '/v1/kv/b/k', 'DELETE, GET, HEAD, PATCH, PUT, OPTIONS'],
    ['GET', '/v1/kv/b:batch', 'POST, OPTIONS'],
    ['PUT', '/v1/kv/b', 'DELETE, GET, HEAD, OPTIONS'],
    ['DELETE', '/v1/watch/b', 'GET, HEAD, OPTIONS'],
    ['POST', '/v1/buckets', 'GET, HEAD, OPTIONS'],
    ['PATCH', '/v1/buckets/b', 'DELETE, GET, HEAD, PUT, OPTIONS'],
  ])('%s %s is 405 and told what is allowed', async (method, path, allow) => {
    const answer = await kv.call(method, path);
    problemIn(answer, 405, 'method_not_allowed');
    expect(answer.headers.get('allow')).toBe(allow);
  });

  test.each(['text/plain', 'application/xml', 'multipart/form-data; boundary=x'])(
    'JSON operations refuse %s with 415',
    async (type) => {
      for (const path of ['/v1/kv/b:batch', '/v1/kv/b:txn', '/v1/kv/b/n:incr']) {
        problemIn(
          await kv.call('POST', path, { headers: { 'content-type': type }, body: '{}' }),
          415,
          'unsupported_media_type',
        );
      }
      problemIn(
        await kv.call('PUT', '/v1/buckets/x', { headers: { 'content-type': type }, body: '{}' }),
        415,
        'unsupported_media_type',
      );
    },
  );

  test('what curl says of a body that it was given with -d is taken for JSON, and for no type at all of a value', async () => {
    const curl = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await kv.call('POST', '/v1/kv/b:batch', { headers: curl, body: '{"operations":[]}' })).status).toBe(200);
    await kv.wrote('/v1/kv/b/curl', 'v', curl);
    expect((await kv.get('/v1/kv/b/curl')).headers.get('content-type')).toBe('application/octet-stream');
  });

  test.each([
    ['{"operations":[', 1],
    ['{\n"operations": [}\n', 2],
    ['nonsense', 1],
    ['\ufeff{}', 1],
  ])('the body %j is no JSON, and told where', async (body, line) => {
    const answer = await kv.call('POST', '/v1/kv/b:batch', { headers: { 'content-type': 'application/json' }, body });
    expect(problemIn(answer, 400, 'invalid_request').line).toBe(line);
  });

  test('a body that is no UTF-8, and no body where one is wanted, are refused', async () => {
    const headers = { 'content-type': 'application/json' };
    problemIn(
      await kv.call('POST', '/v1/kv/b:batch', { headers, body: Buffer.from([0x22, 0xff, 0x22]) }),
      400,
      'invalid_request',
    );
    problemIn(await kv.call('POST', '/v1/kv/b:batch', { headers }), 400, 'invalid_request');
    problemIn(await kv.call('PUT', '/v1/buckets/x', { headers }), 400, 'invalid_request');
  });

  test('JSON above 4 MiB is refused before it is read', async () => {
    const answer = await raw(
      `POST /v1/kv/b:txn HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${4 * 1_048_576 + 1}\r\n\r\n`,
    );
    refused(answer, 413, 'body_too_large');
  });
});

describe('who asks, and how long they wait', () => {
  test('a foreign Host is refused, with any method and on any path', async () => {
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.nip.io', '10.0.0.1']) {
      for (const line of ['GET /v1/kv/b/k', 'DELETE /v1/buckets/b', 'GET /healthz'])
        refused(await request(line, { host }), 403, 'foreign_origin');
    }
    for (const host of ['localhost', `127.0.0.1:${kv.port}`, '[::1]:7401', 'LOCALHOST'])
      expect((await request('GET /healthz', { host })).status).toBe(200);
  });

  test('a foreign Origin is refused and nothing is written; our own pages and programs are served', async () => {
    const own = `http://127.0.0.1:${kv.port}`;
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example']) {
      refused(await request('DELETE /v1/kv/b/max', { origin }), 403, 'foreign_origin');
    }
    refused(await request('GET /v1/kv/b/max', { 'sec-fetch-site': 'cross-site' }), 403, 'foreign_origin');
    expect((await kv.head('/v1/kv/b/max')).status).toBe(200);
    expect((await kv.get('/v1/kv/b/k', { origin: own })).status).toBe(200);
  });

  test.each(['0', '-1', '1.5', 'soon', '3600001', ''])('Request-Timeout-Ms: "%s" is refused', async (text) => {
    const body = refused(await request('GET /v1/kv/b/k', { 'request-timeout-ms': text }), 400, 'invalid_request');
    expect(body.issues[0].path).toBe('/headers/request-timeout-ms');
  });

  test('a legal Request-Timeout-Ms changes nothing of what is in time', async () => {
    for (const ms of ['5000', '3600000'])
      expect((await kv.put('/v1/kv/b/in-time', 'v', { 'request-timeout-ms': ms })).status).toBeLessThan(300);
  });

  test('a thousand wrong requests leave a service that is well', async () => {
    const wrong = [
      '/v1/kv/b/k?x=1',
      '/v1/kv/nothing/k',
      '/v1/watch/b?since=x',
      '/v1/kv/b?cursor=x',
      '/v1/kv/b/k?rev=99999999',
    ];
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, at) => kv.get(wrong[at % wrong.length]!)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400, 404]));
    expect((await kv.get('/readyz')).json.status).toBe('ready');
    expect((await kv.get('/v1/kv/b/k')).text).toBe('v');
  });
});
