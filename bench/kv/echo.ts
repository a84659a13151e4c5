/** The physical line: what `node:http` alone reaches, in one process, with the headers that our get sends. */
import { fileURLToPath } from 'node:url';
import { freePort } from '@plinth/engines';
import type { HttpRequest } from '../wrk.ts';
import { type HttpRace, httpOpponent } from './http-opponent.ts';
import type { Opponent } from './opponent.ts';
import { BUCKET, keyOf, type Operation, valueFor } from './workload.ts';

const ECHO_MAIN = fileURLToPath(new URL('./echo-server.ts', import.meta.url));
/** Node sends these by itself. */
const SENT_BY_NODE = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding']);

/** Starts the echo and enters it for the race. @param headers - Raw ones, name and value in turn. */
export async function enterEcho(race: HttpRace, headers: readonly string[]): Promise<Opponent> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = await race.stage.start({
    name: 'echo',
    program: { command: process.execPath, env: {} },
    args: [ECHO_MAIN, String(port), JSON.stringify(ownHeaders(headers))],
    url,
    isReady: async () => (await fetch(url)).ok,
  });
  const dialect = {
    name: 'echo',
    title: 'raw node:http echo',
    server,
    operations: ['put', 'get'] as const,
    isStore: false,
    promise: () => 'none: stores nothing',
    request: requestFor,
    storeAll: async () => {},
    valueIn: (answer: string) => answer,
    entriesIn: () => [],
  };
  return httpOpponent(dialect, race);
}

function requestFor(operation: Operation, number: number): HttpRequest {
  const path = `/v1/kv/${BUCKET}/${keyOf(number)}`;
  return operation === 'put' ? { method: 'PUT', path, body: valueFor(number, 'put') } : { method: 'GET', path };
}

function ownHeaders(headers: readonly string[]): string[] {
  return headers.filter((_, index) => !SENT_BY_NODE.has(headers[index - (index % 2)]!.toLowerCase()));
}
