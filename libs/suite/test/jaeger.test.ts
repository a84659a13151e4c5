/** A suite with a Jaeger: found in each of the ways there are, lost, in the way, and missing. */
import { chmodSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { type EngineServer, isJaeger, jaegerServer, startJaeger } from '@plinth/engines';
import { eventually, freePort, startOtlpReceiver, tempDir } from '@plinth/testkit';
import { echo, env, isAlive, portBase, status, suite, toldEcho } from './suite-under-test.ts';

const isHere = await jaegerServer({ mayFetch: false, ignoreUrl: true }).then(
  () => true,
  () => false,
);
if (!isHere) console.log('jaeger: tests with a real one are skipped, no Jaeger is on this machine');
const withJaeger = isHere ? test : test.skip;
const REAL_SERVICES = fileURLToPath(new URL('../../../services', import.meta.url));

const jaegerRow = async () => (await status()).engines.find(({ name }) => name === 'jaeger');
/** Where the suite of this test has its own. */
const ports = () => ({ port: portBase + 34, otlpPort: portBase + 35 });
const addressOf = ({ port, otlpPort }: { port: number; otlpPort: number }) => {
  return { url: `http://127.0.0.1:${port}`, otlpUrl: `http://127.0.0.1:${otlpPort}` };
};

async function whileRunning(server: EngineServer, work: () => Promise<void>): Promise<void> {
  await work().finally(() => server.stop());
}

/** A PATH with all that is on ours, but no Jaeger and no Docker. */
function pathWithout(): string {
  const bin = tempDir('bin');
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of namesIn(folder)) {
      if (!/^(jaeger|jaeger-all-in-one|docker)$/.test(name))
        linkOnce({ target: join(folder, name), link: join(bin, name) });
    }
  }
  return bin;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** What comes first on PATH wins. */
function linkOnce({ target, link }: { target: string; link: string }): void {
  try {
    symlinkSync(target, link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

withJaeger('up starts a Jaeger: services trace to it, table and last line lead to it, down ends it', async () => {
  env.PLINTH_SERVICES_DIR = REAL_SERVICES;
  const { url } = addressOf(ports());
  const { text } = await suite('up', '--detach', '--only', 'kv');
  expect(text).toMatch(new RegExp(`^jaeger +running +${url} +jaeger [12] \\(PATH\\)`, 'm'));
  expect(text).toContain(`Traces: ${url}/search?service=kv`);

  const answer = await fetch(`http://127.0.0.1:${portBase + 1}/v1/kv/demo/traced`, { method: 'PUT', body: 'value' });
  const trace = `${url}/api/traces/${answer.headers.get('trace-id')}`;
  await eventually(async () => expect((await fetch(trace)).status).toBe(200), { timeoutMs: 15_000 });

  const { pid } = (await jaegerRow())!;
  await suite('down');
  expect(isAlive(pid)).toBe(false);
});

withJaeger('a Jaeger that dies is started again, and nobody else notices', async () => {
  await suite('up', '-d');
  const before = await echo();
  process.kill((await jaegerRow())?.pid as number, 'SIGKILL');
  await eventually(async () => expect(await jaegerRow()).toMatchObject({ state: 'running', restarts: 1 }));
  expect(await isJaeger(addressOf(ports()))).toBe(true);
  expect(await echo()).toEqual(before);
});

withJaeger('a Jaeger that listens already is used, and left running', async () => {
  const jaeger = await startJaeger({ ...ports(), ignoreUrl: true });
  await whileRunning(jaeger, async () => {
    await suite('up', '-d');
    expect(await jaegerRow()).toMatchObject({ url: jaeger.url, pid: null, backend: 'listening already' });
    const told = { OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpUrl, TRACE_URL: `${jaeger.url}/trace/{traceId}` };
    expect(await toldEcho()).toMatchObject(told);
    await suite('down');
    expect(await isJaeger(jaeger)).toBe(true);
  });
});

withJaeger(
  'spans go where OTEL_EXPORTER_OTLP_ENDPOINT says, and are looked at where PLINTH_JAEGER_URL says',
  async () => {
    const [jaeger, collector] = await Promise.all([startJaeger({ ignoreUrl: true }), startOtlpReceiver()]);
    await whileRunning(jaeger, async () => {
      Object.assign(env, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, PLINTH_JAEGER_URL: jaeger.url });
      const { text } = await suite('up', '-d');
      expect(text).toContain('traces go where OTEL_EXPORTER_OTLP_ENDPOINT says');
      expect(await jaegerRow()).toMatchObject({ url: jaeger.url, pid: null });
      expect(await toldEcho()).toMatchObject({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    });
  },
);

test('a collector that is no Jaeger gets the spans, and nothing else is started', async () => {
  const collector = await startOtlpReceiver();
  env.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url;
  await suite('up', '-d');
  expect((await jaegerRow())?.pid ?? null).toBeNull();
  expect(await toldEcho()).toMatchObject({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
});

/** Every way to be without traces: all is well, but for one line. */
async function upWithoutTraces(...args: string[]): Promise<string> {
  const { code, text } = await suite('up', '--detach', ...args);
  expect(code).toBe(0);
  expect(await toldEcho()).not.toHaveProperty('OTEL_EXPORTER_OTLP_ENDPOINT');
  expect(text).not.toContain('Traces:');
  const about = text.split('\n').filter((line) => /no traces/.test(line));
  expect(about.length).toBeLessThanOrEqual(1);
  return about[0] ?? '';
}

test('a port that something else has: a line names it, and the suite goes on', async () => {
  const { otlpPort } = ports();
  const squatter = createServer((socket) => socket.end('no'));
  await new Promise<void>((resolve) => squatter.listen(otlpPort, '127.0.0.1', resolve));
  const line = await upWithoutTraces();
  squatter.close();
  expect(line).toContain(`no traces: port ${otlpPort} is in use by pid ${process.pid}`);
  expect(await jaegerRow()).toBeUndefined();
});

test('without a Jaeger a line says how to get one', async () => {
  env.PATH = pathWithout();
  const line = await upWithoutTraces();
  expect(line).toMatch(/no traces: there is no Jaeger here\. Put `jaeger` on PATH .*Docker.*PLINTH_JAEGER_URL/);
  expect(await jaegerRow()).toBeUndefined();
});

test('a URL at which no Jaeger answers: a line says so, and the suite goes on', async () => {
  env.PLINTH_JAEGER_URL = `http://127.0.0.1:${await freePort()}`;
  expect(await upWithoutTraces()).toContain(`no traces: PLINTH_JAEGER_URL=${env.PLINTH_JAEGER_URL}: no Jaeger answers`);
});

test('a Jaeger that cannot start stands in the table with its reason, and the suite goes on', async () => {
  const bin = tempDir('bin');
  writeFileSync(
    join(bin, 'jaeger'),
    '#!/bin/sh\n[ "$1" = --help ] && exec echo "--query.http-server.host-port string"\necho "out of ink"\nexit 1\n',
  );
  chmodSync(join(bin, 'jaeger'), 0o755);
  env.PATH = `${bin}${delimiter}${process.env.PATH}`;
  expect(await upWithoutTraces()).toMatch(
    /no traces: jaeger failed: jaeger ended \(1\) before it was ready: out of ink; its log: .*jaeger\.log/,
  );
  expect((await jaegerRow())?.state).toMatch(/^failed: .*out of ink/);
});

test('up --no-jaeger starts none, and says nothing', async () => {
  expect(await upWithoutTraces('--no-jaeger')).toBe('');
  expect(await jaegerRow()).toBeUndefined();
});
