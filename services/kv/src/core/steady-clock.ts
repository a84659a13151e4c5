/**
 * The store's time: the wall clock for as long as that goes forward. When it is set back, time goes on from where it
 * was, at the pace of a clock that nobody sets; when the wall clock is ahead again, it is followed again. So a life of
 * half a second is half a second, whatever happens to the clock of the machine.
 */
export interface Clocks {
  /** Milliseconds since 1970; may be set forward and back. */
  now: () => number;
  /** Milliseconds since any moment; never set. Omitted: time stands still while the wall clock is behind. */
  elapsed?: (() => number) | undefined;
}

export class SteadyClock {
  readonly #wall: () => number;
  readonly #elapsed: () => number;
  readonly #floor: () => number;
  #lastMs = 0;
  #lastElapsedMs: number;

  /** @param floor - The time of the last record of the log: it is never earlier. */
  constructor({ now, elapsed = () => 0 }: Clocks, floor: () => number) {
    this.#wall = now;
    this.#elapsed = elapsed;
    this.#floor = floor;
    this.#lastElapsedMs = elapsed();
  }

  /** Whole milliseconds since 1970, never less than before. */
  readonly now = (): number => {
    const wallMs = this.#wall();
    const elapsedMs = this.#elapsed();
    const lastMs = Math.max(this.#lastMs, this.#floor());
    const isAhead = wallMs >= lastMs;
    // What is less than a millisecond is kept for the next look, so that many looks do not add up to no time at all.
    const passedMs = Math.floor(elapsedMs - this.#lastElapsedMs);
    this.#lastElapsedMs = isAhead ? elapsedMs : this.#lastElapsedMs + passedMs;
    this.#lastMs = isAhead ? wallMs : lastMs + passedMs;
    return this.#lastMs;
  };
}
