/**
 * One engine: a state machine, the log before it and the store behind it. Writes go in through `submit` and come back
 * when they are as safe as the engine's policy says; reads are answered at once from the state.
 *
 *   durable      log synced before the answer
 *   write-back   log written before the answer, synced within `flushMs`
 *   memory       no log
 */
import { Problem } from '@plinth/problem';
import type { Log } from '../store/log.ts';
import type { ByteString, Store } from '../store/store.ts';
import type { BucketState } from './bucket.ts';
import { Checkpointer } from './checkpointer.ts';
import { type Command, type CommandRecord, type Done, decodeCommands, type Outcome } from './command.ts';
import { type CommitObserver, CommitQueue, diskProblem, type SubmitOptions } from './commit-queue.ts';
import { Housekeeper } from './housekeeper.ts';
import { Machine } from './machine.ts';
import { type Entry, readEntry, type View } from './reader.ts';
import type { Recency } from './recency.ts';
import { SteadyClock } from './steady-clock.ts';
import { WatchHub } from './watch-hub.ts';

export interface EngineOptions {
  store: Store;
  /** Undefined: memory only. */
  log: Log | undefined;
  /** True: the log syncs in the background; false: each append has synced when it resolves. */
  flushesLater: boolean;
  /** Which entries were used last; for buckets that evict. */
  recency?: Recency;
  /** The wall clock, in milliseconds since 1970. */
  now: () => number;
  /** A clock that nobody sets, in milliseconds; see `SteadyClock`. */
  elapsed?: () => number;
  observer?: CommitObserver;
  /** Told of trouble that no caller can be told of. */
  report: (what: string, error: unknown) => void;
  checkpoint: { bytes: number; intervalMs: number; bytesMax: number };
  commitTimeoutMs: number;
}

/** The longest that `flushMs` can be. */
const FLUSH_MS_MAX = 60_000;

export class Engine {
  readonly machine: Machine;
  readonly hub = new WatchHub();
  readonly #options: EngineOptions;
  readonly #queue: CommitQueue;
  readonly #checkpointer: Checkpointer;
  readonly #housekeeper: Housekeeper;
  readonly #clock: SteadyClock;
  #flushTimer: NodeJS.Timeout | undefined;

  private constructor(options: EngineOptions, machine: Machine) {
    const { store, log, now, report } = options;
    this.#options = options;
    this.machine = machine;
    this.#clock = new SteadyClock(options, () => machine.timeMs);
    this.#queue = new CommitQueue(
      {
        log,
        now,
        elapsed: options.elapsed ?? now,
        recordTime: this.#clock.now,
        commitTimeoutMs: options.commitTimeoutMs,
        observer: options.observer,
        apply: (end, record) => this.#apply(end, record),
      },
      store.position,
    );
    this.#checkpointer = new Checkpointer({
      store,
      log,
      ...options.checkpoint,
      pause: (problem) => this.#queue.pause(problem),
      report: (error) => report('checkpoint', error),
    });
    this.#housekeeper = new Housekeeper({
      machine,
      now: this.#clock.now,
      submit: (command) => this.submit(command),
      waiting: () => this.#queue.waiting,
      report: (error) => report('housekeeping', error),
    });
  }

  /** Brings the store up to the end of the log and begins to serve. */
  static async open(options: EngineOptions): Promise<Engine> {
    const machine = new Machine(options.store, options.recency);
    const engine = new Engine(options, machine);
    for await (const { end, body } of options.log?.replay(options.store.position) ?? []) {
      machine.applyRecord(end, decodeCommands(body));
      engine.#checkpointer.stepped();
    }
    machine.changed.clear();
    engine.#housekeeper.start();
    return engine;
  }

  // ------------------------------------------------------------ writes

  /** One command. @throws Problem: its own refusal, or one of `CommitQueue.submit`. */
  submit(command: Command, options?: SubmitOptions): Promise<Done> {
    return this.#queue.submitOne(command, options);
  }

  /** Several commands in one record, each for itself. */
  submitEach(commands: readonly Command[], options?: SubmitOptions): Promise<Outcome[]> {
    return this.#queue.submit(commands, options);
  }

  #apply(end: number, record: CommandRecord): Outcome[] {
    const outcomes = this.machine.applyRecord(end, record);
    for (const bucket of this.machine.changed) this.hub.wake(bucket);
    this.machine.changed.clear();
    this.#checkpointer.stepped();
    if (this.#options.flushesLater) this.#flushSoon();
    return outcomes;
  }

  /** Within the shortest `flushMs` of any bucket. */
  #flushSoon(): void {
    if (this.#flushTimer !== undefined) return;
    let waitMs = FLUSH_MS_MAX;
    for (const { settings } of this.machine.buckets.values()) waitMs = Math.min(waitMs, settings.flushMs);
    this.#flushTimer = setTimeout(() => void this.#flush(), waitMs);
  }

  async #flush(): Promise<void> {
    this.#flushTimer = undefined;
    try {
      await this.#options.log?.flush();
    } catch (error) {
      // The system forgets what it could not write, so a second try would prove nothing.
      this.#options.report('flush', error);
      this.#queue.fail(diskProblem(error));
    }
  }

  // ------------------------------------------------------------ reads

  /** The present: everything answered so far, at this moment. */
  view(): View {
    return { revision: this.machine.revision, timeMs: this.#clock.now() };
  }

  /** The live entry of a key. Cost: two look-ups. */
  read(bucket: number, key: ByteString): Entry | undefined {
    const entry = readEntry(this.machine.store, bucket, key, this.#clock.now());
    if (entry !== undefined) this.#options.recency?.use(bucket, key);
    return entry;
  }

  get store(): Store {
    return this.machine.store;
  }

  bucket(id: number): BucketState | undefined {
    const bucket = this.machine.buckets.get(id);
    return bucket?.dropped ? undefined : bucket;
  }

  /** Undefined when writes are taken, else why not. */
  notReady(): string | undefined {
    return this.#queue.refusal?.message;
  }

  get waiting(): number {
    return this.#queue.waiting;
  }

  // ------------------------------------------------------------ life

  /** Everything so far is in the store's file when it resolves. */
  checkpoint(): Promise<void> {
    return this.#checkpointer.now();
  }

  /** Refuses new writes, lets those under way end, brings the store up to date and closes both. */
  async stop(reason = new Problem('stopping', 'the service is stopping', { retryAfterMs: 1_000 })): Promise<void> {
    const { log, report } = this.#options;
    this.#housekeeper.stop();
    this.#queue.close(reason);
    await this.#queue.idle();
    clearTimeout(this.#flushTimer);
    await this.#checkpointer.stop();
    // A disk that refuses is no reason to leave anything open: what was promised is in the log already.
    await log?.flush().catch((error) => report('last flush', error));
    await this.checkpoint().catch((error) => report('last checkpoint', error));
    await log?.close().catch((error) => report('closing the log', error));
    await this.store.close();
  }
}
