import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { findOnPath } from './command.ts';
import { type EngineServer, freePort, isJaeger, otlpUrlBeside, PortInUse, portOwner, startJaeger } from './engines.ts';
import { JAEGER_RECIPE } from './jaeger.ts';

const isHere = (await Promise.all(JAEGER_RECIPE.commands.map((name) => findOnPath(name, process.env)))).some(Boolean);
if (!isHere) console.log('jaeger: tests with a real one are skipped, neither jaeger nor jaeger-all-in-one is on PATH');
const withJaeger = isHere ? test : test.skip;

/** Not the one that PLINTH_JAEGER_URL may name, which holds somebody's traces. */
const own = { ignoreUrl: true, mayFetch: false };
const started: EngineServer[] = [];
const keep = <Server extends EngineServer>(server: Server) => {
  started.push(server);
  return server;
};
afterEach(() => Promise.all(started.splice(0).map((server) => server.stop())));

async function sendTrace(otlpUrl: string, traceId: string): Promise<void> {
  const times = { startTimeUnixNano: `${Date.now()}000000`, endTimeUnixNano: `${Date.now() + 1}000000` };
  const span = { traceId, spanId: traceId.slice(16), name: 'toy', kind: 1, ...times };
  const body = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] });
  await fetch(`${otlpUrl}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
}

test.each([
  ['version 1', 'Flags:\n --query.http-server.host-port string (default ":16686")', '1', undefined],
  ['version 2', 'Jaeger backend v2\n\nUsage:\n  jaeger [flags]\n\nFlags:\n --config string', '2', undefined],
  ['another program', 'Usage: jaeger-frontend', undefined, 'this is not Jaeger with everything in one'],
])('%s is told by its help', (_, help, version, objection) => {
  expect(JAEGER_RECIPE.parseVersion(help)).toBe(version);
  expect(JAEGER_RECIPE.objection(help)).toBe(objection);
});

test('a web server that says yes to everything is not taken for Jaeger', async () => {
  const server = createServer((_, response) => response.end('{}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await isJaeger({ url, otlpUrl: url })).toBe(false);
  server.close();
});

test('a URL at which no Jaeger answers is an error that names the variable and both addresses', async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const start = startJaeger({ env: { PLINTH_JAEGER_URL: url } });
  await expect(start).rejects.toThrow(`PLINTH_JAEGER_URL=${url}: no Jaeger answers there and takes spans at http://1`);
});

test.each(['127.0.0.1:16686', 'localhost:16686', 'http://'])(
  '%s is no address of a Jaeger, and the error shows one',
  (url) => {
    expect(() => otlpUrlBeside(url)).toThrow('one looks like http://127.0.0.1:16686');
  },
);

withJaeger('a Jaeger takes spans and shows them when its start resolves, and is gone when its stop does', async () => {
  const jaeger = keep(await startJaeger(own));
  await sendTrace(jaeger.otlpUrl, 'a'.repeat(32));
  const { data } = (await (await fetch(`${jaeger.url}/api/traces/${'a'.repeat(32)}`)).json()) as { data: object[] };
  expect(data).toHaveLength(1);
  await jaeger.stop();
  expect(await isJaeger(jaeger)).toBe(false);
});

withJaeger('a Jaeger that somebody looks at stops at once all the same', async () => {
  const jaeger = keep(await startJaeger(own));
  await (await fetch(jaeger.url)).text();
  const startMs = performance.now();
  await jaeger.stop();
  expect(performance.now() - startMs).toBeLessThan(5_000);
});

withJaeger('a Jaeger keeps the newest traces and no more than it was told', async () => {
  const jaeger = keep(await startJaeger({ ...own, tracesMax: 2 }));
  const ids = ['a', 'b', 'c'].map((digit) => digit.repeat(32));
  for (const id of ids) await sendTrace(jaeger.otlpUrl, id);
  const statuses = await Promise.all(ids.map(async (id) => (await fetch(`${jaeger.url}/api/traces/${id}`)).status));
  expect(statuses).toEqual([404, 200, 200]);
});

withJaeger('a Jaeger leaves the ports alone that nobody asked for', async () => {
  const jaeger = keep(await startJaeger(own));
  const ownersOfDefaults = await Promise.all([4317, 5778, 14268, 14269, 16685].map((port) => portOwner(port)));
  expect(ownersOfDefaults.map((owner) => owner?.pid)).not.toContain(jaeger.pid);
});

withJaeger('a port in use is refused by name, be it for queries or for spans', async () => {
  const jaeger = keep(await startJaeger(own));
  const [port, otlpPort] = [jaeger.url, jaeger.otlpUrl].map((url) => Number(new URL(url).port));
  await expect(startJaeger({ ...own, port })).rejects.toBeInstanceOf(PortInUse);
  await expect(startJaeger({ ...own, otlpPort })).rejects.toThrow(`port ${otlpPort} is in use by pid ${jaeger.pid}`);
});
