/**
 * Lets the store follow the log: a checkpoint when enough has gathered or enough time has passed, after which the log
 * is trimmed. When the disk refuses, what is not in the store stays in memory and in the log, and it is tried again;
 * when too much has gathered, writes are refused until there is room.
 */
import type { Problem } from '@plinth/problem';
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
  /** Refuse writes when a failing disk has let so many bytes gather. */
  bytesMax: number;
  refuse: (problem: Problem | undefined) => void;
  report: (error: unknown) => void;
}

/** How long after a refusal by the disk it is asked again. */
const RETRY_MS = 1_000;

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #failed = false;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
  }

  /** To be called after each step. */
  stepped(): void {
    const { store, bytes, bytesMax, intervalMs, refuse } = this.#options;
    if (this.#failed && store.pendingBytes > bytesMax) refuse(diskProblem({ code: 'ENOSPC' }));
    if (store.pendingBytes >= bytes && !this.#failed) void this.#begin();
    else if (this.#timer === undefined && store.pendingBytes > 0) this.#schedule(intervalMs);
  }

  /** Resolves when everything so far is in the store, or rejects with the disk's reason. */
  async now(): Promise<void> {
    const { store, log } = this.#options;
    await store.checkpoint();
    await log?.trim(store.durablePosition);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#begin();
    }, ms);
    this.#timer.unref();
  }

  #begin(): Promise<void> {
    this.#running ??= this.#attempt().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #attempt(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      await this.now();
      if (this.#failed) this.#options.refuse(undefined);
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#options.report(error);
      this.#failed = true;
      this.#schedule(RETRY_MS);
    }
  }
}
