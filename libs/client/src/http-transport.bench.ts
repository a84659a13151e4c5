/**
 * What a request costs the caller: this client, bare `node:http`, and `fetch`, taking turns against one server in a
 * process of its own that answers 100 bytes. Run: `node libs/client/src/http-transport.bench.ts`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createInterface } from 'node:readline';
import { createClient } from './client.ts';

const SERVER = `
  const body = Buffer.alloc(100, 97);
  const headers = { 'content-type': 'text/plain', etag: '"7"', 'kv-revision': '7', 'kv-create-revision': '7', 'kv-version': '1' };
  const server = require('node:http').createServer((request, response) => response.writeHead(200, headers).end(body));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;
const ROUNDS = 7;
const REQUESTS = 5_000;
const CONCURRENCY = 32;

const server = spawn(process.execPath, ['-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
const [port] = (await once(createInterface({ input: server.stdout }), 'line')) as [string];
const url = `http://127.0.0.1:${port}`;
const path = '/v1/kv/demo/some/key';

const client = createClient({ url });
const bucket = client.kv.bucket('demo');
const agent = new http.Agent({ keepAlive: true });
const contenders: Record<string, () => Promise<unknown>> = {
  'this client': async () => (await bucket.get('some/key'))?.bytes,
  'node:http': () =>
    new Promise((resolve, reject) => {
      const request = http.get({ agent, host: '127.0.0.1', port, path }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)));
      });
      request.on('error', reject);
    }),
  fetch: async () => new Uint8Array(await (await fetch(url + path)).arrayBuffer()),
};

async function measure(ask: () => Promise<unknown>): Promise<{ cpuUs: number; perSecond: number }> {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  let begun = 0;
  const worker = async () => {
    while (begun++ < REQUESTS) await ask();
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const { user, system } = process.cpuUsage(cpu);
  return { cpuUs: (user + system) / REQUESTS, perSecond: REQUESTS / ((performance.now() - startMs) / 1_000) };
}

const rounds: Record<string, { cpuUs: number; perSecond: number }[]> = Object.fromEntries(
  Object.keys(contenders).map((name) => [name, []]),
);
for (let round = 0; round <= ROUNDS; round++) {
  for (const [name, ask] of Object.entries(contenders)) {
    const result = await measure(ask);
    // The first round warms up.
    if (round > 0) rounds[name]!.push(result);
  }
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
console.table(
  Object.entries(rounds).map(([name, results]) => ({
    name,
    'CPU µs a request': Math.round(median(results.map(({ cpuUs }) => cpuUs))),
    'requests/s': Math.round(median(results.map(({ perSecond }) => perSecond))),
  })),
);
await client.close();
agent.destroy();
server.kill();
