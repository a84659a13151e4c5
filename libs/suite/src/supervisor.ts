/**
 * The supervisor: engines first, then services, each a process of its own; everything is stopped in reverse.
 *
 * Members of one step start and stop side by side, because they do not need each other. The first start is all or
 * nothing: a suite with a hole in it would fail later and elsewhere. Once all are ready, a crash concerns only its own
 * unit, which its keeper starts again. Jaeger is the exception: without it only the traces are missing.
 */

import { join } from 'node:path';
import { PORTS } from '@plinth/contracts/ports';
import { assertPortFree, PortInUse, type Progress } from '@plinth/engines';
import { enginePort, engineUnit, urlVariable } from './engine-unit.ts';
import { Keeper } from './keeper.ts';
import type { Home } from './layout.ts';
import { compileService, serviceUnit } from './service-unit.ts';
import { discoverServices, type EngineName, type ServiceSpec, shiftedPort } from './services.ts';
import { removeState, type SuiteState, type UnitState, writeState } from './state-file.ts';
import { reapStrays } from './strays.ts';
import { findTracing } from './tracing.ts';
import type { Unit } from './unit.ts';
import type { Voice } from './voice.ts';

/** What a supervisor runs, and where. */
export interface SuiteOptions {
  home: Home;
  servicesDir: string;
  env: NodeJS.ProcessEnv;
  /** Services to run; all when omitted. */
  only?: string[];
  /** False: no Jaeger is looked for, and services trace only where OTEL_* says. */
  hasJaeger: boolean;
  voice: Voice;
}

/** Runs one suite. Its caller holds the lock of the home. */
export class Supervisor {
  readonly #options: SuiteOptions;
  readonly #startedAt = new Date().toISOString();
  #state: SuiteState['state'] = 'starting';
  #steps: Keeper[][] = [];

  constructor(options: SuiteOptions) {
    this.#options = options;
  }

  /**
   * Starts everything and waits until all is ready.
   * @throws Error with one line that says what is wrong; the caller then calls `stop`.
   */
  async start(): Promise<SuiteState> {
    const { home, servicesDir, env, only, voice } = this.#options;
    await reapStrays(home, voice.news);
    const specs = discoverServices({ servicesDir, dataDir: home.dataDir, env, only });
    if (specs.length === 0) throw new Error('there is no service to start');
    const needed = enginesFor(specs, only);
    await assertPortsFree(wantedPorts(specs, needed, env));
    const compiled = Promise.all(specs.map(compileService));
    const tracing = this.#startTracing();
    const progress: Progress = (line) => voice.news(line);
    const engines = await Promise.all(needed.map((name) => engineUnit(name, { dataDir: home.dataDir, env, progress })));
    await this.#startStep(engines);
    await compiled;
    const spansGo = await tracing;
    await this.#startStep(specs.map((spec) => serviceUnit(spec, { ...urlsFor(spec, engines), ...spansGo })));
    this.#enter('running');
    return this.state();
  }

  /** Stops everything in reverse, each step when the one after it is gone. */
  async stop(): Promise<void> {
    this.#enter('stopping');
    for (const step of this.#steps.toReversed()) await Promise.all(step.map((keeper) => keeper.stop()));
    removeState(this.#options.home.stateFile);
  }

  /** Ends every process at once. */
  kill(): void {
    for (const keeper of this.#steps.flat()) keeper.kill();
  }

  /** What runs now. */
  state(): SuiteState {
    const keepers = this.#steps.flat();
    return {
      state: this.#state,
      pid: process.pid,
      startedAt: this.#startedAt,
      engines: keepers.filter(({ unit }) => unit.kind === 'engine').map(unitState),
      services: keepers.filter(({ unit }) => unit.kind === 'service').map(unitState),
      processes: keepers.flatMap(({ unit, process }) => (process ? [{ name: unit.name, ...process }] : [])),
    };
  }

  async #startStep(units: Unit[]): Promise<void> {
    const keepers = units.map((unit) => this.#keeperOf(unit));
    this.#steps.push(keepers);
    const outcomes = await Promise.allSettled(keepers.map((keeper) => keeper.start()));
    const index = outcomes.findIndex(({ status }) => status === 'rejected');
    const failed = outcomes[index];
    if (failed?.status !== 'rejected') return;
    const log = this.#logOf(keepers[index]!.unit);
    throw new Error(`${(failed.reason as Error).message}; its log: ${log}`, { cause: failed.reason });
  }

  #logOf({ name }: Unit): string {
    return join(this.#options.home.logsDir, `${name}.log`);
  }

  /** Starts Jaeger beside the engines. Returns what services have to know of it: nothing when there is none. */
  async #startTracing(): Promise<Record<string, string>> {
    const { env, hasJaeger, voice } = this.#options;
    if (!hasJaeger) return {};
    const progress: Progress = (line) => voice.news(line);
    const { unit, env: spansGo } = await findTracing({ env, progress });
    if (unit === undefined) return spansGo;
    const keeper = this.#keeperOf(unit);
    // Stopped last, because services send their last spans as they end.
    this.#steps.unshift([keeper]);
    try {
      await keeper.start();
      return spansGo;
    } catch {
      progress(`no traces: ${unit.name} ${keeper.state}; its log: ${this.#logOf(unit)}`);
      return {};
    }
  }

  #keeperOf(unit: Unit): Keeper {
    const { voice } = this.#options;
    return new Keeper(unit, {
      onLine: (line) => voice.output(unit, line),
      onNews: (line) => voice.news(line, unit.name),
      onChange: () => this.#save(),
    });
  }

  #enter(state: SuiteState['state']): void {
    this.#state = state;
    this.#save();
  }

  #save(): void {
    writeState(this.#options.home.stateFile, this.state());
  }
}

function unitState({ unit, state, process, restarts }: Keeper): UnitState {
  const { name, url, backend, dataDir = null } = unit;
  return { name, state, url, pid: process?.pid ?? null, backend, dataDir, restarts };
}

/** The whole suite has all its engines, for those who build on it too; a part of it only what that part needs. */
function enginesFor(specs: readonly ServiceSpec[], only: readonly string[] | undefined): EngineName[] {
  return only === undefined ? ['nats', 'redis'] : [...new Set(specs.flatMap(({ needs }) => needs))];
}

/** Only what this service needs: an address it does not know of cannot be used by mistake. */
function urlsFor({ needs }: ServiceSpec, engines: Unit[]): Record<string, string> {
  const needed = engines.filter(({ name }) => needs.includes(name as EngineName));
  return Object.fromEntries(needed.map(({ name, url }) => [urlVariable(name as EngineName), url]));
}

interface WantedPort {
  owner: string;
  port: number;
}

function wantedPorts(specs: ServiceSpec[], engines: EngineName[], env: NodeJS.ProcessEnv): WantedPort[] {
  const ofServices = specs.flatMap(({ name, ports }) => ports.map((port) => ({ owner: name, port })));
  const ofEngines = engines.flatMap((name) => {
    const port = enginePort(name, env);
    if (port === undefined) return [];
    const monitor = name === 'nats' ? [{ owner: name, port: shiftedPort(PORTS.natsMonitor, env) }] : [];
    return [{ owner: name, port }, ...monitor];
  });
  return [...ofEngines, ...ofServices];
}

/** Before anything is fetched or started: a busy port is the commonest reason, and cheap to see. */
async function assertPortsFree(wanted: WantedPort[]): Promise<void> {
  for (const { owner, port } of wanted) {
    await assertPortFree(port).catch((error: unknown) => {
      if (!(error instanceof PortInUse)) throw error;
      const advice = 'stop that process, or move the whole suite: PLINTH_PORT_BASE=8400 npm run up';
      throw new Error(`${owner} cannot start: ${error.message}; ${advice}`, { cause: error });
    });
  }
}
