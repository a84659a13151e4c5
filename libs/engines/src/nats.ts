/**
 * NATS with JetStream: where to get nats-server, and how to run one on this machine.
 *
 * 2.14 brought atomic batch publish, which the log store needs; 2.15 does one fsync per append under
 * `sync_interval: always`, so it is the one we fetch.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type AcquireOptions, acquire } from './acquire.ts';
import type { Engine, EngineBinary, EngineImage, Recipe } from './engine.ts';
import { freePort } from './ports.ts';
import { ask, assertReachable } from './probe.ts';
import { type EngineServer, serverAtUrl, startServer } from './server-process.ts';
import { isAtLeast } from './version.ts';
import { dockerImage } from './ways/docker.ts';
import { goToolchain } from './ways/go-toolchain.ts';
import { homebrew } from './ways/homebrew.ts';
import { officialRelease } from './ways/release.ts';

const MINIMUM = '2.14.0';
const PINNED = '2.15.2';
const PLATFORM_FOLDER = (platform: string, arch: string) => `nats-server-v${PINNED}-${platform}-${arch}`;

/** How nats-server is found and fetched. */
export const NATS_RECIPE: Recipe = {
  name: 'nats-server',
  urlVariable: 'NATS_URL',
  commands: ['nats-server'],
  cacheKey: `nats-server-${PINNED}`,
  parseVersion: (output) => /nats-server: v(\d+\.\d+\.\d+)/.exec(output)?.[1],
  objection(output) {
    const version = this.parseVersion(output);
    if (version === undefined) return 'this is not nats-server';
    return isAtLeast(version, MINIMUM) ? undefined : `version ${version} is older than ${MINIMUM}`;
  },
  ways: [
    officialRelease({
      version: `v${PINNED}`,
      baseUrl: `https://github.com/nats-io/nats-server/releases/download/v${PINNED}`,
      archive: (platform, arch) => `${PLATFORM_FOLDER(platform, arch)}.tar.gz`,
      binary: (platform, arch) => join(PLATFORM_FOLDER(platform, arch), 'nats-server'),
    }),
    goToolchain({ module: `github.com/nats-io/nats-server/v2@v${PINNED}`, binary: 'nats-server' }),
    homebrew({ formula: 'nats-server', binary: 'nats-server' }),
    dockerImage(`nats:${PINNED}`),
  ],
};

/** Finds or fetches nats-server 2.14 or newer. */
export function natsServer(options: AcquireOptions = {}): Promise<Engine> {
  return acquire(NATS_RECIPE, options);
}

/** Options of `startNats`. */
export interface NatsOptions extends AcquireOptions {
  /** The server's own folder: streams, and the configuration it was started with. */
  dir: string;
  /** A free one when omitted. */
  port?: number;
  /** Loopback by default. */
  host?: string;
  /** Port of the HTTP monitor; none when omitted. */
  monitorPort?: number;
  /** `always` syncs every append before its ack; an interval such as `2m` risks that much in a power cut. */
  syncInterval?: string;
  /** More lines for nats-server's configuration file. */
  config?: string;
  /** An engine found before; looked for when omitted. */
  engine?: Engine;
  /** Called with each line the server logs. */
  onLine?: (line: string) => void;
  /** Called as soon as there is a process, long before it is ready. */
  onSpawn?: (pid: number) => void;
}

/**
 * Starts nats-server with JetStream, or checks the one given by `NATS_URL`.
 * @returns Once it answers PING in the NATS protocol.
 * @throws PortInUse, EngineUnavailable, or Error with the server's last words.
 */
export async function startNats(options: NatsOptions): Promise<EngineServer> {
  const engine = options.engine ?? (await natsServer(options));
  if (engine.kind === 'url') {
    await assertReachable(engine, 4222);
    return serverAtUrl(engine);
  }
  const { host = '127.0.0.1' } = options;
  const port = options.port ?? (await freePort(host));
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true });
  const configPath = join(dir, 'nats.conf');
  await writeFile(configPath, configText({ ...options, engine, dir, host, port }));
  const isReady = () => ask({ host, port, send: 'CONNECT {"verbose":false}\r\nPING\r\n', isAnswer: hasPong });
  const url = `nats://${host}:${port}`;
  const { onLine, onSpawn, monitorPort } = options;
  const otherPorts = monitorPort === undefined ? [] : [monitorPort];
  const args = ['-c', configPath];
  return startServer({ engine, args, dir, host, port, otherPorts, url, isReady, onLine, onSpawn });
}

const hasPong = (received: string) => received.includes('PONG\r\n');

function configText(
  options: NatsOptions & { engine: EngineBinary | EngineImage; dir: string; host: string; port: number },
): string {
  const { engine, dir, host, port, monitorPort, syncInterval = 'always', config = '' } = options;
  // Inside a container the server listens on all of the container's addresses; Docker publishes on `host` alone.
  const bind = engine.kind === 'image' ? '0.0.0.0' : host;
  return [
    '# Written at each start; changes here are lost.',
    `listen: ${quoted(`${bind}:${port}`)}`,
    ...(monitorPort === undefined ? [] : [`http: ${quoted(`${bind}:${monitorPort}`)}`]),
    'jetstream {',
    `  store_dir: ${quoted(dir)}`,
    `  sync_interval: ${syncInterval}`,
    '}',
    config,
    '',
  ].join('\n');
}

/** JSON's escapes are those of nats-server's configuration strings. */
const quoted = (text: string) => JSON.stringify(text);
