/** What logging every request costs a service: the store's `get`, with nobody logging, with ours, with pino. */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@plinth/engines';
import { serviceProcess } from '@plinth/suite/service-process';
import { type CpuWindow, withCpu } from '../cpu.ts';
import { findProgram, type Progress } from '../program.ts';
import { turns } from '../round.ts';
import type { Server, Stage } from '../stage.ts';
import { runWrk, writeRequests } from '../wrk.ts';
import type { LoadResult } from '../wrk-report.ts';

const MAIN = fileURLToPath(new URL('./service-main.ts', import.meta.url));
const CONNECTIONS = 64;
const VALUE_BYTES = 128;
const WARM_UP_SECONDS = 2;
const PATH = '/v1/kv/bench/key';

/** Which log a service has, and what it is told to log. */
interface ServedSubject {
  name: string;
  title: string;
  accessLog: 'none' | 'all';
}

const SUBJECTS: readonly ServedSubject[] = [
  { name: 'quiet', title: 'no request is logged', accessLog: 'none' },
  { name: 'plinth', title: 'all, by file-logger', accessLog: 'all' },
  { name: 'pino', title: 'all, by pino, sync: true', accessLog: 'all' },
  { name: 'pino-buffered', title: 'all, by pino, sync: true, minLength 4096', accessLog: 'all' },
];

/** One service, with one sample a round. */
export interface ServedLane {
  subject: ServedSubject;
  samples: (LoadResult & CpuWindow)[];
}

/**
 * Runs the services next to one another and asks them in turns.
 *
 * @throws Error when an answer failed, or when there are not as many lines as answers.
 */
export async function raceServed(
  options: { rounds: number; seconds: number },
  stage: Stage,
  progress: Progress,
): Promise<ServedLane[]> {
  const wrk = await findProgram({ name: 'wrk', debianPackages: ['wrk'], brewFormula: 'wrk' }, progress);
  const entrants = [];
  for (const subject of SUBJECTS) entrants.push(await enter(subject, stage));
  const ask = (entrant: Entrant, seconds: number, seed: number) => {
    const { server, requestsFile } = entrant;
    const load = { url: server.url, requestsFile, connections: CONNECTIONS, seconds, seed };
    return withCpu(server.pid, () => runWrk(wrk, load));
  };
  for (const entrant of entrants) entrant.answers += (await ask(entrant, WARM_UP_SECONDS, 0)).requests;
  for (const { round, opponent } of turns(options.rounds, [{ case: 'get', opponents: entrants }])) {
    const sample = await ask(opponent, options.seconds, round + 1);
    opponent.answers += sample.requests;
    opponent.lane.samples.push(sample);
    progress(`round ${round + 1}/${options.rounds}: served, ${opponent.lane.subject.name}: ${cpuText(sample)}`);
  }
  for (const entrant of entrants) await end(entrant);
  return entrants.map(({ lane }) => lane);
}

/** CPU of a request, in nanoseconds; undefined where the system does not tell. */
export function cpuNsOf({ serverMs, requests }: LoadResult & CpuWindow): number | undefined {
  return serverMs === undefined ? undefined : (serverMs * 1e6) / requests;
}

const cpuText = (sample: LoadResult & CpuWindow): string => `${Math.round(cpuNsOf(sample) ?? 0)} CPU ns a request`;

interface Entrant {
  lane: ServedLane;
  server: Server;
  requestsFile: string;
  /** What was asked in all, to be found in its log again. */
  answers: number;
}

async function enter(subject: ServedSubject, stage: Stage): Promise<Entrant> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { command, args, env } = serviceProcess(MAIN);
  const dir = await stage.emptyDir(subject.name);
  const server = await stage.start({
    name: `served-${subject.name}`,
    program: { command, env: {} },
    args: [...args, subject.name],
    env: { ...env, KV_PORT: String(port), KV_DATA_DIR: dir, KV_ACCESS_LOG: subject.accessLog },
    url,
    isReady: async () => (await fetch(`${url}/readyz`)).ok,
  });
  const headers = { 'content-type': 'application/json' };
  await fetch(`${url}/v1/buckets/bench`, { method: 'PUT', headers, body: '{}' });
  await fetch(url + PATH, { method: 'PUT', body: 'v'.repeat(VALUE_BYTES) });
  const requestsFile = join(dir, 'requests');
  await writeRequests(requestsFile, url, [{ method: 'GET', path: PATH }]);
  return { lane: { subject, samples: [] }, server, requestsFile, answers: 2 };
}

async function end({ lane: { subject }, server, answers }: Entrant): Promise<void> {
  await server.stop();
  if (subject.accessLog === 'none') return;
  const lines = await countLines(server.logFile);
  // wrk leaves when its time is up: what it had asked last is logged, answered to nobody, and not in its count.
  if (lines < answers) throw new Error(`${subject.title}: ${answers} requests were answered, ${lines} were logged`);
}

async function countLines(path: string): Promise<number> {
  let lines = 0;
  const bytes = createReadStream(path, { highWaterMark: 1 << 20 });
  bytes.on('data', (chunk) => {
    for (let at = (chunk as Buffer).indexOf(10); at >= 0; at = (chunk as Buffer).indexOf(10, at + 1)) lines++;
  });
  await once(bytes, 'end');
  return lines;
}
