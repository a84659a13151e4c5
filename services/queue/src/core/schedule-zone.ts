/** The offset from UTC of a time zone, at any moment; and where near a day it changes. */

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Zones lie between UTC−12 and UTC+14; what belongs to a local day lies within this of the same day in UTC. */
const BEFORE_MS = 15 * HOUR_MS;
const AFTER_MS = DAY_MS + 13 * HOUR_MS;

/** How local time runs around one local day. */
export interface DayOffsets {
  /** Before the change; all day when there is none. */
  readonly firstMs: number;
  readonly secondMs: number;
  /** The first moment of the second offset; infinite when there is no change. */
  readonly changesAtMs: number;
}

export class Zone {
  readonly #format: Intl.DateTimeFormat;
  #cachedDayMs = Number.NaN;
  #cached: DayOffsets = { firstMs: 0, secondMs: 0, changesAtMs: Number.POSITIVE_INFINITY };

  /** @throws RangeError when there is no such zone. */
  constructor(name: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  /** What local time is ahead of UTC. Cost: about 5 µs. */
  offsetMs(atMs: number): number {
    const [month, day, year, hour, minute, second] = this.#format.format(atMs).match(/\d+/g)!.map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1_000) * 1_000;
  }

  /** @param dayMs - The beginning of the local day, written as if it were UTC. */
  around(dayMs: number): DayOffsets {
    if (dayMs === this.#cachedDayMs) return this.#cached;
    const [fromMs, toMs] = [dayMs - BEFORE_MS, dayMs + AFTER_MS];
    const [firstMs, secondMs] = [this.offsetMs(fromMs), this.offsetMs(toMs)];
    const changesAtMs = firstMs === secondMs ? Number.POSITIVE_INFINITY : this.#changeBetween(fromMs, toMs, firstMs);
    this.#cachedDayMs = dayMs;
    this.#cached = { firstMs, secondMs, changesAtMs };
    return this.#cached;
  }

  /** By halving, to the second. Two changes within three days have not been seen since 1970. */
  #changeBetween(fromMs: number, toMs: number, firstMs: number): number {
    let [before, after] = [fromMs / 1_000, toMs / 1_000];
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (this.offsetMs(middle * 1_000) === firstMs) before = middle;
      else after = middle;
    }
    return after * 1_000;
  }
}
