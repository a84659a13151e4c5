/**
 * Who was denied how often, and who is blocked. Kept like the states of an algorithm, for the same reasons: one table,
 * freed by the wheel. Cells: end of the block, end of the stretch that denials are counted in, denials in it.
 */
import type { Cells } from './algorithm.ts';
import type { Penalty } from './charge.ts';

export const denials = {
  cells: 3,
  freshAtUs: (cells: Cells, at: number) => Math.max(cells[at]!, cells[at + 2] === 0 ? 0 : cells[at + 1]!),
};

/** Counts a denial. @returns For how long the key is blocked now; 0 when it is not. */
export function countDenial(cells: Cells, at: number, penalty: Penalty, nowUs: number): number {
  if (cells[at + 1]! <= nowUs) {
    cells[at + 1] = nowUs + penalty.withinMs * 1_000;
    cells[at + 2] = 0;
  }
  cells[at + 2]! += 1;
  if (cells[at + 2]! < penalty.denials) return 0;
  // After the block it begins anew.
  block(cells, at, nowUs + penalty.blockMs * 1_000);
  return penalty.blockMs * 1_000;
}

export function block(cells: Cells, at: number, untilUs: number): void {
  cells[at] = untilUs;
  cells[at + 1] = 0;
  cells[at + 2] = 0;
}
