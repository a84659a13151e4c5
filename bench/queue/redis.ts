/** Redis as the store of a queue: each contender has its own, so that the CPU and memory of one are not another's. */
import { type RedisServer, startRedisServer } from '../redis-programs.ts';
import { ask } from '../resp-client.ts';
import type { Arena } from './arena.ts';

/** A Redis that runs. */
export interface Redis extends RedisServer {
  /** `used_memory`, when nothing is pending. */
  usedBytes(): Promise<number>;
}

/** The promise of every row, and the default of a suite that `npm run up` starts. */
export const APPEND_FSYNC = 'everysec';

const SETTINGS = {
  appendonly: 'yes',
  appendfsync: APPEND_FSYNC,
  'maxmemory-policy': 'noeviction',
  // A rewrite falls on whoever runs when the log has doubled, not on whoever wrote it.
  'auto-aof-rewrite-percentage': '0',
} as const;

/** Starts an empty Redis with an append-only log. @throws ProgramMissing when it is neither here nor to be had. */
export async function startRedis(arena: Arena, purpose: string): Promise<Redis> {
  const redis = await startRedisServer(arena, purpose, SETTINGS);
  return { ...redis, usedBytes: () => usedBytes(redis) };
}

async function usedBytes({ port }: RedisServer): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(String(await ask(port, ['INFO', 'memory'])))![1]);
}
