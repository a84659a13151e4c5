/**
 * Where the traces of a suite go. The first that holds:
 *
 * 1. The user's own OpenTelemetry settings: services get them anyway, and nothing is started.
 * 2. A Jaeger given by `PLINTH_JAEGER_URL`.
 * 3. A Jaeger that listens already where ours would.
 * 4. One found on PATH or run with Docker, as an engine of the suite.
 * 5. Nowhere: one line says how to get one, and services load no SDK.
 *
 * None of this can stop a suite: a store without its traces is a store all the same.
 */
import {
  answersQueries,
  assertPortFree,
  EngineUnavailable,
  isJaeger,
  type JaegerAddress,
  jaegerServer,
  otlpUrlBeside,
  PortInUse,
  type Progress,
  startJaeger,
} from '@plinth/engines';
import { describeEngine } from './engine-unit.ts';
import type { Unit } from './unit.ts';

/** What the services are told, and the row of the table. */
export interface Tracing {
  /** Jaeger, in whatever way; undefined when there is none that we know of. */
  unit: Unit | undefined;
  /** For every service: none when there is nowhere to send spans to, or when they know already. */
  env: Record<string, string>;
}

const NOWHERE: Tracing = { unit: undefined, env: {} };
const HOST = '127.0.0.1';
/** Jaeger's own ports, so that its documentation holds. */
const PORTS = { port: 16686, otlpPort: 4318 };
/** Those of a suite that was moved, counted from `PLINTH_PORT_BASE`: two suites know nothing of each other. */
const OFFSETS = { port: 34, otlpPort: 35 };
/** Who looks at a request he has just made does not want to wait the SDK's five seconds. */
const SPANS_SENT_EVERY_MS = 1_000;

/** The settings with which a user says where spans go, or that they go nowhere. */
const TOLD_BY = [
  'OTEL_SDK_DISABLED',
  'OTEL_TRACES_EXPORTER',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
];

/** What `findTracing` reads, and whom it tells when there will be no traces. */
export interface TracingSurroundings {
  env: NodeJS.ProcessEnv;
  progress: Progress;
}

/** Finds or fetches a Jaeger. Never throws: one line says what is wrong, and what to do. */
export async function findTracing({ env, progress }: TracingSurroundings): Promise<Tracing> {
  try {
    const told = TOLD_BY.find((name) => env[name]);
    if (told !== undefined) return await tracingAsTold({ env, told, progress });
    if (env.PLINTH_JAEGER_URL) return await tracingByUrl(env.PLINTH_JAEGER_URL, env);
    return await tracingOfOurOwn({ env, progress });
  } catch (error) {
    progress(`no traces: ${error instanceof Error ? error.message : String(error)}`);
    return NOWHERE;
  }
}

/** Where ours listens, or would. */
export function jaegerPorts(env: NodeJS.ProcessEnv): { port: number; otlpPort: number } {
  const base = Number(env.PLINTH_PORT_BASE);
  return env.PLINTH_PORT_BASE ? { port: base + OFFSETS.port, otlpPort: base + OFFSETS.otlpPort } : PORTS;
}

/** Spans go where OTEL_* says. Beside an OTLP endpoint there is often a Jaeger to look at them with. */
async function tracingAsTold(wish: TracingSurroundings & { told: string }): Promise<Tracing> {
  const { env, told, progress } = wish;
  progress(`traces go where ${told} says`);
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT;
  const beside = endpoint && URL.canParse(endpoint) && `http://${new URL(endpoint).hostname}:${PORTS.port}`;
  const url = env.PLINTH_JAEGER_URL || beside;
  if (!url || !(await answersQueries(url))) return NOWHERE;
  const source = env.PLINTH_JAEGER_URL ? 'given by PLINTH_JAEGER_URL' : `beside ${told}`;
  return { unit: jaegerElsewhere(url, source), env: lookedAt(url, env) };
}

async function tracingByUrl(given: string, env: NodeJS.ProcessEnv): Promise<Tracing> {
  const url = given.replace(/\/$/, '');
  const address = { url, otlpUrl: otlpUrlBeside(url) };
  if (await isJaeger(address)) {
    return { unit: jaegerElsewhere(url, 'given by PLINTH_JAEGER_URL'), env: settingsFor(address, env) };
  }
  throw new Error(
    `PLINTH_JAEGER_URL=${given}: no Jaeger answers there and takes spans at ${address.otlpUrl}; start it, unset ` +
      'PLINTH_JAEGER_URL, or say where spans go with OTEL_EXPORTER_OTLP_ENDPOINT',
  );
}

async function tracingOfOurOwn({ env, progress }: TracingSurroundings): Promise<Tracing> {
  const ports = jaegerPorts(env);
  const address = { url: `http://${HOST}:${ports.port}`, otlpUrl: `http://${HOST}:${ports.otlpPort}` };
  if (await isJaeger(address)) {
    return { unit: jaegerElsewhere(address.url, 'listening already'), env: settingsFor(address, env) };
  }
  await assertPortsFree(ports);
  const unit = await jaegerUnit({ ports, url: address.url, env, progress });
  return { unit, env: settingsFor(address, env) };
}

async function assertPortsFree(ports: { port: number; otlpPort: number }): Promise<void> {
  for (const port of Object.values(ports)) {
    await assertPortFree(port, HOST).catch((error: unknown) => {
      if (!(error instanceof PortInUse)) throw error;
      throw new Error(
        `${error.message}, which is no Jaeger with its UI on ${ports.port} and OTLP on ${ports.otlpPort}; stop that ` +
          'process, or say where spans go with PLINTH_JAEGER_URL or OTEL_EXPORTER_OTLP_ENDPOINT',
        { cause: error },
      );
    });
  }
}

async function jaegerUnit(
  wish: TracingSurroundings & { ports: { port: number; otlpPort: number }; url: string },
): Promise<Unit> {
  const { ports, url, env, progress } = wish;
  const engine = await jaegerServer({ env, progress }).catch((error: unknown) => {
    if (!(error instanceof EngineUnavailable)) throw error;
    throw new Error(
      'there is no Jaeger here. Put `jaeger` on PATH (www.jaegertracing.io/download), start Docker, or set ' +
        `PLINTH_JAEGER_URL to one that runs; --no-jaeger is silent about it (${error.reasons.at(-1)})`,
      { cause: error },
    );
  });
  const start: Unit['start'] = (hooks) => startJaeger({ ...ports, engine, env, ...hooks });
  return { ...rowOf(url, describeEngine(engine)), start };
}

/** One that somebody else runs: it has a row, and is neither started nor stopped. */
function jaegerElsewhere(url: string, source: string): Unit {
  const { promise: exited, resolve } = Promise.withResolvers<{ code: number; signal: null }>();
  const stop = async () => resolve({ code: 0, signal: null });
  return { ...rowOf(url, source), start: async () => ({ pid: undefined, stop, exited }) };
}

function rowOf(url: string, backend: string) {
  return { name: 'jaeger', kind: 'engine' as const, url, backend, dataDir: undefined };
}

/** Everything is traced: `parentbased_always_on` is what services do unless OTEL_TRACES_SAMPLER says otherwise. */
function settingsFor({ url, otlpUrl }: JaegerAddress, env: NodeJS.ProcessEnv): Record<string, string> {
  const delayMs = env.OTEL_BSP_SCHEDULE_DELAY || String(SPANS_SENT_EVERY_MS);
  return { OTEL_EXPORTER_OTLP_ENDPOINT: otlpUrl, OTEL_BSP_SCHEDULE_DELAY: delayMs, ...lookedAt(url, env) };
}

/** Pages of services link to traces there. */
function lookedAt(url: string, env: NodeJS.ProcessEnv): Record<string, string> {
  return { TRACE_URL: env.TRACE_URL || `${url}/trace/{traceId}` };
}
