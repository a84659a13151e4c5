/** Rows in which ours is asked over HTTP: many checks in a request, and one. */
import type { Arena } from './arena.ts';
import { type Contender, type Contest, CPU } from './contest.ts';
import type { Field } from './contests.ts';
import { gubernatorContender } from './grpc-contests.ts';
import { loadedByWrk } from './http-load.ts';
import { batchOf, checkOf, checkRequest, type Plinth, startPlinth } from './plinth.ts';
import { startThrottlecrab, throttleRequest } from './throttlecrab.ts';
import { IN_FLIGHT, KEYS, keyOf } from './workload.ts';

/** The least an answer to one check weighs, status line included, without which it holds no verdict. */
const ANSWER_BYTES_MIN = 100;
const VERDICT_BYTES_MIN = 30;

export async function batchContest({ arena, main }: Field): Promise<Contest[]> {
  const decisions = 32;
  const contenders = [
    ...(await arena.unlessMissing('plinth', async () => {
      const plinth = await startPlinth(arena, main);
      await arena.check(plinth.batchDoor);
      return plinthOverHttp(arena, plinth, decisions);
    })),
    ...(await gubernatorContender(arena, 'gubernator-32')),
  ];
  return [{ row: 'A5', name: 'batch-32', title: 'batch of 32', cost: CPU, contenders }];
}

export async function singleHttpContest({ arena, main }: Field): Promise<Contest[]> {
  const contenders = [
    ...(await arena.unlessMissing('plinth', async () => {
      const plinth = await startPlinth(arena, main);
      await arena.check(plinth.httpDoor);
      return plinthOverHttp(arena, plinth, 1);
    })),
    ...(await arena.unlessMissing('throttlecrab', async () => {
      const throttlecrab = await startThrottlecrab(arena);
      await arena.check(throttlecrab.httpDoor);
      const measure = await loadedByWrk(arena, throttlecrab.pid, {
        name: 'throttlecrab-1',
        url: throttlecrab.url,
        requests: forEachKey((number) => throttleRequest('plenty', keyOf(number))),
        decisions: 1,
        connections: IN_FLIGHT,
        answerBytesMin: ANSWER_BYTES_MIN,
      });
      return { name: 'throttlecrab', title: `${throttlecrab.title}, HTTP`, measure };
    })),
  ];
  return [{ row: 'A6', name: 'http-1', title: 'HTTP, JSON, 1 check', cost: CPU, contenders }];
}

async function plinthOverHttp(arena: Arena, { pid, url }: Plinth, decisions: number): Promise<Contender> {
  const bodyOf = (first: number) =>
    decisions === 1 ? checkOf('plenty', keyOf(first)) : batchOf(first, decisions, KEYS);
  const measure = await loadedByWrk(arena, pid, {
    name: `plinth-${decisions}`,
    url,
    requests: forEachKey((first) => checkRequest(bodyOf(first))),
    decisions,
    connections: IN_FLIGHT,
    answerBytesMin: ANSWER_BYTES_MIN + decisions * VERDICT_BYTES_MIN,
  });
  return { name: 'plinth', title: 'plinth, HTTP', measure };
}

function forEachKey<T>(make: (number: number) => T): T[] {
  return Array.from({ length: KEYS }, (_, number) => make(number));
}
