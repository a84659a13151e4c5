/**
 * What the kit costs: the hot lane, the same with API keys, and the Express lane beside a raw `node:http` server, in one
 * run.
 *
 *     node libs/service-kit/src/hot-lane.bench.ts            # 5 rounds of 2 s, about two minutes
 *     ROUNDS=1 SECONDS=1 node libs/service-kit/src/hot-lane.bench.ts
 *
 * Each server is a process of its own; rounds are interleaved, the figure is the median. A value of 128 bytes, 64
 * connections; each request carries a key, which only `keyed` looks at. The raw server only echoes; a handler on the lanes works 3 µs beside it, as a store would. Beside
 * requests a second the processor time per request of the server is printed, the steadier figure on a busy machine.
 */
import { type ChildProcess, execFile, execFileSync, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { operationsOf, type Reply, serve } from '@plinth/contracts';
import { z } from 'zod';
import { startService } from './service-kit.ts';

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SECONDS = Number(process.env.SECONDS ?? 2);
const CONNECTIONS = 64;
const WORK_NS = 3_000n;
const VALUE = Buffer.alloc(128, 'v');
const KEY = 'plk_a-key-of-the-length-that-keys-commonly-have';
const SUBJECTS = ['raw', 'hot', 'keyed', 'express'] as const;
type Subject = (typeof SUBJECTS)[number];
type Method = 'GET' | 'PUT';

// ---------------------------------------------------------------- the servers

const values = new Map<string, Uint8Array>([['bench', VALUE]]);

/** What a store would do. */
function work(): void {
  const until = process.hrtime.bigint() + WORK_NS;
  while (process.hrtime.bigint() < until);
}

function getReply(key: string): Reply {
  work();
  return { status: 200, headers: { 'content-type': 'application/octet-stream', etag: '"7"' }, body: values.get(key) };
}

function putReply(key: string, value: Uint8Array): Reply {
  work();
  values.set(key, value);
  return { status: 204, headers: { etag: '"7"' } };
}

/** The least that Node can do: no routes, no work, no limits. */
function rawServer(): Promise<number> {
  const server = createServer((req: IncomingMessage, res: ServerResponse) => {
    if (req.method === 'GET') return void res.writeHead(200, { 'content-length': VALUE.length }).end(VALUE);
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => res.writeHead(204, { etag: String(Buffer.concat(chunks).length) }).end());
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

async function kitServer(subject: Subject): Promise<number> {
  const hot = subject !== 'express';
  const operation = operationsOf('bench');
  const shape = { path: '/v1/kv/{bucket}/{+key}', query: z.strictObject({}), replies: [], hot };
  const get = operation({ ...shape, name: 'get', summary: '', method: 'GET', body: { kind: 'none' } });
  const put = operation({ ...shape, name: 'put', summary: '', method: 'PUT', body: { kind: 'bytes' } });
  const { port } = await startService(
    {
      name: 'bench',
      readConfig: () => ({}),
      build: () => ({
        operations: [
          serve(get, ({ params }) => getReply(params.key!)),
          serve(put, ({ params, body }) => putReply(params.key!, body)),
        ],
        notReady: () => undefined,
        stop: async () => {},
      }),
    },
    { env: { BENCH_LOG_LEVEL: 'error', ...(subject === 'keyed' && { API_ROOT_KEY_FILE: keyFile() }) } },
  );
  return port;
}

/** A file with the key, which goes with the process. */
function keyFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hot-lane-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true }));
  const file = join(folder, 'root-key');
  writeFileSync(file, KEY);
  return file;
}

// ---------------------------------------------------------------- the client

interface Measured {
  perSecond: number;
  cpuUs: number;
}

interface Server {
  process: ChildProcess;
  url: string;
}

async function startServer(subject: Subject): Promise<Server> {
  const child = fork(import.meta.filename, ['--serve', subject], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const port = await new Promise<unknown>((resolve) => child.once('message', resolve));
  return { process: child, url: `http://127.0.0.1:${port}/v1/kv/b/bench` };
}

async function measure({ process: { pid }, url }: Server, method: Method): Promise<Measured> {
  const before = cpuSeconds(pid!);
  const perSecond = await (hasWrk() ? load(url, method) : loadFromHere(url, method));
  return { perSecond, cpuUs: ((cpuSeconds(pid!) - before) * 1e6) / (perSecond * SECONDS) };
}

async function load(url: string, method: Method): Promise<number> {
  const script = new URL('./hot-lane.wrk-put.lua', import.meta.url).pathname;
  const header = ['-H', `Authorization: Bearer ${KEY}`];
  const args = [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${SECONDS}s`,
    ...header,
    ...(method === 'PUT' ? ['-s', script] : []),
    url,
  ];
  const { stdout } = await promisify(execFile)('wrk', args);
  if (stdout.includes('Non-2xx')) throw new Error(stdout);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]);
}

/** Where there is no wrk: the client is then the slower half, and the ratios come out too near to 1. */
async function loadFromHere(url: string, method: Method): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let count = 0;
  const endMs = Date.now() + SECONDS * 1_000;
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const body = method === 'PUT' ? VALUE : undefined;
      const headers = { 'content-length': body?.length ?? 0, authorization: `Bearer ${KEY}` };
      const asked = request(url, { agent, method, headers }, (res) => {
        res.resume().once('end', resolve);
      });
      asked.once('error', reject).end(body);
    });
  const loop = async () => {
    for (; Date.now() < endMs; count++) await one();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, loop));
  agent.destroy();
  return count / SECONDS;
}

function hasWrk(): boolean {
  try {
    execFileSync('wrk', ['-v'], { stdio: 'ignore' });
  } catch (error) {
    // It answers -v with the exit code 1.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
  return true;
}

/** Of a process, from Linux' /proc; elsewhere 0. In units of 1/100 s. */
function cpuSeconds(pid: number): number {
  if (process.platform !== 'linux') return 0;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// ---------------------------------------------------------------- the run

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
}

async function compare(method: Method, servers: Record<Subject, Server>): Promise<void> {
  const rounds: Record<Subject, Measured[]> = { raw: [], hot: [], keyed: [], express: [] };
  for (const subject of SUBJECTS) await measure(servers[subject], method);
  for (let round = 0; round < ROUNDS; round++) {
    for (const subject of SUBJECTS) rounds[subject].push(await measure(servers[subject], method));
  }
  const of = (subject: Subject) => ({
    perSecond: median(rounds[subject].map((one) => one.perSecond)),
    cpuUs: median(rounds[subject].map((one) => one.cpuUs)),
  });
  const raw = of('raw');
  for (const subject of SUBJECTS) {
    const { perSecond, cpuUs } = of(subject);
    const ratio = (perSecond / raw.perSecond).toFixed(2);
    console.log(
      `${method} ${subject.padEnd(8)} ${perSecond.toFixed(0).padStart(7)} req/s  ×${ratio}  ${cpuUs.toFixed(1)} µs CPU`,
    );
  }
}

if (process.argv[2] === '--serve') {
  const subject = process.argv[3] as Subject;
  process.send!(await (subject === 'raw' ? rawServer() : kitServer(subject)));
  process.on('disconnect', () => process.exit());
  process.on('SIGTERM', () => process.exit());
} else {
  const started = await Promise.all(SUBJECTS.map(startServer));
  const servers = Object.fromEntries(SUBJECTS.map((subject, index) => [subject, started[index]!])) as Record<
    Subject,
    Server
  >;
  await sleep(200);
  await compare('GET', servers);
  await compare('PUT', servers);
  for (const { process: child } of started) child.kill();
}
