/**
 * A service as a unit of the supervisor: a process of its own on the repository's Node.
 *
 * It gets an IPC channel on which nothing is sent: when the supervisor dies, even by SIGKILL, the channel closes and
 * the service ends itself (service-kit sees to that). It leads a process group of its own, so that Ctrl-C in the
 * terminal reaches only the supervisor, which then stops everything in order.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Exit } from '@plinth/engines';
import { askReadiness } from './readiness.ts';
import { serviceProcess } from './service-process.ts';
import type { ServiceSpec } from './services.ts';
import { describeExit, type RunningUnit, type StartHooks, type Unit } from './unit.ts';

/** Recovery of a large store takes its time; a service that needs longer says so in its log. */
const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 50;
/** A service drains for as long as it was told to; past this it is stuck. */
const STOP_TIMEOUT_MS = 30_000;

/** @param surroundings - `NATS_URL`, `REDIS_URL`: only those this service needs; and where its spans go. */
export function serviceUnit(spec: ServiceSpec, surroundings: Record<string, string>): Unit {
  const url = `http://127.0.0.1:${spec.port}`;
  return {
    name: spec.name,
    kind: 'service',
    url,
    backend: spec.backend,
    dataDir: spec.dataDir,
    start: (hooks) => startService({ spec, url, env: { ...process.env, ...spec.env, ...surroundings }, hooks }),
  };
}

/**
 * Fills the compile cache of a service, so that its process strips no types; about half a second, and next to nothing
 * when nothing has changed. What is wrong with the code shows when it is started.
 */
export async function compileService({ main, isKit }: ServiceSpec): Promise<void> {
  if (!isKit) return;
  const { command, args, env } = serviceProcess(main);
  await exitOf(spawn(command, args, { env: { ...process.env, ...env, PLINTH_COMPILE_ONLY: '1' }, stdio: 'ignore' }));
}

async function startService(wish: {
  spec: ServiceSpec;
  url: string;
  env: NodeJS.ProcessEnv;
  hooks: StartHooks;
}): Promise<RunningUnit> {
  const { spec, url, env, hooks } = wish;
  const { command, args, env: needed } = serviceProcess(spec.main);
  const child = spawn(command, args, {
    env: { ...needed, ...env, PLINTH_SUPERVISED: '1' },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  if (child.pid !== undefined) hooks.onSpawn(child.pid);
  forwardLines(child, hooks);
  const exited = exitOf(child);
  const stop = () => endGroup(child, exited);
  await untilReady(url, exited).catch(async (error) => {
    await stop();
    throw error;
  });
  return { pid: child.pid, stop, exited };
}

function forwardLines(child: ChildProcess, { onLine }: StartHooks): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on('line', onLine);
  }
}

/** Resolves on `close` rather than `exit`, so that the last words are read before anyone reports the end. */
function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: 127, signal: null }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

async function untilReady(url: string, exited: Promise<Exit>): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  let exit: Exit | undefined;
  void exited.then((value) => {
    exit = value;
  });
  for (;;) {
    const readiness = await askReadiness(url);
    if (exit) throw new Error(`ended (${describeExit(exit)}) before it was ready`);
    if (readiness.isReady) return;
    if (performance.now() > deadlineMs) {
      throw new Error(`was not ready within ${READY_TIMEOUT_MS / 1000} s: ${readiness.reason}`);
    }
    await sleep(READY_POLL_MS);
  }
}

async function endGroup(child: ChildProcess, exited: Promise<Exit>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const impatient = setTimeout(() => killGroup(child.pid), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(impatient);
}

/** The whole group, so that nothing the service started stays behind. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended in this very moment.
  }
}
