import { connect as connectTcp } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from '@jest/globals';
import { startTestRedis, withNats, withRedis } from './testkit.ts';

const nats = withNats();
const redis = withRedis();

/** Sends inline commands over a plain socket, so that this lib needs no client. */
function redisSays(port: number, ...commands: string[]): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1');
  socket.write([...commands, 'QUIT'].map((command) => `${command}\r\n`).join(''));
  return text(socket);
}

test('a test file has its own nats-server with JetStream', async () => {
  const socket = connectTcp(nats.port, '127.0.0.1');
  const [info] = (await new Promise<Buffer>((resolve) => socket.once('data', resolve))).toString().split('\r\n');
  socket.destroy();
  expect(JSON.parse((info as string).slice('INFO '.length))).toMatchObject({ jetstream: true, port: nats.port });
});

test('a test file has its own Redis, which evicts nothing and logs every write', async () => {
  const answer = await redisSays(redis.port, 'CONFIG GET maxmemory-policy', 'CONFIG GET appendonly');
  expect(answer).toContain('noeviction');
  expect(answer).toContain('yes');
});

test('an engine that was killed starts again on the same port with its data', async () => {
  const own = await startTestRedis({ appendFsync: 'always' });
  expect(await redisSays(own.port, 'SET color green')).toContain('+OK');
  const { pid } = own;
  await own.kill();
  await own.start();
  expect(own.pid).not.toBe(pid);
  expect(await redisSays(own.port, 'GET color')).toContain('green');
});
