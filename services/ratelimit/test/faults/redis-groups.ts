/** Redis servers that belong together: a cluster of three, and a primary with a replica behind three sentinels. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, redisServer } from '@plinth/engines';
import { eventually, startTestRedis, type TestEngine, tempDir } from '@plinth/testkit';
import { Redis } from 'ioredis';

const SLOTS = 16_384;

export interface RedisGroup {
  readonly url: string;
  readonly engines: readonly TestEngine[];
  stop(): Promise<void>;
}

/** Sends one command over a connection of its own. */
export async function command(port: number, name: string, ...args: (string | number)[]): Promise<unknown> {
  const client = new Redis({ port, lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null });
  try {
    await client.connect();
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}

/** Three primaries with a third of the slots each. One that is gone takes only its own slots along. */
export async function startCluster(): Promise<RedisGroup> {
  const busPorts: number[] = [];
  const engines: TestEngine[] = [];
  for (let node = 0; node < 3; node++) {
    const busPort = await freePort();
    busPorts.push(busPort);
    const config = {
      'cluster-enabled': 'yes',
      'cluster-port': String(busPort),
      'cluster-node-timeout': '1000',
      'cluster-require-full-coverage': 'no',
    };
    engines.push(await startTestRedis({ config }));
  }
  for (const [at, { port }] of engines.entries()) {
    const slots = [Math.ceil((SLOTS * at) / 3), Math.ceil((SLOTS * (at + 1)) / 3) - 1];
    await command(port, 'CLUSTER', 'ADDSLOTSRANGE', ...slots);
    if (at > 0) await command(port, 'CLUSTER', 'MEET', '127.0.0.1', engines[0]!.port, busPorts[0]!);
  }
  for (const { port } of engines) await eventually(() => isWhole(port), { timeoutMs: 20_000 });
  const url = `redis+cluster://${engines.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  const stop = async () => {
    await Promise.all(engines.map((engine) => engine.kill()));
  };
  return { url, engines, stop };
}

async function isWhole(port: number): Promise<boolean> {
  const info = String(await command(port, 'CLUSTER', 'INFO'));
  return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3') && info.includes('slots_ok:16384');
}

/** A primary, a replica, and three sentinels that take a primary for dead after half a second. */
export async function startSentinels(): Promise<RedisGroup> {
  const primary = await startTestRedis({ config: { 'repl-diskless-sync-delay': '0' } });
  const replica = await startTestRedis({ config: { replicaof: `127.0.0.1 ${primary.port}` } });
  await eventually(async () => String(await command(replica.port, 'INFO', 'replication')).includes('link_status:up'));
  const ports: number[] = [];
  const sentinels: ChildProcess[] = [];
  for (let sentinel = 0; sentinel < 3; sentinel++) {
    const port = await freePort();
    ports.push(port);
    sentinels.push(await startSentinel(port, primary.port));
  }
  for (const port of ports) await eventually(() => knowsAll(port), { timeoutMs: 20_000 });
  const stop = async () => {
    for (const sentinel of sentinels) sentinel.kill('SIGKILL');
    await Promise.all([primary.kill(), replica.kill()]);
  };
  const url = `redis+sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/limits`;
  return { url, engines: [primary, replica], stop };
}

async function startSentinel(port: number, primaryPort: number): Promise<ChildProcess> {
  const engine = await redisServer({ ignoreUrl: true });
  if (engine.kind !== 'binary') throw new Error(`a sentinel needs a redis-server of this machine, not ${engine.kind}`);
  const dir = tempDir('sentinel');
  const file = join(dir, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    `sentinel monitor limits 127.0.0.1 ${primaryPort} 2`,
    'sentinel down-after-milliseconds limits 500',
    'sentinel failover-timeout limits 3000',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return spawn(engine.command, [file, '--sentinel'], { env: { ...process.env, ...engine.env }, stdio: 'ignore' });
}

/** Knows the replica and the two others. */
async function knowsAll(port: number): Promise<boolean> {
  const fields = (await command(port, 'SENTINEL', 'MASTER', 'limits')) as string[];
  const text = JSON.stringify(fields);
  return /"num-slaves"[,:]"1"/.test(text) && /"num-other-sentinels"[,:]"2"/.test(text);
}
