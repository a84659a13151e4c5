/**
 * Quotas of a day, week, month or year in a time zone. `nowUs` is wall-clock time here, microseconds since 1970, which
 * never goes back. Cells: start of the period in milliseconds since 1970, units taken in it.
 */
import type { Algorithm, Cells } from './algorithm.ts';
import type { Periods } from './periods.ts';

export const calendar: Algorithm = {
  cells: 2,

  available(cells, at, { limit, periods }, nowUs) {
    advance(cells, at, periods!, nowUs);
    return limit - cells[at + 1]!;
  },

  take(cells, at, { periods }, nowUs, units) {
    advance(cells, at, periods!, nowUs);
    cells[at + 1]! += units;
  },

  give(cells, at, { periods }, nowUs, units, takenUs) {
    advance(cells, at, periods!, nowUs);
    if (takenUs < cells[at]! * 1_000 && takenUs < nowUs) return;
    cells[at + 1] = Math.max(0, cells[at + 1]! - units);
  },

  waitUs(cells, at, { limit, periods }, nowUs, units) {
    if (units > limit) return Number.POSITIVE_INFINITY;
    advance(cells, at, periods!, nowUs);
    return cells[at + 1]! + units <= limit ? 0 : Math.max(0, periods!.endAfterMs(cells[at]!) * 1_000 - nowUs);
  },

  freshAtUs: (cells, at, { periods }) => (cells[at + 1] === 0 ? 0 : periods!.endAfterMs(cells[at]!) * 1_000),

  /** The calendar is the same for all. */
  shift: () => undefined,

  useUntilUs: ({ periods }, nowUs) => periods!.endAfterMs(periods!.startAtMs(nowUs / 1_000)) * 1_000,
};

function advance(cells: Cells, at: number, periods: Periods, nowUs: number): void {
  const startMs = periods.startAtMs(nowUs / 1_000);
  if (startMs <= cells[at]!) return;
  cells[at] = startMs;
  cells[at + 1] = 0;
}
