/**
 * The stage of a benchmark: one folder on disk for all opponents, and the servers that run in it.
 *
 * The folder lies in the repository's `.plinth/`, not in the system's temp folder, which is memory on many machines:
 * there every fsync would be free. Leaving the stage stops every server it started, and only those, and removes the
 * folder, whether the run ended well, by an error or by Ctrl-C.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { openSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Program } from './program.ts';

const STAGES_DIR = fileURLToPath(new URL('../.plinth/bench/', import.meta.url));
const READY_TIMEOUT_MS = 30_000;
/** Short, because it is the resolution of start-up times. */
const READY_POLL_MS = 5;
const STOP_TIMEOUT_MS = 15_000;

/** What to run and how to see that it serves. */
export interface ServerPlan {
  name: string;
  program: Program;
  args: string[];
  /** All the server gets besides PATH and HOME: settings of the user's own shell must not change a figure. */
  env?: Record<string, string>;
  url: string;
  /** True once it serves. May throw as long as it does not. */
  isReady(): Promise<boolean>;
}

/** A server that serves. */
export interface Server {
  readonly name: string;
  readonly pid: number;
  readonly url: string;
  /** What it writes to its standard output and error. */
  readonly logFile: string;
  /** From the start of the process to the first good answer. */
  readonly startupMs: number;
  /** Asks it to end, and waits until it has. */
  stop(): Promise<void>;
}

/** A folder and its servers. */
export class Stage implements AsyncDisposable {
  readonly dir: string;
  readonly #children = new Set<ChildProcess>();
  readonly #onSignal = (signal: NodeJS.Signals) => process.exit(signal === 'SIGINT' ? 130 : 143);
  readonly #onExit = () => this.#abandon();

  static async open(): Promise<Stage> {
    await mkdir(STAGES_DIR, { recursive: true });
    return new Stage(await mkdtemp(join(STAGES_DIR, 'run-')));
  }

  private constructor(dir: string) {
    this.dir = dir;
    process.on('SIGINT', this.#onSignal).on('SIGTERM', this.#onSignal).on('exit', this.#onExit);
  }

  /** A new empty folder on the stage's disk. */
  emptyDir(name: string): Promise<string> {
    return mkdtemp(join(this.dir, `${name}-`));
  }

  /**
   * Starts a server and waits until it serves.
   * @throws Error with the server's last words when it ends before, or does not serve in 30 s.
   */
  async start(plan: ServerPlan): Promise<Server> {
    const startedMs = performance.now();
    const logFile = join(this.dir, `${plan.name}-${Math.round(startedMs)}.log`);
    const child = this.#spawn(plan, logFile);
    await untilReady(plan, child).catch(async (error: Error) => {
      await this.#end(child);
      throw new Error(`${plan.name}: ${error.message}. Its last words:\n${lastWords(logFile)}`);
    });
    const startupMs = performance.now() - startedMs;
    return { name: plan.name, pid: child.pid!, url: plan.url, logFile, startupMs, stop: () => this.#end(child) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('SIGINT', this.#onSignal).off('SIGTERM', this.#onSignal).off('exit', this.#onExit);
    await Promise.all([...this.#children].map((child) => this.#end(child)));
    await rm(this.dir, { recursive: true, force: true });
  }

  #spawn({ program, args, env }: ServerPlan, logFile: string): ChildProcess {
    const log = openSync(logFile, 'a');
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(program.command, args, {
      cwd: this.dir,
      env: { PATH, HOME, ...program.env, ...env },
      stdio: ['ignore', log, log],
      // Ctrl-C in a terminal reaches only us; the stage then stops its servers itself.
      detached: true,
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    child.once('error', () => this.#children.delete(child));
    return child;
  }

  async #end(child: ChildProcess): Promise<void> {
    if (!this.#children.has(child)) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const patience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(patience);
  }

  /** The way out that cannot wait: nobody will read these folders again, so nothing has to end in order. */
  #abandon(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function untilReady(plan: ServerPlan, child: ChildProcess): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (!(await plan.isReady().catch(() => false))) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`it ended (${child.exitCode ?? child.signalCode ?? 'it could not be started'})`);
    }
    if (performance.now() > deadlineMs) throw new Error(`it does not serve after ${READY_TIMEOUT_MS / 1_000} s`);
    await sleep(READY_POLL_MS);
  }
}

function lastWords(logFile: string): string {
  return readFileSync(logFile, 'utf8').trim().slice(-1_000) || '(nothing)';
}
