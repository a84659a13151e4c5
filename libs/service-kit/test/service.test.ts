import { Agent, get as httpGet } from 'node:http';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Bus } from '@plinth/bus';
import { json, operationsOf, serve } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import { z } from 'zod';
import { ConfigFault, startService } from '../src/service-kit.ts';
import { type RunningFixture, startFixture } from './fixture-service.ts';
import { exchange, head, open, parseAnswer, until } from './wire.ts';

const started: RunningFixture[] = [];
const start = async (...args: Parameters<typeof startFixture>) => {
  const running = await startFixture(...args);
  started.push(running);
  return running;
};
afterEach(async () => {
  for (const { fixture, stop } of started.splice(0)) {
    fixture.go();
    await stop().catch(() => {});
  }
});
const none = { operations: [], notReady: () => undefined, stop: async () => {} };

describe('starting', () => {
  test('several services live in one process', async () => {
    const [one, two] = [await start(), await start()];
    expect(one.port).not.toBe(two.port);
    await one.stop();
    expect((await fetch(`${two.url}/healthz`)).status).toBe(200);
  });

  test('settings that are wrong stop it before anything is built', async () => {
    let isBuilt = false;
    const build = () => {
      isBuilt = true;
      return none;
    };
    const start = startService({ name: 'fixture', readConfig: () => ({}), build }, { env: { FIXTURE_PORT: 'x' } });
    await expect(start).rejects.toBeInstanceOf(ConfigFault);
    expect(isBuilt).toBe(false);
  });

  test('a port that is taken stops what was built', async () => {
    const { port } = await start();
    const stops: string[] = [];
    const service = { ...none, stop: async () => void stops.push('stop') };
    const second = startService(
      { name: 'fixture', readConfig: () => ({}), build: () => service },
      { port, env: { FIXTURE_LOG_LEVEL: 'silent' } },
    );
    await expect(second).rejects.toThrow('EADDRINUSE');
    expect(stops).toEqual(['stop']);
  });

  test('two operations at one address cannot be served', async () => {
    const operation = operationsOf('fixture');
    const shape = {
      summary: '',
      method: 'GET',
      query: z.strictObject({}),
      body: { kind: 'none' },
      replies: [],
    } as const;
    const operations = [
      serve(operation({ ...shape, name: 'a', path: '/v1/{a}' }), () => json(200, 1)),
      serve(operation({ ...shape, name: 'b', path: '/v1/{b}' }), () => json(200, 1)),
    ];
    const build = () => ({ ...none, operations });
    const env = { FIXTURE_LOG_LEVEL: 'silent' };
    await expect(startService({ name: 'fixture', readConfig: () => ({}), build }, { port: 0, env })).rejects.toThrow(
      'b and a are both',
    );
  });
});

describe('standard endpoints', () => {
  test('/healthz and /version say who is there', async () => {
    const { url } = await start();
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'alive' });
    expect(await (await fetch(`${url}/version`)).json()).toMatchObject({
      name: 'fixture',
      version: '0.1.0',
      backend: 'memory',
    });
  });

  test('/readyz tells the reason of each part that is not ready', async () => {
    const bus = { notReady: () => 'connecting', serve: async () => ({ drain: async () => {} }) } as unknown as Bus;
    const { url, fixture } = await start({ kit: { bus } });
    const notReady = await fetch(`${url}/readyz`);
    expect(notReady.status).toBe(503);
    expect(await notReady.json()).toMatchObject({
      code: 'unavailable',
      parts: { service: 'ready', bus: 'connecting' },
    });
    fixture.notReady = 'replaying the log';
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({
      detail: 'service: replaying the log; bus: connecting',
    });
  });

  test('/readyz of a service that works without the bus tells that it is away, and is ready', async () => {
    const bus = { notReady: () => 'away', serve: async () => ({ drain: async () => {} }) } as unknown as Bus;
    const running = await startService(
      { name: 'fixture', readConfig: () => ({}), build: () => ({ ...none, worksWithoutBus: true }) },
      { port: 0, kit: { bus }, env: { FIXTURE_LOG_LEVEL: 'silent' } },
    );
    const answer = await fetch(`${running.url}/readyz`);
    expect([answer.status, await answer.json()]).toEqual([
      200,
      { status: 'ready', parts: { service: 'ready', bus: 'away' } },
    ]);
    await running.stop();
  });

  test('/metrics counts requests by operation and status, and has the service’s own lines', async () => {
    const { url } = await start();
    await fetch(`${url}/v1/items/a`);
    await fetch(`${url}/v1/items/%zz`);
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('plinth_fixture_http_requests_total{operation="get",status="200"} 1\n');
    expect(text).toContain('plinth_fixture_http_requests_total{operation="get",status="400"} 1\n');
    expect(text).toContain('plinth_fixture_http_request_duration_seconds_count{operation="get"} 2\n');
    expect(text).toContain('plinth_fixture_http_request_duration_seconds_bucket{operation="get",le="+Inf"} 2\n');
    expect(text).toMatch(/plinth_fixture_http_connections_open [1-9]/);
    expect(text).toMatch(/process_resident_memory_bytes \d+/);
    expect(text).toContain('plinth_fixture_items 1\n');
    for (const line of text.trim().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) .+|[a-z0-9_]+(\{.+\})? [\d.e+-]+)$/);
  });

  test('/openapi.json describes the operations', async () => {
    const { url } = await start();
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> };
    expect(Object.keys(document.paths)).toContain('/v1/items/{key}:echo');
  });

  test('probes and scrapers may add parameters', async () => {
    const { url } = await start();
    expect((await fetch(`${url}/healthz?probe=1`)).status).toBe(200);
  });
});

describe('who may call', () => {
  test('a web page that points its own name here is refused', async () => {
    const { port } = await start();
    const answer = await exchange(port, head('GET /v1/items/a', { Host: 'evil.example', Connection: 'close' }));
    expect(parseAnswer(answer)).toMatchObject({ status: 403 });
    expect(answer).toContain('foreign_origin');
  });

  test('a page of another site is refused on both lanes, before its body is read', async () => {
    const { url, fixture } = await start();
    const headers = { origin: 'https://evil.example' };
    expect((await fetch(`${url}/v1/items/a`, { method: 'PUT', body: 'x', headers })).status).toBe(403);
    expect((await fetch(`${url}/v1/items/a:count`, { method: 'POST', headers })).status).toBe(403);
    expect(fixture.calls).toEqual([]);
  });

  test('an allowed page can read the answer, and ask beforehand', async () => {
    const { url } = await start({ env: { FIXTURE_ALLOWED_ORIGINS: 'https://app.example' } });
    const headers = { origin: 'https://app.example' };
    const answer = await fetch(`${url}/v1/items/a`, { headers });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, 'https://app.example']);
    const asked = await fetch(`${url}/v1/items/a`, { method: 'OPTIONS', headers });
    expect([asked.status, asked.headers.get('access-control-allow-methods')]).toEqual([204, 'GET, HEAD, PUT']);
  });

  test('a page that is refused cannot read why', async () => {
    const { url } = await start();
    const answer = await fetch(`${url}/v1/items/a`, { headers: { origin: 'null' } });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  });
});

describe('deadlines', () => {
  test('reach the handler, and abort it when they pass', async () => {
    const { url, fixture } = await start({ kit: { now: () => 1_000_000 } });
    const answer = await fetch(`${url}/v1/wait`, { headers: { 'request-timeout-ms': '30' } });
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([504, 'deadline_exceeded']);
    expect(fixture.aborts).toEqual([expect.any(Problem)]);
  });

  test('are counted from the clock of the service', async () => {
    const { url, fixture } = await start({ kit: { now: () => 1_000_000 } });
    const asked = fetch(`${url}/v1/wait`, { headers: { 'request-timeout-ms': '3600000' } });
    await until(() => fixture.calls.length === 1, 'the call');
    fixture.go();
    expect(await (await asked).json()).toEqual({ deadlineMs: 4_600_000 });
  });

  test.each(['0', '3600001', '-1', '1.5', 'soon', ''])('%j is refused', async (text) => {
    const { port, fixture } = await start();
    const answer = await exchange(port, head('GET /v1/wait', { 'Request-Timeout-Ms': text, Connection: 'close' }));
    expect(parseAnswer(answer).status).toBe(400);
    expect(answer).toContain('/headers/request-timeout-ms');
    expect(fixture.calls).toEqual([]);
  });

  test.each(['1', '3600000'])('%j is not', async (text) => {
    const { url } = await start();
    expect((await fetch(`${url}/v1/work`, { headers: { 'request-timeout-ms': text } })).status).toBe(200);
  });

  test('a body that comes after the deadline calls nothing', async () => {
    let nowMs = 0;
    const { port, fixture } = await start({ kit: { now: () => nowMs } });
    const { socket, received } = await open(port);
    socket.write(head('PUT /v1/items/late', { 'Content-Length': 1, 'Request-Timeout-Ms': 50 }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    nowMs = 50;
    socket.write('x');
    await until(() => received() !== '', 'the answer');
    expect(received()).toContain('deadline_exceeded');
    expect(fixture.calls).toEqual([]);
    socket.destroy();
  });

  test('a caller that goes away aborts its call', async () => {
    const { port, fixture, url } = await start();
    const { socket } = await open(port);
    socket.write(head('GET /v1/wait'));
    await until(() => fixture.calls.length === 1, 'the call');
    socket.destroy();
    await until(() => fixture.aborts.length === 1, 'the abort');
    const counted = async () =>
      (await (await fetch(`${url}/metrics`)).text()).includes('{operation="wait",status="499"} 1');
    expect(await counted()).toBe(true);
  });
});

describe('too much to do', () => {
  test('the request beyond the most is told to try later, and health is still answered', async () => {
    const { url, fixture } = await start({ env: { FIXTURE_IN_FLIGHT_MAX: '2' } });
    const waiting = [fetch(`${url}/v1/wait`), fetch(`${url}/v1/wait`)];
    await until(() => fixture.calls.length === 2, 'two calls');
    const refused = await fetch(`${url}/v1/items/a`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await refused.json()).toMatchObject({ code: 'overloaded' });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    fixture.go();
    for (const answer of await Promise.all(waiting)) expect(answer.status).toBe(200);
    expect((await fetch(`${url}/v1/items/a`)).status).toBe(200);
  });

  test('streams do not count among the requests in flight', async () => {
    const { url } = await start({ env: { FIXTURE_IN_FLIGHT_MAX: '1' } });
    const leaving = new AbortController();
    for (let stream = 0; stream < 3; stream++) {
      expect((await fetch(`${url}/v1/stream`, { signal: leaving.signal })).status).toBe(200);
    }
    expect((await fetch(`${url}/v1/items/a`)).status).toBe(200);
    leaving.abort();
  });
});

describe('stopping', () => {
  test('goes door by door, and twice is once', async () => {
    const { stop, fixture, url } = await start();
    await Promise.all([stop(), stop()]);
    expect(fixture.events).toEqual(['drain', 'stop']);
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test('says so at /readyz while it still serves, for as long as it is told', async () => {
    const { stop, url } = await start({ env: { FIXTURE_SHUTDOWN_DELAY_MS: '200' } });
    const stopping = stop();
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, ready.headers.get('connection')]).toEqual([503, 'close']);
    expect(await ready.json()).toMatchObject({ code: 'stopping' });
    expect((await fetch(`${url}/v1/items/a`)).status).toBe(200);
    await stopping;
  });

  test('waits for requests under way and ends their connections', async () => {
    const { stop, url, fixture } = await start();
    const asked = fetch(`${url}/v1/wait`);
    await until(() => fixture.calls.length === 1, 'the call');
    const stopping = stop();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(fixture.events).toEqual(['drain']);
    fixture.go();
    const answer = await asked;
    expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close']);
    await stopping;
  });

  test('lets streams say their last word', async () => {
    const { stop, url, fixture } = await start();
    const answer = await fetch(`${url}/v1/stream`);
    const text = answer.text();
    await stop();
    expect(await text).toMatch(/x+resume elsewhere$/);
    expect(fixture.streamsEnded).toBe(1);
  });

  test('is not held up by idle connections, new or used, or by half a request', async () => {
    const { stop, port } = await start();
    const fresh = await open(port);
    const used = await open(port);
    used.socket.write(head('GET /healthz'));
    await until(() => used.received() !== '', 'an answer');
    const half = await open(port);
    half.socket.write('GET /healthz HT');
    await new Promise((resolve) => setTimeout(resolve, 20));
    const startedMs = performance.now();
    await stop();
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    await Promise.all([fresh.closed, used.closed, half.closed]);
  });

  test('waits for a slow reader to take its answer whole', async () => {
    const { stop, port, url } = await start({}, { bodyBytesMax: 20_000_000 });
    await fetch(`${url}/v1/items/big`, { method: 'PUT', body: 'x'.repeat(20_000_000) });
    const { socket, received, closed } = await open(port);
    socket.pause();
    socket.write(head('GET /v1/items/big'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const stopping = stop();
    await new Promise((resolve) => setTimeout(resolve, 300));
    socket.resume();
    await Promise.all([stopping, closed]);
    expect(parseAnswer(received()).body.length).toBe(20_000_000);
  });

  test('cuts a body that does not come, and closes the store all the same', async () => {
    const { stop, port, fixture } = await start({ env: { FIXTURE_SHUTDOWN_TIMEOUT_MS: '500' } });
    const { socket, closed } = await open(port);
    socket.write(`${head('PUT /v1/items/slow', { 'Content-Length': 10 })}half`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await stop();
    await closed;
    expect(fixture.events).toEqual(['drain', 'stop']);
    expect(fixture.calls).toEqual([]);
  });

  test('fails by the name of the step that hangs', async () => {
    const { stop, fixture } = await start({ env: { FIXTURE_SHUTDOWN_TIMEOUT_MS: '100' } });
    fixture.stop = () => new Promise(() => {});
    await expect(stop()).rejects.toThrow('it hangs in: service');
  });

  test('aborts what is still waited for shortly before the time is up', async () => {
    const { stop, url, fixture } = await start({ env: { FIXTURE_SHUTDOWN_TIMEOUT_MS: '1000' } });
    const asked = fetch(`${url}/v1/wait`);
    await until(() => fixture.calls.length === 1, 'the call');
    await stop();
    expect(await (await asked).json()).toMatchObject({ code: 'stopping' });
  });

  test('under load loses no request: each is answered, or its connection ends before a byte of an answer', async () => {
    for (let round = 0; round < 5; round++) {
      const { stop, port, fixture } = await start();
      const told = { answered: 0, broken: [] as string[] };
      const clients = Array.from({ length: 20 }, () => keepAsking(port, told));
      // At another moment of the 20 ms that a request takes in each round.
      await until(() => told.answered >= 40 + round * 4, 'the load');
      await stop();
      await Promise.all(clients);
      expect(told.broken).toEqual([]);
      // Whoever reached the handler got its answer.
      expect(fixture.calls.length).toBe(told.answered);
    }
  });
});

/** A keep-alive client, asking until its connection ends before an answer. Gathers answers that broke off. */
async function keepAsking(port: number, told: { answered: number; broken: string[] }): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (;;) {
    const outcome = await askOnce(port, agent);
    if (outcome === 'answered') told.answered++;
    else if (outcome === 'ended before an answer') break;
    else told.broken.push(outcome);
  }
  agent.destroy();
}

function askOnce(port: number, agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const asked = httpGet(
      { port, host: '127.0.0.1', path: '/v1/work', agent, headers: { host: 'localhost' } },
      (answer) => {
        let text = '';
        answer.on('data', (chunk) => {
          text += chunk;
        });
        answer.on('error', () => resolve('broke off'));
        answer.on('end', () =>
          resolve(answer.statusCode === 200 && text === 'done' ? 'answered' : `${answer.statusCode} ${text}`),
        );
      },
    );
    // Node reports a close before the first byte of an answer as an error of the request.
    asked.on('error', () => resolve('ended before an answer'));
  });
}
