/**
 * The services of this repository, and how each is started.
 *
 * A folder in services/ with a src/main.ts is a service; nothing is registered anywhere else. Its port comes from the
 * suite's list of ports. What the list cannot know stands in the service's package.json:
 *
 *     "plinth": { "needs": ["nats", "redis"], "backend": "Redis scripts", "keepsData": true }
 *
 * `needs` (by default only "nats") decides which engines run; `backend` is for the table; a service that keeps data is
 * told where, by `<NAME>_DATA_DIR`. A service outside the list
 * of ports, such as one in a test, gives its own `port`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PORTS } from '@plinth/contracts/ports';

/** The engines a service may need. */
export type EngineName = 'nats' | 'redis';

/** One service, ready to be started. */
export interface ServiceSpec {
  name: string;
  main: string;
  /** Where its HTTP API listens. */
  port: number;
  /** All its ports, the one above included. */
  ports: number[];
  needs: EngineName[];
  /** Made with service-kit, as all of ours are. */
  isKit: boolean;
  backend: string;
  /** Undefined: it keeps nothing. */
  dataDir: string | undefined;
  /** What differs from the service's own defaults. */
  env: Record<string, string>;
}

interface Manifest {
  dependencies?: Record<string, string>;
  plinth?: { needs?: EngineName[]; backend?: string; port?: number; keepsData?: boolean };
}

/** Where to look, and what the user changed. */
export interface Discovery {
  servicesDir: string;
  dataDir: string;
  env: NodeJS.ProcessEnv;
  /** Names to keep; all when omitted. */
  only?: string[];
}

/**
 * Finds the services, in order of name.
 * @throws Error when `only` names one that does not exist.
 */
export function discoverServices({ servicesDir, dataDir, env, only }: Discovery): ServiceSpec[] {
  const names = readdirSync(servicesDir).filter((name) => existsSync(join(servicesDir, name, 'src', 'main.ts')));
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`there is no service "${unknown}"; there are: ${names.join(', ')}`);
  return names
    .filter((name) => only?.includes(name) ?? true)
    .sort()
    .map((name) => readSpec(name, { servicesDir, dataDir, env }));
}

function readSpec(name: string, { servicesDir, dataDir, env }: Discovery): ServiceSpec {
  const { plinth = {}, dependencies = {} } = JSON.parse(
    readFileSync(join(servicesDir, name, 'package.json'), 'utf8'),
  ) as Manifest;
  const prefix = variableCase(name);
  const ports = portsOf(name, plinth.port, env);
  const port = ports[`${prefix}_PORT`];
  if (port === undefined) throw new Error(`services/${name} has no port in libs/contracts/src/ports.ts`);
  const dir = plinth.keepsData ? env[`${prefix}_DATA_DIR`] || join(dataDir, name) : undefined;
  const portVariables = Object.fromEntries(Object.entries(ports).map(([variable, value]) => [variable, String(value)]));
  return {
    name,
    main: join(servicesDir, name, 'src', 'main.ts'),
    port,
    ports: Object.values(ports),
    needs: plinth.needs ?? ['nats'],
    isKit: '@plinth/service-kit' in dependencies,
    backend: plinth.backend ?? '',
    dataDir: dir,
    env: { ...(env.PLINTH_PORT_BASE && portVariables), ...(dir && { [`${prefix}_DATA_DIR`]: dir }) },
  };
}

/** All ports of one service by their variables: RATELIMIT_PORT, RATELIMIT_RLS_PORT… What the user set wins. */
function portsOf(name: string, ownPort: number | undefined, env: NodeJS.ProcessEnv): Record<string, number> {
  const listed = Object.entries(PORTS).filter(([key]) => key === name || new RegExp(`^${name}[A-Z]`).test(key));
  const all = ownPort === undefined ? listed : [...listed, [name, ownPort] as const];
  return Object.fromEntries(
    all.map(([key, port]) => {
      const variable = `${variableCase(key)}_PORT`;
      return [variable, Number(env[variable] || shiftedPort(port, env))];
    }),
  );
}

/** The port of an engine or service when the whole suite is moved: `PLINTH_PORT_BASE` stands in for 7400. */
export function shiftedPort(port: number, env: NodeJS.ProcessEnv): number {
  return env.PLINTH_PORT_BASE ? port - PORTS.console + Number(env.PLINTH_PORT_BASE) : port;
}

/** `ratelimitRls` and `ratelimit-rls` become `RATELIMIT_RLS`. */
function variableCase(name: string): string {
  return name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toUpperCase();
}
