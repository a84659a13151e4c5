/** A state on its way to another process, whose steady clock began at another moment. */
import type { Algorithm, Cells } from './algorithm.ts';
import type { Policy, PolicySpec } from './policy.ts';
import type { Kept, StateTable } from './state-table.ts';

/** As plain data, for JSON too. */
export interface StateRecord {
  readonly key: string;
  /** null: denials and a block of this key, not a state of its units. */
  readonly spec: PolicySpec | null;
  readonly cells: readonly number[];
  /** What the clock showed that the cells go by: wall time of `calendar`, else the process's own. */
  readonly nowUs: number;
}

/** A state as it is now; one on a grid is moved up to the present. */
export function stateRecord(table: StateTable, slot: number, nowUs: number): StateRecord {
  const policy = table.policy(slot);
  table.algorithm.available(table.cells(slot), table.at(slot), policy, nowUs);
  return { key: table.keyOf(slot), spec: policy.spec, cells: numbersOf(table, slot), nowUs };
}

export function denialRecord(table: StateTable<Kept>, slot: number, nowUs: number): StateRecord {
  return { key: table.keyOf(slot), spec: null, cells: numbersOf(table, slot), nowUs };
}

function numbersOf<A extends Kept>(table: StateTable<A>, slot: number): number[] {
  const at = table.at(slot);
  return [...table.cells(slot).subarray(at, at + table.algorithm.cells)];
}

/** The numbers that a state is here, where it is `nowUs`. @throws RangeError when they are no state of this policy. */
export function stateHere(record: StateRecord, policy: Policy, nowUs: number): Cells {
  const algorithm: Algorithm = policy.algorithm!;
  const cells = checked(record, algorithm);
  algorithm.shift(cells, 0, policy, nowUs - record.nowUs);
  return cells;
}

/** @throws RangeError as `stateHere`. */
export function denialsHere(record: StateRecord, kept: Kept, nowUs: number): Cells {
  const cells = checked(record, kept);
  const byUs = nowUs - record.nowUs;
  cells[0] = Math.max(0, cells[0]! + byUs);
  cells[1] = Math.max(0, cells[1]! + byUs);
  return cells;
}

function checked({ key, cells, nowUs }: StateRecord, { cells: count }: Kept): Cells {
  if (cells.length === count && [...cells, nowUs].every(Number.isFinite)) return Float64Array.from(cells);
  throw new RangeError(`the state of ${JSON.stringify(key.slice(0, 64))} is not ${count} numbers`);
}
