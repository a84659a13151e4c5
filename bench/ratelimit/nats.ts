/** The bus, and the service on it. */
import { EngineUnavailable, startNats } from '@plinth/engines';
import { ProgramMissing } from '../program.ts';
import type { Arena } from './arena.ts';
import { startService } from './plinth.ts';

export interface OnBus {
  natsUrl: string;
  title: string;
  /** The service and nats-server. */
  pids: number[];
}

/** @throws ProgramMissing when nats-server is neither here nor can be fetched. */
export function startOnBus(arena: Arena, main: string): Promise<OnBus> {
  return arena.once('plinth on the bus', async () => {
    const nats = await startNats({ dir: await arena.stage.emptyDir('nats') }).catch((error: Error) => {
      throw error instanceof EngineUnavailable ? new ProgramMissing(error.message) : error;
    });
    arena.defer(() => nats.stop());
    const { pid } = await startService(arena.stage, main, { NATS_URL: nats.url });
    const title = `plinth, NATS, with nats-server ${nats.version}`;
    return { natsUrl: nats.url, title, pids: [pid, nats.pid!] };
  });
}
