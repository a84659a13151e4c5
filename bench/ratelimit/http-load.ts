/** Load over HTTP: wrk, as in the other races. */
import { join } from 'node:path';
import { withCpu } from '../cpu.ts';
import { findProgram } from '../program.ts';
import { type HttpRequest, runWrk, writeRequests } from '../wrk.ts';
import type { Arena } from './arena.ts';
import type { Contender } from './contest.ts';

/** What to send to a server. */
export interface HttpLoad {
  /** Unique in the run. */
  name: string;
  url: string;
  requests: readonly HttpRequest[];
  /** Of one request. */
  decisions: number;
  connections: number;
  /** An answer that is lighter cannot hold what was asked for. */
  answerBytesMin: number;
}

/** @throws ProgramMissing when there is no wrk. */
export async function loadedByWrk(arena: Arena, pid: number, load: HttpLoad): Promise<Contender['measure']> {
  const source = { name: 'wrk', debianPackages: ['wrk'], brewFormula: 'wrk' };
  const wrk = await arena.once('wrk', () => findProgram(source, arena.progress));
  const { name, url, requests, decisions, connections, answerBytesMin } = load;
  const requestsFile = join(arena.stage.dir, `${name}.requests`);
  await writeRequests(requestsFile, url, requests);
  return async ({ seconds, seed }) => {
    const settings = { url, requestsFile, connections, seconds, seed };
    const result = await withCpu({ servers: [pid] }, () => runWrk(wrk, settings));
    const { answerBytesMean, requests: answered, perSecond, ...sample } = result;
    if (answerBytesMean < answerBytesMin) throw new Error(`${name}: answers have only ${answerBytesMean} bytes`);
    return { ...sample, decisions: answered * decisions, perSecond: perSecond * decisions };
  };
}
