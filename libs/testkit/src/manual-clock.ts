/** A clock that stands still until the test moves it. Pass `clock.now` where code takes `now: () => number`. */
export class ManualClock {
  #nowMs: number;

  /** @param startMs - Milliseconds since 1970; by default a round moment that is easy to read in failures. */
  constructor(startMs = Date.UTC(2030, 0, 1)) {
    this.#nowMs = startMs;
  }

  /** Milliseconds since 1970. Bound, so that it can be handed over alone. */
  readonly now = (): number => this.#nowMs;

  /** Moves forward. Negative steps are for tests of clocks that jump back. */
  advance(ms: number): void {
    this.#nowMs += ms;
  }

  /** Jumps to a moment. */
  set(nowMs: number): void {
    this.#nowMs = nowMs;
  }
}
