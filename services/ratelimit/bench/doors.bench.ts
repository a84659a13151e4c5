/**
 * What a decision costs at the doors, in processor time of the service alone: clients are another process. One core may
 * be shared with others, so wall-clock figures mean little; the microseconds of processor do not depend on that.
 *
 *   node services/ratelimit/bench/doors.bench.ts [seconds a round]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startService } from '@plinth/service-kit';
import { ratelimitService } from '../src/service.ts';

const ROUND_MS = Number(process.argv[2] ?? 2) * 1_000;
const KEYS = 1_000;

interface Ports {
  rls: number;
  resp: number;
}

const RULES = `domain: api
rules:
  - {name: user, match: {user: "*"}, limit: 1000000, window: 1s}
`;

/** The child: the service as it is, and how much processor it took when asked. */
async function serve(): Promise<void> {
  const rules = mkdtempSync(join(tmpdir(), 'rules-'));
  writeFileSync(join(rules, 'api.yaml'), RULES);
  const own = { RATELIMIT_RULES_DIR: rules, RATELIMIT_RLS_PORT: '0', RATELIMIT_RESP_PORT: '0' };
  const { service } = await startService(ratelimitService, {
    env: { ...own, RATELIMIT_LOG_LEVEL: 'error' },
    port: 0,
  });
  const { rls, resp } = service.describe!() as { rls: string; resp: string };
  const portOf = (address: string) => Number(address.split(':').at(-1));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send!(user + system);
  });
  process.on('disconnect', () => process.exit());
  process.send!({ rls: portOf(rls), resp: portOf(resp) } satisfies Ports);
}

async function respRound(port: number, pipeline: number): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const keys = Array.from({ length: KEYS }, (_, at) => `user:${at}`);
  const command = (key: string) =>
    `*5\r\n$11\r\nCL.THROTTLE\r\n$${key.length}\r\n${key}\r\n$2\r\n99\r\n$6\r\n100000\r\n$2\r\n60\r\n`;
  const batches = Array.from({ length: 50 }, (_, batch) =>
    Buffer.from(Array.from({ length: pipeline }, (_, at) => command(keys[(batch * pipeline + at) % KEYS]!)).join('')),
  );
  let sent = 0;
  let stars = 0;
  const endMs = performance.now() + ROUND_MS;
  const done = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf(42); at >= 0; at = chunk.indexOf(42, at + 1)) stars++;
      if (stars < sent) return;
      if (performance.now() > endMs) resolve();
      else send();
    });
  });
  const send = () => {
    socket.write(batches[(sent / pipeline) % batches.length]!);
    sent += pipeline;
  };
  send();
  await done;
  socket.destroy();
  return sent;
}

async function rlsRound(port: number, inFlight: number, descriptors: number): Promise<number> {
  const grpc = await import('@grpc/grpc-js');
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const field = (number: number, bytes: Buffer) => Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
  const request = (at: number) => {
    const entry = Buffer.concat([field(1, Buffer.from('user')), field(2, Buffer.from(`user:${at}`))]);
    const descriptor = field(2, field(1, entry));
    return Buffer.concat([field(1, Buffer.from('api')), ...Array.from({ length: descriptors }, () => descriptor)]);
  };
  const requests = Array.from({ length: KEYS }, (_, at) => request(at));
  let calls = 0;
  const endMs = performance.now() + ROUND_MS;
  const path = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
  const same = (bytes: Buffer) => bytes;
  const one = () =>
    new Promise<void>((resolve, reject) => {
      client.makeUnaryRequest(path, same, same, requests[calls++ % KEYS]!, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  const caller = async () => {
    while (performance.now() < endMs) await one();
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  client.close();
  return calls;
}

async function main(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['serve'], { stdio: 'inherit' });
  const [ports] = (await once(child, 'message')) as [Ports];
  const cpuUs = async () => {
    child.send('cpu');
    return ((await once(child, 'message')) as [number])[0];
  };
  const measure = async (name: string, round: () => Promise<number>) => {
    await round();
    const before = await cpuUs();
    const decisions = await round();
    const us = ((await cpuUs()) - before) / decisions;
    console.log(`${name.padEnd(40)} ${us.toFixed(2).padStart(8)} µs of processor, ${decisions} in ${ROUND_MS} ms`);
    await sleep(50);
  };
  for (const pipeline of [1, 16, 64]) {
    await measure(`RESP, pipeline ${pipeline}`, () => respRound(ports.resp, pipeline));
  }
  for (const [inFlight, descriptors] of [
    [1, 1],
    [64, 1],
    [64, 4],
  ] as const) {
    const name = `RLS, ${inFlight} in flight, descriptors: ${descriptors}`;
    await measure(name, () => rlsRound(ports.rls, inFlight, descriptors));
  }
  child.disconnect();
}

await (process.argv[2] === 'serve' ? serve() : main());
