/**
 * Jaeger: where to get one, and how to run it on this machine, in memory.
 *
 * Two programs are called Jaeger. Version 2 (`jaeger`) is configured by YAML, version 1 (`jaeger-all-in-one`) by flags;
 * their help says which one is here, since a build from source has no version to tell. Both listen on a dozen ports,
 * version 1 on every interface. Here all is on loopback, and two ports are chosen: the UI with its query API, and OTLP
 * over HTTP. The rest is left out, or on a port that happens to be free.
 */
import { type AcquireOptions, acquire } from './acquire.ts';
import { mustRun } from './command.ts';
import type { Engine, EngineBinary, EngineImage, Recipe } from './engine.ts';
import { assertPortFree, freePort } from './ports.ts';
import { type EngineServer, serverAtUrl, startServer } from './server-process.ts';
import { dockerImage } from './ways/docker.ts';

/** Version 2, which has the UI that version 1 stopped getting. */
const IMAGE = 'jaegertracing/jaeger:2.20.0';
/** For some 45 MB. Nobody wants to wait longer for traces; without the image there are none. */
const PULL_TIMEOUT_MS = 60_000;
/** Neither version has a limit of its own worth the name (none; 100,000). A trace of ours is 2 to 20 spans of 1 to 2 KB. */
const TRACES_MAX = 20_000;
const ANSWER_TIMEOUT_MS = 1_000;

/** How Jaeger is found and fetched. */
export const JAEGER_RECIPE: Recipe = {
  name: 'jaeger',
  urlVariable: 'PLINTH_JAEGER_URL',
  commands: ['jaeger', 'jaeger-all-in-one'],
  cacheKey: IMAGE.replace(/.*\//, '').replace(':', '-'),
  versionArguments: ['--help'],
  parseVersion(help) {
    if (help.includes('--query.http-server.host-port')) return '1';
    return /jaeger/i.test(help) && help.includes('--config') ? '2' : undefined;
  },
  objection(help) {
    return this.parseVersion(help) === undefined ? 'this is not Jaeger with everything in one' : undefined;
  },
  ways: [dockerImage(IMAGE, { pullTimeoutMs: PULL_TIMEOUT_MS })],
};

/** Finds or fetches Jaeger, version 1 or 2. */
export function jaegerServer(options: AcquireOptions = {}): Promise<Engine> {
  return acquire(JAEGER_RECIPE, options);
}

/** Options of `startJaeger`. */
export interface JaegerOptions extends AcquireOptions {
  /** Of the UI and the query API; a free one when omitted. */
  port?: number;
  /** Where spans are received, OTLP over HTTP; a free one when omitted. */
  otlpPort?: number;
  /** How many traces are kept, the newest. 20,000 by default. */
  tracesMax?: number;
  /** An engine found before; looked for when omitted. */
  engine?: Engine;
  /** Called with each line the server logs. */
  onLine?: (line: string) => void;
  /** Called as soon as there is a process, long before it is ready. */
  onSpawn?: (pid: number) => void;
}

/** Where a Jaeger is. */
export interface JaegerAddress {
  /** The UI and the query API: `http://127.0.0.1:16686`. */
  url: string;
  /** For OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:4318`. */
  otlpUrl: string;
}

/**
 * Starts a Jaeger that forgets everything when it ends, or checks the one given by `PLINTH_JAEGER_URL`.
 * @returns Once it answers queries and takes spans.
 * @throws PortInUse, EngineUnavailable, or Error with the server's last words.
 */
export async function startJaeger(options: JaegerOptions = {}): Promise<EngineServer & JaegerAddress> {
  const engine = options.engine ?? (await jaegerServer(options));
  if (engine.kind === 'url') return jaegerAtUrl(engine);
  const host = '127.0.0.1';
  const { port = await freePort(host), otlpPort = await freePort(host), onLine, onSpawn } = options;
  await assertPortFree(otlpPort, host);
  // Inside a container the server listens on all of the container's addresses; Docker publishes on `host` alone.
  const bind = engine.kind === 'image' ? '0.0.0.0' : host;
  const args = await argumentsOf(engine, { bind, port, otlpPort, tracesMax: options.tracesMax ?? TRACES_MAX });
  const address = { url: `http://${host}:${port}`, otlpUrl: `http://${host}:${otlpPort}` };
  const isReady = () => isJaeger(address);
  // Everything is in memory; asked to end, it would wait for every browser to hang up.
  const keepsNothing = true;
  const place = { host, port, otherPorts: [otlpPort], url: address.url };
  return { ...(await startServer({ engine, args, ...place, keepsNothing, isReady, onLine, onSpawn })), ...address };
}

async function jaegerAtUrl(engine: { name: string; url: string; source: string }) {
  const address = { url: engine.url.replace(/\/$/, ''), otlpUrl: otlpUrlBeside(engine.url) };
  if (await isJaeger(address)) return { ...serverAtUrl(engine), ...address };
  throw new Error(`${engine.source}=${engine.url}: no Jaeger answers there and takes spans at ${address.otlpUrl}`);
}

/**
 * Where a Jaeger takes spans unless told otherwise: port 4318 of the host that its UI is on.
 * @throws Error when this is no URL of a UI.
 */
export function otlpUrlBeside(url: string): string {
  if (!/^https?:\/\/./.test(url) || !URL.canParse(url)) {
    throw new Error(`PLINTH_JAEGER_URL=${url} is no address of a Jaeger; one looks like http://127.0.0.1:16686`);
  }
  return `http://${new URL(url).hostname}:4318`;
}

/** True when a Jaeger answers queries at one address and takes spans at the other. Never throws. */
export async function isJaeger({ url, otlpUrl }: JaegerAddress): Promise<boolean> {
  const answers = await Promise.all([answersQueries(url), takesSpans(otlpUrl)]);
  return answers.every(Boolean);
}

/** True when Jaeger's query API answers at this address. Never throws. */
export async function answersQueries(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/api/services`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    const answer = (await response.json()) as object;
    return response.ok && 'data' in answer && 'errors' in answer;
  } catch {
    return false;
  }
}

/** Sends a batch of no spans. */
async function takesSpans(otlpUrl: string): Promise<boolean> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
  const sent = fetch(`${otlpUrl}/v1/traces`, { ...init, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  return sent.then(
    ({ ok }) => ok,
    () => false,
  );
}

interface Listening {
  bind: string;
  port: number;
  otlpPort: number;
  tracesMax: number;
}

async function argumentsOf(engine: EngineBinary | EngineImage, listening: Listening): Promise<string[]> {
  if (engine.kind === 'image' || engine.version !== '1')
    return [`--config=yaml:${JSON.stringify(settings(listening))}`];
  return flags(listening, (await mustRun(engine.command, ['--help'], { timeoutMs: 15_000 })).stdout);
}

/** Version 2: its own in-memory set-up less the receivers, health checks and monitors that nobody here asks. */
function settings({ bind, port, otlpPort, tracesMax }: Listening): object {
  const storage = 'memory';
  return {
    service: {
      extensions: ['jaeger_storage', 'jaeger_query'],
      pipelines: { traces: { receivers: ['otlp'], exporters: ['jaeger_storage_exporter'] } },
      telemetry: { metrics: { level: 'none' }, logs: { encoding: 'json' } },
    },
    extensions: {
      jaeger_storage: { backends: { [storage]: { memory: { max_traces: tracesMax } } } },
      jaeger_query: {
        storage: { traces: storage },
        http: { endpoint: `${bind}:${port}` },
        // It cannot be left out; port 0 is one that is free.
        grpc: { endpoint: '127.0.0.1:0' },
      },
    },
    receivers: { otlp: { protocols: { http: { endpoint: `${bind}:${otlpPort}` } } } },
    exporters: { jaeger_storage_exporter: { trace_storage: storage } },
  };
}

/** Version 1: its releases differ in what they listen on, so each such flag of the help is moved to a free port. */
function flags({ bind, port, otlpPort, tracesMax }: Listening, help: string): string[] {
  const wanted: Record<string, string> = {
    'query.http-server.host-port': `${bind}:${port}`,
    'collector.otlp.http.host-port': `${bind}:${otlpPort}`,
  };
  const listeners = [...help.matchAll(/--(\S+host-port) string .*\(default ":\d+"\)/g)].map(([, name = '']) => name);
  return [...listeners.map((name) => `--${name}=${wanted[name] ?? '127.0.0.1:0'}`), `--memory.max-traces=${tracesMax}`];
}
