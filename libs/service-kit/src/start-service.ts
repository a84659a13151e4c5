/**
 * Starts a service: config → telemetry → keys → bus → build → bus endpoint → HTTP → ready. Touches nothing global, so that
 * several run in one process; signals and the end of the process are `run-service.ts`.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '@plinth/bus';
import { startTelemetry } from '@plinth/telemetry';
import { readBoth } from './config.ts';
import type { Environment } from './environment.ts';
import { isLoopback } from './http/origin-guard.ts';
import { HttpDoor } from './http-door.ts';
import type { KeyRing } from './keys/key-ring.ts';
import type { Kit, Service } from './kit.ts';
import type { KitSettings } from './kit-settings.ts';
import { Life } from './life.ts';
import { createLog } from './log.ts';
import { versionOf } from './standard-endpoints.ts';

export interface ServiceDefinition<Config> {
  /** One word: `kv`. It names the settings, the metrics, the subjects and the service in traces. */
  name: string;
  /** One line, for `nats micro ls`. */
  description?: string;
  /** `settings(…).read`. @throws ConfigFault */
  readConfig: (env: Environment) => Config;
  /** The composition root. What it opened when it throws, it has closed. */
  build: (config: Config, kit: Kit) => Promise<Service> | Service;
}

export interface StartOptions {
  /** Default: an empty environment, so that a test does not depend on the shell it runs in. */
  env?: Environment;
  /** Instead of what the environment says, for tests: a clock, a bus, a log. */
  kit?: Partial<Omit<Kit, 'name' | 'log'>> & { log?: Kit['log'] };
  /** Instead of the setting; 0: any free one. */
  port?: number;
}

export interface RunningService {
  url: string;
  port: number;
  kit: Kit;
  service: Service;
  /**
   * Stops in the reverse order, within the setting `shutdownTimeoutMs`. A second call waits for the first.
   *
   * @throws StopTimeout naming the step it hung in.
   */
  stop(): Promise<void>;
}

/** The suite has one version, which its packages share. */
const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
  .version;

/**
 * Starts a service and resolves when it is ready.
 *
 * @throws ConfigFault, or what a step threw; the steps before it have been undone.
 */
export async function startService<Config>(
  definition: ServiceDefinition<Config>,
  options: StartOptions = {},
): Promise<RunningService> {
  const { env = {} } = options;
  // Read before all else, though telemetry is the first thing that starts: the log wants its level from there.
  const { config, kit: settings } = readBoth(definition.name, env, definition.readConfig);
  const log = options.kit?.log ?? createLog({ service: definition.name, level: settings.logLevel });
  const life = new Life(log);
  try {
    return await begin({ definition, options, settings, config, log, life, env });
  } catch (error) {
    await life.stop(settings.shutdownTimeoutMs).catch(() => {});
    throw error;
  }
}

interface Beginning<Config> {
  definition: ServiceDefinition<Config>;
  options: StartOptions;
  settings: KitSettings;
  config: Config;
  log: Kit['log'];
  life: Life;
  env: Environment;
}

async function begin<Config>(beginning: Beginning<Config>): Promise<RunningService> {
  const { definition, options, settings, config, log, life, env } = beginning;
  const { name, description = name } = definition;
  const startedMs = performance.now();

  await life.step(
    'telemetry',
    () => startTelemetry({ service: name, version: VERSION, env }),
    (telemetry) => telemetry.stop(),
  );
  const keys = await openKeys(beginning);
  const bus = options.kit?.bus ?? (await connect(beginning));
  const keyLimits = keys && (await openKeyLimits(beginning, keys, bus));
  const kit: Kit = { now: Date.now, random: Math.random, ...options.kit, name, log, bus };
  const service = await life.step(
    'service',
    () => definition.build(config, kit),
    (built) => built.stop(),
  );
  const state = { isStopping: false };
  const listenPort = options.port ?? settings.port;
  const door = new HttpDoor({ version: VERSION, kit, service, settings, keys, keyLimits, state, port: listenPort });
  if (bus) {
    const served = service.operations.filter(({ operation }) => !operation.streams);
    await life.step(
      'bus endpoint',
      () => bus.serve({ name, version: VERSION, description }, served),
      (endpoint) => endpoint.drain(),
    );
  }
  const port = await life.step(
    'http',
    () => door.listen(),
    () => door.close(),
  );
  await life.step(
    'readiness',
    () => {},
    () => leave({ door, service, state, delayMs: settings.shutdownDelayMs }),
  );

  const url = urlOf(settings.host, port);
  const ms = Math.round(performance.now() - startedMs);
  log.info('ready', {
    url,
    ms,
    bus: bus ? 'connected' : 'none',
    apiKeys: keys?.size ?? 'none',
    ...versionOf({ name, version: VERSION, service }),
  });
  let stopped: Promise<void> | undefined;
  return { url, port, kit, service, stop: () => (stopped ??= life.stop(settings.shutdownTimeoutMs)) };
}

/** The keys, when the environment names a file of them. What reads them is loaded only then. */
async function openKeys<Config>({ definition, settings, log, life }: Beginning<Config>): Promise<KeyRing | undefined> {
  const { api: files, host } = settings;
  if (files.rootKeyFile === undefined && files.keysFile === undefined) {
    const warning = `whoever reaches ${host} may use this service: it asks for no API key; API_ROOT_KEY_FILE sets one`;
    if (!isLoopback(host)) log.warn(warning);
    return undefined;
  }
  const { KeyRing } = await import('./keys/key-ring.ts');
  return life.step(
    'API keys',
    () => KeyRing.open({ service: definition.name, files, log }),
    (ring) => ring.close(),
  );
}

/**
 * What asks the rate limiter about keys that are limited. Loaded when the files name a limit at the start; a service
 * whose first limited key comes later limits it after its next start.
 */
async function openKeyLimits<Config>({ log, life }: Beginning<Config>, keys: KeyRing, bus: Bus | undefined) {
  if (!keys.hasLimits) return undefined;
  if (bus === undefined) {
    log.warn('keys are not limited: the rate limiter is asked over the bus, and there is none (NATS_URL)');
    return undefined;
  }
  const { serviceGuard } = await import('@plinth/rate-limit/service-guard');
  return life.step(
    'key limits',
    () => serviceGuard({ bus, log }),
    (guard) => guard.close(),
  );
}

/** The bus, when the environment names one. Its client takes 40 ms to load, and is loaded only then. */
async function connect<Config>({ definition, settings, log, life }: Beginning<Config>): Promise<Bus | undefined> {
  const { url, caFile, ...credentials } = settings.nats;
  if (url === undefined) return undefined;
  const { connectBus } = await import('@plinth/bus');
  return life.step(
    'bus',
    () => connectBus({ url, name: definition.name, log, ...credentials, ...(caFile && { tls: { caFile } }) }),
    (bus) => bus.close(),
  );
}

/** From here on nobody should come; who is here is still served. */
async function leave(leaving: {
  door: HttpDoor;
  service: Service;
  state: { isStopping: boolean };
  delayMs: number;
}): Promise<void> {
  leaving.state.isStopping = true;
  leaving.door.beginClosing();
  if (leaving.delayMs > 0) await sleep(leaving.delayMs);
  await leaving.service.drain?.();
}

/** An address that means "all" is no address to call. */
function urlOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
