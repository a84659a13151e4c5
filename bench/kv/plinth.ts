/** The service under test, `services/kv`, alone: no bus, no exporter, everything else at its default. */
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '@plinth/engines';
import { serviceProcess } from '@plinth/suite/service-process';
import type { Server, Stage } from '../stage.ts';
import type { HttpRequest } from '../wrk.ts';
import { type HttpRace, httpOpponent, type PageEntry, send } from './http-opponent.ts';
import type { Opponent } from './opponent.ts';
import { BUCKET, KEYS, keyOf, OPERATIONS, type Operation, PAGE_KEYS, prefixOf, valueFor } from './workload.ts';

/** The service of this work tree. */
export const SERVICE_MAIN = fileURLToPath(new URL('../../services/kv/src/main.ts', import.meta.url));

/** Lines a chunk when entries are imported: large enough to make the client cheap, small enough to stream. */
const LINES_PER_CHUNK = 500;

/** Starts the service on a free port. @param dir - Its data; a used one continues. */
export async function startService(stage: Stage, { main, dir }: { main: string; dir: string }): Promise<Server> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // As `npm run up` starts it.
  const { command, args, env } = serviceProcess(main);
  return stage.start({
    name: 'plinth',
    program: { command, env: {} },
    args,
    env: { ...env, KV_PORT: String(port), KV_DATA_DIR: dir },
    url,
    isReady: async () => (await fetch(`${url}/readyz`)).ok,
  });
}

/** Starts the service on an empty folder and enters it for the race. */
export async function enterPlinth(race: HttpRace, main: string): Promise<Opponent> {
  const server = await startService(race.stage, { main, dir: await race.stage.emptyDir('plinth') });
  const dialect = {
    name: 'plinth',
    title: 'plinth',
    server,
    operations: OPERATIONS,
    isStore: true,
    promise: (operation: Operation) => (operation === 'put' ? 'fsync before the answer' : 'linearizable'),
    request: requestFor,
    storeAll: () => importKeys(server.url, BUCKET, KEYS),
    valueIn: (answer: string) => answer,
    entriesIn,
  };
  return httpOpponent(dialect, race);
}

function requestFor(operation: Operation, number: number): HttpRequest {
  const entry = `/v1/kv/${BUCKET}/${keyOf(number)}`;
  switch (operation) {
    case 'put':
      return { method: 'PUT', path: entry, body: valueFor(number, 'put') };
    case 'get':
      return { method: 'GET', path: entry };
    case 'page':
      return { method: 'GET', path: `${pagePath(number)}&values=true` };
    case 'page-keys':
      return { method: 'GET', path: pagePath(number) };
  }
}

function pagePath(page: number): string {
  return `/v1/kv/${BUCKET}?prefix=${prefixOf(page)}&limit=${PAGE_KEYS}`;
}

function entriesIn(answer: string): PageEntry[] {
  const { items } = JSON.parse(answer) as { items: PageEntry[] };
  return items.map(({ key, value }) => ({ key, value }));
}

/**
 * Stores `keyOf(0)` … with their filled values, making the bucket first.
 * @throws Error when the service did not store all of them.
 */
export async function importKeys(url: string, bucket: string, count: number): Promise<void> {
  await putBucket(url, bucket);
  const answer = await postStream(`${url}/v1/kv/${bucket}:import`, Readable.from(importChunks(count)));
  const { imported } = JSON.parse(answer) as { imported: number };
  if (imported !== count) throw new Error(`import stored ${imported} of ${count} entries`);
}

async function putBucket(url: string, bucket: string): Promise<void> {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(`${url}/v1/buckets/${bucket}`, { method: 'PUT', headers, body: '{}' });
  if (!response.ok) throw new Error(`the bucket was not made: ${response.status} ${await response.text()}`);
}

function* importChunks(count: number): Generator<string> {
  let lines: string[] = [];
  for (let number = 0; number < count; number++) {
    lines.push(`${JSON.stringify({ key: keyOf(number), value: valueFor(number, 'filled') })}\n`);
    if (lines.length === LINES_PER_CHUNK || number === count - 1) {
      yield lines.join('');
      lines = [];
    }
  }
}

/** `fetch` would need a web stream of bytes, which costs several times more for each chunk. */
function postStream(url: string, body: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/x-ndjson' };
    const call = httpRequest(url, { method: 'POST', headers }, async (response) => {
      const text = Buffer.concat(await response.toArray()).toString();
      if (response.statusCode === 200) resolve(text);
      else reject(new Error(`import answered ${response.statusCode}: ${text.slice(0, 300)}`));
    });
    call.on('error', reject);
    pipeline(body, call).catch(reject);
  });
}

/** The headers the service sends with a value, for an echo that sends the same. */
export async function headersOfGet(url: string): Promise<string[]> {
  const { method, path } = requestFor('get', 0);
  await send(url, { method, path });
  return new Promise((resolve, reject) => {
    const call = httpRequest(url + path, { method }, (response) => {
      response.resume();
      resolve(response.rawHeaders);
    });
    call.on('error', reject).end();
  });
}
