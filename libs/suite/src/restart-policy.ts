/**
 * How soon a crashed unit is started again: at once at first, then ever more slowly, so that one that cannot run does
 * not burn a core. A unit that stayed up for a while gets a clean slate.
 */

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 10_000;
/** Long enough that a crash loop with a slow start does not count as healthy. */
const HEALTHY_AFTER_MS = 30_000;

/** The crashes of one unit since it was last healthy. Time is given, never read. */
export class RestartPolicy {
  #crashes = 0;
  #firstCrashMs = 0;

  /**
   * Notes a crash.
   * @param upMs - How long the unit was ready before, 0 when it never was.
   * @returns Milliseconds to wait before the next start.
   */
  crashed({ nowMs, upMs }: { nowMs: number; upMs: number }): number {
    if (upMs >= HEALTHY_AFTER_MS) this.#crashes = 0;
    if (this.#crashes === 0) this.#firstCrashMs = nowMs;
    this.#crashes++;
    return Math.min(FIRST_DELAY_MS * 2 ** (this.#crashes - 1), LONGEST_DELAY_MS);
  }

  /** "3rd in 20 s": how often it crashed, and since when. */
  describe(nowMs: number): string {
    return `${ordinal(this.#crashes)} in ${Math.round((nowMs - this.#firstCrashMs) / 1000)} s`;
  }
}

/** 1st, 2nd, 3rd, 4th … 11th … 21st. */
export function ordinal(count: number): string {
  const isTeen = count % 100 >= 11 && count % 100 <= 13;
  const ending = isTeen ? 'th' : (['th', 'st', 'nd', 'rd'][count % 10] ?? 'th');
  return `${count}${ending}`;
}
