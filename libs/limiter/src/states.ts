/**
 * All that a ledger keeps: the states of units by algorithm, who was denied or blocked, and how much room there is.
 * Which state is read where: the units of a key in the table of its algorithm; its denials and its block in a table of
 * their own, which costs nothing while nobody is denied. A key that nobody has taken from has no state.
 */
import { randomInt } from 'node:crypto';
import type { Cells } from './algorithm.ts';
import type { Charge, Mode } from './charge.ts';
import type { LimiterClock } from './clock.ts';
import { countDenial, denials } from './denials.ts';
import { ALGORITHM_NAMES, type Policy, policyOf, RATE_ALGORITHMS, UNITS_MAX } from './policy.ts';
import { type Kept, StateTable } from './state-table.ts';
import { strict } from './strict.ts';

/** The most numbers that a state has. */
const CELLS_MAX = strict.cells;
/** States that are looked at for each that is added. */
const SWEEP_PER_STATE = 2;
const SWEEP_BATCH = 1_000;
/** Stands where a table wants a policy and none is meant. */
const NO_POLICY = policyOf({ limit: 0, windowMs: 1 });

export interface LedgerOptions {
  clock: LimiterClock;
  /** The most states that are kept. Default 10,000,000. */
  statesMax?: number | undefined;
  /** For the hash of keys; default a random one, so that nobody can choose keys that are slow to find. */
  seed?: number | undefined;
}

/**
 * There is no room for another state: every one that is kept belongs to a key that is limited. Nothing was taken; keys
 * that have a state are decided as ever.
 */
export class LedgerFull extends Error {
  override name = 'LedgerFull';

  constructor(statesMax: number) {
    super(`${statesMax} states are kept, which is the most, and none of them has expired`);
  }
}

export class States {
  /** By `Policy.kind`. */
  readonly tables: readonly StateTable[];
  readonly denials: StateTable<Kept>;
  /** Where the state lies that `open` or `take` found last. */
  cells: Cells;
  at = 0;
  readonly #clock: LimiterClock;
  #steadyUs = Number.NEGATIVE_INFINITY;
  #wallUs = Number.NEGATIVE_INFINITY;
  readonly #statesMax: number;
  /** States that were added and not yet swept for. */
  #untidy = 0;
  #full: LedgerFull | undefined;
  /** The state of a key that has none, and of one whose limit has changed. */
  readonly #blank: Cells = new Float64Array(CELLS_MAX);

  constructor({ clock, statesMax = 10_000_000, seed = randomInt(2 ** 32) }: LedgerOptions) {
    this.#clock = clock;
    this.#statesMax = statesMax;
    this.denials = new StateTable<Kept>(denials, seed | 0);
    this.tables = ALGORITHM_NAMES.slice(0, Object.keys(RATE_ALGORITHMS).length).map(
      (name) => new StateTable(RATE_ALGORITHMS[name as keyof typeof RATE_ALGORITHMS], seed | 0),
    );
    this.cells = this.#blank;
  }

  get size(): number {
    let size = this.denials.size;
    for (const table of this.tables) size += table.size;
    return size;
  }

  /** The clock's time; what it showed it never takes back: a step backwards is a standstill. */
  steadyUs(): number {
    const nowUs = this.#clock.nowUs();
    if (nowUs > this.#steadyUs) this.#steadyUs = nowUs;
    return this.#steadyUs;
  }

  /** The time that a policy goes by. */
  nowUs(policy: Policy): number {
    return policy.periods === undefined ? this.steadyUs() : this.#wallNowUs();
  }

  nowOf(table: StateTable): number {
    return table.algorithm === RATE_ALGORITHMS.calendar ? this.#wallNowUs() : this.steadyUs();
  }

  /** The table that a charge is decided by. @throws RangeError for a cost that is none, TypeError for a policy of holds. */
  table({ policy, cost }: Charge): StateTable {
    if (!isCost(cost)) {
      throw new RangeError(`cost is ${cost}; it must be a whole number from 0 to ${UNITS_MAX}`);
    }
    const table = this.tables[policy.kind];
    if (table === undefined) throw new TypeError(`a limit of ${policy.name} is decided by Holds, not by a Ledger`);
    return table;
  }

  /** Makes `cells` and `at` the state of a slot as this policy has it; of no slot (−1), a fresh one. */
  open(table: StateTable, slot: number, policy: Policy, nowUs: number, mode: Mode): void {
    if (slot < 0) {
      // All that tidying writes into a state of nothing is where time stands.
      this.#blank[0] = 0;
      this.#blank[1] = 0;
      this.#blank[2] = 0;
      this.cells = this.#blank;
      this.at = 0;
      return;
    }
    if (table.policy(slot) !== policy && !table.adopt(slot, policy)) this.#convert(table, slot, policy, nowUs, mode);
    else {
      this.cells = table.cells(slot);
      this.at = table.at(slot);
    }
  }

  /**
   * Takes units from the state that is open, or from a new one. @returns The slot. @throws LedgerFull.
   * When all is decided, `tidy`.
   */
  take(table: StateTable, slot: number, { key, policy }: Charge, nowUs: number, units: number): number {
    if (slot >= 0) {
      table.algorithm.take(this.cells, this.at, policy, nowUs, units);
      return slot;
    }
    if (!this.hasRoom(1)) throw this.full();
    const added = table.add(key, policy);
    this.cells = table.cells(added);
    this.at = table.at(added);
    table.algorithm.take(this.cells, this.at, policy, nowUs, units);
    table.settle(added, nowUs);
    this.#untidy++;
    return added;
  }

  /** Looks at expired states, as many as were added twice over: a table never falls behind its keys. */
  tidy(table: StateTable, nowUs: number): void {
    if (this.#untidy === 0) return;
    this.#untidy--;
    table.sweep(nowUs, SWEEP_PER_STATE);
  }

  /** Whether so many states can be added as things are. */
  fits(states: number): boolean {
    return this.size + states <= this.#statesMax;
  }

  /** Whether so many states can be added. Frees expired ones if need be: slots found before may be others' then. */
  hasRoom(states: number): boolean {
    const most = this.#statesMax - states;
    if (this.size <= most) return true;
    for (const table of this.tables) {
      const nowUs = this.nowOf(table);
      while (table.sweep(nowUs, SWEEP_BATCH) === SWEEP_BATCH && this.size > most);
    }
    const nowUs = this.steadyUs();
    while (this.denials.sweep(nowUs, SWEEP_BATCH) === SWEEP_BATCH && this.size > most);
    return this.size <= most;
  }

  /** Always the same one: a flood of new keys must not pay for a stack each. */
  full(): LedgerFull {
    this.#full ??= new LedgerFull(this.#statesMax);
    return this.#full;
  }

  /** For how long from now a key is blocked; 0 when it is not. */
  blockedUs(key: string): number {
    if (this.denials.size === 0) return 0;
    const slot = this.denials.find(key);
    if (slot < 0) return 0;
    return Math.max(0, this.denials.cells(slot)[this.denials.at(slot)]! - this.steadyUs());
  }

  /** Counts a denial towards the charge's penalty. @returns For how long that blocks the key; 0 when it does not. */
  countDenial({ key, penalty }: Charge): number {
    if (penalty === undefined) return 0;
    let blockedUs = 0;
    const nowUs = this.steadyUs();
    this.editDenials(key, (cells, at) => {
      blockedUs = countDenial(cells, at, penalty, nowUs);
    });
    return blockedUs;
  }

  /** Changes who is denied and blocked. @returns False when there is no room to note it. */
  editDenials(key: string, edit: (cells: Cells, at: number) => void): boolean {
    const known = this.denials.find(key);
    if (known < 0 && !this.hasRoom(1)) return false;
    const slot = known < 0 ? this.denials.add(key, NO_POLICY) : known;
    edit(this.denials.cells(slot), this.denials.at(slot));
    if (known < 0) this.denials.settle(slot, this.steadyUs());
    return true;
  }

  #wallNowUs(): number {
    this.#wallUs = Math.max(this.#wallUs, this.#clock.wallUs());
    return this.#wallUs;
  }

  /** The limit of a key has changed: what is used of the old one is used of the new one. */
  #convert(table: StateTable, slot: number, policy: Policy, nowUs: number, mode: Mode): void {
    const { algorithm } = table;
    const old = table.policy(slot);
    const used = old.capacity - algorithm.available(table.cells(slot), table.at(slot), old, nowUs);
    this.#blank.fill(0);
    if (used > 0) algorithm.take(this.#blank, 0, policy, nowUs, used);
    this.cells = this.#blank;
    this.at = 0;
    if (mode === 'look') return;
    table.replace(slot, policy, this.#blank);
    this.cells = table.cells(slot);
    this.at = table.at(slot);
  }
}

/** A whole number from 0 to UNITS_MAX. */
export function isCost(cost: number): boolean {
  return cost >>> 0 === cost && cost <= UNITS_MAX;
}
