/**
 * What the bus costs over bare nats.js: requests per second and CPU per request, client and service in this one
 * process on one real nats-server, all opponents in turn in each round.
 *
 *     node libs/bus/src/bus.bench.ts [rounds] [milliseconds of a window]
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { json, operationsOf, serve } from '@plinth/contracts';
import { endSpan, forwarded, serverSpan, startTelemetry } from '@plinth/telemetry';
import { startTestNats } from '@plinth/testkit';
import { z } from 'zod';
import { connectBus } from './bus.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const WINDOW_MS = Number(process.argv[3] ?? 1_000);
const IN_FLIGHT = [1, 64];
const SUBJECTS = ['get', 'put', 'delete', 'list', 'touch', 'incr', 'patch', 'batch'];

type Ask = () => Promise<unknown>;

const get = operationsOf('bench')({
  name: 'get',
  summary: 'Answers a small document',
  method: 'GET',
  path: '/v1/bench/{bucket}/{+key}',
  query: z.strictObject({}),
  body: { kind: 'none' },
  replies: [{ status: 200, description: 'Done.' }],
});
const REQUEST = { params: { bucket: 'demo', key: 'users/42' } };
const PAYLOAD = JSON.stringify(REQUEST.params);
const ANSWER = JSON.stringify({ value: 'x'.repeat(100) });

/** As little as nats.js can do: no headers, a subscription for each subject. */
async function bare(client: NatsConnection, service: NatsConnection): Promise<Ask> {
  for (const name of SUBJECTS) {
    service.subscribe(`bare.${name}`, { queue: 'q', callback: (_error, message) => void message.respond(ANSWER) });
  }
  await service.flush();
  return () => client.request('bare.get', PAYLOAD, { timeout: 5_000 });
}

/** One subscription for all subjects, told apart by a map. */
async function bareWildcard(client: NatsConnection, service: NatsConnection): Promise<Ask> {
  const answers = new Map(SUBJECTS.map((name) => [`wild.${name}`, ANSWER]));
  service.subscribe('wild.*', {
    queue: 'q',
    callback: (_error, message) => void message.respond(answers.get(message.subject)),
  });
  await service.flush();
  return () => client.request('wild.get', PAYLOAD, { timeout: 5_000 });
}

/** What any service has to send to tell its parameters, deadline and status: two headers there, two back. */
async function bareWithHeaders(client: NatsConnection, service: NatsConnection): Promise<Ask> {
  service.subscribe('headers.get', {
    queue: 'q',
    callback(_error, message) {
      const answer = headers();
      answer.set('Plinth-Status', message.headers?.get('Plinth-Params') ? '200' : '400');
      answer.set('content-type', 'application/json');
      message.respond(ANSWER, { headers: answer });
    },
  });
  await service.flush();
  return () => {
    const asked = headers();
    asked.set('Plinth-Params', PAYLOAD);
    asked.set('request-timeout-ms', '5000');
    return client.request('headers.get', '', { timeout: 5_000, headers: asked });
  };
}

async function plinth(url: string): Promise<Ask> {
  const service = await connectBus({ url, name: 'bench-service' });
  await service.serve({ name: 'bench', version: '1.0.0', description: 'The bench of the bus' }, [
    serve(get, () => json(200, { value: 'x'.repeat(100) })),
  ]);
  const client = await connectBus({ url, name: 'bench-client' });
  return () => client.request(get, REQUEST);
}

/** The same below a server span, with a share of the requests traced and exported. */
function traced(ask: (trace: unknown) => Promise<unknown>): Ask {
  return async () => {
    const root = serverSpan({}, 'bench');
    await ask(root?.context ?? forwarded({}));
    endSpan(root?.span);
  };
}

interface Window {
  perSecond: number;
  cpuUs: number;
}

async function measure(ask: Ask, inFlight: number): Promise<Window> {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  let count = 0;
  const caller = async () => {
    while (performance.now() - startedMs < WINDOW_MS) {
      await ask();
      count++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  const used = process.cpuUsage(cpu);
  return { perSecond: (count / (performance.now() - startedMs)) * 1_000, cpuUs: (used.user + used.system) / count };
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function race(opponents: Record<string, Ask>, inFlight: number) {
  const windows = new Map(Object.keys(opponents).map((name) => [name, [] as Window[]]));
  for (const ask of Object.values(opponents)) await measure(ask, inFlight);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, ask] of Object.entries(opponents)) windows.get(name)!.push(await measure(ask, inFlight));
  }
  return [...windows].map(([name, all]) => ({
    inFlight,
    name,
    perSecond: Math.round(median(all.map(({ perSecond }) => perSecond))),
    cpuUs: Number(median(all.map(({ cpuUs }) => cpuUs)).toFixed(1)),
  }));
}

/** Takes spans and throws them away, in a process of its own: a collector's CPU is not ours. */
async function startCollector(): Promise<{ url: string; stop(): void }> {
  const script = `require('node:http').createServer((req, res) => { req.resume(); req.on('end', () => res.end()); })
    .listen(0, '127.0.0.1', function () { console.log(this.address().port); });`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(child.stdout, 'data');
  return { url: `http://127.0.0.1:${String(port).trim()}`, stop: () => void child.kill() };
}

async function raceTraced(url: string, ratio: number) {
  const collector = await startCollector();
  const sampling = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: String(ratio) };
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...sampling };
  const telemetry = await startTelemetry({ service: 'bench', version: '1.0.0', env });
  const client = await connectBus({ url, name: 'bench-traced' });
  const ask = traced((trace) => client.request(get, { ...REQUEST, trace }));
  const rows = await race({ [`bus, ${ratio * 100} % traced`]: ask }, 64);
  await telemetry.stop();
  await client.close();
  collector.stop();
  return rows;
}

const nats = await startTestNats();
const [client, service] = await Promise.all([connect({ servers: nats.url }), connect({ servers: nats.url })]);
const opponents = {
  'nats.js': await bare(client, service),
  'nats.js, one wildcard': await bareWildcard(client, service),
  'nats.js with headers': await bareWithHeaders(client, service),
  bus: await plinth(nats.url),
};
const rows = [];
for (const inFlight of IN_FLIGHT) rows.push(...(await race(opponents, inFlight)));
for (const ratio of [0.1, 1]) rows.push(...(await raceTraced(nats.url, ratio)));
console.table(rows);
console.log(JSON.stringify({ bench: 'bus', node: process.version, rounds: ROUNDS, windowMs: WINDOW_MS, rows }));
process.exit(0);
