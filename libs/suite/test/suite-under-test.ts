/**
 * A suite of a test's own: real `up`, `status` and `down` processes on a state folder and ports that nobody else has,
 * so a suite that runs beside is left alone; and a small service in place of the real ones.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach } from '@jest/globals';
import { processIdentity } from '@plinth/engines';
import { type ProcessUnderTest, runProcess, tempDir } from '@plinth/testkit';
import type { StatusReport } from '../src/status-command.ts';

const BOOTSTRAP = new URL('../bootstrap.mjs', import.meta.url);
const SERVICES = fileURLToPath(new URL('fixture-services', import.meta.url));
/** The fixture's port in its package.json, counted from the console's. */
const ECHO_OFFSET = 90;

const WORKERS = 8;
const BLOCKS_PER_WORKER = 14;
let block = Math.floor(Math.random() * BLOCKS_PER_WORKER);

/** Of the present test; it may add to it. */
export const env: Record<string, string | undefined> = {};
export let portBase: number;
export let echoPort: number;

beforeEach(() => {
  portBase = nextPortBase();
  echoPort = portBase + ECHO_OFFSET;
  for (const name of Object.keys(env)) delete env[name];
  Object.assign(env, {
    PLINTH_HOME: tempDir('home'),
    PLINTH_SERVICES_DIR: SERVICES,
    PLINTH_PORT_BASE: String(portBase),
    PLINTH_JAEGER_URL: undefined,
    OTEL_EXPORTER_OTLP_ENDPOINT: undefined,
    NATS_URL: undefined,
    REDIS_URL: undefined,
    NO_COLOR: '1',
  });
});

afterEach(() => suite('down'));

/**
 * Where the ports of the next suite begin. They lie at fixed distances, so one free port is not enough; outside of the
 * ephemeral range nobody else takes one. Each worker of jest has blocks of its own, because suites of two test files
 * run side by side.
 */
function nextPortBase(): number {
  const worker = Number(process.env.JEST_WORKER_ID ?? 1) % WORKERS;
  block = (block + 1) % BLOCKS_PER_WORKER;
  return 10_000 + (worker * BLOCKS_PER_WORKER + block) * 200;
}

/** Starts a command of the suite. */
export function start(...args: string[]): ProcessUnderTest {
  return runProcess({ script: BOOTSTRAP, args, env });
}

/** Runs a command of the suite to its end. */
export async function suite(...args: string[]): Promise<{ code: number | null; text: string }> {
  const command = start(...args);
  const { code } = await command.exited;
  return { code, text: command.lines.join('\n') };
}

/** What `status --json` says. */
export async function status(): Promise<StatusReport> {
  return JSON.parse((await suite('status', '--json')).text) as StatusReport;
}

/** The fixture's row, or a failure for `eventually` when there is none. */
export async function echo() {
  const row = (await status()).services.find(({ name }) => name === 'echo');
  if (row === undefined) throw new Error('echo is not in the table');
  return row;
}

/** What the fixture was told by its environment. */
export async function toldEcho(): Promise<Record<string, string>> {
  return (await fetch(`http://127.0.0.1:${echoPort}`)).json() as Promise<Record<string, string>>;
}

/** A killed orphan may stay behind as a zombie where nobody reaps it; that is not alive. */
export function isAlive(pid: number | null): boolean {
  return processIdentity(pid as number) !== undefined;
}
