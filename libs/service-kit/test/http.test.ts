import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type RunningFixture, startFixture } from './fixture-service.ts';
import { exchange, head, open, parseAnswer, until } from './wire.ts';

let running: RunningFixture;
beforeAll(async () => {
  running = await startFixture();
});
afterAll(() => running.stop());

const ask = (path: string, init?: RequestInit) => fetch(running.url + path, init);
const problem = async (path: string, init?: RequestInit) => {
  const answer = await ask(path, init);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  const body = (await answer.json()) as Record<string, unknown>;
  expect(body.status).toBe(answer.status);
  expect(body.instance).toBe(answer.headers.get('request-id'));
  return { status: answer.status, headers: answer.headers, body, code: body.code };
};

describe('paths', () => {
  test('a key is the rest of the path, with its slashes and colons', async () => {
    const { params } = (await (await ask('/v1/items/a/b:c/d')).json()) as { params: unknown };
    expect(params).toEqual({ key: 'a/b:c/d' });
  });

  test('percent signs are decoded to bytes, not to UTF-8', async () => {
    const { params } = (await (await ask('/v1/items/%C3%A9%FF%2F%25')).json()) as { params: unknown };
    expect(params).toEqual({ key: '\xc3\xa9\xff/%' });
  });

  test('bytes beyond ASCII without percent signs are no HTTP', async () => {
    const request = Buffer.from(head('GET /v1/items/\xff', { Connection: 'close' }), 'latin1');
    expect(parseAnswer(await exchange(running.port, request))).toMatchObject({ status: 400 });
  });

  test('a verb behind a key is a verb for POST and a part of the key for GET', async () => {
    const body = new TextEncoder().encode('{"operations":[]}');
    const echoed = await ask('/v1/items/k:echo', { method: 'POST', body });
    expect(await echoed.json()).toEqual({ body: { operations: [] }, params: { key: 'k' } });
    expect(await (await ask('/v1/items/k:echo')).json()).toMatchObject({ params: { key: 'k:echo' } });
  });

  test('an encoded colon is never a verb', async () => {
    expect(await problem('/v1/items/k%3Aecho', { method: 'POST', body: '{}' })).toMatchObject({
      code: 'method_not_allowed',
    });
  });

  test('a segment takes neither a slash nor a colon, unless encoded', async () => {
    const rename = (path: string) => ask(path, { method: 'POST' });
    expect(await (await rename('/v1/names/a%2Fb%3Ac%FF')).json()).toEqual({ name: 'a/b:c\xff' });
    expect((await rename('/v1/names/a/b')).status).toBe(404);
    expect((await rename('/v1/names/a:b')).status).toBe(404);
  });

  test.each(['%', '%4', '%4g', 'a%zzb'])('a % without two hex digits is refused as a key: %s', async (key) => {
    expect(await problem(`/v1/items/${key}`)).toMatchObject({ status: 400, code: 'invalid_key' });
  });

  test('… and as invalid_request where there are no keys', async () => {
    expect(await problem('/v1/names/%zz', { method: 'POST' })).toMatchObject({ status: 400, code: 'invalid_request' });
  });
});

describe('methods', () => {
  test('an address that does not exist is a 404 problem', async () => {
    expect(await problem('/v1/none')).toMatchObject({ status: 404, code: 'not_found' });
  });

  test('a method that the address does not know is a 405 that lists those it knows', async () => {
    const { status, headers } = await problem('/v1/items/a', { method: 'PATCH' });
    expect(status).toBe(405);
    expect(headers.get('allow')).toBe('GET, HEAD, PUT, OPTIONS');
  });

  test.each(['/v1/items/nothing', '/readyz'])('HEAD answers what GET would, without its body: %s', async (path) => {
    const [got, asked] = [await ask(path), await ask(path, { method: 'HEAD' })];
    expect(asked.status).toBe(200);
    expect(await asked.text()).toBe('');
    // The two ids are of one length or differ by a digit.
    const [gotBytes, askedBytes] = [got, asked].map((answer) => Number(answer.headers.get('content-length')));
    expect(Math.abs(gotBytes! - askedBytes!)).toBeLessThan(2);
  });

  test('HEAD of a stream answers its head and ends the stream', async () => {
    expect((await ask('/v1/stream', { method: 'HEAD' })).status).toBe(200);
  });

  test('OPTIONS lists the methods', async () => {
    const answer = await ask('/v1/items/a', { method: 'OPTIONS' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([204, 'GET, HEAD, PUT, OPTIONS']);
  });
});

describe('queries', () => {
  test('an unknown parameter is refused, naming the nearest that is known', async () => {
    const { body } = await problem('/v1/items/a?limti=5');
    expect(body.issues).toEqual([{ path: '/query/limti', message: 'is no parameter here; did you mean limit?' }]);
  });

  test('a parameter with a bad value is named', async () => {
    const { status, body } = await problem('/v1/items/a?limit=x');
    expect(status).toBe(400);
    expect(body.issues).toMatchObject([{ path: '/query/limit' }]);
  });

  test('a parameter that is given twice is refused', async () => {
    const { body } = await problem('/v1/items/a?limit=1&limit=1');
    expect(body.issues).toEqual([{ path: '/query/limit', message: 'is given more than once' }]);
  });

  test.each(['__proto__=1', 'constructor=1'])('%s is an unknown parameter like any other', async (search) => {
    expect(await problem(`/v1/items/a?${search}`)).toMatchObject({ status: 400 });
  });

  test.each([
    ['?', {}],
    ['?limit=5&', { limit: 5 }],
    ['?prefix=a%20b+c', { prefix: 'a b c' }],
    ['?prefix=%C3%A9', { prefix: 'é' }],
    ['?prefix', { prefix: '' }],
    ['?prefix=a=b', { prefix: 'a=b' }],
  ])('%s is read as %j', async (search, query) => {
    expect(await (await ask(`/v1/items/a${search}`)).json()).toMatchObject({ query });
  });

  test.each(['?prefix=%FF', '?prefix=%zz'])('text that is not UTF-8 is refused: %s', async (search) => {
    expect(await problem(`/v1/items/a${search}`)).toMatchObject({ status: 400, code: 'invalid_request' });
  });
});

describe('JSON bodies', () => {
  /** Bytes, since `fetch` calls text `text/plain`. */
  const post = (body: string | Uint8Array<ArrayBuffer>, type?: string): RequestInit => ({
    method: 'POST',
    body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
    headers: type ? { 'content-type': type } : {},
  });
  const GOOD = '{"operations":[{"key":"k"}]}';

  test.each([
    undefined,
    'application/json',
    'application/json; charset=utf-8',
    'Application/JSON',
    'application/merge-patch+json',
    'application/x-www-form-urlencoded',
  ])('are taken with the content type %s', async (type) => {
    expect((await ask('/v1/items/k:echo', post(GOOD, type))).status).toBe(200);
  });

  test.each(['text/plain', 'application/xml', 'multipart/form-data; boundary=x'])('are refused as %s', async (type) => {
    const refused = await problem('/v1/items/k:echo', post(GOOD, type));
    expect(refused).toMatchObject({ status: 415, code: 'unsupported_media_type' });
    expect(refused.body.detail).toContain('application/json, application/merge-patch+json');
  });

  test('a fault has a JSON Pointer', async () => {
    const { body } = await problem(
      '/v1/items/k:echo',
      post('{"operations":[{"key":"a"},{"key":1,"x":1},{"key":"k","a/b":"~"}]}'),
    );
    expect((body.issues as { path: string }[]).map(({ path }) => path)).toEqual([
      '/operations/1/key',
      '/operations/1/x',
      '/operations/2/a~1b',
    ]);
  });

  test('of a thousand faults twenty are told, and how many there are', async () => {
    const { body } = await problem('/v1/items/k:echo', post(JSON.stringify({ operations: Array(30).fill(1) })));
    expect(body.issues).toHaveLength(20);
    expect(body.detail).toContain('(and 29 more)');
  });

  test.each([
    ['{"operations":[', 1, 16, 'it ends too early'],
    ['{"operations":[}', 1, 16, 'a value or ] is wanted'],
    ['{\n  "a": tru\n}', 2, 8, 'a value is wanted'],
    ['{"a":1,}', 1, 8, 'a member name in double quotes is wanted'],
    ['[1 2]', 1, 4, 'a comma or the end of the list is wanted'],
    ['{} x', 1, 4, 'nothing more is wanted'],
    ['"a\nb"', 1, 3, 'a value is wanted'],
  ])('text that is no JSON is refused at its place: %j', async (text, line, column, words) => {
    const { body, status } = await problem('/v1/items/k:echo', post(text));
    expect({ status, line: body.line, column: body.column }).toEqual({ status: 400, line, column });
    expect(body.detail).toBe(`the body is not JSON: ${words} at line ${line}, column ${column}`);
  });

  test('reach a handler that keeps parts of them as they were written', async () => {
    const text = ' {"n": 9007199254740993, "n": 1.50}';
    const answer = await ask('/v1/items/k:quote', post(text));
    expect(await answer.json()).toEqual({ text, value: { n: 1.5 } });
    expect(await problem('/v1/items/k:quote', post('{"n":'))).toMatchObject({ status: 400, code: 'invalid_request' });
  });

  test('bytes that are not UTF-8 are refused', async () => {
    expect(await problem('/v1/items/k:echo', post(new Uint8Array([0x22, 0xff, 0x22])))).toMatchObject({ status: 400 });
  });

  test('no body is the default of the schema, or refused when there is none', async () => {
    expect(await (await ask('/v1/items/k:count', { method: 'POST' })).json()).toEqual({ by: 1 });
    expect(await problem('/v1/items/k:echo', { method: 'POST' })).toMatchObject({
      status: 400,
      code: 'invalid_request',
    });
  });
});

describe('bodies of bytes', () => {
  const put = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    ask(path, { method: 'PUT', body, headers });

  test('come back as they were, empty and full, in one piece and in many', async () => {
    for (const length of [0, 1, 999, 1_000]) {
      const value = Uint8Array.from({ length }, (_, index) => index % 256);
      expect((await put('/v1/items/bytes', value)).status).toBe(204);
      expect(new Uint8Array(await (await ask('/v1/items/bytes')).arrayBuffer())).toEqual(value);
    }
    const pieces = `${head('PUT /v1/items/pieces', { 'Transfer-Encoding': 'chunked', Connection: 'close' })}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`;
    await exchange(running.port, pieces);
    expect(await (await ask('/v1/items/pieces')).text()).toBe('abcde');
  });

  test('one byte too many is refused without being read, and the caller reads the answer', async () => {
    const calls = running.fixture.calls.length;
    const refused = await put('/v1/items/big', 'x'.repeat(1_001));
    expect(refused.status).toBe(413);
    expect(await refused.json()).toMatchObject({
      code: 'value_too_large',
      detail: 'value is 1,001 bytes; the most is 1,000',
      limitBytes: 1_000,
    });
    expect(running.fixture.calls.length).toBe(calls);
  });

  test('a caller that sends 20 MB before it reads still gets the answer', async () => {
    const big = Buffer.alloc(20_000_000, 'x');
    const sent = Buffer.concat([Buffer.from(head('PUT /v1/items/big', { 'Content-Length': big.length })), big]);
    const answer = parseAnswer(await exchange(running.port, sent, 10_000));
    expect(answer).toMatchObject({ status: 413, headers: { connection: 'close' } });
  });

  test('chunks are cut where they pass the limit', async () => {
    const chunk = `200\r\n${'x'.repeat(512)}\r\n`;
    const sent = head('PUT /v1/items/big', { 'Transfer-Encoding': 'chunked' }) + chunk + chunk + chunk;
    const { socket, received } = await open(running.port);
    socket.write(sent);
    await until(() => received().includes('limitBytes'), 'the answer');
    expect(parseAnswer(received())).toMatchObject({ status: 413, headers: { connection: 'close' } });
    socket.destroy();
  });

  test('Expect: 100-continue is answered when the length will do, and only then', async () => {
    const { socket, received } = await open(running.port);
    socket.write(head('PUT /v1/items/asked', { Expect: '100-continue', 'Content-Length': 3 }));
    await until(() => received() !== '', 'the interim answer');
    expect(received()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('abc');
    await until(() => received().includes('204'), 'the answer');
    socket.destroy();
    const refused = await open(running.port);
    refused.socket.write(head('PUT /v1/items/asked', { Expect: '100-continue', 'Content-Length': 3_000 }));
    await until(() => refused.received().includes('limitBytes'), 'the answer');
    expect(parseAnswer(refused.received()).status).toBe(413);
    refused.socket.destroy();
  });

  test('any other expectation is refused', async () => {
    const answer = await exchange(running.port, head('GET /v1/items/a', { Expect: 'tea', Connection: 'close' }));
    expect(parseAnswer(answer)).toMatchObject({ status: 400, headers: { 'content-type': 'application/problem+json' } });
  });

  test('a body that is broken off calls nothing', async () => {
    const calls = running.fixture.calls.length;
    const { socket, closed } = await open(running.port);
    socket.write(`${head('PUT /v1/items/half', { 'Content-Length': 10 })}12345`);
    await new Promise((resolve) => setTimeout(resolve, 30));
    socket.destroy();
    await closed;
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(running.fixture.calls.length).toBe(calls);
  });

  test('a compressed body is refused, identity is not', async () => {
    expect((await put('/v1/items/z', 'x', { 'content-encoding': 'gzip' })).status).toBe(415);
    expect((await put('/v1/items/z', 'x', { 'content-encoding': 'identity' })).status).toBe(204);
  });

  test('a streamed body has no limit, and may be refused half-way without losing the answer', async () => {
    const body = 'x'.repeat(200_000);
    expect(await (await ask('/v1/take', { method: 'POST', body })).json()).toEqual({ bytes: 200_000 });
    const refused = await problem('/v1/take?stopAfterBytes=10', { method: 'POST', body: body.repeat(20) });
    expect(refused).toMatchObject({ status: 413, code: 'value_too_large' });
  });
});

describe('answers', () => {
  test('have an id: the caller’s own when it is sane, else one of ours', async () => {
    const idOf = async (given?: string) =>
      (await ask('/v1/items/a', { headers: given ? { 'request-id': given } : {} })).headers.get('request-id');
    expect(await idOf('mine-1')).toBe('mine-1');
    expect(await idOf('a b"c')).toMatch(/^[0-9a-z]{8}-[0-9a-z]+$/);
    expect(await idOf('x'.repeat(129))).not.toContain('xxx');
    expect(await idOf()).not.toBe(await idOf());
  });

  test('say nosniff and the time, and nothing of what they run on', async () => {
    const { headers } = await ask('/readyz');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(Date.parse(headers.get('date')!)).toBeGreaterThan(0);
    expect(headers.get('x-powered-by')).toBeNull();
  });

  test('a header value with characters that no header may have does not become a 500', async () => {
    const answer = await ask('/v1/items/invalid-header');
    expect([answer.status, answer.headers.get('x-note')]).toEqual([200, 'a??b?']);
  });

  test('a problem carries its members and when to try again', async () => {
    const { body, headers } = await problem('/v1/fail/problem');
    expect(headers.get('retry-after')).toBe('2');
    expect(body).toMatchObject({ code: 'overloaded', waiting: 7, retryAfterMs: 1_500 });
  });

  test.each(['bug', 'late-bug'])('a bug is a 500 that tells nothing: %s', async (how) => {
    const { status, body } = await problem(`/v1/fail/${how}`);
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain('secret');
  });

  test('what is no HTTP is answered with a problem, and the connection closed', async () => {
    const answer = parseAnswer(await exchange(running.port, 'NONSENSE\r\n\r\n'));
    expect(answer).toMatchObject({
      status: 400,
      headers: { 'content-type': 'application/problem+json', connection: 'close' },
    });
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'invalid_request', status: 400 });
  });

  test('headers beyond 16 KiB are a 431', async () => {
    const answer = parseAnswer(await exchange(running.port, head('GET /readyz', { Much: 'x'.repeat(20_000) })));
    expect(answer.status).toBe(431);
    expect(JSON.parse(answer.body)).toMatchObject({ status: 431 });
  });

  test('a request of HTTP/1.1 without Host is refused', async () => {
    const answer = parseAnswer(await exchange(running.port, 'GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n'));
    expect(answer).toMatchObject({ status: 400, headers: { 'content-type': 'application/problem+json' } });
  });

  test('several requests sent at once are answered in order', async () => {
    const three = head('GET /v1/work') + head('GET /v1/items/b') + head('GET /readyz', { Connection: 'close' });
    const text = await exchange(running.port, three);
    expect(text.match(/HTTP\/1.1 200 OK/g)).toHaveLength(3);
    expect(text.indexOf('done')).toBeLessThan(text.indexOf('"key":"b"'));
  });
});

describe('streams', () => {
  test('end their generator when the reader goes away', async () => {
    const ended = running.fixture.streamsEnded;
    const leaving = new AbortController();
    const answer = await ask('/v1/stream', { signal: leaving.signal });
    const reader = answer.body!.getReader();
    await reader.read();
    leaving.abort();
    await until(() => running.fixture.streamsEnded === ended + 1, 'the generator to end');
  });

  test('are cut off when they break, so that nobody takes them for whole', async () => {
    const answer = await ask('/v1/stream?breakAfter=3');
    await expect(answer.text()).rejects.toThrow();
  });

  test('wait for a slow reader, and are cut when it takes nothing at all', async () => {
    const ended = running.fixture.streamsEnded;
    const { socket, closed } = await open(running.port);
    socket.pause();
    socket.write(head('GET /v1/stream?pieceBytes=1000000'));
    await until(() => running.fixture.streamsEnded === ended + 1, 'the stream to be cut');
    socket.resume();
    await closed;
  });
});
