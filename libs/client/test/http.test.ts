import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type ApiKey, type Client, createClient, type KvBucket } from '../src/client.ts';
import { answer, ndjson, problem, reset, resetAmid, ScriptedServer, silence } from './scripted-server.ts';

const ENTRY = { 'kv-revision': '7', 'kv-create-revision': '3', 'kv-version': '2', 'content-type': 'text/plain' };
const good = answer(200, ENTRY, 'hello');
const written = answer(201, ENTRY);

let server: ScriptedServer;
let client: Client;
let bucket: KvBucket;

beforeAll(async () => {
  server = await ScriptedServer.start();
});
afterAll(() => server.stop());
beforeEach(() => {
  client = createClient({ url: server.url });
  bucket = client.kv.bucket('demo');
});
afterEach(() => client.close());

describe('repeats', () => {
  test('503 and then 200 is 200', async () => {
    server.script(problem(503, 'overloaded'), good);
    expect((await bucket.get('a'))?.text()).toBe('hello');
    expect(server.requests).toHaveLength(2);
  });

  test('Retry-After is waited for', async () => {
    server.script(problem(503, 'overloaded', { 'retry-after': '1' }), good);
    const startMs = performance.now();
    await bucket.get('a');
    expect(performance.now() - startMs).toBeGreaterThan(990);
  });

  test('a connection that breaks before or amid the answer to a read is another try', async () => {
    server.script(reset, resetAmid({ ...ENTRY, 'content-length': '5' }, 'he'), good);
    expect((await bucket.get('a'))?.text()).toBe('hello');
    expect(server.requests).toHaveLength(3);
  });

  test('a write whose answer was lost is sent again, with its own key when it counts', async () => {
    server.script(reset, written);
    await bucket.put('a', 'x');
    expect(server.requests.map(({ headers }) => headers['idempotency-key'])).toEqual([undefined, undefined]);
    server.script(reset, answer(200, {}, '{"value":1,"revision":7}'));
    expect(await bucket.incr('a')).toEqual({ value: 1, revision: 7 });
    const [first, second] = server.requests.map(({ headers }) => headers['idempotency-key']);
    expect(first).toBeDefined();
    expect(second).toBe(first);
  });

  test('a write without an answer at the end is unknown, and the problem has the key to ask again with', async () => {
    server.script(reset);
    const call = createClient({ url: server.url, retries: 1 })
      .kv.bucket('demo')
      .incr('a', { idempotencyKey: 'order-7' });
    await expect(call).rejects.toMatchObject({ code: 'outcome_unknown', members: { idempotencyKey: 'order-7' } });
    expect(server.requests).toHaveLength(2);
  });

  test('an import is not repeated, since what it read is gone', async () => {
    server.script(reset);
    await expect(bucket.import([{ key: 'a', value: 'x' }])).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(server.requests).toHaveLength(1);
  });

  test('a refusal is not repeated', async () => {
    server.script(problem(412, 'precondition_failed'));
    await expect(bucket.put('a', 'x', { ifRevision: 7 })).rejects.toMatchObject({ code: 'precondition_failed' });
    expect(server.requests).toHaveLength(1);
  });

  test('where nobody listens nothing happened, also for a write that counts', async () => {
    const gone = await ScriptedServer.start();
    const { url, port } = gone;
    await gone.stop();
    const lonely = createClient({ url, retries: 1 }).kv.bucket('demo');
    await expect(lonely.incr('a')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/ECONNREFUSED/),
    });
    const call = createClient({ url }).kv.bucket('demo').get('a');
    const late = await ScriptedServer.start(port);
    late.script(good);
    expect((await call)?.text()).toBe('hello');
    await late.stop();
  });

  test('a name that does not resolve is a connection that was never made', async () => {
    const lost = createClient({ url: 'http://nowhere.invalid', retries: 0 }).kv.bucket('demo');
    await expect(lost.incr('a')).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('deadlines', () => {
  test('are passed on, a little shorter', async () => {
    server.script(good);
    await bucket.get('a', { timeoutMs: 2_000 });
    const passedOn = Number(server.requests[0]!.headers['request-timeout-ms']);
    expect(passedOn).toBeGreaterThan(1_800);
    expect(passedOn).toBeLessThanOrEqual(1_900);
  });

  test('end a read as deadline_exceeded and a write as outcome_unknown', async () => {
    server.script(silence);
    await expect(bucket.get('a', { timeoutMs: 60 })).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await expect(bucket.put('a', 'x', { timeoutMs: 60 })).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(server.requests).toHaveLength(2);
  });

  test('hold for the body too', async () => {
    server.script((response) => void response.writeHead(200, ENTRY).write('he'));
    await expect(bucket.get('a', { timeoutMs: 60 })).rejects.toMatchObject({ code: 'deadline_exceeded' });
  });

  test('an abort throws its reason, before and amid the answer, and ends the connection', async () => {
    const before = () => {};
    const amid = (response: ServerResponse) => void response.writeHead(200, { 'content-length': '9' }).write('x');
    for (const begin of [before, amid]) {
      const controller = new AbortController();
      const closed = new Promise((resolve) => {
        server.script((response) => {
          response.socket!.once('close', resolve);
          begin(response);
          setTimeout(() => controller.abort(new Error('enough')), 20);
        });
      });
      await expect(bucket.get('a', { signal: controller.signal })).rejects.toThrow('enough');
      await closed;
    }
  });
});

describe('the API key', () => {
  const withKey = async (options: { apiKey?: ApiKey; headers?: Record<string, string> }) => {
    const guarded = createClient({ url: server.url, ...options });
    try {
      return await guarded.kv.bucket('demo').get('a');
    } finally {
      await guarded.close();
    }
  };
  const sent = () => server.requests.map(({ headers }) => headers.authorization);

  test('is sent as bearer, without the newline of its file, and instead of a header of the client', async () => {
    server.script(good);
    await withKey({ apiKey: 'plk_one\n' });
    await withKey({ apiKey: 'plk_two', headers: { Authorization: 'Basic eDp5' } });
    await withKey({ headers: { Authorization: 'Basic eDp5' } });
    await withKey({});
    expect(sent()).toEqual(['Bearer plk_one', 'Bearer plk_two', 'Basic eDp5', undefined]);
  });

  test('is asked for with each attempt', async () => {
    server.script(problem(503, 'overloaded'), good);
    let count = 0;
    await withKey({ apiKey: () => `plk_${++count}` });
    await withKey({ apiKey: async () => `plk_${++count}` });
    expect(sent()).toEqual(['Bearer plk_1', 'Bearer plk_2', 'Bearer plk_3']);
  });

  test('goes with streams too', async () => {
    server.script(ndjson([], { ending: 'end' }));
    const guarded = createClient({ url: server.url, apiKey: async () => 'plk_one' });
    for await (const _ of guarded.kv.bucket('demo').export());
    await guarded.close();
    expect(sent()).toEqual(['Bearer plk_one']);
  });

  test.each([
    [401, 'unauthenticated'],
    [403, 'forbidden'],
  ])('that is refused (%i) is the problem, and not sent again', async (status, code) => {
    server.script(problem(status, code));
    await expect(withKey({ apiKey: 'plk_one' })).rejects.toMatchObject({ code, message: `it is ${code}` });
    server.script(answer(status));
    await expect(withKey({ apiKey: 'plk_one' })).rejects.toMatchObject({ code });
    expect(server.requests).toHaveLength(1);
  });

  test('that is none is refused before anything is sent, and never shown', async () => {
    server.script(good);
    expect(() => createClient({ url: server.url, apiKey: ' \n' })).toThrow('apiKey is empty');
    for (const apiKey of ['two keys', 'a\nb', 'caf\u00e9']) {
      expect(() => createClient({ url: server.url, apiKey })).toThrow(/^apiKey must be printable ASCII [^:]*$/);
      await expect(withKey({ apiKey: () => apiKey })).rejects.toThrow('apiKey must be printable ASCII');
    }
    expect(server.requests).toHaveLength(0);
  });

  test('that cannot be found is what the function throws, at once', async () => {
    server.script(good);
    let asked = 0;
    const apiKey = () => {
      asked++;
      throw new Error('the vault is sealed');
    };
    await expect(withKey({ apiKey })).rejects.toThrow('the vault is sealed');
    expect([asked, server.requests.length]).toEqual([1, 0]);
  });

  test('that is not there in time did not happen; an abort ends the wait', async () => {
    server.script(good);
    const waiting = createClient({ url: server.url, apiKey: () => new Promise<string>(() => {}) }).kv.bucket('demo');
    const late = waiting.incr('a', { timeoutMs: 60 });
    await expect(late).rejects.toMatchObject({
      code: 'deadline_exceeded',
      message: 'the API key was not there in time',
    });
    const leaving = new AbortController();
    setTimeout(() => leaving.abort(new Error('enough')), 20);
    await expect(waiting.get('a', { signal: leaving.signal })).rejects.toThrow('enough');
    expect(server.requests).toHaveLength(0);
  });

  test('takes its time out of that of the call', async () => {
    server.script(good);
    const slow = createClient({
      url: server.url,
      apiKey: () => new Promise((resolve) => setTimeout(resolve, 200, 'plk_one')),
    });
    await slow.kv.bucket('demo').get('a', { timeoutMs: 2_000 });
    await slow.close();
    expect(Number(server.requests[0]!.headers['request-timeout-ms'])).toBeLessThanOrEqual(1_701);
  });
});

describe('connections', () => {
  test('are kept and used again', async () => {
    const ports = new Set<number | undefined>();
    server.script((response) => {
      ports.add(response.socket!.remotePort);
      response.writeHead(200, ENTRY).end('hello');
    });
    for (let i = 0; i < 5; i++) await bucket.get('a');
    expect(ports.size).toBe(1);
  });

  test('a closed client refuses, and does not repeat', async () => {
    await client.close();
    await expect(bucket.get('a')).rejects.toThrow('this client is closed');
  });

  test('the URL may have a path, and the client headers of its own', async () => {
    server.script(good);
    const inside = createClient({ url: `${server.url}/plinth/`, headers: { 'X-Team': 'red' } });
    await inside.kv.bucket('demo').get('a');
    await inside.close();
    expect(server.requests[0]).toMatchObject({ url: '/plinth/v1/kv/demo/a', headers: { 'x-team': 'red' } });
    expect(() => createClient({ url: 'ftp://x' })).toThrow(TypeError);
  });

  test('an answer that comes before the body was taken is the answer', async () => {
    const early = createServer((_, response) => {
      response.writeHead(413, { 'content-type': 'application/problem+json', connection: 'close' });
      response.end('{"code":"body_too_large","detail":"too much"}');
    });
    await new Promise<void>((resolve) => early.listen(0, '127.0.0.1', resolve));
    const { port } = early.address() as AddressInfo;
    const impatient = createClient({ url: `http://127.0.0.1:${port}` });
    const endless = (async function* () {
      for (;;) yield { key: 'a', value: 'x'.repeat(100_000) };
    })();
    await expect(impatient.kv.bucket('demo').import(endless)).rejects.toMatchObject({ code: 'body_too_large' });
    await impatient.close();
    early.close();
  });

  test('what the items of an import throw comes through', async () => {
    server.script(silence);
    const broken = (async function* () {
      yield { key: 'a', value: 'x' };
      throw new Error('the file is damaged');
    })();
    await expect(bucket.import(broken)).rejects.toThrow('the file is damaged');
  });

  test('no more than 64 are opened: others wait, and their deadline says that they did not happen', async () => {
    server.script(silence);
    const write = (timeoutMs: number) => bucket.put('a', 'x', { timeoutMs }).catch(({ code }) => code);
    const codes = await Promise.all([...Array.from({ length: 64 }, () => write(300)), write(150)]);
    expect(codes.slice(0, 64)).toEqual(Array(64).fill('outcome_unknown'));
    expect(codes[64]).toBe('deadline_exceeded');
  });
});
