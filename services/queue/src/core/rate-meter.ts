/** Counts by the second: how many a second, lately. */

/** Long enough to be smooth, short enough to see a change. */
const SECONDS = 10;

export class RateMeter {
  readonly #counts = new Array<number>(SECONDS).fill(0);
  #second = 0;
  #sinceSecond: number | undefined;

  add(nowMs: number, by: number): void {
    const second = this.#turnTo(nowMs);
    this.#sinceSecond ??= second;
    this.#counts[second % SECONDS]! += by;
  }

  /** Over the last ten seconds, or since the first was counted if that is less; the running second counts as whole. */
  perSecond(nowMs: number): number {
    const second = this.#turnTo(nowMs);
    if (this.#sinceSecond === undefined) return 0;
    const seconds = Math.min(SECONDS, second - this.#sinceSecond + 1);
    return this.#counts.reduce((sum, count) => sum + count, 0) / seconds;
  }

  /** Empties the seconds that have passed since the last look. A clock that went back counts into the latest. */
  #turnTo(nowMs: number): number {
    const second = Math.max(Math.floor(nowMs / 1_000), this.#second);
    const passed = Math.min(second - this.#second, SECONDS);
    for (let step = 1; step <= passed; step++) this.#counts[(this.#second + step) % SECONDS] = 0;
    this.#second = second;
    return second;
  }
}
