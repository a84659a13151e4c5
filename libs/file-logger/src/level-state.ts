/** Which levels a logger writes, and how its lines begin at each. */
import { type LevelComparison, type LevelMap, levelValue } from './levels.ts';

/** The standard levels' places in `LevelState.mask`. */
export const PLACES = { trace: 1, debug: 2, info: 4, warn: 8, error: 16, fatal: 32 } as const;

/** How lines of one level begin. */
export class LevelHead {
  readonly label: string;
  readonly value: number;
  /** `{"level":30`, or what a formatter makes of it. */
  readonly text: string;

  constructor(label: string, value: number, text: string) {
    this.label = label;
    this.value = value;
    this.text = text;
  }
}

/** A logger's level. Children without a level of their own share their parent's. */
export class LevelState {
  readonly #map: LevelMap;
  readonly #comparison: LevelComparison;
  /** A bit for each standard level that is written. */
  mask = 0;
  label = '';
  value = 0;

  constructor(map: LevelMap, comparison: LevelComparison, label: string) {
    this.#map = map;
    this.#comparison = comparison;
    this.set(label);
  }

  /** @throws TypeError for a name that is no level. */
  set(label: string): void {
    const value = levelValue(this.#map, label);
    if (value === undefined) {
      throw new TypeError(`unknown level ${label}; there are ${Object.keys(this.#map.values).join(', ')} and silent`);
    }
    this.label = label;
    this.value = value;
    this.mask = 0;
    for (const [name, place] of Object.entries(PLACES)) {
      const standard = this.#map.values[name];
      if (standard !== undefined && this.allows(standard)) this.mask |= place;
    }
  }

  /** Whether a level of this number is written. */
  allows(value: number): boolean {
    if (typeof this.#comparison === 'function') return this.#comparison(value, this.value);
    return this.#comparison === 'DESC' && this.value !== Number.POSITIVE_INFINITY
      ? value <= this.value
      : value >= this.value;
  }
}
