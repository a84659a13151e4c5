/** Redis as a store of limits: nothing is written to disk, since limits this short need not outlive a crash. */
import { withCpu } from '../cpu.ts';
import { parseRedisCsv } from '../kv/redis-report.ts';
import { runProgram } from '../program.ts';
import { type RedisServer, redisPrograms, startRedisServer } from '../redis-programs.ts';
import type { Arena } from './arena.ts';
import type { Contender, Sample } from './contest.ts';
import { KEYS } from './workload.ts';

/** redis-benchmark counts requests, not seconds: a slot is sized by the speed of the one before. */
const FIRST_PER_SECOND = 20_000;
/** Enough that a server with nothing to do between two answers is never seen. */
const CONNECTIONS = 32;

/** Starts an empty Redis. @param purpose - Each store has its own, so that the CPU of one is not that of another. */
export const startRedis = (arena: Arena, purpose: string): Promise<RedisServer> =>
  startRedisServer(arena, purpose, { appendonly: 'no' });

/** What to send to a server that speaks Redis' protocol. */
export interface RespLoad {
  port: number;
  pipeline: number;
  /** `key:__rand_int__` in it becomes one of a thousand keys. */
  command: string[];
}

/**
 * Measures a server under redis-benchmark, which ends with an error when an answer is one.
 * @param servers - Its process and those of its stores.
 */
export function loadedByRedisBenchmark(arena: Arena, servers: readonly number[], load: RespLoad): Contender['measure'] {
  let perSecond = FIRST_PER_SECOND;
  return async ({ seconds }) => {
    const { benchmark } = await redisPrograms(arena);
    const decisions = Math.ceil(perSecond * seconds);
    const size = ['-c', String(CONNECTIONS), '-P', String(load.pipeline), '-n', String(decisions), '-r', String(KEYS)];
    const address = ['-h', '127.0.0.1', '-p', String(load.port)];
    const sample = await withCpu({ servers }, async () => {
      const output = await runProgram(benchmark, [...address, ...size, '--csv', ...load.command]);
      return parseRedisCsv(output);
    });
    perSecond = sample.perSecond;
    return { ...sample, decisions } satisfies Sample;
  };
}
