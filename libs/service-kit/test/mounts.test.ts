/** Somebody else's router below a path of a service: what it meets before it is asked, and sessions of browsers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { startOtlpReceiver, tempDir } from '@plinth/testkit';
import express from 'express';
import { hashOfKey, newKey } from '../src/keys/key-text.ts';
import { type Mount, type RunningService, startService } from '../src/service-kit.ts';
import { exchange, head, parseAnswer } from './wire.ts';

const started: RunningService[] = [];
afterEach(async () => {
  for (const { stop } of started.splice(0)) await stop();
});

/** A router as others write them. */
function router() {
  const app = express();
  app.get('/seen', (req, res) => void res.json({ url: req.url, base: req.baseUrl }));
  app.get('/slow', async (_, res) => {
    await sleep(300);
    res.send('late');
  });
  app.post('/change', express.json(), (req, res) => void res.status(201).json(req.body));
  app.get('/broken', () => {
    throw new Error('a secret of the router');
  });
  return app;
}

async function start(env: Record<string, string> = {}, mount: Partial<Mount> = {}): Promise<RunningService> {
  const app = router();
  const shown: Mount = {
    name: 'board',
    path: '/board',
    handle: ({ req, res, next, mayWrite }) => {
      res.setHeader('may-write', String(mayWrite));
      app(req as never, res as never, next);
    },
    ...mount,
  };
  const none = { operations: [], notReady: () => undefined, stop: async () => {} };
  const build = () => ({ ...none, mounts: [shown] });
  const definition = { name: 'fixture', readConfig: () => ({}), build };
  const running = await startService(definition, { env: { FIXTURE_LOG_LEVEL: 'silent', ...env }, port: 0 });
  started.push(running);
  return running;
}

const KEYS = { root: newKey(), reader: newKey(), writer: newKey(), elsewhere: newKey() };

function guarded(): Record<string, string> {
  const file = join(tempDir('keys'), 'api-keys');
  const line = (name: keyof typeof KEYS, scopes: string) => `${name} ${hashOfKey(KEYS[name])} ${scopes}\n`;
  const lines = [line('root', '*'), line('reader', 'fixture:read'), line('writer', 'fixture:write:/board')];
  writeFileSync(file, lines.join('') + line('elsewhere', 'fixture:*:/v1'));
  return { API_KEYS_FILE: file };
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const json = { 'content-type': 'application/json' };

describe('a mount', () => {
  test('is asked for what lies at its path and below, with the path taken off, and for nothing else', async () => {
    const { url } = await start();
    const seen = await fetch(`${url}/board/seen?a=1`);
    expect(await seen.json()).toEqual({ url: '/seen?a=1', base: '/board' });
    expect(seen.headers.get('request-id')).toMatch(/\w/);
    expect(seen.headers.get('x-content-type-options')).toBe('nosniff');
    expect(seen.headers.get('x-powered-by')).toBe('Express');
    for (const path of ['/boards/seen', '/boar', '/seen', '/v1/board/seen'])
      expect((await fetch(url + path)).status).toBe(404);
  });

  test('that has nothing at a path leaves the answer to the kit', async () => {
    const { url } = await start();
    const answer = await fetch(`${url}/board/nothing`);
    expect([answer.status, await answer.json()]).toMatchObject([404, { code: 'not_found' }]);
  });

  test('that breaks is a 500 without its words, and the next request is served', async () => {
    const broken = (): never => {
      throw new Error('a secret of the mount');
    };
    const { url } = await start(
      {},
      { handle: ({ req, next }) => (req.url === '/' ? broken() : next(new Error('a secret'))) },
    );
    for (const path of ['/board/', '/board/other']) {
      const answer = await fetch(url + path);
      expect(answer.status).toBe(500);
      expect(await answer.text()).not.toContain('secret');
    }
  });

  test('is counted, and has a span', async () => {
    const receiver = await startOtlpReceiver();
    const running = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
    const traceId = (await fetch(`${running.url}/board/seen`)).headers.get('trace-id');
    const metrics = await (await fetch(`${running.url}/metrics`)).text();
    expect(metrics).toContain('plinth_fixture_http_requests_total{operation="board",status="200"} 1');
    expect(metrics).toContain('plinth_fixture_http_requests_in_flight 1');
    await running.stop();
    expect(receiver.spans).toContainEqual(expect.objectContaining({ name: 'GET /board', traceId }));
  });

  test('takes no body that is too long, and none of unknown length', async () => {
    const { url, port } = await start();
    const post = (body: string) => fetch(`${url}/board/change`, { method: 'POST', headers: json, body });
    expect([(await post('{"a":1}')).status, (await post(`"${'x'.repeat(1_048_577)}"`)).status]).toEqual([201, 413]);
    const chunked = head('POST /board/change', { ...json, 'Transfer-Encoding': 'chunked', Connection: 'close' });
    expect(parseAnswer(await exchange(port, `${chunked}0\r\n\r\n`)).status).toBe(400);
  });

  test('keeps other web pages out', async () => {
    const { url, port } = await start();
    const foreign = await fetch(`${url}/board/seen`, { headers: { origin: 'https://evil.example' } });
    expect(foreign.status).toBe(403);
    const rebound = head('GET /board/seen', { Host: 'evil.example', Connection: 'close' });
    expect(parseAnswer(await exchange(port, rebound)).status).toBe(403);
  });

  test('finishes what is under way when the service stops', async () => {
    const running = await start();
    const answer = fetch(`${running.url}/board/slow`);
    await sleep(100);
    await running.stop();
    expect(await (await answer).text()).toBe('late');
  });

  test('has its place among the requests in flight', async () => {
    const { url } = await start({ FIXTURE_IN_FLIGHT_MAX: '1' });
    const first = fetch(`${url}/board/slow`);
    await sleep(100);
    const second = await fetch(`${url}/board/seen`);
    expect([second.status, (await first).status, (await fetch(`${url}/board/seen`)).status]).toEqual([503, 200, 200]);
  });
});

describe('with API keys, a mount', () => {
  test.each([
    ['no key', 'GET', {}, 401],
    ['an unknown key', 'GET', bearer(newKey()), 401],
    ['a key for other paths', 'GET', bearer(KEYS.elsewhere), 403],
    ['a key that may only write', 'GET', bearer(KEYS.writer), 403],
    ['a key that may read', 'GET', bearer(KEYS.reader), 200],
    ['a key that may only read', 'POST', bearer(KEYS.reader), 403],
    ['a key that may write', 'POST', bearer(KEYS.writer), 201],
    ['the root key', 'POST', bearer(KEYS.root), 201],
  ])('answers %s: %s', async (_, method, headers, status) => {
    const { url } = await start(guarded());
    const write = { path: '/board/change', init: { method, headers: { ...json, ...headers }, body: '{}' } };
    const { path, init } = method === 'GET' ? { path: '/board/seen', init: { headers } } : write;
    expect((await fetch(url + path, init as RequestInit)).status).toBe(status);
  });

  test('is told whether its caller may write', async () => {
    const { url } = await start(guarded());
    const mayWrite = async (key: string) =>
      (await fetch(`${url}/board/seen`, { headers: bearer(key) })).headers.get('may-write');
    expect([await mayWrite(KEYS.reader), await mayWrite(KEYS.root)]).toEqual(['false', 'true']);
  });

  test('leads a person without a key to where one is asked for, and tells a program', async () => {
    const { url } = await start(guarded(), { signIn: '/#/board/key' });
    const asked = (accept: string, method = 'GET') =>
      fetch(`${url}/board/`, { method, headers: { accept }, redirect: 'manual' });
    const person = await asked('text/html,application/xhtml+xml');
    expect([person.status, person.headers.get('location')]).toEqual([303, '/#/board/key']);
    expect((await asked('application/json')).status).toBe(401);
    expect((await asked('text/html', 'POST')).status).toBe(401);
  });
});

describe('a session', () => {
  const begin = (url: string, headers: Record<string, string>) =>
    fetch(`${url}/board:session`, { method: 'POST', headers });
  async function cookieOf(url: string, key: string): Promise<string> {
    const answer = await begin(url, bearer(key));
    expect(answer.status).toBe(204);
    return answer.headers.get('set-cookie')!.split(';', 1)[0]!;
  }

  test('is a cookie that no script reads and no other site sends, for the mount alone', async () => {
    const { url, port } = await start(guarded());
    const cookie = (await begin(url, bearer(KEYS.root))).headers.get('set-cookie');
    expect(cookie).toMatch(/^plinth-session=[\w-]+; Path=\/board; Max-Age=28800; HttpOnly; SameSite=Strict$/);
    expect(cookie).not.toContain(KEYS.root);
    // Behind TLS that ends before it, the page says so.
    const overTls = { Host: 'localhost', Origin: 'https://localhost', Authorization: `Bearer ${KEYS.root}` };
    const secure = await exchange(
      port,
      head('POST /board:session', { ...overTls, 'Content-Length': 0, Connection: 'close' }),
    );
    expect(parseAnswer(secure).headers['set-cookie']).toMatch(/; Secure$/);
  });

  test('begins with a key that may read there, and with no other', async () => {
    const { url } = await start(guarded());
    expect((await begin(url, {})).status).toBe(401);
    expect((await begin(url, bearer(KEYS.elsewhere))).status).toBe(403);
    expect((await begin(url, bearer(KEYS.reader))).status).toBe(204);
    expect((await begin(url, { ...bearer(KEYS.reader), origin: 'https://evil.example' })).status).toBe(403);
  });

  test('may do what its key may, here and nowhere else', async () => {
    const { url } = await start(guarded());
    const cookie = await cookieOf(url, KEYS.reader);
    expect((await fetch(`${url}/board/seen`, { headers: { cookie } })).status).toBe(200);
    const own = { ...json, cookie, 'sec-fetch-site': 'same-origin' };
    const change = await fetch(`${url}/board/change`, { method: 'POST', headers: own, body: '{}' });
    expect([change.status, await change.json()]).toMatchObject([403, { code: 'forbidden' }]);
    // An operation knows no cookies, so that no page can be made to ask it.
    expect((await begin(url, { cookie })).status).toBe(401);
    for (const value of ['', 'eA', 'eHg.', '%00'])
      expect((await fetch(`${url}/board/seen`, { headers: { cookie: `plinth-session=${value}` } })).status).toBe(401);
  });

  test('changes nothing unless a page of this very origin asks', async () => {
    const { url } = await start(guarded());
    const cookie = await cookieOf(url, KEYS.root);
    const statusWith = async (headers: Record<string, string>) =>
      (await fetch(`${url}/board/change`, { method: 'POST', headers: { ...json, cookie, ...headers }, body: '{}' }))
        .status;
    expect(await statusWith({ 'sec-fetch-site': 'same-origin' })).toBe(201);
    expect(await statusWith({ origin: url })).toBe(201);
    expect(await statusWith({})).toBe(403);
    // The same host at another port is the same site, and another origin.
    expect(await statusWith({ 'sec-fetch-site': 'same-site' })).toBe(403);
    expect(await statusWith({ 'sec-fetch-site': 'none' })).toBe(403);
    expect(await statusWith({ origin: 'http://127.0.0.1:1' })).toBe(403);
    expect(await statusWith({ origin: 'null' })).toBe(403);
    // Whoever sends a key itself is no page that was tricked.
    expect(await statusWith(bearer(KEYS.root))).toBe(201);
  });

  test('ends with its key', async () => {
    const { API_KEYS_FILE: file = '' } = guarded();
    const { url } = await start({ API_KEYS_FILE: file });
    const cookie = await cookieOf(url, KEYS.reader);
    writeFileSync(file, `root ${hashOfKey(KEYS.root)} *\n`);
    const until = Date.now() + 5_000;
    const status = async () => (await fetch(`${url}/board/seen`, { headers: { cookie } })).status;
    while ((await status()) !== 401 && Date.now() < until) await sleep(100);
    expect(await status()).toBe(401);
  });

  test('is not needed where no keys are', async () => {
    const { url } = await start();
    const answer = await begin(url, {});
    expect([answer.status, answer.headers.get('set-cookie')]).toEqual([204, null]);
  });
});
