/** Redis as a store of limits: nothing is written to disk, since limits this short need not outlive a crash. */
import { freePort } from '@plinth/engines';
import { withCpu } from '../cpu.ts';
import { findRedis, type RedisPrograms } from '../kv/redis.ts';
import { parseRedisCsv } from '../kv/redis-report.ts';
import { runProgram } from '../program.ts';
import type { Server } from '../stage.ts';
import type { Arena } from './arena.ts';
import type { Contender, Sample } from './contest.ts';
import { ask } from './resp-client.ts';
import { KEYS } from './workload.ts';

/** redis-benchmark counts requests, not seconds: a slot is sized by the speed of the one before. */
const FIRST_PER_SECOND = 20_000;
/** Enough that a server with nothing to do between two answers is never seen. */
const CONNECTIONS = 32;

/** A Redis that runs. */
export interface Redis {
  server: Server;
  port: number;
  version: string;
}

/** @throws ProgramMissing when Redis is neither here nor can be fetched. */
export function findPrograms(arena: Arena): Promise<RedisPrograms> {
  return arena.once('redis programs', () => findRedis(arena.progress));
}

/** Starts an empty Redis. @param purpose - Each store has its own, so that the CPU of one is not that of another. */
export function startRedis(arena: Arena, purpose: string): Promise<Redis> {
  return arena.once(`redis for ${purpose}`, async () => {
    const programs = await findPrograms(arena);
    const port = await freePort();
    const server = await arena.stage.start({
      name: `redis-${purpose}`,
      program: programs.server,
      args: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      url: `redis://127.0.0.1:${port}`,
      isReady: async () => (await ask(port, ['PING'])) === 'PONG',
    });
    const version = /v=(\S+)/.exec(await runProgram(programs.server, ['--version']))?.[1] ?? 'of unknown version';
    return { server, port, version };
  });
}

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
    const { benchmark } = await findPrograms(arena);
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
