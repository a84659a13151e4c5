/** gubernator, one node, at its defaults. Version 2.4.0 is the newest that its first home published. */
import { fileURLToPath } from 'node:url';
import { freePort } from '@plinth/engines';
import { goModule } from '../go-module.ts';
import { buildProgram } from '../program.ts';
import type { Arena } from './arena.ts';
import type { Door } from './door.ts';
import { GrpcChannel } from './grpc-channel.ts';
import { GET_RATE_LIMITS, type GubernatorAsk, getRateLimits, readGubernatorAnswer } from './grpc-wire.ts';
import { LIMITS } from './workload.ts';

const VERSION = '2.4.0';
const SOURCES = fileURLToPath(new URL('./gubernator', import.meta.url));

export interface Gubernator {
  title: string;
  address: string;
  pid: number;
  door(algorithm: GubernatorAsk['algorithm']): Door;
}

/** @throws ProgramMissing when there is no Go here, or a module cannot be had. */
export function startGubernator(arena: Arena): Promise<Gubernator> {
  return arena.once('gubernator', async () => {
    const way = goModule({ dir: SOURCES, binary: 'gubernator' });
    const advice = 'it needs the Go toolchain, go.dev/dl';
    const program = await buildProgram({ name: 'gubernator', version: VERSION, way, advice }, arena.progress);
    const [address, httpAddress] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    const { pid } = await arena.stage.start({
      name: 'gubernator',
      program,
      args: [address, httpAddress],
      url: address,
      isReady: async () => (await healthOf(httpAddress)) === 'healthy',
    });
    const channel = new GrpcChannel(address);
    const door = (algorithm: GubernatorAsk['algorithm']) => doorOf(channel, algorithm);
    return { title: `gubernator ${VERSION}`, address, pid, door };
  });
}

async function healthOf(httpAddress: string): Promise<string> {
  const response = await fetch(`http://${httpAddress}/v1/HealthCheck`);
  return ((await response.json()) as { status: string }).status;
}

function doorOf(channel: GrpcChannel, algorithm: GubernatorAsk['algorithm']): Door {
  return {
    name: `gubernator, ${algorithm} bucket`,
    async take(limit, key) {
      // The two algorithms keep states of one shape, so they must not meet under one key.
      const asks = [{ key: `${algorithm}-${key}`, limit: LIMITS[limit], algorithm }];
      return readGubernatorAnswer(await channel.call(GET_RATE_LIMITS, getRateLimits(asks)))[0]!;
    },
  };
}
