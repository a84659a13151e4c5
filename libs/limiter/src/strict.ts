/**
 * Strict: never more than the limit in *any* window. The window is cut into 60 sub-buckets; what counts is the present
 * one and the 60 before it, so that the oldest, of which only a part lies in the window, counts whole. Any window is
 * covered by those 61, and their sum never passes the limit. The price is that about 1.6 % of the limit goes unused
 * under constant pressure. (Sub-buckets as in Figma's limiter, 2017; the whole oldest one is what makes it a bound.)
 *
 * Cells: number of the newest sub-bucket, sum, then a ring of 61 counts.
 */
import type { Algorithm, Cells } from './algorithm.ts';

export const STRICT_BUCKETS = 60;
const RING = STRICT_BUCKETS + 1;
const COUNTS = 2;

export const strict: Algorithm = {
  cells: COUNTS + RING,

  available(cells, at, { limit, stepUs }, nowUs) {
    advance(cells, at, Math.floor(nowUs / stepUs));
    return limit - cells[at + 1]!;
  },

  take(cells, at, { stepUs }, nowUs, units) {
    advance(cells, at, Math.floor(nowUs / stepUs));
    cells[at + COUNTS + (cells[at]! % RING)]! += units;
    cells[at + 1]! += units;
  },

  /**
   * Out of the oldest sub-buckets first. What was never used may then be given back late and the bound still holds: a
   * window that begins after the sub-bucket of a unit keeps its own count. Out of the newest it would lose units that
   * were used. Units whose sub-bucket has left the window came back by themselves.
   */
  give(cells, at, { stepUs }, nowUs, units, takenUs) {
    advance(cells, at, Math.floor(nowUs / stepUs));
    const youngest = takenUs >= nowUs ? 0 : Math.max(0, cells[at]! - Math.floor(takenUs / stepUs));
    let left = Math.min(units, cells[at + 1]!);
    for (let age = STRICT_BUCKETS; left > 0 && age >= youngest; age--) {
      const place = at + COUNTS + ((cells[at]! - age + RING) % RING);
      const given = Math.min(left, cells[place]!);
      cells[place]! -= given;
      cells[at + 1]! -= given;
      left -= given;
    }
  },

  waitUs(cells, at, { limit, stepUs }, nowUs, units) {
    if (units > limit) return Number.POSITIVE_INFINITY;
    advance(cells, at, Math.floor(nowUs / stepUs));
    let missing = cells[at + 1]! + units - limit;
    if (missing <= 0) return 0;
    // From the oldest on, whose place is the one behind the newest. Counted and not divided for: many are denied.
    let place = ((cells[at]! + 1) % RING) | 0;
    for (let age = STRICT_BUCKETS; age >= 0; age--) {
      missing -= cells[at + COUNTS + place]!;
      if (missing <= 0) return Math.max(0, (cells[at]! - age + RING) * stepUs - nowUs);
      place = place === RING - 1 ? 0 : place + 1;
    }
    return Number.POSITIVE_INFINITY;
  },

  freshAtUs: (cells, at, { stepUs }) => (cells[at + 1] === 0 ? 0 : (cells[at]! + RING) * stepUs),

  shift(cells, at, { stepUs }, byUs) {
    const counts = cells.slice(at + COUNTS, at + COUNTS + RING);
    const by = Math.ceil(byUs / stepUs);
    const newest = cells[at]!;
    cells[at] = newest + by;
    for (let age = 0; age < RING; age++) {
      cells[at + COUNTS + modulo(newest + by - age, RING)] = counts[modulo(newest - age, RING)]!;
    }
  },

  useUntilUs: ({ stepUs }, nowUs) => (Math.floor(nowUs / stepUs) + 1) * stepUs,
};

/** Also of numbers below 0: the clock of the process that takes over may have begun a moment ago. */
function modulo(number: number, by: number): number {
  return ((number % by) + by) % by;
}

/** Empties the sub-buckets that have left the window. A clock that went back leaves the newest where it is. */
function advance(cells: Cells, at: number, bucket: number): void {
  const newest = cells[at]!;
  if (bucket <= newest) return;
  cells[at] = bucket;
  if (cells[at + 1] === 0) return;
  if (bucket - newest >= RING) {
    cells.fill(0, at + 1, at + COUNTS + RING);
    return;
  }
  for (let number = newest + 1; number <= bucket; number++) {
    const place = at + COUNTS + (number % RING);
    cells[at + 1]! -= cells[place]!;
    cells[place] = 0;
  }
}
