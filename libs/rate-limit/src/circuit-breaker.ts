/** Stops asking one who does not answer, and tries again with one request now and then. */

export interface CircuitBreakerOptions {
  /** Failures one after the other that open it. */
  failuresMax: number;
  /** Milliseconds from the last failure until one may ask again. */
  openMs: number;
  /** Milliseconds of a steady clock. */
  now(): number;
  /** It has opened for this reason, or closed. Not told while it stays as it is. */
  onChange?(isOpen: boolean, reason?: unknown): void;
}

export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #failures = 0;
  #askAgainMs = 0;
  /** The one request that tries, while it is under way. */
  #isProbing = false;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  /** Too many failures, and nobody has had an answer since. */
  get isOpen(): boolean {
    return this.#failures >= this.#options.failuresMax;
  }

  /** Whether one would be let through now. Changes nothing. */
  get isPassable(): boolean {
    return !this.isOpen || (!this.#isProbing && this.#options.now() >= this.#askAgainMs);
  }

  /** Whether to ask. True obliges: `succeeded` or `failed` must be called when it has ended. */
  enter(): boolean {
    if (!this.isOpen) return true;
    if (!this.isPassable) return false;
    this.#isProbing = true;
    return true;
  }

  succeeded(): void {
    const wasOpen = this.isOpen;
    this.#failures = 0;
    this.#isProbing = false;
    if (wasOpen) this.#options.onChange?.(false);
  }

  failed(reason: unknown): void {
    const wasOpen = this.isOpen;
    this.#failures++;
    this.#isProbing = false;
    this.#askAgainMs = this.#options.now() + this.#options.openMs;
    if (this.isOpen && !wasOpen) this.#options.onChange?.(true, reason);
  }
}
