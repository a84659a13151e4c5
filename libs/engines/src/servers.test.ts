import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from '@jest/globals';
import {
  assertPortFree,
  type EngineServer,
  freePort,
  isSameProcess,
  PortInUse,
  processIdentity,
  startNats,
  startRedis,
} from './engines.ts';

const root = mkdtempSync(join(tmpdir(), 'plinth-servers-'));
const dir = () => mkdtempSync(join(root, 'server-'));
const started: EngineServer[] = [];
const keep = (server: EngineServer) => {
  started.push(server);
  return server;
};
afterEach(() => Promise.all(started.splice(0).map((server) => server.stop())));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function listenOn(port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

test.each([
  ['nats-server', () => startNats({ dir: dir(), ignoreUrl: true })],
  ['redis-server', () => startRedis({ dir: dir(), ignoreUrl: true })],
])('%s answers when its start resolves, and is gone when its stop does', async (name, start) => {
  const server = keep(await start());
  expect(server.name).toBe(name);
  const identity = processIdentity(server.pid as number);
  await expect(assertPortFree(Number(new URL(server.url).port))).rejects.toBeInstanceOf(PortInUse);
  await server.stop();
  expect(identity && isSameProcess(identity)).toBe(false);
  await assertPortFree(Number(new URL(server.url).port));
});

test('a port in use is refused by name, with its owner', async () => {
  const port = await freePort();
  const squatter = await listenOn(port);
  const message = `port ${port} is in use by pid ${process.pid}`;
  await expect(startRedis({ dir: dir(), port, ignoreUrl: true })).rejects.toThrow(message);
  squatter.close();
});

test('a server that cannot start says why', async () => {
  const start = startNats({ dir: dir(), config: 'no_such_setting: 1', ignoreUrl: true });
  await expect(start).rejects.toThrow(/before it was ready: .*no_such_setting/);
});

test('a server that crashes resolves exited with the signal', async () => {
  const server = keep(await startRedis({ dir: dir(), ignoreUrl: true }));
  process.kill(server.pid as number, 'SIGKILL');
  expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' });
});

test('a URL that leads nowhere is an error that hides the password', async () => {
  const url = `redis://me:secret@127.0.0.1:${await freePort()}`;
  const start = startRedis({ dir: dir(), env: { REDIS_URL: url } });
  await expect(start).rejects.toThrow(/^REDIS_URL=redis:\/\/\*\*\*@127.* does not answer/);
});

test('a server given by URL is used and never stopped', async () => {
  const own = keep(await startNats({ dir: dir(), ignoreUrl: true }));
  const given = await startNats({ dir: dir(), env: { NATS_URL: own.url } });
  expect(given).toMatchObject({ url: own.url, pid: undefined, source: 'NATS_URL' });
  await given.stop();
  expect(processIdentity(own.pid as number)).toBeDefined();
});
