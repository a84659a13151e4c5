/** NATS and Redis as units of the supervisor. */
import { join } from 'node:path';
import { PORTS } from '@plinth/contracts/ports';
import { type Engine, natsServer, type Progress, redisServer, startNats, startRedis } from '@plinth/engines';
import { type EngineName, shiftedPort } from './services.ts';
import type { StartHooks, Unit } from './unit.ts';

/** Where engines keep their data and which ports they take. */
export interface EngineSurroundings {
  dataDir: string;
  env: NodeJS.ProcessEnv;
}

/** The port of an engine that we run; undefined when its URL is given and we run none. */
export function enginePort(name: EngineName, env: NodeJS.ProcessEnv): number | undefined {
  return env[urlVariable(name)] ? undefined : shiftedPort(PORTS[name], env);
}

/** `NATS_URL`, `REDIS_URL`: read from the user, and given to the services. */
export function urlVariable(name: EngineName): 'NATS_URL' | 'REDIS_URL' {
  return name === 'nats' ? 'NATS_URL' : 'REDIS_URL';
}

/**
 * Finds or fetches an engine and makes a unit of it.
 * @throws EngineUnavailable when there is no way to get it.
 */
export async function engineUnit(
  name: EngineName,
  { dataDir, env, progress }: EngineSurroundings & { progress: Progress },
): Promise<Unit> {
  const engine = await (name === 'nats' ? natsServer : redisServer)({ env, progress });
  const port = enginePort(name, env);
  const dir = join(dataDir, name);
  return {
    name,
    kind: 'engine',
    url: engine.kind === 'url' ? engine.url : `${name}://127.0.0.1:${port}`,
    backend: describeEngine(engine),
    dataDir: engine.kind === 'url' ? undefined : dir,
    start: (hooks) => startEngine({ name, engine, dir, port, env, hooks }),
  };
}

/** For the column BACKEND. */
export function describeEngine(engine: Engine): string {
  if (engine.kind === 'url') return `given by ${engine.source}`;
  return `${engine.name} ${engine.version} (${engine.source})`;
}

function startEngine(wish: {
  name: EngineName;
  engine: Engine;
  dir: string;
  port: number | undefined;
  env: NodeJS.ProcessEnv;
  hooks: StartHooks;
}) {
  const { name, engine, dir, port, env, hooks } = wish;
  if (name === 'redis') return startRedis({ dir, port, engine, ...hooks });
  return startNats({ dir, port, engine, monitorPort: shiftedPort(PORTS.natsMonitor, env), ...hooks });
}
