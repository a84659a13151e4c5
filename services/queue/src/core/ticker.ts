/** Runs the ticks of one queue: at the next time that something is known to be due, and when it is swept. */

export interface TickerOptions {
  /** @returns Milliseconds until the next thing is due; undefined: nothing is. */
  tick(): Promise<number | undefined>;
  /** Milliseconds of a clock that does not jump back by more than a sweep corrects. */
  now(): number;
  report(error: unknown): void;
}

/** What is due later is left to a later sweep to tell again. */
const AHEAD_MAX_MS = 60_000;

export class Ticker {
  readonly #options: TickerOptions;
  #timer: NodeJS.Timeout | undefined;
  #dueAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  /** When the next tick is known to be wanted, on the clock of `now`; infinite: it is not. */
  get dueAtMs(): number {
    return this.#dueAtMs;
  }

  /** Something is due in so many milliseconds. Cost: a comparison, unless it is earlier than what was known. */
  dueIn(ms: number): void {
    if (this.#isStopped || ms > AHEAD_MAX_MS) return;
    // A timer may fire a little early, and a tick that finds nothing yet would be wasted.
    const waitMs = Math.max(1, Math.ceil(ms));
    const atMs = this.#options.now() + waitMs;
    if (atMs >= this.#dueAtMs) return;
    this.#dueAtMs = atMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#fire(), waitMs);
    this.#timer.unref();
  }

  /** Ticks now; with one under way already, that one. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#tick();
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** A tick that is under way may have looked before this was due. */
  async #fire(): Promise<void> {
    await this.#running;
    await this.run();
  }

  async #tick(): Promise<void> {
    clearTimeout(this.#timer);
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    try {
      const nextInMs = this.#isStopped ? undefined : await this.#options.tick();
      if (nextInMs !== undefined) this.dueIn(nextInMs);
    } catch (error) {
      this.#options.report(error);
    } finally {
      this.#running = undefined;
    }
  }
}
