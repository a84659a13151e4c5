/**
 * A NATS or Redis of the test's own: a free port, a temp folder, gone after the file.
 *
 * NATS_URL and REDIS_URL do not count here: a test may stop its server, fill it or kill it, and that must never hit
 * one that holds somebody's data.
 */
import {
  type Engine,
  type EngineServer,
  freePort,
  type NatsOptions,
  natsServer,
  PortInUse,
  type RedisOptions,
  redisServer,
  startNats,
  startRedis,
} from '@plinth/engines';
import { onFileEnd } from './cleanup.ts';
import { tempDir } from './temp-dir.ts';

/** A server for tests. It keeps port and folder when it is started again. */
export interface TestEngine {
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  /** Of the process that runs now. */
  readonly pid: number;
  /** Stops it politely. */
  stop(): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
  /** Starts it again with the same port and folder, after `stop` or `kill`. */
  start(): Promise<void>;
}

/** Everything but what a test server chooses itself. */
export type TestNatsOptions = Partial<
  Pick<NatsOptions, 'dir' | 'port' | 'monitorPort' | 'syncInterval' | 'config' | 'onLine'>
>;
/** Everything but what a test server chooses itself. */
export type TestRedisOptions = Partial<Pick<RedisOptions, 'dir' | 'port' | 'appendFsync' | 'config' | 'onLine'>>;

/** Starts a nats-server with JetStream. */
export async function startTestNats(options: TestNatsOptions = {}): Promise<TestEngine> {
  const engine = await natsServer({ ignoreUrl: true });
  return startTestEngine({ name: 'nats', ...options }, (place) => startNats({ ...options, ...place, engine }));
}

/** Starts a Redis or Valkey with its append-only log on. */
export async function startTestRedis(options: TestRedisOptions = {}): Promise<TestEngine> {
  const engine: Engine = await redisServer({ ignoreUrl: true });
  return startTestEngine({ name: 'redis', ...options }, (place) => startRedis({ ...options, ...place, engine }));
}

/** Gives a test file its nats-server: call it at the top, read `url` inside tests. */
export function withNats(options: TestNatsOptions = {}): TestEngine {
  return startedBeforeAll(() => startTestNats(options));
}

/** Gives a test file its Redis or Valkey: call it at the top, read `url` inside tests. */
export function withRedis(options: TestRedisOptions = {}): TestEngine {
  return startedBeforeAll(() => startTestRedis(options));
}

interface Place {
  dir: string;
  port: number;
}

type Start = (place: Place) => Promise<EngineServer>;

async function startTestEngine(wish: { name: string } & Partial<Place>, start: Start): Promise<TestEngine> {
  const dir = wish.dir ?? tempDir(wish.name);
  let { server, port } = await startOnFreePort({ dir, port: wish.port }, start);
  onFileEnd(() => server.stop());
  return {
    url: server.url,
    port,
    dir,
    get pid() {
      return server.pid as number;
    },
    stop: () => server.stop(),
    kill: () => server.kill(),
    async start() {
      server = await start({ dir, port });
    },
  };
}

/** Another test may take a free port between the look and the start, so a chosen port gets a few tries. */
async function startOnFreePort(
  wish: { dir: string; port?: number },
  start: Start,
): Promise<{ server: EngineServer; port: number }> {
  for (let triesLeft = 5; ; triesLeft--) {
    const port = wish.port ?? (await freePort());
    try {
      return { server: await start({ dir: wish.dir, port }), port };
    } catch (error) {
      if (wish.port !== undefined || triesLeft === 1 || !(error instanceof PortInUse)) throw error;
    }
  }
}

/** An engine whose properties can be read once the file's `beforeAll` has run. */
function startedBeforeAll(start: () => Promise<TestEngine>): TestEngine {
  let engine: TestEngine | undefined;
  const { beforeAll } = globalThis as unknown as { beforeAll: (hook: () => Promise<void>, timeoutMs: number) => void };
  beforeAll(async () => {
    engine = await start();
  }, 120_000);
  const started = () => {
    if (engine === undefined) throw new Error('the engine starts before the first test; read it inside tests');
    return engine;
  };
  return {
    get url() {
      return started().url;
    },
    get port() {
      return started().port;
    },
    get dir() {
      return started().dir;
    },
    get pid() {
      return started().pid;
    },
    stop: () => started().stop(),
    kill: () => started().kill(),
    start: () => started().start(),
  };
}
