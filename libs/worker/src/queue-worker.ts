/**
 * A worker: leases jobs ahead of time, runs them, and says what became of them with the call that asks for more.
 *
 * ```
 *            ┌──────────────── Line (one a queue) ────────────────┐
 * service ──►│ next: outcomes there, jobs here ──► Slots ──► handler │
 *    ▲       └───────────── Outbox ◄── outcome ◄──────────────────┘
 *    └── renew, beat ── Heartbeat (own thread, own connection) ◄── pulse, who holds what
 * ```
 */
import { hostname } from 'node:os';
import type { ClientOptions } from '@plinth/client';
import { allowanceOf } from './allowance.ts';
import { attemptJob } from './attempt.ts';
import { JobCancelled, LeaseLost, WorkerStopping } from './errors.ts';
import type { HeartbeatNote } from './heartbeat.ts';
import { HeldJob } from './job.ts';
import { Line } from './line.ts';
import { NewsDesk } from './news-desk.ts';
import type { Outcome } from './outbox.ts';
import { Pacemaker } from './pacemaker.ts';
import { type LeasedJob, type Order, openDoor, type QueueDoor } from './queue-door.ts';
import { Sandbox } from './sandbox.ts';
import {
  type Connection,
  connectionOf,
  handlerOf,
  queuesOf,
  settingsOf,
  type WorkerOptions,
  type WorkerSettings,
} from './settings.ts';
import { Slots } from './slots.ts';
import { factsOfJob, teller, type WorkerEvent, type WorkerState } from './worker-event.ts';

export interface StopOptions {
  /** How long running jobs may take to end; then they are given back. Default 10,000; Infinity: as long as they take. */
  deadlineMs?: number;
}

const STOP_MS = 10_000;
/** For the last outcomes to reach the service, after the deadline. */
const FLUSH_MS_MAX = 5_000;

/**
 * Works on the jobs of one queue or several. Begins at once.
 *
 * @throws TypeError when an option is out of its range.
 */
export class Worker<Data = unknown, Result = unknown> {
  readonly settings: Readonly<WorkerSettings>;
  readonly queues: readonly string[];
  /** Resolves when the worker has stopped, by `stop` or by the service's order. */
  readonly stopped: Promise<void>;
  readonly #end = Promise.withResolvers<void>();
  readonly #tell: ((event: WorkerEvent) => void) | undefined;
  readonly #door: QueueDoor;
  readonly #lines: readonly Line[];
  readonly #slots: Slots;
  readonly #pacemaker: Pacemaker;
  readonly #news: NewsDesk;
  readonly #sandbox: Sandbox | undefined;
  readonly #handle: (job: HeldJob) => unknown;
  readonly #isNats: boolean;
  #state: WorkerState = 'running';
  #hasBegun = false;
  /** Quiet by the service's order, which also takes it back; not by `quiet()`. */
  #isOrderedQuiet = false;
  #onDrained: (() => void) | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: WorkerOptions<Data, Result>) {
    const connection = connectionOf(options as Connection);
    this.#isNats = connection.nats !== undefined;
    this.settings = settingsOf(options, { isNats: this.#isNats, random: Math.random });
    this.queues = queuesOf(options);
    this.stopped = this.#end.promise;
    this.#tell = teller(options.onEvent);
    this.#door = openDoor(connection);
    this.#sandbox = options.handler instanceof URL ? new Sandbox(options.handler, options.sandbox) : undefined;
    this.#handle = this.#sandbox?.run.bind(this.#sandbox) ?? (handlerOf(options.handler) as (job: HeldJob) => unknown);
    this.#slots = this.#makeSlots();
    this.#lines = this.queues.map((queue) => this.#makeLine(queue));
    this.#pacemaker = this.#makePacemaker(connection);
    this.#news = this.#makeNewsDesk();
    this.#pacemaker.start();
  }

  get state(): WorkerState {
    return this.#state;
  }

  /** Jobs that run, and that wait here for their turn. */
  get held(): { running: number; waiting: number } {
    return { running: this.#slots.runningCount, waiting: this.#slots.waitingCount };
  }

  /** Takes no new jobs; those at hand are done. */
  quiet(): void {
    this.#enter('quiet');
  }

  /** Takes jobs again after `quiet`. */
  resume(): void {
    this.#isOrderedQuiet = false;
    this.#enter('running');
  }

  /**
   * Drains: gives back at once what has not begun, waits for what runs, gives back what still runs at the deadline
   * (its signal aborts with `WorkerStopping`), and resolves when the service knows all that. Never rejects.
   */
  stop({ deadlineMs = STOP_MS }: StopOptions = {}): Promise<void> {
    this.#stopping ??= this.#stop(deadlineMs);
    return this.#stopping;
  }

  async #stop(deadlineMs: number): Promise<void> {
    this.#enter('stopping');
    for (const job of this.#slots.removeWaiting()) this.#release(job, 'the worker stops');
    // Over NATS the service does not hear that nobody waits any more: what it still sends is given back when it comes.
    if (!this.#isNats) for (const line of this.#lines) line.hangUp();
    for (const line of this.#lines) line.pump();
    if (!(await this.#drained(deadlineMs))) {
      if (!this.#isNats) for (const line of this.#lines) line.breakOff();
      for (const job of [...this.#slots.running]) this.#takeBack(job);
    }
    await within(FLUSH_MS_MAX, Promise.all(this.#lines.map((line) => line.flushed())));
    for (const line of this.#lines) line.close();
    this.#news.close();
    await Promise.all([this.#pacemaker.stop(), this.#sandbox?.close(), this.#door.close()]);
    this.#enter('stopped');
    this.#end.resolve();
  }

  /** @returns Whether nothing runs any more. */
  async #drained(deadlineMs: number): Promise<boolean> {
    if (this.#slots.runningCount === 0) return true;
    const drained = new Promise<void>((resolve) => {
      this.#onDrained = resolve;
    });
    await within(deadlineMs, drained);
    return this.#slots.runningCount === 0;
  }

  #takeBack(job: HeldJob): void {
    this.#slots.forget(job);
    this.#release(job, 'the worker stops');
    job.abort(new WorkerStopping('the worker stops'));
  }

  /** Nothing is leased before somebody renews it: a thread may take a second to start on a busy machine. */
  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#leaseAs(this.#state);
  }

  #enter(state: WorkerState): void {
    const isEnding = this.#state === 'stopping' || this.#state === 'stopped';
    if (this.#state === state || (isEnding && state !== 'stopped')) return;
    this.#state = state;
    this.#tell?.({ type: 'state', state });
    this.#leaseAs(state);
  }

  #leaseAs(state: WorkerState): void {
    for (const line of this.#lines) {
      line.lease(this.#hasBegun && state === 'running');
      line.pump();
    }
  }

  // ---------------------------------------------------------------- jobs come

  readonly #onLeased = (queue: string, leased: readonly LeasedJob[]): void => {
    const heldSinceMs = performance.now();
    const onNews = (job: HeldJob) => this.#news.add(job);
    const jobs = leased.map((each) => new HeldJob({ queue, leased: each, heldSinceMs, onNews }));
    if (this.#state === 'stopping' || this.#state === 'stopped') {
      for (const job of jobs) this.#release(job, 'the worker stops');
      return;
    }
    this.#pacemaker.hold(queue, jobs);
    this.#slots.take(jobs);
  };

  async #run(job: HeldJob): Promise<void> {
    if (this.#tell !== undefined) this.#tell({ type: 'started', ...factsOfJob(job) });
    const outcome = await attemptJob(job, this.#handle);
    if (job.hasNews && job.state !== 'gone') await this.#news.flush(job);
    if (job.state === 'gone') return;
    const isCancelled = job.abortReason instanceof JobCancelled && outcome.kind === 'fail';
    // The service makes `cancelled` of it, whatever is said; this says the least.
    this.#settle(job, isCancelled ? { kind: 'release' } : outcome);
    if (this.#tell !== undefined && !isCancelled) this.#tellOutcome(job, outcome);
  }

  #tellOutcome(job: HeldJob, outcome: Outcome): void {
    const tookMs = performance.now() - job.startedMs;
    if (outcome.kind === 'ack') this.#tell!({ type: 'completed', tookMs, ...factsOfJob(job) });
    if (outcome.kind !== 'fail') return;
    const { error } = outcome;
    this.#tell!({ type: 'failed', tookMs, error, isFinal: error.isFinal === true, ...factsOfJob(job) });
  }

  #settle(job: HeldJob, outcome: Outcome): void {
    job.state = 'settled';
    this.#pacemaker.drop(job);
    this.#lineOf(job).add(job, outcome);
  }

  #release(job: HeldJob, reason: string): void {
    this.#settle(job, { kind: 'release' });
    job.state = 'gone';
    this.#tell?.({ type: 'released', reason, ...factsOfJob(job) });
  }

  #lineOf({ queue }: HeldJob): Line {
    return this.#lines.find((line) => line.queue === queue)!;
  }

  // ---------------------------------------------------------------- what the heartbeat finds out

  readonly #onNote = (note: HeartbeatNote): void => {
    if (note.type === 'ready') this.#begin();
    else if (note.type === 'order') this.#obey(note.order);
    else if (note.type === 'blocked') this.#tell?.(note);
    else if (note.type === 'trouble') this.#tellTrouble(note);
    else this.#hear(note);
  };

  #tellTrouble({ call, code, message, retryInMs }: HeartbeatNote & { type: 'trouble' }): void {
    this.#tell?.({ type: 'trouble', call, error: Object.assign(new Error(message), { code }), retryInMs });
  }

  #hear(note: HeartbeatNote & { type: 'lost' | 'expired' | 'cancel' }): void {
    const job = this.#pacemaker.find(note.queue, note.token);
    if (job === undefined) return;
    if (note.type === 'cancel') this.#cancel(job, note.reason);
    else if (note.type === 'lost') this.#lose(job, note.reason);
    else job.abort(new LeaseLost(note.reason));
  }

  #cancel(job: HeldJob, reason: string): void {
    if (job.abortReason !== undefined) return;
    this.#tell?.({ type: 'cancelled', reason, ...factsOfJob(job) });
    job.abort(new JobCancelled(reason || 'the job was cancelled'));
    if (job.state !== 'waiting') return;
    this.#slots.removeWaiting((waiting) => waiting === job);
    this.#settle(job, { kind: 'release' });
    job.state = 'gone';
    this.#lineOf(job).pump();
  }

  #lose(job: HeldJob, reason: string): void {
    this.#pacemaker.drop(job);
    if (job.state === 'waiting') this.#slots.removeWaiting((waiting) => waiting === job);
    job.state = 'gone';
    this.#tell?.({ type: 'lost', reason, ...factsOfJob(job) });
    job.abort(new LeaseLost(reason));
  }

  #obey(order: Order): void {
    if (order === 'terminate') void this.stop({ deadlineMs: Infinity });
    else if (order === 'quiet' && this.#state === 'running') {
      this.#isOrderedQuiet = true;
      this.quiet();
    } else if (order === 'run' && this.#isOrderedQuiet) this.resume();
  }

  // ---------------------------------------------------------------- the parts

  #makeSlots(): Slots {
    const { concurrency, prefetch, leaseMs } = this.settings;
    return new Slots({
      concurrency,
      prefetch,
      waitMsMax: leaseMs / 4,
      run: (job) => this.#run(job),
      onRoom: () => {
        for (const line of this.#lines) line.pump();
        if (this.#slots.runningCount === 0) this.#onDrained?.();
      },
      now: () => performance.now(),
    });
  }

  #makeLine(queue: string): Line {
    const { concurrency } = this.settings;
    return new Line({
      queue,
      door: this.#door,
      settings: this.settings,
      allowance: (line) => allowanceOf(line, { lines: this.#lines, slots: this.#slots, concurrency }),
      onLeased: this.#onLeased,
      tell: this.#tell,
      now: () => performance.now(),
      random: Math.random,
    });
  }

  #makePacemaker(connection: ClientOptions): Pacemaker {
    const { worker, concurrency: slots, leaseMs, beatMs, maxBlockMs } = this.settings;
    const isOwnBus = connection.nats !== undefined && 'request' in connection.nats;
    return new Pacemaker({
      plan: { worker, queues: this.queues, slots, leaseMs, beatMs, maxBlockMs, host: hostname() },
      connection: isOwnBus ? undefined : connection,
      door: this.#door,
      note: this.#onNote,
      usedCount: () => this.#slots.runningCount,
      onPulse: () => this.#releaseStale(),
    });
  }

  #releaseStale(): void {
    const stale = this.#slots.removeStale();
    for (const job of stale) this.#release(job, 'it waited too long for its turn');
    if (stale.length > 0) for (const line of this.#lines) line.pump();
  }

  #makeNewsDesk(): NewsDesk {
    return new NewsDesk({
      door: this.#door,
      leaseMs: this.settings.leaseMs,
      onRenewed: (job, { cancel, problem }) => {
        if (job.state !== 'running') return;
        if (cancel !== undefined) this.#cancel(job, cancel);
        else if (problem?.code === 'lease_lost') this.#lose(job, String(problem.detail ?? 'the lease is lost'));
      },
      onTrouble: (error) => this.#tell?.({ type: 'trouble', call: 'renew', error, retryInMs: 0 }),
    });
  }
}

/** Resolves when `done` does, or after so many milliseconds. */
async function within(ms: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    if (Number.isFinite(ms)) timer = setTimeout(resolve, ms);
  });
  await Promise.race([done, late]).finally(() => clearTimeout(timer));
}
