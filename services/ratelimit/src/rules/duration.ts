/** Durations as people write them: a whole number and a unit. */

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNITS_MS;

/** Milliseconds of `500ms`, `30s`, `5m`, `2h`, `7d`, or undefined when it is none of these. */
export function writtenDurationMs(text: string): number | undefined {
  const match = /^(\d{1,15})(ms|s|m|h|d)$/.exec(text);
  return match === null ? undefined : Number(match[1]) * UNITS_MS[match[2] as Unit];
}

/** The largest unit that leaves a whole number: 90,000 is `90s`. */
export function durationText(ms: number): string {
  const units = (Object.keys(UNITS_MS) as Unit[]).reverse();
  const unit = units.find((each) => ms % UNITS_MS[each] === 0) ?? 'ms';
  return `${ms / UNITS_MS[unit]}${ms === 0 ? 'ms' : unit}`;
}
