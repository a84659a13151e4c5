/** The suite as a person meets it, with real engines; Jaeger has a file of its own. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { eventually, startTestNats, startTestRedis } from '@plinth/testkit';
import { echo, echoPort, env, isAlive, start, status, suite, toldEcho } from './suite-under-test.ts';

const up = (...args: string[]) => suite('up', '--no-jaeger', ...args);
/** Up and ready, or a failure that shows what was said. */
async function isUp(): Promise<void> {
  const { code, text } = await up('--detach');
  if (code !== 0) throw new Error(`up ended with ${code}:\n${text}`);
}

test('up, crash, restart, down: the whole life of a suite', async () => {
  const begun = await up('--detach');
  expect(begun).toMatchObject({ code: 0 });
  expect(begun.text).toMatch(new RegExp(`^echo +running +http://127.0.0.1:${echoPort} +memory +`, 'm'));
  expect(begun.text).toMatch(/^nats +running +nats:.*nats-server 2/m);

  const report = await status();
  expect(report.services).toEqual([
    expect.objectContaining({ name: 'echo', state: 'running', url: `http://127.0.0.1:${echoPort}`, backend: 'memory' }),
  ]);
  const told = await toldEcho();
  expect(told.NATS_URL).toBe(report.engines.find(({ name }) => name === 'nats')?.url);
  expect(told.ECHO_DATA_DIR).toBe(`${env.PLINTH_HOME}/data/echo`);

  expect(await up()).toMatchObject({ code: 1, text: expect.stringMatching(/already runs .*npm run down/) });

  process.kill((await echo()).pid as number, 'SIGKILL');
  await eventually(async () => expect(await echo()).toMatchObject({ state: 'running', restarts: 1 }));
  expect((await suite('status')).text).toMatch(/^echo +running \(restarted 1×\)/m);

  const pids = [...(await status()).services, ...report.engines].map(({ pid }) => pid).concat(report.pid);
  expect(pids.every(isAlive)).toBe(true);
  expect(await suite('down')).toMatchObject({ code: 0, text: expect.stringMatching(/stopped in/) });
  expect(pids.filter(isAlive)).toEqual([]);
  expect(await status()).toMatchObject({ state: 'stopped', services: [] });
});

test('an engine that dies is started again', async () => {
  await isUp();
  const redis = async () => (await status()).engines.find(({ name }) => name === 'redis');
  process.kill((await redis())?.pid as number, 'SIGKILL');
  await eventually(async () => expect(await redis()).toMatchObject({ state: 'running', restarts: 1 }));
});

test('a service that keeps crashing is tried ever more slowly, the table says so, and it comes back', async () => {
  await isUp();
  const broken = join(env.PLINTH_HOME as string, 'data', 'echo', 'broken');
  mkdirSync(join(broken, '..'), { recursive: true });
  writeFileSync(broken, '');
  process.kill((await echo()).pid as number, 'SIGKILL');
  await eventually(async () => expect((await echo()).state).toMatch(/^restarting \([2-9](nd|rd|th) in \d+ s\)$/));
  rmSync(broken);
  await eventually(async () => expect((await echo()).state).toBe('running'), { timeoutMs: 15_000 });
});

test('a service that runs but cannot serve is shown with its reason', async () => {
  await isUp();
  await fetch(`http://127.0.0.1:${echoPort}/unready`);
  expect((await echo()).state).toBe('not ready: NATS is away');
});

test('engines given by URL are used, and left running', async () => {
  const [nats, redis] = await Promise.all([startTestNats(), startTestRedis()]);
  Object.assign(env, { NATS_URL: nats.url, REDIS_URL: redis.url });
  await isUp();
  const { engines } = await status();
  expect(engines.map(({ url, pid }) => ({ url, pid }))).toEqual([
    { url: nats.url, pid: null },
    { url: redis.url, pid: null },
  ]);
  expect((await suite('down')).code).toBe(0);
  expect([nats.pid, redis.pid].every(isAlive)).toBe(true);
});

test('a second up takes less than 5 s', async () => {
  await isUp();
  await suite('down');
  const startMs = performance.now();
  await isUp();
  expect(performance.now() - startMs).toBeLessThan(5_000);
});

test('a port in use: one line with the port, its owner and what to do', async () => {
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(echoPort, '127.0.0.1', resolve));
  const { code, text } = await up('--detach');
  squatter.close();
  expect(code).toBe(1);
  expect(text).toContain(`echo cannot start: port ${echoPort} is in use by pid ${process.pid}`);
  expect(text).toContain('PLINTH_PORT_BASE=');
  expect((await status()).state).toBe('stopped');
});

test('a service that cannot start: its reason, its log, and nothing is left running', async () => {
  env.ECHO_FAIL = '1';
  const { code, text } = await up('--detach');
  expect(code).toBe(1);
  expect(text).toMatch(/echo ended \(exit code 1\) before it was ready: told to fail; its log: .*echo\.log/);
  expect((await status()).state).toBe('stopped');
});

test('when the supervisor is killed, all its children go, and up works again', async () => {
  await isUp();
  const report = await status();
  const pids = report.services.concat(report.engines).map(({ pid }) => pid);
  process.kill(report.pid as number, 'SIGKILL');
  expect((await status()).state).toBe('stopped');
  await isUp();
  await eventually(() => expect(pids.filter(isAlive)).toEqual([]));
  expect((await echo()).state).toBe('running');
});

test('a foreground up stops everything in reverse at Ctrl-C, and says so', async () => {
  const foreground = start('up', '--no-jaeger');
  await foreground.waitForLine(/^redis +running/, 20_000);
  const pids = (await status()).engines.map(({ pid }) => pid);
  await foreground.kill('SIGINT');
  const stops = foreground.lines.filter((line) => /stopped in/.test(line)).map((line) => line.split(' ')[0]);
  expect(stops[0]).toBe('echo');
  expect(stops.slice(1).sort()).toEqual(['nats', 'redis']);
  expect(pids.filter(isAlive)).toEqual([]);
  expect((await foreground.exited).code).toBe(0);
});

test('an unknown service or command is refused with what there is', async () => {
  expect((await up('--only', 'ehco')).text).toContain('there is no service "ehco"; there are: echo');
  expect(await suite('upp')).toMatchObject({ code: 1, text: expect.stringContaining('There are: up, down, status') });
});
