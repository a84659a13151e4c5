/**
 * Redis or Valkey: where to get a server, and how to run one on this machine.
 *
 * Redis 6.2 and Valkey 7.2 are the oldest with everything BullMQ and our scripts call. Either will do; a machine that
 * has neither gets what its package manager serves.
 */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type AcquireOptions, acquire } from './acquire.ts';
import type { Engine, Recipe } from './engine.ts';
import { freePort } from './ports.ts';
import { ask, assertReachable } from './probe.ts';
import { type EngineServer, serverAtUrl, startServer } from './server-process.ts';
import { isAtLeast } from './version.ts';
import { debianPackages } from './ways/debian-packages.ts';
import { dockerImage } from './ways/docker.ts';
import { homebrew } from './ways/homebrew.ts';

const MINIMUM = { redis: '6.2.0', valkey: '7.2.0' };

/** How redis-server or valkey-server is found and fetched. */
export const REDIS_RECIPE: Recipe = {
  name: 'redis-server',
  urlVariable: 'REDIS_URL',
  commands: ['redis-server', 'valkey-server'],
  cacheKey: 'redis-server',
  parseVersion: (output) => / v=(\d+\.\d+\.\d+)/.exec(output)?.[1],
  objection(output) {
    const version = this.parseVersion(output);
    if (version === undefined) return 'this is neither redis-server nor valkey-server';
    const minimum = /^valkey/i.test(output) ? MINIMUM.valkey : MINIMUM.redis;
    return isAtLeast(version, minimum) ? undefined : `version ${version} is older than ${minimum}`;
  },
  ways: [
    debianPackages({
      sets: [
        ['redis-server', 'redis-tools'],
        ['valkey-server', 'valkey-tools'],
      ],
      binaries: ['usr/bin/redis-server', 'usr/bin/valkey-server'],
    }),
    homebrew({ formula: 'valkey', binary: 'valkey-server' }),
    dockerImage('valkey/valkey:8.1.4'),
  ],
};

/** Finds or fetches Redis 6.2 or Valkey 7.2, or newer. */
export function redisServer(options: AcquireOptions = {}): Promise<Engine> {
  return acquire(REDIS_RECIPE, options);
}

/** Options of `startRedis`. */
export interface RedisOptions extends AcquireOptions {
  /** The server's own folder, for its append-only log. */
  dir: string;
  /** A free one when omitted. */
  port?: number;
  /** Loopback by default. */
  host?: string;
  /** When the log reaches the disk. `everysec`, the default, risks one second in a power cut. */
  appendFsync?: 'always' | 'everysec' | 'no';
  /** More lines for redis.conf, as arguments: `{ maxmemory: '100mb' }`. */
  config?: Record<string, string>;
  /** An engine found before; looked for when omitted. */
  engine?: Engine;
  /** Called with each line the server logs. */
  onLine?: (line: string) => void;
  /** Called as soon as there is a process, long before it is ready. */
  onSpawn?: (pid: number) => void;
}

/**
 * Starts a Redis or Valkey server with an append-only log and `noeviction`, or checks the one given by `REDIS_URL`.
 * @returns Once it answers PING and has loaded its log.
 * @throws PortInUse, EngineUnavailable, or Error with the server's last words.
 */
export async function startRedis(options: RedisOptions): Promise<EngineServer> {
  const engine = options.engine ?? (await redisServer(options));
  if (engine.kind === 'url') {
    await assertReachable(engine, 6379);
    return serverAtUrl(engine);
  }
  const { host = '127.0.0.1' } = options;
  const port = options.port ?? (await freePort(host));
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true });
  // Inside a container the server listens on all of the container's addresses; Docker publishes on `host` alone.
  const bind = engine.kind === 'image' ? '0.0.0.0' : host;
  const settings = serverSettings({ ...options, bind, port, dir });
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const isReady = () => ask({ host, port, send: 'PING\r\n', isAnswer: hasPong });
  const url = `redis://${host}:${port}`;
  const { onLine, onSpawn } = options;
  return startServer({ engine, args, dir, host, port, url, isReady, onLine, onSpawn });
}

const hasPong = (received: string) => received.startsWith('+PONG\r\n');

function serverSettings(options: RedisOptions & { bind: string; port: number; dir: string }): Record<string, string> {
  const { bind, port, dir, appendFsync = 'everysec', config = {} } = options;
  return {
    port: String(port),
    bind,
    'protected-mode': bind === '0.0.0.0' ? 'no' : 'yes',
    dir,
    appendonly: 'yes',
    appendfsync: appendFsync,
    // The append-only log is the record; snapshots beside it would only cost a fork.
    save: '',
    // A queue or limit must never be dropped to make room: writes fail instead, and say so.
    'maxmemory-policy': 'noeviction',
    daemonize: 'no',
    ...config,
  };
}
