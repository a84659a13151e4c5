/** The opponents: raw BullMQ, asynq, and Redis alone. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { startProgramDriver } from '../driver.ts';
import { goModule } from '../go-module.ts';
import { buildProgram } from '../program.ts';
import { type Arena, fileOf } from './arena.ts';
import { type Contender, workedOff } from './contest.ts';
import { measuredInMemory } from './memory.ts';
import { type Redis, startRedis } from './redis.ts';
import type { Phase, QueueDriver, QueueEffort, QueueTask } from './task.ts';

const ASYNQ_VERSION = '0.26.0';

/** A queue that works in its user's process, beside its Redis. */
export interface Opponent {
  title: string;
  driver: QueueDriver;
  redis: Redis;
}

export interface OpponentSource {
  name: 'bullmq' | 'asynq' | 'bare';
  /** @throws ProgramMissing when something it needs cannot be had here, such as Go. */
  start(arena: Arena): Promise<Opponent>;
}

export const bullmq: OpponentSource = {
  name: 'bullmq',
  async start(arena) {
    const redis = await startRedis(arena, 'bullmq');
    const driver = await arena.driver('bullmq-load.ts', [redis.url]);
    return { title: `BullMQ ${bullmqVersion()} + Redis ${redis.version}`, driver, redis };
  },
};

export const asynq: OpponentSource = {
  name: 'asynq',
  async start(arena) {
    const way = goModule({ dir: fileOf('asynq'), binary: 'asynq-bench' });
    const version = `${ASYNQ_VERSION}-${digestOf(fileOf('asynq/main.go'))}`;
    const source = { name: 'asynq-bench', version, way, advice: 'it needs the Go toolchain, go.dev/dl' };
    const program = await buildProgram(source, arena.progress);
    const redis = await startRedis(arena, 'asynq');
    const started = await startProgramDriver<QueueTask, QueueEffort>(program, [`127.0.0.1:${redis.port}`]);
    const title = `asynq ${ASYNQ_VERSION} + Redis ${redis.version}`;
    return { title, driver: arena.untilEnd(started), redis };
  },
};

/** Not a queue, but what no queue on Redis can go below. */
export const bare: OpponentSource = {
  name: 'bare',
  async start(arena) {
    const redis = await startRedis(arena, 'bare');
    const driver = await arena.driver('bare-load.ts', [redis.url]);
    return { title: `bare commands + Redis ${redis.version}`, driver, redis };
  },
};

/** Starts an opponent, once a run. */
export function opponent(arena: Arena, { name, start }: OpponentSource): Promise<Opponent> {
  return arena.once(name, () => start(arena));
}

/** Lets an opponent take part in one kind of work, or nobody when it cannot be had. */
export function enter(
  arena: Arena,
  source: OpponentSource,
  { phase, how }: { phase: Phase | 'memory'; how: string },
): Promise<Contender[]> {
  return arena.unlessMissing(source.name, async () => {
    const { title, driver, redis } = await opponent(arena, source);
    const measure = phase === 'memory' ? measuredInMemory(driver, redis) : workedOff(driver, [redis.server.pid], phase);
    return { name: source.name, title: `${title}, ${how}`, cpuOf: 'process, Redis', measure };
  });
}

/** A program of ours is built anew when it has changed. */
function digestOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 8);
}

function bullmqVersion(): string {
  return (createRequire(import.meta.url)('bullmq/package.json') as { version: string }).version;
}
