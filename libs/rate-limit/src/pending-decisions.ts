/**
 * Decisions that somebody waits for. Each is settled once: by an answer, by its signal, or at its deadline, whatever
 * those do that were asked. All wait equally long, so the oldest is due first and one timer serves all.
 */
import type { CheckAnswer, CheckRequest } from '@plinth/contracts/ratelimit';

export class PendingDecision {
  readonly check: CheckRequest;
  readonly deadlineMs: number;
  readonly promise: Promise<CheckAnswer>;
  readonly #resolve: (answer: CheckAnswer) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onSettled: () => void;
  #isSettled = false;

  constructor(check: CheckRequest, deadlineMs: number, onSettled: () => void, signal: AbortSignal | undefined) {
    const { promise, resolve, reject } = Promise.withResolvers<CheckAnswer>();
    this.check = check;
    this.deadlineMs = deadlineMs;
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#onSettled = onSettled;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Later calls of `settle` and `fail` do nothing. */
  settle(answer: CheckAnswer): void {
    if (this.#end()) this.#resolve(answer);
  }

  fail(reason: unknown): void {
    if (this.#end()) this.#reject(reason);
  }

  readonly #onAbort = (): void => this.fail(this.#signal!.reason);

  #end(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onSettled();
    return true;
  }
}

export interface PendingOptions {
  /** Milliseconds that each may take. */
  timeoutMs: number;
  /** The most that may wait at once; each holds about 1 KiB. */
  waitingMax: number;
  /** Milliseconds of a steady clock. */
  now(): number;
  /** What one is told whose time is up. */
  late(check: CheckRequest): CheckAnswer;
}

export class PendingDecisions {
  readonly #options: PendingOptions;
  /** By deadline. Those that were settled leave when they come first. */
  #queue: PendingDecision[] = [];
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PendingOptions) {
    this.#options = options;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting;
  }

  /** One more who waits, or undefined when too many do. @throws The signal's reason. */
  open(check: CheckRequest, signal?: AbortSignal): PendingDecision | undefined {
    signal?.throwIfAborted();
    const { timeoutMs, waitingMax, now } = this.#options;
    if (this.#waiting >= waitingMax) return undefined;
    const pending = new PendingDecision(check, now() + timeoutMs, this.#onSettled, signal);
    this.#waiting++;
    this.#queue.push(pending);
    this.#timer ??= setTimeout(this.#onDeadline, timeoutMs);
    return pending;
  }

  /** Tells all what they would be told at their deadlines. */
  endAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const pending of this.#queue.splice(0)) pending.settle(this.#options.late(pending.check));
  }

  readonly #onSettled = (): void => {
    this.#waiting--;
    // The queue is then only of those that were settled, and a timer would wake for nothing.
    if (this.#waiting > 0) return;
    this.#queue = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
  };

  readonly #onDeadline = (): void => {
    this.#timer = undefined;
    const nowMs = this.#options.now();
    const isOver = (pending: PendingDecision) => pending.isSettled || pending.deadlineMs <= nowMs;
    const stays = this.#queue.findIndex((pending) => !isOver(pending));
    const over = this.#queue.splice(0, stays === -1 ? this.#queue.length : stays);
    for (const pending of over) if (!pending.isSettled) pending.settle(this.#options.late(pending.check));
    const next = this.#queue[0];
    if (next !== undefined) this.#timer ??= setTimeout(this.#onDeadline, Math.max(1, next.deadlineMs - nowMs));
  };
}
