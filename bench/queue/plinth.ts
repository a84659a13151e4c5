/** The service under test, `services/queue`, with a Redis and a nats-server of its own: everything else at its default. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type EngineServer, EngineUnavailable, freePort, startNats } from '@plinth/engines';
import { serviceProcess } from '@plinth/suite/service-process';
import { withCpu } from '../cpu.ts';
import { findProgram, ProgramMissing } from '../program.ts';
import { runWrk, writeRequests } from '../wrk.ts';
import type { Arena } from './arena.ts';
import { type Contender, workedOff } from './contest.ts';
import { measuredInMemory } from './memory.ts';
import { openPlinthQueue } from './plinth-queue.ts';
import { type Redis, startRedis } from './redis.ts';
import type { Phase, QueueDriver } from './task.ts';
import { dataOf, JOB_NAME } from './workload.ts';

/** The service of this work tree. */
export const SERVICE_MAIN = fileURLToPath(new URL('../../services/queue/src/main.ts', import.meta.url));

/** How workers come: on one machine with nothing but Redis, or by the bus, where events are told as well. */
export type Door = 'http' | 'nats';

export interface Plinth {
  title: string;
  url: string;
  /** Undefined: there is no bus. */
  natsUrl: string | undefined;
  redis: Redis;
  /** The service, its Redis, and nats-server. */
  pids: number[];
}

/** @throws ProgramMissing when Redis or nats-server is neither here nor to be had. */
export function startPlinth(arena: Arena, main: string, door: Door): Promise<Plinth> {
  return arena.once(`plinth ${door}`, async () => {
    const redis = await startRedis(arena, `plinth-${door}`);
    const nats = door === 'nats' ? await startBus(arena) : undefined;
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    // As `npm run up` starts it.
    const { command, args, env } = serviceProcess(main);
    const { pid } = await arena.stage.start({
      name: `plinth-${door}`,
      program: { command, env: {} },
      args,
      env: { ...env, QUEUE_PORT: String(port), REDIS_URL: redis.url, ...(nats && { NATS_URL: nats.url }) },
      url,
      isReady: async () => (await fetch(`${url}/readyz`)).ok,
    });
    const pids = [pid, redis.server.pid, ...(nats === undefined ? [] : [nats.pid!])];
    return { title: `plinth + Redis ${redis.version}`, url, natsUrl: nats?.url, redis, pids };
  });
}

async function startBus(arena: Arena): Promise<EngineServer> {
  const nats = await startNats({ dir: await arena.stage.emptyDir('nats') }).catch((error: Error) => {
    throw error instanceof EngineUnavailable ? new ProgramMissing(error.message) : error;
  });
  arena.defer(() => nats.stop());
  return nats;
}

/** A producer and worker of ours. */
function startDriver(arena: Arena, { url, natsUrl }: Plinth, lane: string): Promise<QueueDriver> {
  const words = [url, lane, ...(natsUrl === undefined ? [] : [natsUrl])];
  return arena.once(`plinth driver ${words.join(' ')}`, () => arena.driver('plinth-load.ts', words));
}

/** What ours takes part in. */
export interface Entry {
  phase: Phase | 'memory';
  door: Door;
  lane?: 'fast' | 'standard';
}

/** Lets ours take part, by its SDK. */
export function enterPlinth(arena: Arena, main: string, { phase, door, lane = 'fast' }: Entry): Promise<Contender[]> {
  return arena.unlessMissing('plinth', async () => {
    const plinth = await startPlinth(arena, main, door);
    const driver = await startDriver(arena, plinth, lane);
    const isNats = door === 'nats';
    return {
      name: isNats ? 'plinth-nats' : 'plinth',
      title: `${plinth.title}, ${lane}, SDK over ${isNats ? 'NATS' : 'HTTP'}`,
      cpuOf: `process, service, Redis${isNats ? ', NATS' : ''}`,
      measure: phase === 'memory' ? measuredInMemory(driver, plinth.redis) : workedOff(driver, plinth.pids, phase),
    };
  });
}

/** Enqueues over HTTP by wrk. */
export interface WrkEntry {
  connections: number;
  /** In one request; 1: the body is a job, not an array. */
  jobsPerRequest: number;
}

/** Different bodies, so that nothing can be remembered. */
const REQUESTS = 500;
/** An answer that is lighter names no job. */
const ANSWER_BYTES_MIN = 100;
const ITEM_BYTES_MIN = 20;

export function enterWrk(arena: Arena, main: string, entry: WrkEntry): Promise<Contender[]> {
  return arena.unlessMissing('plinth', async () => {
    const source = { name: 'wrk', debianPackages: ['wrk'], brewFormula: 'wrk' };
    const wrk = await arena.once('wrk', () => findProgram(source, arena.progress));
    const plinth = await startPlinth(arena, main, 'http');
    const { url, pids } = plinth;
    const { connections, jobsPerRequest } = entry;
    let slot = 0;
    const measure: Contender['measure'] = async ({ seconds, seed }) => {
      const name = `wrk-${jobsPerRequest}-${slot++}`;
      const queue = openPlinthQueue({ url, queue: name });
      await queue.define('fast');
      const requestsFile = join(arena.stage.dir, `${name}.requests`);
      await writeRequests(requestsFile, url, requestsFor(name, jobsPerRequest));
      const load = { url, requestsFile, connections, seconds, seed };
      const sample = await withCpu({ servers: pids }, () => runWrk(wrk, load));
      const { requests, perSecond, answerBytesMean, ...rest } = sample;
      if (answerBytesMean < ANSWER_BYTES_MIN + (jobsPerRequest - 1) * ITEM_BYTES_MIN)
        throw new Error(`${name}: answers have only ${answerBytesMean} bytes`);
      const jobs = requests * jobsPerRequest;
      const { counts } = await queue.stats();
      if (counts.waiting < jobs)
        throw new Error(`${name}: ${jobs} jobs were answered for, ${counts.waiting} are there`);
      await queue.remove();
      return { ...rest, jobs, perSecond: perSecond * jobsPerRequest };
    };
    const title = `${plinth.title}, HTTP, wrk × ${connections}`;
    return { name: 'plinth', title, cpuOf: 'service, Redis', measure };
  });
}

function requestsFor(queue: string, jobsPerRequest: number) {
  const job = (number: number) => ({ name: JOB_NAME, data: dataOf(number) });
  return Array.from({ length: REQUESTS }, (_, first) => ({
    method: 'POST',
    path: `/v1/queues/${queue}/jobs`,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(
      jobsPerRequest === 1 ? job(first) : Array.from({ length: jobsPerRequest }, (_, index) => job(first + index)),
    ),
  }));
}
