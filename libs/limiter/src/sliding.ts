/**
 * The sliding window of two counters (Cloudflare, "counting things", 2017): the window before is weighed by the part
 * of it that the sliding window still covers, as if its units had come evenly. Little memory, close on natural
 * traffic; an adversary gets nearly twice the limit through. Cells: number of the window, its units, those before.
 */
import type { Algorithm, Cells } from './algorithm.ts';

/** As in `gcra.ts`. */
const ROUNDING = 0.01;
const WAIT_ROUNDING = ROUNDING / 2;

export const sliding: Algorithm = {
  cells: 3,

  available(cells, at, { limit, windowUs }, nowUs) {
    advance(cells, at, Math.floor(nowUs / windowUs));
    return Math.floor(limit - used(cells, at, windowUs, nowUs) + ROUNDING);
  },

  take(cells, at, { windowUs }, nowUs, units) {
    advance(cells, at, Math.floor(nowUs / windowUs));
    cells[at + 1]! += units;
  },

  give(cells, at, { windowUs }, nowUs, units, takenUs) {
    advance(cells, at, Math.floor(nowUs / windowUs));
    const age = takenUs >= nowUs ? 0 : cells[at]! - Math.floor(takenUs / windowUs);
    if (age > 1) return;
    const place = at + (age === 1 ? 2 : 1);
    cells[place] = Math.max(0, cells[place]! - units);
  },

  waitUs(cells, at, { limit, windowUs }, nowUs, units) {
    if (units > limit) return Number.POSITIVE_INFINITY;
    advance(cells, at, Math.floor(nowUs / windowUs));
    if (Math.floor(limit - used(cells, at, windowUs, nowUs) + ROUNDING) >= units) return 0;
    const room = limit - units + WAIT_ROUNDING;
    const intoUs = Math.max(0, nowUs - cells[at]! * windowUs);
    const current = cells[at + 1]!;
    // In this window only what came before fades; in the next one the present units fade.
    if (current <= room) return Math.max(0, fadeUs(cells[at + 2]!, room - current, windowUs) - intoUs);
    return windowUs - intoUs + fadeUs(current, room, windowUs);
  },

  freshAtUs(cells, at, { windowUs }) {
    if (cells[at + 1] !== 0) return (cells[at]! + 2) * windowUs;
    return cells[at + 2] !== 0 ? (cells[at]! + 1) * windowUs : 0;
  },

  shift(cells, at, { windowUs }, byUs) {
    cells[at]! += Math.ceil(byUs / windowUs);
  },

  useUntilUs: ({ windowUs }, nowUs) => (Math.floor(nowUs / windowUs) + 1) * windowUs,
};

function advance(cells: Cells, at: number, window: number): void {
  const newest = cells[at]!;
  if (window <= newest) return;
  cells[at + 2] = window === newest + 1 ? cells[at + 1]! : 0;
  cells[at + 1] = 0;
  cells[at] = window;
}

function used(cells: Cells, at: number, windowUs: number, nowUs: number): number {
  const left = Math.min(1, 1 - (nowUs - cells[at]! * windowUs) / windowUs);
  return cells[at + 1]! + cells[at + 2]! * left;
}

/** How far into a window `units` of the one before weigh no more than `room`. */
function fadeUs(units: number, room: number, windowUs: number): number {
  return units <= room ? 0 : windowUs * (1 - room / units);
}
