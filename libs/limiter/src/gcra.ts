/**
 * GCRA, the generic cell rate algorithm (ITU-T I.371, annex A; ATM Forum TM 4.1): one number per key, the theoretical
 * arrival time at which the bucket will be full again. A token bucket without a timer: in any interval of length t at
 * most burst + t / step units are admitted.
 */
import type { Algorithm } from './algorithm.ts';

/** A hundredth of a unit: what rounding of double precision may cost is never a unit. */
const ROUNDING = 0.01;
/** Who waits as long as told is not turned away by the last bit: half of it is left for that. */
const WAIT_ROUNDING = ROUNDING / 2;

export const gcra: Algorithm = {
  cells: 1,

  available(cells, at, { capacity, stepUs }, nowUs) {
    const fullAtUs = cells[at]!;
    return fullAtUs <= nowUs ? capacity : Math.floor(capacity - (fullAtUs - nowUs) / stepUs + ROUNDING);
  },

  take(cells, at, { stepUs }, nowUs, units) {
    cells[at] = Math.max(cells[at]!, nowUs) + units * stepUs;
  },

  give(cells, at, { stepUs }, nowUs, units) {
    const fullAtUs = cells[at]! - units * stepUs;
    cells[at] = fullAtUs <= nowUs ? 0 : fullAtUs;
  },

  waitUs(cells, at, { capacity, stepUs }, nowUs, units) {
    if (units > capacity) return Number.POSITIVE_INFINITY;
    const fullInUs = Math.max(0, cells[at]! - nowUs);
    if (Math.floor(capacity - fullInUs / stepUs + ROUNDING) >= units) return 0;
    return Math.max(0, fullInUs - (capacity - units + WAIT_ROUNDING) * stepUs);
  },

  freshAtUs: (cells, at) => cells[at]!,

  shift(cells, at, _policy, byUs) {
    cells[at] = Math.max(0, cells[at]! + byUs);
  },

  useUntilUs: () => Number.POSITIVE_INFINITY,
};
