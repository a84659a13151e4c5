/** Levels: names, their numbers, and which of them a logger writes. */

/** The standard levels with their numbers. */
export const STANDARD_LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;

/** The name of a standard level. */
export type Level = keyof typeof STANDARD_LEVELS;

/** `silent` is above all levels. */
export const SILENT = 'silent';

/** Both ways between names and numbers, as `logger.levels` shows them. */
export interface LevelMap {
  labels: Record<number, string>;
  values: Record<string, number>;
}

/** Which levels are written: those above (`ASC`) or below (`DESC`) the logger's, or what a function says. */
export type LevelComparison = 'ASC' | 'DESC' | ((current: number, expected: number) => boolean);

/**
 * All levels of a logger.
 *
 * @throws TypeError when a custom level has no usable number.
 */
export function levelMap(custom: Readonly<Record<string, number>> = {}, onlyCustom = false): LevelMap {
  const map: LevelMap = { labels: {}, values: {} };
  const all: Record<string, number> = onlyCustom ? {} : { ...STANDARD_LEVELS };
  for (const [label, value] of Object.entries(custom)) {
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new TypeError(`customLevels.${label} must be a finite number; it is ${String(value)}`);
    }
    all[label] = value;
  }
  for (const [label, value] of Object.entries(all)) {
    map.labels[value] = label;
    map.values[label] = value;
  }
  return map;
}

/** The number of a level, `Infinity` for silent, `undefined` for a name that is none. */
export function levelValue(map: LevelMap, label: string): number | undefined {
  if (label === SILENT) return Number.POSITIVE_INFINITY;
  return Object.hasOwn(map.values, label) ? map.values[label] : undefined;
}
