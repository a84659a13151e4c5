/**
 * How long a job lies when its worker was killed, with everything at its defaults: nothing is shortened, so this takes
 * two minutes and runs in the `--long` form only. All are killed in one stretch of time, at random moments of their
 * renewals, on a machine that does nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../median.ts';
import { type Arena, fileOf } from './arena.ts';
import type { Field } from './contests.ts';
import { bullmq, opponent } from './opponents.ts';
import { startPlinth } from './plinth.ts';
import { isWithin, RECOVERY_AT_MOST } from './targets.ts';

const VICTIMS = 4;
/** Longer than the longest interval between two renewals, so that kills fall anywhere in it. */
const KILLED_WITHIN_MS = 16_000;
const PATIENCE_MS = 150_000;

/** BullMQ: a lock of 30 s, and a look at stalled jobs each 30 s, of which two are needed. */
const BULLMQ_BOUND_MS = 30_000 + 30_000;
/** Ours: a lease of 30 s, and one tick of its reaper. */
const PLINTH_BOUND_MS = 30_000 + 1_000;

/** What came of one system. */
export interface Recovery {
  name: string;
  title: string;
  /** By configuration, at the most. */
  boundMs: number;
  /** From the kill to the next start, of each victim; empty in the short form. */
  tookMs: number[];
}

/** Both systems, and how they compare. */
export interface RecoveryFinding {
  recoveries: Recovery[];
  /** Ours to theirs: of the medians when they were measured, else of the bounds. Undefined: one took no part. */
  ratio: number | undefined;
  isMeasured: boolean;
  reached: boolean;
}

/** Measures, or in the short form only states, how long both take. */
export async function measureRecovery({ arena, main }: Field, isLong: boolean): Promise<RecoveryFinding> {
  const candidates = [
    ...(await arena.unlessMissing('bullmq', async () => {
      const { title, redis } = await opponent(arena, bullmq);
      return { name: 'bullmq', title, boundMs: BULLMQ_BOUND_MS, url: redis.url };
    })),
    ...(await arena.unlessMissing('plinth', async () => {
      const { title, url } = await startPlinth(arena, main, 'http');
      return { name: 'plinth', title, boundMs: PLINTH_BOUND_MS, url };
    })),
  ];
  if (isLong) arena.progress(`recovery: killing ${VICTIMS} workers of each, and waiting: up to two minutes`);
  const recoveries = await Promise.all(
    candidates.map(async ({ url, ...facts }): Promise<Recovery> => {
      const tookMs = isLong ? await killAndWait(arena, facts.name, url) : [];
      return { ...facts, tookMs };
    }),
  );
  return findingOf(recoveries, isLong);
}

export function findingOf(recoveries: Recovery[], isMeasured: boolean): RecoveryFinding {
  const figureOf = (name: string) => {
    const found = recoveries.find((recovery) => recovery.name === name);
    return found === undefined ? undefined : isMeasured ? median(found.tookMs) : found.boundMs;
  };
  const [ours, theirs] = [figureOf('plinth'), figureOf('bullmq')];
  const ratio = ours === undefined || theirs === undefined ? undefined : ours / theirs;
  const reached = ratio !== undefined && isWithin(ratio, { atMost: RECOVERY_AT_MOST });
  return { recoveries, ratio, isMeasured, reached };
}

async function killAndWait(arena: Arena, who: string, url: string): Promise<number[]> {
  const queues = Array.from({ length: VICTIMS }, (_, index) => `recovery-${index}`);
  const victims = queues.map((queue) => workerOf(arena, [who, url, 'victim', queue]));
  await Promise.all(victims.map((victim, index) => victim.line(`started ${queues[index]}`)));
  const heir = workerOf(arena, [who, url, 'heir', ...queues]);
  await heir.line('ready');
  return Promise.all(
    victims.map(async ({ child }, index) => {
      await sleep(Math.random() * KILLED_WITHIN_MS);
      child.kill('SIGKILL');
      const killedMs = performance.now();
      await heir.line(`started ${queues[index]}`);
      arena.progress(`recovery: ${who}: ${((performance.now() - killedMs) / 1_000).toFixed(1)} s`);
      return performance.now() - killedMs;
    }),
  );
}

/** A worker process that ends with the run. */
function workerOf(arena: Arena, words: string[]): { child: ChildProcess; line(text: string): Promise<void> } {
  const child = spawn(process.execPath, [fileOf('recovery-worker.ts'), ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  arena.defer(() => void child.kill('SIGKILL'));
  const said = new Set<string>();
  createInterface({ input: child.stdout! }).on('line', (line) => said.add(line));
  const line = async (text: string) => {
    for (const deadlineMs = performance.now() + PATIENCE_MS; !said.has(text); await sleep(5)) {
      if (performance.now() > deadlineMs) throw new Error(`recovery: ${words.join(' ')} never said "${text}"`);
    }
  };
  return { child, line };
}
