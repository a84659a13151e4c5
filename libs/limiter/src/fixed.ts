/**
 * Fixed windows on the clock's grid, as Envoy's ratelimit has them: two numbers per key, and up to twice the limit
 * across the boundary of two windows. Cells: number of the window, units taken in it.
 */
import type { Algorithm, Cells } from './algorithm.ts';

export const fixed: Algorithm = {
  cells: 2,

  available(cells, at, { limit, windowUs }, nowUs) {
    advance(cells, at, Math.floor(nowUs / windowUs));
    return limit - cells[at + 1]!;
  },

  take(cells, at, { windowUs }, nowUs, units) {
    advance(cells, at, Math.floor(nowUs / windowUs));
    cells[at + 1]! += units;
  },

  give(cells, at, { windowUs }, nowUs, units, takenUs) {
    advance(cells, at, Math.floor(nowUs / windowUs));
    if (takenUs < cells[at]! * windowUs && takenUs < nowUs) return;
    cells[at + 1] = Math.max(0, cells[at + 1]! - units);
  },

  waitUs(cells, at, { limit, windowUs }, nowUs, units) {
    if (units > limit) return Number.POSITIVE_INFINITY;
    advance(cells, at, Math.floor(nowUs / windowUs));
    return cells[at + 1]! + units <= limit ? 0 : Math.max(0, (cells[at]! + 1) * windowUs - nowUs);
  },

  freshAtUs: (cells, at, { windowUs }) => (cells[at + 1] === 0 ? 0 : (cells[at]! + 1) * windowUs),

  shift(cells, at, { windowUs }, byUs) {
    cells[at]! += Math.ceil(byUs / windowUs);
  },

  useUntilUs: ({ windowUs }, nowUs) => (Math.floor(nowUs / windowUs) + 1) * windowUs,
};

function advance(cells: Cells, at: number, window: number): void {
  if (window <= cells[at]!) return;
  cells[at] = window;
  cells[at + 1] = 0;
}
