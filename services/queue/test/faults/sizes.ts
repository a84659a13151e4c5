/** How long the tests run: some seconds each in `npm test`, up to a minute each with `PLINTH_LONG=1`. */

/** Whether the full sizes are wanted. */
export const isLong = process.env.PLINTH_LONG === '1';

/** A count, small for `npm test` and as the acceptance has it with `PLINTH_LONG=1`. */
export const sized = (count: { short: number; long: number }): number => (isLong ? count.long : count.short);

/** Time limit of a test, generous for a machine that has other work. */
export const LIMIT_MS = isLong ? 300_000 : 120_000;

/** Straight to the stream: jest's console would add a stack trace. */
export function tell(what: string, figures: Record<string, number | string>): void {
  const list = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  process.stderr.write(`${what}: ${list.join(', ')}\n`);
}

/** The number below which so large a share lies; 0 of none. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
