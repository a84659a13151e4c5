/**
 * Lets the store follow the log: a checkpoint when enough has gathered or enough time has passed, after which the log
 * is trimmed. When the disk refuses, what is not in the store stays in memory and in the log, and it is tried again;
 * when too much has gathered, because the disk refuses or because it is slower than the writes, those are refused
 * until there is room.
 */
import { Problem } from '@plinth/problem';
import type { Log } from '../store/log.ts';
import type { Store } from '../store/store.ts';
import { diskProblem } from './commit-queue.ts';

export interface CheckpointerOptions {
  store: Store;
  log: Log | undefined;
  /** Checkpoint when so many bytes have gathered. */
  bytes: number;
  /** Checkpoint at the latest this long after the first change. */
  intervalMs: number;
  /** Refuse writes when so many bytes have gathered. */
  bytesMax: number;
  /** Refuses writes with a problem; undefined: takes them again. */
  pause: (problem: Problem | undefined) => void;
  report: (error: unknown) => void;
}

/** How long after a refusal by the disk it is asked again. */
const RETRY_MS = 1_000;

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** Why the last one failed, if it did. */
  #failure: { error: unknown } | undefined;
  #stopped = false;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
  }

  /** To be called after each step. */
  stepped(): void {
    const { store, bytes, bytesMax, intervalMs, pause } = this.#options;
    const { pendingBytes } = store;
    if (pendingBytes > bytesMax) pause(this.#noRoom());
    if (pendingBytes >= bytes && this.#failure === undefined) void this.#begin();
    else if (pendingBytes > 0) this.#schedule(intervalMs);
  }

  /** Resolves when everything so far is in the store, or rejects with the disk's reason. */
  async now(): Promise<void> {
    const { store, log } = this.#options;
    await store.checkpoint();
    await log?.trim(store.durablePosition);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #noRoom(): Problem {
    if (this.#failure !== undefined) return diskProblem(this.#failure.error);
    return new Problem('overloaded', 'the disk is slower than the writes; they wait for it', { retryAfterMs: 1_000 });
  }

  /** One timer: whoever asked first is served first. */
  #schedule(ms: number): void {
    if (this.#timer !== undefined || this.#stopped) return;
    this.#timer = setTimeout(() => void this.#begin(), ms);
    this.#timer.unref();
  }

  #begin(): Promise<void> {
    this.#running ??= this.#attempt().finally(() => {
      this.#running = undefined;
      this.#goOn();
    });
    return this.#running;
  }

  async #attempt(): Promise<void> {
    try {
      await this.now();
      this.#failure = undefined;
    } catch (error) {
      if (this.#failure === undefined) this.#options.report(error);
      this.#failure = { error };
    }
  }

  /** What came meanwhile, or could not be written, has its time as well. */
  #goOn(): void {
    const { store, bytes, bytesMax, intervalMs, pause } = this.#options;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (store.pendingBytes <= bytesMax) pause(undefined);
    if (this.#failure !== undefined) this.#schedule(RETRY_MS);
    else if (store.pendingBytes > 0) this.#schedule(store.pendingBytes >= bytes ? 0 : intervalMs);
  }
}
