/**
 * A circuit breaker: after some failures in a row nobody waits for the backend any more; from time to time one call is
 * let through to see whether it is back. (M. Nygard, Release It!, 2007.)
 */
export interface BreakerOptions {
  /** Failures in a row that open it. */
  failuresMax: number;
  /** How long nobody is let through before the next try, in milliseconds. */
  pauseMs: number;
  now: () => number;
}

export class Breaker {
  readonly #options: BreakerOptions;
  #failures = 0;
  #triedMs = Number.NEGATIVE_INFINITY;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#failures >= this.#options.failuresMax;
  }

  /** May this call go to the backend? While it is open, one in each pause may. */
  admits(): boolean {
    if (!this.isOpen) return true;
    const nowMs = this.#options.now();
    // A clock that was set back must not keep it open.
    if (Math.abs(nowMs - this.#triedMs) < this.#options.pauseMs) return false;
    this.#triedMs = nowMs;
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** @returns True when this failure opened it. */
  failed(): boolean {
    this.#failures += 1;
    this.#triedMs = this.#options.now();
    return this.#failures === this.#options.failuresMax;
  }
}
