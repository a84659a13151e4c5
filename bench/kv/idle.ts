/** What the service takes before anyone asks for anything: memory, and the time until it serves. */
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../median.ts';
import { type Memory, memoryOf } from '../proc.ts';
import type { Stage } from '../stage.ts';
import { startService } from './plinth.ts';

const STARTS = 3;
export const IDLE_MS = 3_000;

/** An idle service with an empty folder. */
export interface Idle {
  memory: Memory | undefined;
  /** From the start of the process to a good answer of /readyz: the median of some starts. */
  startupMs: number;
}

/** Starts the service a few times, each on an empty folder, and looks at the last one after 3 s of rest. */
export async function measureIdle(stage: Stage, main: string): Promise<Idle> {
  const startupsMs: number[] = [];
  let memory: Memory | undefined;
  for (let start = 1; start <= STARTS; start++) {
    const server = await startService(stage, { main, dir: await stage.emptyDir('idle') });
    startupsMs.push(server.startupMs);
    if (start === STARTS) {
      await sleep(IDLE_MS);
      memory = memoryOf(server.pid);
    }
    await server.stop();
  }
  return { memory, startupMs: median(startupsMs) };
}
