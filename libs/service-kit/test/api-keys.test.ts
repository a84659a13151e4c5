/** API keys over the wire: what is asked before a request is read, on both lanes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { json, operationsOf, serve } from '@plinth/contracts';
import { tempDir } from '@plinth/testkit';
import { z } from 'zod';
import { hashOfKey, newKey } from '../src/keys/key-text.ts';
import { ConfigFault, type RunningService, startService } from '../src/service-kit.ts';
import { type RunningFixture, startFixture } from './fixture-service.ts';
import { exchange, head, open, parseAnswer, until } from './wire.ts';

const ROOT = newKey();
const KEYS = { reader: newKey(), writer: newKey(), below: newKey(), stranger: newKey() };
const SCOPES: Partial<Record<keyof typeof KEYS, string>> = {
  reader: 'fixture:read',
  writer: 'fixture:write',
  below: 'fixture:*:/v1/items/mine/',
};
const lineOf = (name: string, key: string, scopes: string) => `${name} ${hashOfKey(key)} ${scopes}\n`;

/** The environment of a service with these keys, and the file to change. */
function guarded(lines: string, root?: string) {
  const folder = tempDir('api-keys');
  const [keysFile, rootKeyFile] = [join(folder, 'api-keys'), join(folder, 'root-key')];
  writeFileSync(keysFile, lines);
  if (root !== undefined) writeFileSync(rootKeyFile, `${root}\n`);
  return { keysFile, env: { API_KEYS_FILE: keysFile, ...(root !== undefined && { API_ROOT_KEY_FILE: rootKeyFile }) } };
}

let running: RunningFixture;
beforeAll(async () => {
  const lines = Object.entries(SCOPES).map(([name, scopes]) => lineOf(name, KEYS[name as 'reader'], scopes));
  running = await startFixture({ env: guarded(lines.join(''), ROOT).env });
});
afterAll(async () => {
  running.fixture.go();
  await running.stop();
});

const started: RunningService[] = [];
afterEach(async () => {
  for (const { stop } of started.splice(0)) await stop();
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const ask = (path: string, key?: string, init: RequestInit = {}) =>
  fetch(running.url + path, { ...init, headers: { ...(key && bearer(key)), ...init.headers } });
const statusOf = async (path: string, key?: string, init?: RequestInit) => {
  const answer = await ask(path, key, init);
  await answer.body?.cancel();
  return answer.status;
};

/** One of each sort: both lanes, all sorts of bodies, a stream. */
const READS: [string, RequestInit][] = [
  ['/v1/items/a', {}],
  ['/v1/items/a', { method: 'HEAD' }],
  ['/v1/stream', {}],
  ['/v1/stream', { method: 'HEAD' }],
];
const WRITES: [string, RequestInit][] = [
  ['/v1/items/a', { method: 'PUT', body: 'x' }],
  ['/v1/items/a:count', { method: 'POST', body: '{"by":2}', headers: { 'content-type': 'application/json' } }],
  ['/v1/names/a', { method: 'POST' }],
  ['/v1/take', { method: 'POST', body: 'x' }],
];
const METHOD = ({ method = 'GET' }: RequestInit) => method;

describe('a request', () => {
  test.each([...READS, ...WRITES].map(([path, init]) => [METHOD(init), path, init] as const))(
    'without a key is a 401 that says how to send one: %s %s',
    async (_, path, init) => {
      const calls = running.fixture.calls.length;
      const answer = await ask(path, undefined, init);
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="plinth"');
      if (init.method !== 'HEAD') {
        const body = (await answer.json()) as Record<string, unknown>;
        expect(body).toMatchObject({ code: 'unauthenticated', status: 401, retryable: 'no' });
        expect(body.detail).toBe(
          'the request has no API key; send it as "Authorization: Bearer <key>" or "Api-Key: <key>"',
        );
      }
      expect(running.fixture.calls.length).toBe(calls);
    },
  );

  test.each([
    ['unknown', bearer(KEYS.stranger)],
    ['the hash of a known one', bearer(hashOfKey(ROOT))],
    ['too short', bearer(ROOT.slice(0, -1))],
    ['too long', bearer(`${ROOT}x`)],
    ['of 8,000 characters', bearer('k'.repeat(8_000))],
    ['with another scheme', { authorization: `Basic ${ROOT}` }],
    ['without a scheme', { authorization: ROOT }],
    ['empty', { authorization: 'Bearer' }],
    ['two', bearer(`${ROOT} ${ROOT}`)],
    ['two in one header', { 'api-key': `${ROOT}, ${ROOT}` }],
    ['an unknown one beside a known one', { ...bearer(ROOT), 'api-key': KEYS.stranger }],
    ['not ASCII', bearer('\xe9'.repeat(43))],
  ])('with a key that is no key of ours is a 401: %s', async (_, headers) => {
    const answer = await fetch(`${running.url}/v1/items/a`, { headers: headers as Record<string, string> });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="plinth"');
    const text = await answer.text();
    expect(JSON.parse(text)).toMatchObject({ code: 'unauthenticated' });
    expect(text).not.toContain(ROOT.slice(4, 20));
  });

  test.each([
    ['Bearer', bearer(ROOT)],
    ['a scheme in other letters', { authorization: `bEARER   ${ROOT}` }],
    ['Api-Key', { 'Api-Key': ROOT }],
    ['Api-Key beside what a proxy wants', { 'Api-Key': ROOT, authorization: 'Basic eDp5' }],
  ])('with a key is served: %s', async (_, headers) => {
    expect((await fetch(`${running.url}/v1/items/a`, { headers: headers as Record<string, string> })).status).toBe(200);
  });

  test('that is refused has its place in the counts', async () => {
    const count = async () => {
      const text = await (await ask('/metrics')).text();
      return Number(/requests_total\{operation="rename",status="401"\} (\d+)/.exec(text)?.[1] ?? 0);
    };
    const before = await count();
    await ask('/v1/names/a', undefined, { method: 'POST' });
    expect(await count()).toBe(before + 1);
  });
});

describe('scopes', () => {
  test.each(READS.map(([path, init]) => [METHOD(init), path, init] as const))('read: %s %s', async (_, path, init) => {
    expect(await statusOf(path, KEYS.reader, init)).toBe(200);
    expect(await statusOf(path, KEYS.writer, init)).toBe(403);
  });

  test.each(WRITES.map(([path, init]) => [METHOD(init), path, init] as const))(
    'write: %s %s',
    async (_, path, init) => {
      expect(await statusOf(path, KEYS.writer, init)).toBeLessThan(300);
      expect(await statusOf(path, KEYS.reader, init)).toBe(403);
    },
  );

  test('a 403 names the scope that is needed and whose key it was', async () => {
    const answer = await ask('/v1/items/a', KEYS.reader, { method: 'PUT', body: 'x' });
    expect(answer.headers.get('www-authenticate')).toBeNull();
    expect(await answer.json()).toMatchObject({
      code: 'forbidden',
      status: 403,
      retryable: 'no',
      scope: 'fixture:write',
      detail: 'the key reader does not have the scope fixture:write, which put needs at this path',
    });
  });

  test('a path is compared as it was sent, and leads nowhere else', async () => {
    const get = async (path: string) =>
      parseAnswer(await exchange(running.port, head(`GET ${path}`, { ...bearer(KEYS.below), Connection: 'close' })));
    const inside = await get('/v1/items/mine/../yours?limit=1');
    expect([inside.status, JSON.parse(inside.body).params]).toEqual([200, { key: 'mine/../yours' }]);
    const encoded = await get('/v1/items/mine/%2e%2e%2Fyours');
    expect([encoded.status, JSON.parse(encoded.body).params]).toEqual([200, { key: 'mine/../yours' }]);
    for (const path of [
      '/v1/items/mine',
      '/v1/items/mine2/a',
      '/v1/items/yours/../mine/a',
      '/v1/items/mine%2Fa',
      '/v1/items/%6Dine/a',
      '/v1/items/yours?x=/v1/items/mine/',
      '/v1/items//v1/items/mine/a',
    ])
      expect([path, (await get(path)).status]).toEqual([path, 403]);
    expect((await get('http://localhost/v1/items/mine/a')).status).toBe(404);
  });
});

describe('what is refused is not read', () => {
  const bad = bearer(KEYS.stranger);

  test('a body that is announced is not asked for', async () => {
    for (const path of ['/v1/items/a', '/v1/items/a:count', '/v1/take']) {
      const method = path === '/v1/items/a' ? 'PUT' : 'POST';
      const { socket, received } = await open(running.port);
      socket.write(head(`${method} ${path}`, { ...bad, Expect: '100-continue', 'Content-Length': 3 }));
      await until(() => received().includes('unauthenticated'), 'the answer');
      expect(received()).not.toContain('100 Continue');
      expect(parseAnswer(received())).toMatchObject({ status: 401, headers: { connection: 'close' } });
      socket.destroy();
    }
  });

  test('a caller that sends 20 MB before it reads still gets the answer', async () => {
    const big = Buffer.alloc(20_000_000, 'x');
    const sent = Buffer.concat([Buffer.from(head('PUT /v1/items/a', { ...bad, 'Content-Length': big.length })), big]);
    expect(parseAnswer(await exchange(running.port, sent, 10_000))).toMatchObject({ status: 401 });
  });

  test('nothing else that is wrong with the request is told', async () => {
    for (const path of ['/v1/items/%zz', '/v1/items/a?limti=5', '/v1/fail/bug'])
      expect(await statusOf(path, KEYS.stranger)).toBe(401);
    expect(await statusOf('/v1/items/a', KEYS.stranger, { headers: { 'request-timeout-ms': 'soon' } })).toBe(401);
    expect(await statusOf('/v1/items/a', KEYS.stranger, { method: 'PUT', body: 'x'.repeat(2_000) })).toBe(401);
  });
});

describe('open to all', () => {
  test.each(['/healthz', '/readyz', '/metrics', '/version', '/openapi.json', '/readyz?probe=1'])('%s', async (path) => {
    expect(await statusOf(path)).toBe(200);
    expect(await statusOf(path, KEYS.stranger)).toBe(200);
    expect(await statusOf(path, undefined, { method: 'HEAD' })).toBe(200);
  });

  test('which methods a path knows: what a browser asks beforehand', async () => {
    const asked = await ask('/v1/items/a', undefined, { method: 'OPTIONS' });
    expect([asked.status, asked.headers.get('allow')]).toEqual([204, 'GET, HEAD, PUT, OPTIONS']);
    const page = { origin: 'http://localhost:3000', 'access-control-request-headers': 'authorization' };
    const before = await ask('/v1/items/a', undefined, { method: 'OPTIONS', headers: page });
    expect([before.status, before.headers.get('access-control-allow-headers')]).toEqual([204, 'authorization']);
    const refused = await ask('/v1/items/a', undefined, { headers: page });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, page.origin]);
  });

  test('what is at no address, and with no method', async () => {
    expect(await statusOf('/v1/none')).toBe(404);
    expect(await statusOf('/v1/items/a', undefined, { method: 'PATCH' })).toBe(405);
  });
});

describe('keys that change', () => {
  test('under load: the new one is served, the old one refused, and no request is lost on the way', async () => {
    const [old, young, other] = [newKey(), newKey(), newKey()];
    const steady = lineOf('other', other, 'fixture:read');
    const { env, keysFile } = guarded(steady + lineOf('old', old, 'fixture:read'));
    const service = await startFixture({ env });
    started.push(service);
    const seen: Record<string, number[]> = { old: [], young: [], other: [] };
    let isOver = false;
    const keepAsking = async (name: string, key: string) => {
      while (!isOver) {
        const answer = await fetch(`${service.url}/v1/items/a`, { headers: bearer(key) });
        await answer.arrayBuffer();
        if (seen[name]!.at(-1) !== answer.status) seen[name]!.push(answer.status);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    };
    const callers = [keepAsking('old', old), keepAsking('young', young), keepAsking('other', other)];
    await until(() => seen.other!.length > 0, 'the load');
    writeFileSync(keysFile, steady + lineOf('old', old, 'fixture:read') + lineOf('young', young, 'fixture:read'));
    await until(() => seen.young!.at(-1) === 200, 'the young key');
    writeFileSync(keysFile, steady + lineOf('young', young, 'fixture:read'));
    await until(() => seen.old!.at(-1) === 401, 'the end of the old key');
    isOver = true;
    await Promise.all(callers);
    expect(seen).toEqual({ old: [200, 401], young: [401, 200], other: [200] });
  }, 20_000);

  test('end the streams and the waiting calls of a key that was taken away, and no others', async () => {
    const [gone, kept] = [newKey(), newKey()];
    const keep = lineOf('kept', kept, 'fixture:read');
    const { env, keysFile } = guarded(keep + lineOf('gone', gone, 'fixture:read'));
    const service = await startFixture({ env });
    started.push(service);
    const get = (path: string, key: string) => fetch(service.url + path, { headers: bearer(key) });
    const [streamOfGone, streamOfKept] = [await get('/v1/stream', gone), await get('/v1/stream', kept)];
    const [waitOfGone, waitOfKept] = [get('/v1/wait', gone), get('/v1/wait', kept)];
    await until(() => service.fixture.calls.length === 2, 'the calls');
    writeFileSync(keysFile, keep);
    expect(await streamOfGone.text()).toMatch(/^x+resume elsewhere$/);
    expect(await (await waitOfGone).json()).toMatchObject({ code: 'unauthenticated' });
    expect(service.fixture.streamsEnded).toBe(1);
    service.fixture.go();
    expect((await waitOfKept).status).toBe(200);
    await streamOfKept.body!.cancel();
  }, 20_000);
});

describe('a service', () => {
  const ping = (service: string) =>
    operationsOf(service)({
      name: 'ping',
      summary: 'Answer',
      method: 'GET',
      path: '/v1/ping',
      query: z.strictObject({}),
      body: { kind: 'none' },
      replies: [],
    });
  const startNamed = async (name: string, env: Record<string, string>, msgs: string[] = []) => {
    const log = { debug() {}, info() {}, warn: (msg: string) => void msgs.push(msg), error() {} };
    const service = {
      operations: [serve(ping(name), () => json(200, 'pong'))],
      notReady: () => undefined,
      stop: async () => {},
    };
    const one = await startService(
      { name, readConfig: () => ({}), build: () => service },
      { port: 0, env, kit: { log } },
    );
    started.push(one);
    return one;
  };

  test('asks for the scope of its own name, though all share one file', async () => {
    const [ofOne, ofBoth] = [newKey(), newKey()];
    const { env } = guarded(lineOf('one', ofOne, 'red:read') + lineOf('both', ofBoth, 'red:read,blue:read'));
    const [red, blue] = [await startNamed('red', env), await startNamed('blue', env)];
    const status = async ({ url }: RunningService, key: string) =>
      (await fetch(`${url}/v1/ping`, { headers: bearer(key) })).status;
    expect([await status(red, ofOne), await status(blue, ofOne)]).toEqual([200, 403]);
    expect([await status(red, ofBoth), await status(blue, ofBoth)]).toEqual([200, 200]);
  });

  test('with a file of keys that is malformed does not start', async () => {
    let isBuilt = false;
    const build = () => {
      isBuilt = true;
      throw new Error('too late');
    };
    const { env, keysFile } = guarded('ann kv:read\n');
    const start = startService(
      { name: 'red', readConfig: () => ({}), build },
      { env: { ...env, RED_LOG_LEVEL: 'silent' } },
    );
    const fault = await start.catch((error) => error);
    expect(fault).toBeInstanceOf(ConfigFault);
    expect(fault.faults).toEqual([
      `API_KEYS_FILE is "${keysFile}": line 1: it must be <name> <sha256 of the key, hex> <scope>[,<scope>…] [limit=<rule>]`,
    ]);
    expect(isBuilt).toBe(false);
  });

  test('that listens beyond loopback and asks for no key says so once, and which setting closes it', async () => {
    const outside = { RED_HOST: '0.0.0.0' };
    const warned = async (env: Record<string, string>) => {
      const msgs: string[] = [];
      await startNamed('red', env, msgs);
      return msgs;
    };
    expect(await warned(outside)).toEqual([
      'whoever reaches 0.0.0.0 may use this service: it asks for no API key; API_ROOT_KEY_FILE sets one',
    ]);
    expect(await warned({ ...outside, ...guarded('').env })).toEqual([]);
    expect(await warned({})).toEqual([]);
  });

  test('tells in its documents that callers need a key, and only then', async () => {
    const documentOf = async (env: Record<string, string>) => {
      const { url } = await startNamed('red', env);
      return (await (await fetch(`${url}/openapi.json`)).json()) as { security?: unknown; components: object };
    };
    const guardedDocument = await documentOf(guarded('').env);
    expect(guardedDocument.security).toEqual([{ bearer: [] }, { apiKey: [] }]);
    expect(guardedDocument.components).toMatchObject({ securitySchemes: { bearer: { scheme: 'bearer' } } });
    const openDocument = await documentOf({});
    expect(openDocument.security).toBeUndefined();
    expect(openDocument.components).not.toHaveProperty('securitySchemes');
  });

  test('lets a key for reading ask by POST what the contract says only reads', async () => {
    const ask = operationsOf('red')({ ...ping('red'), name: 'ask', method: 'POST', path: '/v1/ask', readsOnly: true });
    const service = {
      operations: [serve(ask, () => json(200, 'asked'))],
      notReady: () => undefined,
      stop: async () => {},
    };
    const [reader, writer] = [newKey(), newKey()];
    const env = {
      ...guarded(lineOf('reader', reader, 'red:read') + lineOf('writer', writer, 'red:write')).env,
      RED_LOG_LEVEL: 'silent',
    };
    const red = await startService({ name: 'red', readConfig: () => ({}), build: () => service }, { port: 0, env });
    started.push(red);
    const status = async (key: string) =>
      (await fetch(`${red.url}/v1/ask`, { method: 'POST', headers: bearer(key) })).status;
    expect([await status(reader), await status(writer)]).toEqual([200, 403]);
  });

  test('whose file of keys is empty serves nobody', async () => {
    const { url } = await startNamed('red', guarded('# none yet\n').env);
    expect((await fetch(`${url}/v1/ping`, { headers: bearer(newKey()) })).status).toBe(401);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});
