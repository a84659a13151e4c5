/**
 * Days, weeks, months and years as the clocks of a place show them. A period begins at the first moment whose local
 * date is its first day or later: at 01:00 where midnight is skipped, and with the day after where a whole day is. So
 * periods follow each other without a gap, also where the clock goes back over midnight and a date comes twice.
 */
import type { Period } from './policy.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** What a zone may turn its clocks back by within a period: Antarctica/Casey did by three hours. */
const TURN_BACK_MS = 3 * HOUR_MS;
const LONGEST_MS: Readonly<Record<Period, number>> = {
  day: DAY_MS + TURN_BACK_MS,
  week: 7 * DAY_MS + TURN_BACK_MS,
  month: 31 * DAY_MS + TURN_BACK_MS,
  year: 366 * DAY_MS + TURN_BACK_MS,
};
/** No zone is farther from UTC than 14 hours; a day more for one that changes sides of the date line. */
const OFFSET_MAX_MS = 14 * HOUR_MS + DAY_MS;
/** No zone changes its clocks twice within this. */
const LOOK_EVERY_MS = 6 * HOUR_MS;
/** Ends of periods that are remembered. Those of the last few are asked for again and again, by states that wait to be freed. */
const ENDS_MAX = 64;

export interface Periods {
  /** When the period began that a moment lies in. Milliseconds since 1970, as all here. Cost: none within the period asked for last. */
  startAtMs(wallMs: number): number;
  /** When the period ends that began then, or that this moment lies in. */
  endAfterMs(startMs: number): number;
  /** No period is longer. */
  readonly longestMs: number;
}

/**
 * @param timeZone - An IANA name. Weeks begin on Monday.
 * @throws RangeError for a zone that is not known.
 */
export function periodsOf(period: Period, timeZone: string): Periods {
  return new PlacePeriods(period, localClock(timeZone));
}

/** What clocks show, as if it were UTC. */
type LocalClock = (atMs: number) => number;

class PlacePeriods implements Periods {
  readonly longestMs: number;
  readonly #period: Period;
  readonly #local: LocalClock;
  readonly #ends = new Map<number, number>();
  #startMs = Number.POSITIVE_INFINITY;
  #endMs = Number.NEGATIVE_INFINITY;

  constructor(period: Period, local: LocalClock) {
    this.#period = period;
    this.#local = local;
    this.longestMs = LONGEST_MS[period];
  }

  startAtMs(wallMs: number): number {
    if (wallMs >= this.#startMs && wallMs < this.#endMs) return this.#startMs;
    let firstDayMs = firstDay(this.#period, this.#local(wallMs));
    let startMs = this.#beginningOf(firstDayMs);
    let endMs = this.#beginningOf(nextDay(this.#period, firstDayMs));
    // The clock went back over midnight: the date is yesterday's once more, but its period is over.
    while (endMs <= wallMs) {
      firstDayMs = nextDay(this.#period, firstDayMs);
      startMs = endMs;
      endMs = this.#beginningOf(nextDay(this.#period, firstDayMs));
    }
    this.#startMs = startMs;
    this.#endMs = endMs;
    this.#remember(startMs, endMs);
    return startMs;
  }

  endAfterMs(startMs: number): number {
    const known = startMs === this.#startMs ? this.#endMs : this.#ends.get(startMs);
    if (known !== undefined) return known;
    // Not through `startAtMs`: what is cached there is the present.
    const aside = new PlacePeriods(this.#period, this.#local);
    aside.startAtMs(startMs);
    this.#remember(startMs, aside.#endMs);
    return aside.#endMs;
  }

  #remember(startMs: number, endMs: number): void {
    if (this.#ends.size === ENDS_MAX) this.#ends.clear();
    this.#ends.set(startMs, endMs);
  }

  /** The first moment at which clocks show this local time, or the first after a gap that it fell into. */
  #beginningOf(localMs: number): number {
    const before = localMs - OFFSET_MAX_MS;
    const after = localMs + OFFSET_MAX_MS;
    const offsets = new Set<number>();
    for (let atMs = before; atMs <= after; atMs += LOOK_EVERY_MS) offsets.add(this.#local(atMs) - atMs);
    const shown = [...offsets].map((offsetMs) => localMs - offsetMs).filter((atMs) => this.#local(atMs) === localMs);
    return shown.length > 0 ? Math.min(...shown) : this.#endOfGap(localMs, { before, after });
  }

  #endOfGap(localMs: number, { before, after }: { before: number; after: number }): number {
    let shownBefore = before;
    let shownAfter = after;
    while (shownAfter - shownBefore > 1) {
      const middle = Math.floor((shownBefore + shownAfter) / 2);
      if (this.#local(middle) >= localMs) shownAfter = middle;
      else shownBefore = middle;
    }
    return shownAfter;
  }
}

function firstDay(period: Period, localMs: number): number {
  const date = new Date(localMs);
  const day = Math.floor(localMs / DAY_MS);
  if (period === 'day') return day * DAY_MS;
  // 1970 began on a Thursday.
  if (period === 'week') return (day - ((((day + 3) % 7) + 7) % 7)) * DAY_MS;
  return Date.UTC(date.getUTCFullYear(), period === 'month' ? date.getUTCMonth() : 0, 1);
}

function nextDay(period: Period, firstDayMs: number): number {
  if (period === 'day') return firstDayMs + DAY_MS;
  if (period === 'week') return firstDayMs + 7 * DAY_MS;
  const date = new Date(firstDayMs);
  return period === 'month'
    ? Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1)
    : Date.UTC(date.getUTCFullYear() + 1, 0, 1);
}

function localClock(timeZone: string): LocalClock {
  const format = formatOf(timeZone);
  return (atMs) => {
    const parts: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(atMs)) parts[type] = Number(value);
    const { year, month, day, hour, minute, second } = parts;
    // Intl shows whole seconds; zones are whole seconds from UTC.
    return Date.UTC(year!, month! - 1, day, hour, minute, second) + (((atMs % 1_000) + 1_000) % 1_000);
  };
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const digits = '2-digit';
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      calendar: 'iso8601',
      numberingSystem: 'latn',
      year: 'numeric',
      month: digits,
      day: digits,
      hour: digits,
      minute: digits,
      second: digits,
    });
  } catch (cause) {
    throw new RangeError(`timeZone is ${JSON.stringify(timeZone)}; it must be a time zone of the IANA database`, {
      cause,
    });
  }
}
