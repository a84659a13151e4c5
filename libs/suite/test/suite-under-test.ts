/**
 * A suite of a test's own: real `up`, `status` and `down` processes on a state folder and ports that nobody else has,
 * so a suite that runs beside is left alone; and a small service in place of the real ones.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach } from '@jest/globals';
import { processIdentity } from '@plinth/engines';
import { freePort, type ProcessUnderTest, runProcess, tempDir } from '@plinth/testkit';
import type { StatusReport } from '../src/status-command.ts';

const BOOTSTRAP = new URL('../bootstrap.mjs', import.meta.url);
const SERVICES = fileURLToPath(new URL('fixture-services', import.meta.url));
/** The fixture's port in its package.json, counted from the console's. */
const ECHO_OFFSET = 90;

/** Of the present test; it may add to it. */
export const env: Record<string, string | undefined> = {};
export let portBase: number;
export let echoPort: number;

beforeEach(async () => {
  portBase = await freePortRange();
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

/** The suite takes ports at fixed distances, so one free port is not enough; far from the ephemeral range, all are. */
async function freePortRange(): Promise<number> {
  return 10_000 + ((await freePort()) % 100) * 200;
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
