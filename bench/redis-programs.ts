/** Redis and its load generator, for all benchmarks that race against it or need it as a store. */
import { freePort } from '@plinth/engines';
import type { BenchArena } from './arena.ts';
import { findProgram, type Program, type Progress, runProgram } from './program.ts';
import { ask } from './resp-client.ts';
import type { Server } from './stage.ts';

/** The server and its load generator. */
export interface RedisPrograms {
  server: Program;
  benchmark: Program;
}

/** A Redis that runs. */
export interface RedisServer {
  server: Server;
  port: number;
  url: string;
  version: string;
}

/** @throws ProgramMissing when one of the two is neither here nor can be fetched. */
export async function findRedis(progress: Progress): Promise<RedisPrograms> {
  const brewFormula = 'redis';
  // In Debian's package redis-server the program is a link into redis-tools.
  const server = { name: 'redis-server', debianPackages: ['redis-server', 'redis-tools'], brewFormula };
  const benchmark = { name: 'redis-benchmark', debianPackages: ['redis-tools'], brewFormula };
  return { server: await findProgram(server, progress), benchmark: await findProgram(benchmark, progress) };
}

/** As `findRedis`, once a run. */
export function redisPrograms(arena: BenchArena): Promise<RedisPrograms> {
  return arena.once('redis programs', () => findRedis(arena.progress));
}

/**
 * Starts an empty Redis that saves nothing but what `settings` say.
 * @param purpose - Each store has its own, so that the CPU and memory of one are not another's.
 * @throws ProgramMissing when Redis is neither here nor can be fetched.
 */
export function startRedisServer(
  arena: BenchArena,
  purpose: string,
  settings: Readonly<Record<string, string>>,
): Promise<RedisServer> {
  return arena.once(`redis for ${purpose}`, async () => {
    const { server: program } = await redisPrograms(arena);
    const port = await freePort();
    const url = `redis://127.0.0.1:${port}`;
    const dir = await arena.stage.emptyDir(`redis-${purpose}`);
    const all = { port: String(port), bind: '127.0.0.1', dir, save: '', ...settings };
    const server = await arena.stage.start({
      name: `redis-${purpose}`,
      program,
      args: Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]),
      url,
      isReady: async () => (await ask(port, ['PING'])) === 'PONG',
    });
    const version = /v=(\S+)/.exec(await runProgram(program, ['--version']))?.[1] ?? 'of unknown version';
    return { server, port, url, version };
  });
}
