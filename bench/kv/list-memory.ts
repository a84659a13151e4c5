/**
 * Lists a million keys as NDJSON and watches the memory of the service meanwhile.
 *
 * The service is restarted after the keys were stored, so that nothing left over from storing them serves as room. The
 * reader takes lines as fast as they come. Growth is that of all resident memory, the pages of LMDB's file among them;
 * those belong to the page cache and are told apart, because a reader of the table will ask.
 */
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Memory, memoryOf } from '../proc.ts';
import type { Progress } from '../program.ts';
import type { Server, Stage } from '../stage.ts';
import { IDLE_MS } from './idle.ts';
import { importKeys, startService } from './plinth.ts';

const MILLION = 1_000_000;
const BUCKET = 'million';
const SAMPLE_EVERY_MS = 50;
const NEWLINE = 0x0a;

/** What listing came to. */
export interface ListMemory {
  keys: number;
  keysPerSecond: number;
  /** How long it took to store them, for the record. */
  importSeconds: number;
  /** Idle, before the list; undefined where the system does not tell, as are the peaks. */
  baseline: Memory | undefined;
  /** The highest value of each figure while listing. */
  peak: Memory | undefined;
}

/**
 * Stores, restarts, lists.
 * @throws Error unless exactly the million keys come back.
 */
export async function measureListMemory(stage: Stage, main: string, progress: Progress): Promise<ListMemory> {
  const dir = await stage.emptyDir('million');
  const importSeconds = await store({ stage, main, dir, progress });
  const server = await startService(stage, { main, dir });
  await sleep(IDLE_MS);
  const baseline = memoryOf(server.pid);
  const { keys, seconds, peak } = await listWatched(server);
  await server.stop();
  if (keys !== MILLION) throw new Error(`the list has ${keys} lines, not ${MILLION}`);
  return { keys, keysPerSecond: keys / seconds, importSeconds, baseline, peak };
}

async function store(place: { stage: Stage; main: string; dir: string; progress: Progress }): Promise<number> {
  const { stage, main, dir, progress } = place;
  const server = await startService(stage, { main, dir });
  const startedMs = performance.now();
  await importKeys(server.url, BUCKET, MILLION);
  const seconds = (performance.now() - startedMs) / 1_000;
  progress(`list-memory: imported ${MILLION} keys in ${seconds.toFixed(1)} s`);
  await server.stop();
  return seconds;
}

async function listWatched(server: Server): Promise<{ keys: number; seconds: number; peak: Memory | undefined }> {
  let peak = memoryOf(server.pid);
  const watch = setInterval(() => {
    peak = higher(peak, memoryOf(server.pid));
  }, SAMPLE_EVERY_MS);
  try {
    const startedMs = performance.now();
    const keys = await countLines(await openList(server.url));
    return { keys, seconds: (performance.now() - startedMs) / 1_000, peak: higher(peak, memoryOf(server.pid)) };
  } finally {
    clearInterval(watch);
  }
}

function higher(one: Memory | undefined, other: Memory | undefined): Memory | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return {
    rssBytes: Math.max(one.rssBytes, other.rssBytes),
    anonBytes: Math.max(one.anonBytes, other.anonBytes),
    fileBytes: Math.max(one.fileBytes, other.fileBytes),
  };
}

function openList(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { Accept: 'application/x-ndjson' };
    get(`${url}/v1/kv/${BUCKET}`, { headers }, (response) => {
      if (response.statusCode === 200) resolve(response);
      else reject(new Error(`the list answered ${response.statusCode}`));
    }).on('error', reject);
  });
}

/** Throws when the stream breaks off: half a list is not a list. */
async function countLines(stream: IncomingMessage): Promise<number> {
  let lines = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) lines++;
  }
  return lines;
}
