import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually, seededRandom } from '@plinth/testkit';
import WebSocket, { WebSocketServer } from 'ws';
import { byHeader, createRateLimiter, type RateLimiter, type WebSocketOptions, webSocket } from '../src/rate-limit.ts';
import { LimitsServer } from './limits-server.ts';

const closes: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

const local = (limit: number) => createRateLimiter({ local: { limit, windowMs: 60_000 } });

/** A server that collects what it is let to hear. */
async function listen(options: WebSocketOptions<WebSocket>, heard: string[] = []) {
  const guard = webSocket(options);
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', verifyClient: guard.verifyClient });
  server.on(
    'connection',
    guard.connection((_socket, _request: IncomingMessage) => (data: Buffer) => void heard.push(String(data))),
  );
  await once(server, 'listening');
  closes.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function connect(url: string, headers: Record<string, string> = {}): WebSocket {
  const socket = new WebSocket(url, { headers });
  closes.push(() => socket.terminate());
  return socket;
}

describe('messages', () => {
  test('beyond the limit of their connection close it, and others go on', async () => {
    const heard: string[] = [];
    const url = await listen({ messages: { limiter: local(3), limit: 'messages' } }, heard);
    const [one, other] = [connect(url), connect(url)];
    await Promise.all([once(one, 'open'), once(other, 'open')]);
    for (let at = 0; at < 6; at++) one.send(`one-${at}`);
    const [code, reason] = await once(one, 'close');
    expect([code, String(reason)]).toEqual([1008, expect.stringMatching(/^too many messages; more in \d+ ms$/)]);
    expect(heard).toEqual(['one-0', 'one-1', 'one-2']);
    other.send('other');
    await eventually(() => expect(heard.at(-1)).toBe('other'));
  });

  test('cost what they are told to, and are dropped where that is wanted', async () => {
    const heard: string[] = [];
    const dropped: string[] = [];
    const url = await listen(
      {
        messages: {
          limiter: local(10),
          limit: 'bytes',
          cost: (data) => (data as Buffer).length,
          onLimited: (_, answer, data) => void dropped.push(`${data} ${answer.allowed}`),
        },
      },
      heard,
    );
    const socket = connect(url);
    await once(socket, 'open');
    for (const text of ['12345', '123456', '12345', '1']) socket.send(text);
    await eventually(() => expect(dropped).toHaveLength(2));
    expect(heard).toEqual(['12345', '12345']);
    expect(dropped).toEqual(['123456 false', '1 false']);
  });

  test('keep their order while the service decides over them', async () => {
    const server = await LimitsServer.start({ rules: { messages: { limit: 150, windowMs: 60_000 } } });
    const limiter = createRateLimiter({ url: server.url, timeoutMs: 5_000, denyMs: 0 });
    closes.push(
      () => server.kill(),
      () => limiter.close(),
    );
    const heard: string[] = [];
    let denied = 0;
    const url = await listen({ messages: { limiter, limit: 'messages', onLimited: () => void denied++ } }, heard);
    const socket = connect(url);
    await once(socket, 'open');
    for (let at = 0; at < 200; at++) socket.send(String(at));
    await eventually(() => expect(denied).toBe(50), { timeoutMs: 10_000 });
    expect(heard).toEqual(Array.from({ length: 150 }, (_, at) => String(at)));
  });

  test('keep their order however long each decision takes', async () => {
    const random = seededRandom();
    const limiter = local(1);
    const slow = {
      ...limiter,
      take: async () => {
        await sleep(random.int(5));
        return { allowed: true, limits: [] };
      },
    } as unknown as RateLimiter;
    const heard: string[] = [];
    const socket = connect(await listen({ messages: { limiter: slow, limit: 'messages' } }, heard));
    await once(socket, 'open');
    for (let at = 0; at < 100; at++) socket.send(String(at));
    await eventually(() => expect(heard).toHaveLength(100), { timeoutMs: 10_000 });
    expect(heard).toEqual(Array.from({ length: 100 }, (_, at) => String(at)));
  });

  test('behind one that closed the connection are not heard, though there would be room for them', async () => {
    const heard: string[] = [];
    const cost = (data: unknown) => (data as Buffer).length;
    const socket = connect(await listen({ messages: { limiter: local(10), limit: 'bytes', cost } }, heard));
    await once(socket, 'open');
    for (const text of ['12345', '123456', '1']) socket.send(text);
    await once(socket, 'close');
    expect(heard).toEqual(['12345']);
  });

  test('are let in when the service refuses the question', async () => {
    const server = await LimitsServer.start({ rules: {} });
    const limiter = createRateLimiter({ url: server.url, timeoutMs: 5_000 });
    closes.push(
      () => server.kill(),
      () => limiter.close(),
    );
    const heard: string[] = [];
    const socket = connect(await listen({ messages: { limiter, limit: 'nowhere' } }, heard));
    await once(socket, 'open');
    socket.send('hello');
    await eventually(() => expect(heard).toEqual(['hello']));
  });
});

describe('connects', () => {
  test('beyond the limit of their user are answered 429 before there is a connection', async () => {
    const url = await listen({ connects: { limiter: local(2), limit: 'connects', key: byHeader('x-user') } });
    const ann = { 'x-user': 'ann' };
    for (let at = 0; at < 2; at++) await once(connect(url, ann), 'open');
    const refused = connect(url, ann);
    refused.on('error', () => {});
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(response.statusCode).toBe(429);
    expect(response.headers).toMatchObject({
      'content-type': 'application/problem+json',
      'retry-after': '30',
      ratelimit: '"connects";r=0;t=30',
    });
    await once(connect(url, { 'x-user': 'bob' }), 'open');
  });
});
