/**
 * The suite as a person meets it: real `up`, `status` and `down` processes, real engines, and a small service in
 * place of the real ones. Each test has a state folder and ports of its own, so a suite that runs beside is left alone.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { processIdentity } from '@plinth/engines';
import {
  eventually,
  freePort,
  type ProcessUnderTest,
  runProcess,
  startTestNats,
  startTestRedis,
  tempDir,
} from '@plinth/testkit';
import type { StatusReport } from '../src/status-command.ts';

const BOOTSTRAP = new URL('../bootstrap.mjs', import.meta.url);
const SERVICES = fileURLToPath(new URL('fixture-services', import.meta.url));
/** The fixture's port in its package.json, counted from the console's. */
const ECHO_OFFSET = 90;

let env: Record<string, string | undefined>;
let echoPort: number;

beforeEach(async () => {
  const portBase = await freePortRange();
  echoPort = portBase + ECHO_OFFSET;
  env = {
    PLINTH_HOME: tempDir('home'),
    PLINTH_SERVICES_DIR: SERVICES,
    PLINTH_PORT_BASE: String(portBase),
    NATS_URL: undefined,
    REDIS_URL: undefined,
    NO_COLOR: '1',
  };
});

afterEach(() => suite('down'));

/** The suite takes ports at fixed distances, so one free port is not enough; far from the ephemeral range, all are. */
async function freePortRange(): Promise<number> {
  return 10_000 + ((await freePort()) % 100) * 200;
}

function start(...args: string[]): ProcessUnderTest {
  return runProcess({ script: BOOTSTRAP, args, env });
}

async function suite(...args: string[]): Promise<{ code: number | null; text: string }> {
  const command = start(...args);
  const { code } = await command.exited;
  return { code, text: command.lines.join('\n') };
}

async function status(): Promise<StatusReport> {
  return JSON.parse((await suite('status', '--json')).text) as StatusReport;
}

/** The fixture's row, or a failure for `eventually` when there is none. */
async function echo() {
  const row = (await status()).services.find(({ name }) => name === 'echo');
  if (row === undefined) throw new Error('echo is not in the table');
  return row;
}

/** A killed orphan may stay behind as a zombie where nobody reaps it; that is not alive. */
function isAlive(pid: number | null): boolean {
  return processIdentity(pid as number) !== undefined;
}

test('up, crash, restart, down: the whole life of a suite', async () => {
  const up = await suite('up', '--detach');
  expect(up).toMatchObject({ code: 0 });
  expect(up.text).toMatch(new RegExp(`^echo +running +http://127.0.0.1:${echoPort} +memory +`, 'm'));
  expect(up.text).toMatch(/^nats +running +nats:.*nats-server 2/m);

  const report = await status();
  expect(report.services).toEqual([
    expect.objectContaining({ name: 'echo', state: 'running', url: `http://127.0.0.1:${echoPort}`, backend: 'memory' }),
  ]);
  const told = (await (await fetch(`http://127.0.0.1:${echoPort}`)).json()) as Record<string, string>;
  expect(told.NATS_URL).toBe(report.engines.find(({ name }) => name === 'nats')?.url);
  expect(told.ECHO_DATA_DIR).toBe(`${env.PLINTH_HOME}/data/echo`);

  expect(await suite('up')).toMatchObject({ code: 1, text: expect.stringMatching(/already runs .*npm run down/) });

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
  await suite('up', '-d');
  const redis = async () => (await status()).engines.find(({ name }) => name === 'redis');
  process.kill((await redis())?.pid as number, 'SIGKILL');
  await eventually(async () => expect(await redis()).toMatchObject({ state: 'running', restarts: 1 }));
});

test('a service that keeps crashing is tried ever more slowly, the table says so, and it comes back', async () => {
  await suite('up', '-d');
  const broken = join(env.PLINTH_HOME as string, 'data', 'echo', 'broken');
  mkdirSync(join(broken, '..'), { recursive: true });
  writeFileSync(broken, '');
  process.kill((await echo()).pid as number, 'SIGKILL');
  await eventually(async () => expect((await echo()).state).toMatch(/^restarting \([2-9](nd|rd|th) in \d+ s\)$/));
  rmSync(broken);
  await eventually(async () => expect((await echo()).state).toBe('running'), { timeoutMs: 15_000 });
});

test('a service that runs but cannot serve is shown with its reason', async () => {
  await suite('up', '-d');
  await fetch(`http://127.0.0.1:${echoPort}/unready`);
  expect((await echo()).state).toBe('not ready: NATS is away');
});

test('engines given by URL are used, and left running', async () => {
  const [nats, redis] = await Promise.all([startTestNats(), startTestRedis()]);
  Object.assign(env, { NATS_URL: nats.url, REDIS_URL: redis.url });
  expect((await suite('up', '-d')).code).toBe(0);
  const { engines } = await status();
  expect(engines.map(({ url, pid }) => ({ url, pid }))).toEqual([
    { url: nats.url, pid: null },
    { url: redis.url, pid: null },
  ]);
  expect((await suite('down')).code).toBe(0);
  expect([nats.pid, redis.pid].every(isAlive)).toBe(true);
});

test('a second up takes less than 5 s', async () => {
  await suite('up', '-d');
  await suite('down');
  const startMs = performance.now();
  expect((await suite('up', '-d')).code).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(5_000);
});

test('a port in use: one line with the port, its owner and what to do', async () => {
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(echoPort, '127.0.0.1', resolve));
  const { code, text } = await suite('up', '--detach');
  squatter.close();
  expect(code).toBe(1);
  expect(text).toContain(`echo cannot start: port ${echoPort} is in use by pid ${process.pid}`);
  expect(text).toContain('PLINTH_PORT_BASE=');
  expect((await status()).state).toBe('stopped');
});

test('a service that cannot start: its reason, its log, and nothing is left running', async () => {
  env.ECHO_FAIL = '1';
  const { code, text } = await suite('up', '--detach');
  expect(code).toBe(1);
  expect(text).toMatch(/echo ended \(exit code 1\) before it was ready: told to fail; its log: .*echo\.log/);
  expect((await status()).state).toBe('stopped');
});

test('when the supervisor is killed, all its children go, and up works again', async () => {
  await suite('up', '-d');
  const report = await status();
  const pids = report.services.concat(report.engines).map(({ pid }) => pid);
  process.kill(report.pid as number, 'SIGKILL');
  expect((await status()).state).toBe('stopped');
  expect((await suite('up', '-d')).code).toBe(0);
  await eventually(() => expect(pids.filter(isAlive)).toEqual([]));
  expect((await echo()).state).toBe('running');
});

test('a foreground up stops everything in reverse at Ctrl-C, and says so', async () => {
  const up = start('up');
  await up.waitForLine(/^redis +running/, 20_000);
  const pids = (await status()).engines.map(({ pid }) => pid);
  await up.kill('SIGINT');
  const stops = up.lines.filter((line) => /stopped in/.test(line)).map((line) => line.split(' ')[0]);
  expect(stops[0]).toBe('echo');
  expect(stops.slice(1).sort()).toEqual(['nats', 'redis']);
  expect(pids.filter(isAlive)).toEqual([]);
  expect((await up.exited).code).toBe(0);
});

test('an unknown service or command is refused with what there is', async () => {
  expect((await suite('up', '--only', 'ehco')).text).toContain('there is no service "ehco"; there are: echo');
  expect(await suite('upp')).toMatchObject({ code: 1, text: expect.stringContaining('There are: up, down, status') });
});
