/** The service under test, `services/ratelimit`, alone, with states in its memory: everything else at its default. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@plinth/engines';
import { serviceProcess } from '@plinth/suite/service-process';
import { ask } from '../resp-client.ts';
import type { Stage } from '../stage.ts';
import type { HttpRequest } from '../wrk.ts';
import type { Arena } from './arena.ts';
import type { Door } from './door.ts';
import { GrpcChannel } from './grpc-channel.ts';
import { rlsDoor } from './rls-door.ts';
import { ENVOY_DOMAIN, keyOf, LIMITS, type LimitName, OWN_DOMAIN, OWN_EXTENSION, rulesFile } from './workload.ts';

/** The service of this work tree. */
export const SERVICE_MAIN = fileURLToPath(new URL('../../services/ratelimit/src/main.ts', import.meta.url));
export const CHECK_PATH = '/v1/limits/check';

/** Algorithms whose limit of one window is put to the probe. */
export const PROBED = ['gcra', 'strict', 'sliding', 'fixed'] as const;
export type Probed = (typeof PROBED)[number];

export interface Plinth {
  pid: number;
  url: string;
  rlsAddress: string;
  respPort: number;
  httpDoor: Door;
  batchDoor: Door;
  respDoor: Door;
  rlsDoor: Door;
  fourDoor: Door;
  /** A limit that comes with the request, by an algorithm of choice. */
  probeDoor(algorithm: Probed): Door;
}

/**
 * Starts the service.
 * @param env - Further settings, such as the bus.
 */
export async function startService(stage: Stage, main: string, env: Record<string, string> = {}): Promise<Plinth> {
  const [port, rlsPort, respPort] = [await freePort(), await freePort(), await freePort()];
  const rulesDir = await stage.emptyDir('plinth-rules');
  await writeFile(join(rulesDir, 'envoy.yaml'), rulesFile(ENVOY_DOMAIN));
  await writeFile(join(rulesDir, 'own.yaml'), rulesFile(OWN_DOMAIN, OWN_EXTENSION));
  const url = `http://127.0.0.1:${port}`;
  // As `npm run up` starts it.
  const { command, args, env: own } = serviceProcess(main);
  const { pid } = await stage.start({
    name: 'plinth',
    program: { command, env: {} },
    args,
    env: {
      ...own,
      RATELIMIT_PORT: String(port),
      RATELIMIT_RLS_PORT: String(rlsPort),
      RATELIMIT_RESP_PORT: String(respPort),
      RATELIMIT_RULES_DIR: rulesDir,
      ...env,
    },
    url,
    isReady: async () => (await fetch(`${url}/readyz`)).ok,
  });
  const rlsAddress = `127.0.0.1:${rlsPort}`;
  const channel = new GrpcChannel(rlsAddress);
  return {
    pid,
    url,
    rlsAddress,
    respPort,
    httpDoor: httpDoor(url, 'one'),
    batchDoor: httpDoor(url, 'batch'),
    respDoor: respDoor(respPort),
    rlsDoor: rlsDoor('plinth, RLS', channel),
    fourDoor: rlsDoor('plinth, RLS, four descriptors', channel, 'four'),
    probeDoor: (algorithm) => probeDoor(url, algorithm),
  };
}

/** The one that most contests share. */
export function startPlinth(arena: Arena, main: string): Promise<Plinth> {
  return arena.once('plinth', () => startService(arena.stage, main));
}

/** One check by a rule, as JSON. */
export function checkOf(limit: LimitName, key: string) {
  return { descriptors: [{ [limit]: key }] };
}

/** @param first - The number of the first of so many keys. */
export function batchOf(first: number, decisions: number, keys: number) {
  return Array.from({ length: decisions }, (_, index) => checkOf('plenty', keyOf((first + index * 7) % keys)));
}

export function checkRequest(body: unknown): HttpRequest {
  const headers = { 'Content-Type': 'application/json' };
  return { method: 'POST', path: CHECK_PATH, headers, body: JSON.stringify(body) };
}

export function throttleCommand(limit: LimitName, key: string): string[] {
  const { units, windowMs } = LIMITS[limit];
  // Redis-cell's burst comes on top of the one unit that is always there.
  return ['CL.THROTTLE', key, String(units - 1), String(units), String(windowMs / 1_000)];
}

/** @param form - `batch`: the check stands among others in an array. */
function httpDoor(url: string, form: 'one' | 'batch'): Door {
  return {
    name: `plinth, HTTP, ${form}`,
    async take(limit, key) {
      const check = checkOf(limit, key);
      if (form === 'one') return isAllowedIn(await post(url, check));
      const answers = (await post(url, [...batchOf(0, 3, 3), check])) as unknown[];
      return isAllowedIn(answers.at(-1));
    },
  };
}

function probeDoor(url: string, algorithm: Probed): Door {
  return {
    name: `plinth, ${algorithm}`,
    async take(limit, key) {
      const { units, windowMs } = LIMITS[limit];
      return isAllowedIn(await post(url, { limit: { algorithm, limit: units, windowMs }, key }));
    },
  };
}

function respDoor(port: number): Door {
  return {
    name: 'plinth, RESP',
    take: async (limit, key) => ((await ask(port, throttleCommand(limit, key))) as number[])[0] === 0,
  };
}

async function post(url: string, check: unknown): Promise<unknown> {
  const { path, method, headers, body } = checkRequest(check);
  const response = await fetch(url + path, { method, headers, body });
  if (!response.ok) throw new Error(`plinth: a check answered ${response.status}: ${await response.text()}`);
  return response.json();
}

function isAllowedIn(answer: unknown): boolean {
  const { allowed, degraded } = answer as { allowed: boolean; degraded?: string };
  if (degraded !== undefined) throw new Error(`plinth: decided without its backend: ${degraded}`);
  return allowed;
}
