/** throttlecrab: GCRA in memory, written in Rust, over HTTP and over Redis' protocol. At its defaults. */
import { freePort } from '@plinth/engines';
import { buildProgram } from '../program.ts';
import { ask } from '../resp-client.ts';
import type { HttpRequest } from '../wrk.ts';
import type { Arena } from './arena.ts';
import { cargoPackage } from './cargo-package.ts';
import type { Door } from './door.ts';
import { LIMITS, type LimitName } from './workload.ts';

const NAME = 'throttlecrab-server';
const VERSION = '0.4.40';

export interface Throttlecrab {
  title: string;
  pid: number;
  url: string;
  respPort: number;
  httpDoor: Door;
  respDoor: Door;
}

/** @throws ProgramMissing when there is no Cargo here, or a package cannot be had. */
export function startThrottlecrab(arena: Arena): Promise<Throttlecrab> {
  return arena.once('throttlecrab', async () => {
    const way = cargoPackage({ name: NAME, version: VERSION });
    const program = await buildProgram(
      { name: NAME, version: VERSION, way, advice: 'it needs Cargo and protobuf-compiler' },
      arena.progress,
    );
    const [port, respPort] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${port}`;
    const { pid } = await arena.stage.start({
      name: 'throttlecrab',
      program,
      args: [
        ['--http', '--http-host', '127.0.0.1', '--http-port', String(port)],
        ['--redis', '--redis-host', '127.0.0.1', '--redis-port', String(respPort)],
      ].flat(),
      url,
      isReady: async () => (await fetch(`${url}/health`)).ok,
    });
    return { title: `throttlecrab ${VERSION}`, pid, url, respPort, ...doors(url, respPort) };
  });
}

function doors(url: string, respPort: number): Pick<Throttlecrab, 'httpDoor' | 'respDoor'> {
  const httpDoor: Door = {
    name: 'throttlecrab, HTTP',
    async take(limit, key) {
      const { path, method, body } = throttleRequest(limit, key);
      const response = await fetch(url + path, { method, body, headers: { 'Content-Type': 'application/json' } });
      return ((await response.json()) as { allowed: boolean }).allowed;
    },
  };
  const respDoor: Door = {
    name: 'throttlecrab, RESP',
    take: async (limit, key) => ((await ask(respPort, throttleCommand(limit, key))) as number[])[0] === 1,
  };
  return { httpDoor, respDoor };
}

export function throttleCommand(limit: LimitName, key: string): string[] {
  const { units, windowMs } = LIMITS[limit];
  return ['THROTTLE', key, String(units), String(units), String(windowMs / 1_000)];
}

export function throttleRequest(limit: LimitName, key: string): HttpRequest {
  const { units, windowMs } = LIMITS[limit];
  const body = JSON.stringify({ key, max_burst: units, count_per_period: units, period: windowMs / 1_000 });
  return { method: 'POST', path: '/throttle', headers: { 'Content-Type': 'application/json' }, body };
}
