/** Rows over Redis' protocol, and the least that Redis itself can do. */

import { type Contest, CPU, type Row, workingIn } from './contest.ts';
import type { Field } from './contests.ts';
import { throttleCommand as clThrottle, startPlinth } from './plinth.ts';
import { loadedByRedisBenchmark, startRedis } from './redis.ts';
import { startThrottlecrab, throttleCommand } from './throttlecrab.ts';

/** Redis-benchmark's word for one of a thousand keys. */
const RANDOM_KEY = 'key:__rand_int__';

export async function respContest({ arena, main }: Field, row: Row, pipeline: number): Promise<Contest> {
  const entered = async (name: string, at: { pid: number; respPort: number; title: string }, command: string[]) => {
    const measure = loadedByRedisBenchmark(arena, [at.pid], { port: at.respPort, pipeline, command });
    return { name, title: at.title, measure };
  };
  const contenders = [
    ...(await arena.unlessMissing('plinth', async () => {
      const plinth = await startPlinth(arena, main);
      await arena.check(plinth.respDoor);
      return entered('plinth', { ...plinth, title: 'plinth, RESP' }, clThrottle('plenty', RANDOM_KEY));
    })),
    ...(await arena.unlessMissing('throttlecrab', async () => {
      const throttlecrab = await startThrottlecrab(arena);
      await arena.check(throttlecrab.respDoor);
      const title = `${throttlecrab.title}, RESP`;
      return entered('throttlecrab', { ...throttlecrab, title }, throttleCommand('plenty', RANDOM_KEY));
    })),
  ];
  return { row, name: `resp-${pipeline}`, title: `RESP, pipeline of ${pipeline}`, cost: CPU, contenders };
}

/** How far it is to what no limiter can go below: an empty call, and Redis doing the least it can. */
export async function lineContests({ arena }: Field): Promise<Contest[]> {
  const nothing = workingIn(await arena.driver('library-load.ts', ['nothing']));
  const empty: Contest = {
    row: 'lines',
    name: 'line-call',
    title: 'an empty call in process',
    cost: CPU,
    contenders: [{ name: 'nothing', title: 'empty function', measure: nothing }],
  };
  const contests = [1, 16, 64].map(async (pipeline): Promise<Contest> => {
    const line = (name: string, command: string[]) =>
      arena.unlessMissing('redis', async () => {
        const { server, port, version } = await startRedis(arena, 'lines');
        const measure = loadedByRedisBenchmark(arena, [server.pid], { port, pipeline, command });
        return { name, title: `Redis ${version}, ${name.toUpperCase()}`, measure };
      });
    const contenders = [...(await line('ping', ['PING'])), ...(await line('incr', ['INCR', RANDOM_KEY]))];
    return { row: 'lines', name: `line-${pipeline}`, title: `RESP, pipeline of ${pipeline}`, cost: CPU, contenders };
  });
  return [empty, ...(await Promise.all(contests))];
}
