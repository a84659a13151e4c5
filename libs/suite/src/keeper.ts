/** Keeps one unit running: starts it, watches it, starts it again when it crashes, and stops it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Exit, type ProcessIdentity, processIdentity } from '@plinth/engines';
import type { LogLine } from './log-line.ts';
import { RestartPolicy } from './restart-policy.ts';
import { describeExit, type RunningUnit, type Unit } from './unit.ts';

/** Whom a keeper tells. */
export interface KeeperHooks {
  /** A line the unit wrote; returns it parsed. */
  onLine(line: string): LogLine;
  /** A line about the unit, for a person. */
  onNews(line: string): void;
  /** The state, pid or count of restarts changed. */
  onChange(): void;
}

/** For a process that was not ready yet and does not end when it is told to. */
const STOP_TIMEOUT_MS = 10_000;

type Phase = 'stopped' | 'starting' | 'running' | 'restarting' | 'failed';

interface Crash {
  reason: string;
  /** How long the unit was ready before. */
  upMs: number;
}

/** One unit and everything that is known about its process. */
export class Keeper {
  readonly unit: Unit;
  readonly #hooks: KeeperHooks;
  readonly #policy = new RestartPolicy();
  readonly #stopping = new AbortController();
  #phase: Phase = 'stopped';
  #failure = '';
  /** The latest error the present process logged: most likely why it ends. */
  #lastWords = '';
  #process: ProcessIdentity | undefined;
  #running: RunningUnit | undefined;
  #starting: Promise<RunningUnit | undefined> = Promise.resolve(undefined);
  #watching: Promise<void> = Promise.resolve();
  #restarts = 0;

  constructor(unit: Unit, hooks: KeeperHooks) {
    this.unit = unit;
    this.#hooks = hooks;
  }

  /** `running`, `starting`, `restarting (3rd in 20 s)`, `stopped` or `failed: …`. */
  get state(): string {
    if (this.#phase === 'restarting') return `restarting (${this.#policy.describe(Date.now())})`;
    return this.#phase === 'failed' ? `failed: ${this.#failure}` : this.#phase;
  }

  /** The process, from its first moment on; undefined when there is none. */
  get process(): ProcessIdentity | undefined {
    return this.#process;
  }

  /** How often it was started again after a crash. */
  get restarts(): number {
    return this.#restarts;
  }

  /**
   * The first start. From then on crashes are followed by a new start, until `stop`.
   * @throws Error when the unit does not become ready: what cannot start at all is not tried over and over.
   */
  async start(): Promise<void> {
    this.#enter('starting');
    const startMs = Date.now();
    try {
      await this.#run();
    } catch (error) {
      this.#process = undefined;
      this.#failure = this.#withLastWords(messageOf(error));
      this.#enter('failed');
      throw new Error(`${this.unit.name} ${this.#failure}`, { cause: error });
    }
    this.#hooks.onNews(`ready in ${Date.now() - startMs} ms at ${this.unit.url}`);
    this.#watching = this.#watch();
  }

  /** Ends the unit, wherever it stands, and waits for it. */
  async stop(): Promise<void> {
    if (this.#isStopping) return this.#watching;
    const startMs = Date.now();
    const hadProcess = this.#process !== undefined;
    this.#stopping.abort();
    if (this.#running) await this.#running.stop();
    else await this.#stopHalfStarted();
    await this.#watching;
    this.#process = undefined;
    this.#enter(this.#phase === 'failed' ? 'failed' : 'stopped');
    if (hadProcess) this.#hooks.onNews(`stopped in ${Date.now() - startMs} ms`);
  }

  /** Ends the process without asking, for the second Ctrl-C. */
  kill(): void {
    this.#signal('SIGKILL');
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #run(): Promise<void> {
    this.#starting = this.unit.start({
      onLine: (line) => this.#heard(line),
      onSpawn: (pid) => this.#spawned(pid),
    });
    this.#running = await this.#starting;
    this.#enter('running');
  }

  /** A process that is told to end before it is ready makes its start fail; one that gets ready is stopped then. */
  async #stopHalfStarted(): Promise<void> {
    this.#signal('SIGTERM');
    const impatient = setTimeout(() => this.kill(), STOP_TIMEOUT_MS);
    const running = await this.#starting.catch(() => undefined);
    await running?.stop();
    clearTimeout(impatient);
  }

  #heard(line: string): void {
    const { level, message } = this.#hooks.onLine(line);
    if (level === 'error') this.#lastWords = message;
  }

  #spawned(pid: number): void {
    this.#lastWords = '';
    this.#process = processIdentity(pid);
    this.#hooks.onChange();
    // A stop that came while there was no process yet.
    if (this.#isStopping) this.#signal('SIGTERM');
  }

  /** Follows one process after the other until the unit is stopped. */
  async #watch(): Promise<void> {
    while (this.#running) {
      const readyMs = Date.now();
      const exit = await this.#running.exited;
      this.#running = undefined;
      this.#process = undefined;
      let crash: Crash | undefined = { reason: this.#withLastWords(crashReason(exit)), upMs: Date.now() - readyMs };
      while (crash && !this.#isStopping) crash = await this.#startAgain(crash);
    }
  }

  /** Waits, then starts. Returns the next crash when that failed. */
  async #startAgain({ reason, upMs }: Crash): Promise<Crash | undefined> {
    const delayMs = this.#policy.crashed({ nowMs: Date.now(), upMs });
    this.#enter('restarting');
    this.#hooks.onNews(`${reason}; starting it again in ${delayMs} ms (${this.#policy.describe(Date.now())})`);
    await sleep(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
    if (this.#isStopping) return undefined;
    this.#restarts++;
    try {
      await this.#run();
      this.#hooks.onNews('running again');
      return undefined;
    } catch (error) {
      this.#process = undefined;
      return { reason: this.#withLastWords(messageOf(error)), upMs: 0 };
    }
  }

  #withLastWords(reason: string): string {
    return reason.includes(this.#lastWords) ? reason : `${reason}: ${this.#lastWords}`;
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#hooks.onChange();
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      if (this.#process) process.kill(this.#process.pid, signal);
    } catch {
      // It ended in this very moment.
    }
  }
}

function crashReason(exit: Exit): string {
  return exit.signal ? `was killed by ${exit.signal}` : `crashed (${describeExit(exit)})`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
