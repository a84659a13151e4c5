/**
 * `npm run tour`: types every command of README.md's tour into a shell, against services, a bus and a Redis of its own, and
 * compares what comes back with what README says. `…` stands for anything.
 *
 * They send their traces to a Jaeger that runs, or to one that is started for the tour if this machine has it.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type EngineServer,
  freePort,
  isJaeger,
  type JaegerAddress,
  otlpUrlBeside,
  startJaeger,
  startNats,
  startRedis,
} from '@plinth/engines';

const ROOT = new URL('..', import.meta.url).pathname;
/** The addresses README speaks of. */
const README_URLS = {
  kv: 'http://127.0.0.1:7401',
  ratelimit: 'http://127.0.0.1:7402',
  queue: 'http://127.0.0.1:7403',
} as const;
type Service = keyof typeof README_URLS;
const SECONDS_MAX = 120;
const JAEGER_URL = 'http://127.0.0.1:16686';

export interface Step {
  command: string;
  expected: string;
}

/** The commands of the fenced `console` blocks below `## Tour`, each with the lines that follow it. */
export function stepsOf(markdown: string): Step[] {
  const tour = /^## Tour$(.*?)^## /ms.exec(markdown)?.[1] ?? '';
  const steps: Step[] = [];
  for (const [, block = ''] of tour.matchAll(/^```console\n(.*?)^```$/gms)) {
    for (const line of block.trimEnd().split('\n')) {
      if (line.startsWith('$ ')) steps.push({ command: line.slice(2), expected: '' });
      else steps.at(-1)!.expected += `${line}\n`;
    }
  }
  return steps;
}

/** True when `actual` is what was expected, each `…` standing for any text. */
export function isAsExpected(expected: string, actual: string): boolean {
  const literal = expected
    .trimEnd()
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literal.join('.*?')}$`, 's').test(actual.trimEnd());
}

type Jaeger = JaegerAddress & { stop(): Promise<void> };

/** One that runs, given or on its own ports; else one of the tour's own; else none. */
async function findJaeger(env: NodeJS.ProcessEnv): Promise<Jaeger | undefined> {
  const url = env.PLINTH_JAEGER_URL || JAEGER_URL;
  const running = { url, otlpUrl: env.OTEL_EXPORTER_OTLP_ENDPOINT || otlpUrlBeside(url) };
  if (await isJaeger(running)) return { ...running, stop: async () => {} };
  return startJaeger({ env, ignoreUrl: true, mayFetch: false }).catch(() => undefined);
}

interface Running {
  url: string;
  stop(): Promise<void>;
}

const PORTS: Record<Service, Record<string, string>> = {
  kv: { KV_PORT: '0' },
  ratelimit: { RATELIMIT_PORT: '0', RATELIMIT_RLS_PORT: '0', RATELIMIT_RESP_PORT: '0' },
  queue: { QUEUE_PORT: '0' },
};

/** What services stand on. Others than the tour's own may hold somebody's data. */
interface Ground {
  folder: string;
  nats: EngineServer;
  redis: EngineServer;
  jaeger: Jaeger | undefined;
}

async function layGround(): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-tour-'));
  const place = async (name: string) => ({ dir: join(folder, name), port: await freePort(), ignoreUrl: true });
  const nats = await startNats(await place('nats'));
  const redis = await startRedis(await place('redis'));
  return { folder, nats, redis, jaeger: await findJaeger(process.env) };
}

async function start(service: Service, { folder, nats, redis, jaeger }: Ground): Promise<Running> {
  // The limiter's rules, and so its limits, are its own.
  const NATS_URL = service === 'ratelimit' ? '' : nats.url;
  const own = { ...PORTS[service], KV_DATA_DIR: join(folder, 'kv'), REDIS_URL: redis.url, NATS_URL };
  const tracing = jaeger && { OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlpUrl, OTEL_BSP_SCHEDULE_DELAY: '500' };
  const env = { ...process.env, ...own, ...tracing };
  const running = spawn(process.execPath, [join(ROOT, 'services', service, 'src/main.ts')], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => running.once('exit', () => resolve()));
  const stop = async () => {
    running.kill('SIGTERM');
    await ended;
  };
  for await (const chunk of running.stdout) {
    const url = /"url":"([^"]+)"/.exec(String(chunk))?.[1];
    if (url !== undefined) return { url, stop };
  }
  throw new Error(`${service} did not start`);
}

/** Runs all commands in one shell, as a reader would. @returns What each of them printed. */
async function type(commands: readonly string[], env: NodeJS.ProcessEnv): Promise<string[]> {
  const end = (at: number) => `@@ end of step ${at} @@`;
  const script = commands.map((command, at) => `${command}\nprintf '%s\\n' '${end(at)}'\n`).join('');
  const shell = spawn('bash', ['-s'], { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'inherit'] });
  const timer = setTimeout(() => shell.kill('SIGKILL'), SECONDS_MAX * 1_000);
  shell.stdin.end(script);
  let output = '';
  for await (const chunk of shell.stdout) output += chunk;
  clearTimeout(timer);
  return commands.map((_, at) => {
    const [printed = '', rest = ''] = output.split(`${end(at)}\n`);
    output = rest;
    return printed;
  });
}

/** @returns Whether the step is as README says; tells what it was. */
function tell({ command, expected }: Step, printed: string): boolean {
  const ok = isAsExpected(expected, printed);
  console.log(`$ ${command}\n${printed.trimEnd()}${printed.trimEnd() === '' ? '' : '\n'}`);
  if (!ok) console.log(`✗ README says:\n${expected}`);
  return ok;
}

async function main(): Promise<number> {
  const steps = stepsOf(readFileSync(join(ROOT, 'README.md'), 'utf8'));
  mkdirSync(join(ROOT, '.plinth/tour'), { recursive: true });
  const ground = await layGround();
  const { jaeger } = ground;
  const running: Running[] = [];
  try {
    const urls: [string, string][] = [];
    for (const service of Object.keys(README_URLS) as Service[]) {
      running.push(await start(service, ground));
      urls.push([README_URLS[service], running.at(-1)!.url]);
    }
    const commands = steps.map(({ command }) =>
      urls.reduce((text, [ofReadme, url]) => text.replaceAll(ofReadme, url), command),
    );
    const printed = await type(commands, { ...process.env, ...(jaeger && { PLINTH_JAEGER_URL: jaeger.url }) });
    const failed = steps.filter((step, at) => !tell(step, printed[at]!)).length;
    console.log(
      failed === 0 ? `The tour is true: ${steps.length} steps.` : `${failed} of ${steps.length} steps differ.`,
    );
    return failed === 0 && steps.length > 0 ? 0 : 1;
  } finally {
    for (const each of running.toReversed()) await each.stop();
    await Promise.all([jaeger, ground.redis, ground.nats].map((each) => each?.stop()));
    rmSync(ground.folder, { recursive: true, force: true });
  }
}

if (import.meta.main) process.exitCode = await main();
