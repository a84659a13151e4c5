/**
 * How many calls a target may be given now: its concurrency, its rate, and what it has said by failing. Time and
 * chance are parameters.
 *
 * After a pause the target is not given all at once but one call; each that goes well allows one more, so that the
 * number doubles with each round (as TCP's slow start). Failures of calls that were under way together lengthen the
 * pause once, not once each.
 */
const PAUSE_MS_FIRST = 1_000;
const PAUSE_MS_MAX = 60_000;
/** Of a pause this share is drawn at random, so that replicas do not come back together. */
const PAUSE_JITTER = 0.2;
/** Thousandths added up are not quite whole. */
const ROUNDING = 1e-6;

export interface TargetGateOptions {
  readonly concurrency: number;
  /** 0: no limit. */
  readonly ratePerSecond: number;
  now(): number;
  random(): number;
}

export class TargetGate {
  readonly #options: TargetGateOptions;
  #running = 0;
  /** How many may run at a time at present. */
  #window: number;
  #pausedUntilMs = 0;
  /** Pauses in a row without a good call between. */
  #pauses = 0;
  #tokens: number;
  #filledAtMs: number;

  constructor(options: TargetGateOptions) {
    this.#options = options;
    this.#window = options.concurrency;
    this.#tokens = this.#burst;
    this.#filledAtMs = options.now();
  }

  /** How many calls may begin now; when none, in how many milliseconds to ask again (undefined: when one has ended). */
  room(): { count: number; waitMs: number | undefined } {
    const pausedMs = this.pausedMs;
    if (pausedMs > 0) return { count: 0, waitMs: pausedMs };
    const free = this.#window - this.#running;
    if (free <= 0) return { count: 0, waitMs: undefined };
    if (this.#options.ratePerSecond === 0) return { count: free, waitMs: undefined };
    this.#fill();
    if (this.#tokens >= 1 - ROUNDING)
      return { count: Math.min(free, Math.floor(this.#tokens + ROUNDING)), waitMs: undefined };
    const waitMs = ((1 - this.#tokens) * 1_000) / this.#options.ratePerSecond;
    return { count: 0, waitMs: Math.ceil(waitMs - ROUNDING) };
  }

  get running(): number {
    return this.#running;
  }

  get window(): number {
    return this.#window;
  }

  /** Milliseconds until the target is called again; 0: it may be called. */
  get pausedMs(): number {
    return Math.max(0, this.#pausedUntilMs - this.#options.now());
  }

  begin(): void {
    this.#running += 1;
    if (this.#options.ratePerSecond > 0) this.#tokens -= 1;
  }

  /**
   * A call is over. `isGood`: the target is well, whatever it said of the job. `startedAtMs`: of a call from before the
   * present pause that says nothing.
   */
  end(isGood: boolean, startedAtMs: number): void {
    this.#running -= 1;
    if (!isGood || startedAtMs < this.#pausedUntilMs) return;
    this.#pauses = 0;
    this.#window = Math.min(this.#window + 1, this.#options.concurrency);
  }

  /** The target asked for a time without calls. */
  pauseFor(ms: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#options.now() + ms);
    this.#window = 1;
  }

  /**
   * The target seems to be down.
   *
   * @param startedAtMs - When the call that says so began: one from before the present pause says nothing new.
   */
  pauseGrowing(startedAtMs: number): void {
    if (startedAtMs < this.#pausedUntilMs) return;
    const wholeMs = Math.min(PAUSE_MS_FIRST * 2 ** this.#pauses, PAUSE_MS_MAX);
    this.#pauses += 1;
    this.pauseFor(wholeMs * (1 - PAUSE_JITTER * this.#options.random()));
  }

  /** A second's worth, but at least one call. */
  get #burst(): number {
    return Math.max(1, this.#options.ratePerSecond);
  }

  #fill(): void {
    const nowMs = this.#options.now();
    // A clock that was set back gives nothing, and begins to give from where it is.
    const passedMs = Math.max(0, nowMs - this.#filledAtMs);
    this.#filledAtMs = nowMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + (passedMs * this.#options.ratePerSecond) / 1_000);
  }
}
