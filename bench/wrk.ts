/**
 * The load generator: wrk, one thread, the same for every HTTP opponent.
 *
 * Requests are formatted once and written to a file, so that wrk's own work for one request is a table look-up; wrk
 * reads the file before its clock starts. One thread leaves the rest of a small machine to the server and can send
 * several times what the servers here answer.
 *
 * wrk waits for an answer before it sends the next request on a connection (a closed loop): latencies are those of a
 * server kept busy by exactly so many clients, not of a fixed rate of arrivals.
 */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type Program, runProgram } from './program.ts';
import { type LoadResult, parseWrkOutput } from './wrk-report.ts';

const SCRIPT = fileURLToPath(new URL('./wrk.lua', import.meta.url));
const THREADS = 1;
/** etcd at 256 connections answers some puts after more than wrk's default of 2 s. */
const ANSWER_TIMEOUT_SECONDS = 20;

/** One HTTP request. `body` is ASCII text; `headers` come besides `Host` and `Content-Length`. */
export interface HttpRequest {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** Which load to put on which server. */
export interface Load {
  url: string;
  /** A file from `writeRequests`. */
  requestsFile: string;
  connections: number;
  seconds: number;
  /** The same seed sends the same order of requests. */
  seed: number;
}

/** Writes requests in the form that wrk.lua reads. `url` gives the `Host` header. */
export async function writeRequests(file: string, url: string, requests: Iterable<HttpRequest>): Promise<void> {
  const { host } = new URL(url);
  await pipeline(chunksOf(requests, host), createWriteStream(file));
}

function* chunksOf(requests: Iterable<HttpRequest>, host: string): Generator<string> {
  for (const request of requests) yield `${formatted(request, host)}\x1e`;
}

function formatted({ method, path, headers = {}, body }: HttpRequest, host: string): string {
  const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${method} ${path} HTTP/1.1\r\n${lines.join('')}`;
  return body === undefined ? `${head}\r\n` : `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/**
 * Runs wrk once.
 * @throws Error when any request failed: the run is void.
 */
export async function runWrk(wrk: Program, load: Load): Promise<LoadResult> {
  const { url, requestsFile, connections, seconds, seed } = load;
  const settings = [`-t${THREADS}`, `-c${connections}`, `-d${seconds}s`, `--timeout=${ANSWER_TIMEOUT_SECONDS}s`];
  return parseWrkOutput(await runProgram(wrk, [...settings, '-s', SCRIPT, url, '--', requestsFile, String(seed)]));
}
