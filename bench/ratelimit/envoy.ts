/** Envoy's rate limit service with its Redis, at its defaults but for statistics nobody would read here. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@plinth/engines';
import { goToolchain } from '../../libs/engines/src/ways/go-toolchain.ts';
import { buildProgram } from '../program.ts';
import type { Arena } from './arena.ts';
import type { Door } from './door.ts';
import { GrpcChannel } from './grpc-channel.ts';
import { startRedis } from './redis.ts';
import { rlsDoor } from './rls-door.ts';
import { ENVOY_DOMAIN, rulesFile } from './workload.ts';

/** Its releases are years old; this is the state of its main branch of January 2026. */
const COMMIT = '3fb702589d36';
const MODULE = `github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-${COMMIT}`;

/**
 * `usual`: a denied request is counted in all of its descriptors. `sparing`: it asks Redis first and counts second,
 * which is as near as it comes to all or nothing.
 */
export type EnvoyCounting = 'usual' | 'sparing';

export interface Envoy {
  title: string;
  address: string;
  /** The service and its Redis. */
  pids: number[];
  door: Door;
  fourDoor: Door;
}

/** @throws ProgramMissing when there is no Go here, or the module cannot be had. */
export function startEnvoy(arena: Arena, counting: EnvoyCounting): Promise<Envoy> {
  return arena.once(`envoy ${counting}`, async () => {
    const program = await buildProgram(
      {
        name: 'envoy-ratelimit',
        version: COMMIT,
        way: goToolchain({ module: MODULE, binary: 'service_cmd' }),
        advice: 'it needs the Go toolchain, go.dev/dl',
      },
      arena.progress,
    );
    const redis = await startRedis(arena, `envoy-${counting}`);
    const [httpPort, grpcPort, debugPort] = [await freePort(), await freePort(), await freePort()];
    const address = `127.0.0.1:${grpcPort}`;
    const server = await arena.stage.start({
      name: `envoy-${counting}`,
      program,
      args: [],
      env: {
        ...ports({ httpPort, grpcPort, debugPort }),
        ...(await folders(arena)),
        REDIS_SOCKET_TYPE: 'tcp',
        REDIS_URL: `127.0.0.1:${redis.port}`,
        USE_STATSD: 'false',
        LOG_LEVEL: 'error',
        STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT: String(counting === 'sparing'),
      },
      url: address,
      isReady: async () => (await fetch(`http://127.0.0.1:${httpPort}/healthcheck`)).ok,
    });
    const name = `envoyproxy/ratelimit (${counting})`;
    const channel = new GrpcChannel(address);
    return {
      title: `envoyproxy/ratelimit ${COMMIT.slice(0, 7)} + Redis ${redis.version}`,
      address,
      pids: [server.pid, redis.server.pid],
      door: rlsDoor(name, channel),
      fourDoor: rlsDoor(`${name}, four descriptors`, channel, 'four'),
    };
  });
}

function ports(of: { httpPort: number; grpcPort: number; debugPort: number }): Record<string, string> {
  return {
    HOST: '127.0.0.1',
    PORT: String(of.httpPort),
    GRPC_HOST: '127.0.0.1',
    GRPC_PORT: String(of.grpcPort),
    DEBUG_HOST: '127.0.0.1',
    DEBUG_PORT: String(of.debugPort),
  };
}

async function folders(arena: Arena): Promise<Record<string, string>> {
  const root = await arena.stage.emptyDir('envoy-rules');
  await mkdir(join(root, 'bench', 'config'), { recursive: true });
  await writeFile(join(root, 'bench', 'config', 'bench.yaml'), rulesFile(ENVOY_DOMAIN));
  return { RUNTIME_ROOT: root, RUNTIME_SUBDIRECTORY: 'bench', RUNTIME_WATCH_ROOT: 'false' };
}
