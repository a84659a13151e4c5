import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { freePort } from '@plinth/testkit';
import { guardedLookup } from './address-guard.ts';
import { HookServer } from './hook-server.fixture.ts';
import { WebhookClient, type WebhookFailure } from './webhook-client.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function hook(): Promise<HookServer> {
  const server = await new HookServer().start();
  stops.push(() => server.stop());
  return server;
}

function clientOf(allowPrivateTargets = true, meaning?: string): WebhookClient {
  const lookup =
    meaning === undefined
      ? undefined
      : guardedLookup(allowPrivateTargets, (_, answer) => answer(null, [{ address: meaning, family: 4 }]));
  const client = new WebhookClient({ allowPrivateTargets, ...(lookup === undefined ? {} : { lookup }) });
  stops.push(() => client.close());
  return client;
}

const call = (url: string, more: { timeoutMs?: number; signal?: AbortSignal } = {}) => ({
  url,
  headers: { 'content-type': 'application/json', 'x-own': 'yes' },
  body: '{"text":"ü"}',
  timeoutMs: more.timeoutMs ?? 20_000,
  signal: more.signal ?? new AbortController().signal,
});

async function failure(promise: Promise<unknown>): Promise<WebhookFailure> {
  return promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error) => error,
  );
}

/** A server that does with each connection as it is told. */
async function rawServer(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
}

describe('a call', () => {
  test('is a POST with its headers and body, and gives status, headers and body', async () => {
    const server = await hook();
    server.answer = (response) => response.writeHead(207, { 'plinth-ack': 'later' }).end('€');
    const reply = await clientOf().post(call(server.url));
    expect(reply).toMatchObject({ status: 207, headers: { 'plinth-ack': 'later' }, body: '€', isCut: false });
    expect(server.received[0]).toMatchObject({
      body: '{"text":"ü"}',
      headers: { 'x-own': 'yes', 'content-length': '13', host: `127.0.0.1:${server.port}` },
    });
  });

  test('uses a connection again', async () => {
    const server = await hook();
    const client = clientOf();
    for (let n = 0; n < 5; n++) await client.post(call(server.url));
    expect(server.connections).toBe(1);
  });

  test('whose kept connection the server has shut is made again, once', async () => {
    let connections = 0;
    const url = await rawServer((socket) => {
      connections += 1;
      let calls = 0;
      // The first answer of each connection comes; at the second call the connection breaks.
      socket.on('data', () => {
        calls += 1;
        if (calls > 1) socket.resetAndDestroy();
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      });
    });
    const client = clientOf();
    for (let n = 0; n < 3; n++) expect((await client.post(call(url))).status).toBe(200);
    expect(connections).toBe(3);
  });

  test('follows no redirect', async () => {
    const [server, other] = [await hook(), await hook()];
    server.answer = (response) => response.writeHead(307, { location: other.url }).end();
    expect((await clientOf().post(call(server.url))).status).toBe(307);
    expect(other.received).toHaveLength(0);
  });

  test('reads 65,536 bytes of an answer whole, and no more than that of a longer one', async () => {
    const server = await hook();
    const client = clientOf();
    server.answer = (response) => response.end('x'.repeat(65_536));
    expect(await client.post(call(server.url))).toMatchObject({ isCut: false, body: 'x'.repeat(65_536) });
    server.answer = (response) => response.end('x'.repeat(65_537));
    expect(await client.post(call(server.url))).toMatchObject({ isCut: true, body: 'x'.repeat(65_536) });
    server.answer = (response) => {
      const more = () => !response.destroyed && response.write('x'.repeat(100_000), more);
      more();
    };
    expect(await client.post(call(server.url))).toMatchObject({ status: 200, isCut: true });
  });
});

describe('a call without an answer', () => {
  test.each([
    ['that never begins', (socket: Socket) => void socket.resume()],
    ['whose body never ends', (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab')],
    [
      'that drips',
      (socket: Socket) => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        const timer = setInterval(() => socket.write('1\r\nx\r\n'), 20);
        socket.on('close', () => clearInterval(timer));
      },
    ],
  ])('%s ends at its timeout', async (_, onConnection) => {
    const url = await rawServer(onConnection);
    const startedAtMs = performance.now();
    const failed = await failure(clientOf().post(call(url, { timeoutMs: 150 })));
    expect(failed).toMatchObject({ kind: 'timeout', message: 'no answer within 150 ms' });
    expect(performance.now() - startedAtMs).toBeLessThan(10_000);
  });

  test('because nobody listens fails as a connection', async () => {
    const url = `http://127.0.0.1:${await freePort()}/`;
    expect(await failure(clientOf().post(call(url)))).toMatchObject({
      kind: 'connection',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test.each([
    ['breaks off', (socket: Socket) => void socket.resetAndDestroy()],
    ['is no HTTP', (socket: Socket) => void socket.end('220 mail ready\r\n')],
    ['breaks off in its body', (socket: Socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab')],
    ['has endless headers', (socket: Socket) => void socket.write(`HTTP/1.1 200 OK\r\na: ${'x'.repeat(100_000)}`)],
  ])('because it %s fails as a connection', async (_, onConnection) => {
    const url = await rawServer((socket) => socket.once('data', () => onConnection(socket)));
    expect(await failure(clientOf().post(call(url)))).toMatchObject({ kind: 'connection' });
  });

  test('because it was given up fails so, before, while and after it is connected', async () => {
    const url = await rawServer((socket) => void socket.resume());
    for (const afterMs of [undefined, 0, 50]) {
      const abort = new AbortController();
      if (afterMs === undefined) abort.abort();
      else setTimeout(() => abort.abort(), afterMs);
      expect(await failure(clientOf().post(call(url, { signal: abort.signal })))).toMatchObject({ kind: 'aborted' });
    }
  });
});

describe('an inner address', () => {
  test.each([
    ['http://127.0.0.1:PORT/'],
    ['http://[::1]:PORT/'],
    ['http://localhost:PORT/'],
    ['http://0x7f000001:PORT/'],
    ['http://[::ffff:127.0.0.1]:PORT/'],
    ['ftp://example.org/'],
  ])('%s is not connected to', async (url) => {
    const server = await hook();
    const failed = await failure(clientOf(false).post(call(url.replace('PORT', String(server.port)))));
    expect(failed.kind).toBe('forbidden');
    expect(server.connections).toBe(0);
  });

  test('behind a public name is not connected to', async () => {
    const server = await hook();
    const failed = await failure(clientOf(false, '127.0.0.1').post(call(`http://hook.example:${server.port}/`)));
    expect(failed).toMatchObject({
      kind: 'forbidden',
      message: 'hook.example means 127.0.0.1, which is not a public address (loopback)',
    });
    expect(server.connections).toBe(0);
  });

  test('is what a name is looked up to once, by the connection itself', async () => {
    const server = await hook();
    let lookups = 0;
    // A name that means a public address first and an inner one ever after (DNS rebinding).
    const client = new WebhookClient({
      allowPrivateTargets: false,
      lookup: guardedLookup(false, (_, answer) => {
        lookups += 1;
        answer(null, [{ address: lookups === 1 ? '127.0.0.1' : '93.184.216.34', family: 4 }]);
      }),
    });
    stops.push(() => client.close());
    expect((await failure(client.post(call(`http://hook.example:${server.port}/`)))).kind).toBe('forbidden');
    expect(lookups).toBe(1);
    expect(server.connections).toBe(0);
  });

  test('that is allowed is reached by a name, with the name as host', async () => {
    const server = await hook();
    const reply = await clientOf(true, '127.0.0.1').post(call(`http://hook.example:${server.port}/`));
    expect(reply.status).toBe(200);
    expect(server.received[0]!.headers.host).toBe(`hook.example:${server.port}`);
  });
});
