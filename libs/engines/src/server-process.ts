/**
 * Runs an engine as a child process: starts it, waits until it answers its own protocol, stops it.
 *
 * An engine must not outlive us even when we are killed with SIGKILL. On Linux the kernel sees to that: `setpriv
 * --pdeathsig` asks it to send the child SIGTERM when its parent dies, and then becomes the engine, so the pid stays.
 * Elsewhere the caller keeps the pid on record and stops strays at its next start.
 *
 * Each engine leads a process group of its own, so that Ctrl-C in a terminal reaches only us and we stop the engines
 * last, in order.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { findOnPath, runCommand } from './command.ts';
import type { EngineBinary, EngineImage } from './engine.ts';
import { assertPortFree } from './ports.ts';

/** How a process ended: one of the two is null. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** An engine that answers. */
export interface EngineServer {
  name: string;
  version: string | undefined;
  /** Where the binary came from, for tables. */
  source: string;
  url: string;
  /** Undefined when the server was given by URL. */
  pid: number | undefined;
  /** Stops it and waits until it is gone; asks politely first. A server given by URL is only let go. */
  stop(): Promise<void>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
  /** Resolves when the process has ended, for whatever reason; with a server given by URL, when we let go of it. */
  exited: Promise<Exit>;
}

/** What `startServer` needs to know about one engine. */
export interface ServerPlan {
  engine: EngineBinary | EngineImage;
  args: string[];
  /** The arguments' folder, for a server that has one; a container sees it under the same path. */
  dir?: string;
  host: string;
  port: number;
  /** Where it listens besides, such as a monitor: a container has to publish it. */
  otherPorts?: number[];
  url: string;
  /** Resolves true once the server answers its own protocol. */
  isReady(): Promise<boolean>;
  /** True: nothing is lost when it ends, so it is not asked to, and cannot take its time. */
  keepsNothing?: boolean;
  onLine?: (line: string) => void;
  /** Called as soon as there is a process, long before it is ready. */
  onSpawn?: (pid: number) => void;
}

/** Redis loads its whole log before it answers: 60 s are about 10 GB. */
const READY_TIMEOUT_MS = 60_000;
/** NATS flushes its streams on a polite stop; it takes far less, and a stuck server must not hold Ctrl-C for long. */
const STOP_TIMEOUT_MS = 10_000;
const READY_POLL_MS = 25;
const LINES_KEPT = 5;

/**
 * Starts an engine and waits until it answers.
 * @throws PortInUse, or Error with the server's last words when it ends before it is ready.
 */
export async function startServer(plan: ServerPlan): Promise<EngineServer> {
  await assertPortFree(plan.port, plan.host);
  const [command, ...args] = await commandLine(plan);
  const env = plan.engine.kind === 'binary' ? { ...process.env, ...plan.engine.env } : process.env;
  const child = spawn(command as string, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  if (child.pid !== undefined) plan.onSpawn?.(child.pid);
  const lastWords = collectLines(child, plan.onLine);
  const exited = exitOf(child);
  await untilReady({ plan, exited, lastWords }).catch(async (error) => {
    await end(child, 'SIGKILL', exited);
    throw error;
  });
  return {
    name: plan.engine.name,
    version: plan.engine.version,
    source: plan.engine.source,
    url: plan.url,
    pid: child.pid,
    stop: () => (plan.keepsNothing ? discard({ plan, child, exited }) : end(child, 'SIGTERM', exited)),
    kill: () => end(child, 'SIGKILL', exited),
    exited,
  };
}

async function commandLine(plan: ServerPlan): Promise<string[]> {
  const { engine, args, keepsNothing } = plan;
  if (engine.kind === 'binary')
    return [...(await parentDeathPrefix(keepsNothing ? 'KILL' : 'TERM')), engine.command, ...args];
  // A `docker run` that is killed leaves its container behind.
  return [...(await parentDeathPrefix('TERM')), ...(await containerCommand(plan, engine.image))];
}

function containerName({ engine, port }: ServerPlan): string {
  return `plinth-${engine.name}-${port}`;
}

async function removeContainer(plan: ServerPlan): Promise<void> {
  await runCommand('docker', ['rm', '--force', containerName(plan)], { timeoutMs: 30_000 });
}

/** Runs in the foreground, so that the container ends with the `docker run` we hold. */
async function containerCommand(plan: ServerPlan, image: string): Promise<string[]> {
  const { dir, port, otherPorts = [], host, args } = plan;
  // A container left by a killed `docker run` still holds the name and the port.
  await removeContainer(plan);
  const user = process.getuid ? ['--user', `${process.getuid()}:${process.getgid?.()}`] : [];
  const published = [port, ...otherPorts].flatMap((each) => ['--publish', `${host}:${each}:${each}`]);
  const volume = dir === undefined ? [] : ['--volume', `${dir}:${dir}`];
  const options = ['--rm', '--init', '--name', containerName(plan), ...user, ...volume, ...published];
  return ['docker', 'run', ...options, image, ...args];
}

async function parentDeathPrefix(signal: 'TERM' | 'KILL'): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const setpriv = await findOnPath('setpriv', process.env);
  if (setpriv === undefined) return [];
  const prefix = [setpriv, '--pdeathsig', signal];
  // BusyBox has a setpriv without this option.
  const trial = await runCommand(setpriv, [...prefix.slice(1), 'true'], { timeoutMs: 5_000 });
  return trial.code === 0 ? prefix : [];
}

function collectLines(child: ChildProcess, onLine?: (line: string) => void): string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > LINES_KEPT) lines.shift();
      onLine?.(line);
    });
  }
  return lines;
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: 127, signal: null }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

async function untilReady(watch: { plan: ServerPlan; exited: Promise<Exit>; lastWords: string[] }): Promise<void> {
  const { plan, exited, lastWords } = watch;
  const deadlineMs = Date.now() + READY_TIMEOUT_MS;
  let exit: Exit | undefined;
  void exited.then((value) => {
    exit = value;
  });
  while (!(await plan.isReady())) {
    // The last lines may arrive a moment after the exit.
    if (exit) await sleep(50);
    const said = lastWords.join(' / ') || 'it said nothing';
    if (exit) throw new Error(`${plan.engine.name} ended (${exit.signal ?? exit.code}) before it was ready: ${said}`);
    if (Date.now() > deadlineMs)
      throw new Error(`${plan.engine.name} was not ready in ${READY_TIMEOUT_MS} ms: ${said}`);
    await sleep(READY_POLL_MS);
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals, exited: Promise<Exit>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill(signal);
  const impatient = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(impatient);
}

/** Ends it without asking; `docker run` returns when its container is gone. */
async function discard(server: { plan: ServerPlan; child: ChildProcess; exited: Promise<Exit> }): Promise<void> {
  const { plan, child, exited } = server;
  if (plan.engine.kind === 'image') await removeContainer(plan);
  await end(child, 'SIGKILL', exited);
}

/** A server somebody else runs, in the same shape. */
export function serverAtUrl(engine: { name: string; url: string; source: string }): EngineServer {
  const { promise: exited, resolve } = Promise.withResolvers<Exit>();
  const letGo = async () => resolve({ code: 0, signal: null });
  return { ...engine, version: undefined, pid: undefined, stop: letGo, kill: letGo, exited };
}
