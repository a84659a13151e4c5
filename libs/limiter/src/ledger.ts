/**
 * Decisions over the states of one process, over several of them at once: all or nothing. One writer, no locks: a
 * decision begins and ends in one turn of the event loop.
 */
import type { Charge, Decision, Grant, Mode, Outcome } from './charge.ts';
import { block } from './denials.ts';
import { dropStates, exportKeys, exportStates, importStates } from './hand-over.ts';
import { decideTogether } from './joint-decision.ts';
import type { StateRecord } from './state-record.ts';
import { isCost, type LedgerOptions, States } from './states.ts';

/** Memory of one process. Cost of a decision on a known key: below 0.1 µs; README.md has the table. */
export class Ledger {
  readonly #states: States;

  constructor(options: LedgerOptions) {
    this.#states = new States(options);
  }

  /** States that are kept, those of blocks and denials included. */
  get size(): number {
    return this.#states.size;
  }

  /**
   * Decides charges together. `take`: all are taken if every one that is no shadow can be, else none; a shadow is
   * taken when the request is allowed and there is enough for it. `look`: nothing is taken, no denial is counted.
   * `debit`: all are taken, whatever is left.
   *
   * @throws LedgerFull when a new state has no room; RangeError for a cost or key that is none. Nothing was taken.
   */
  decide(charges: readonly Charge[], mode: Mode): Decision {
    if (charges.length !== 1) return decideTogether(this.#states, charges, mode);
    const charge = charges[0]!;
    const outcome = this.decideOne(charge, mode);
    return { isAllowed: outcome.isAllowed || charge.isShadow === true, outcomes: [outcome] };
  }

  /** Decides one charge alone: `decide` without the lists. */
  decideOne(charge: Charge, mode: Mode): Outcome {
    // What nearly all are where it matters: a hot key under the limit it had before, and nobody is blocked. Small
    // enough for V8 to compile into its caller.
    const states = this.#states;
    const { policy, cost } = charge;
    const hot = states.tables[policy.kind]?.hot(charge.key);
    if (hot === undefined || hot.policy !== policy || mode !== 'take' || states.denials.size > 0 || !isCost(cost)) {
      return this.#decide(charge, mode);
    }
    const algorithm = policy.algorithm!;
    const { cells, at } = hot;
    const nowUs = states.nowUs(policy);
    const remaining = algorithm.available(cells, at, policy, nowUs) - cost;
    if (remaining < 0 || algorithm.delayUs !== undefined) return this.#decide(charge, mode);
    if (cost > 0) algorithm.take(cells, at, policy, nowUs, cost);
    const resetUs = Math.max(0, algorithm.freshAtUs(cells, at, policy) - nowUs);
    return { isAllowed: true, remaining, retryAfterUs: 0, resetUs, delayUs: 0, isBlocked: false };
  }

  #decide(charge: Charge, mode: Mode): Outcome {
    const states = this.#states;
    const { key, policy, cost } = charge;
    const table = states.table(charge);
    const { algorithm } = table;
    const nowUs = states.nowUs(policy);
    const slot = table.find(key);
    states.open(table, slot, policy, nowUs, mode);
    const available = algorithm.available(states.cells, states.at, policy, nowUs);
    let blockedUs = states.blockedUs(key);
    const isAllowed = cost <= available && blockedUs === 0;
    let retryAfterUs = 0;
    if (!isAllowed) {
      if (mode === 'take' && blockedUs === 0) blockedUs = states.countDenial(charge);
      retryAfterUs = blockedUs || algorithm.waitUs(states.cells, states.at, policy, nowUs, cost);
    }
    const delayUs = algorithm.delayUs === undefined ? 0 : algorithm.delayUs(states.cells, states.at, policy, nowUs);
    const units = mode === 'debit' || (isAllowed && mode === 'take') ? cost : 0;
    if (units > 0) states.take(table, slot, charge, nowUs, units);
    const resetUs = Math.max(blockedUs, algorithm.freshAtUs(states.cells, states.at, policy) - nowUs, 0);
    states.tidy(table, nowUs);
    const remaining = blockedUs > 0 ? 0 : Math.max(0, available - units);
    return { isAllowed, remaining, retryAfterUs, resetUs, delayUs, isBlocked: blockedUs > 0 };
  }

  /** Gives back what was taken; never beyond a full state. */
  give(charges: readonly Charge[]): void {
    const states = this.#states;
    for (const charge of charges) {
      const { key, policy, cost, agoUs = 0 } = charge;
      const table = states.table(charge);
      const slot = table.find(key);
      if (slot < 0) continue;
      const nowUs = states.nowUs(policy);
      states.open(table, slot, policy, nowUs, 'take');
      table.algorithm.give(states.cells, states.at, policy, nowUs, cost, nowUs - agoUs);
      table.freeIfFresh(slot, nowUs);
    }
  }

  /** Forgets the states of keys, their denials and their blocks. */
  reset(charges: readonly Charge[]): void {
    const { denials } = this.#states;
    for (const charge of charges) {
      const table = this.#states.table(charge);
      const slot = table.find(charge.key);
      if (slot >= 0) table.free(slot);
      const denied = denials.find(charge.key);
      if (denied >= 0) denials.free(denied);
    }
  }

  /** Denies keys for so long from now, whatever their units; 0 ends it. @throws LedgerFull when there is no room for it. */
  block(charges: readonly Charge[], forMs: number): void {
    const states = this.#states;
    const untilUs = forMs > 0 ? states.steadyUs() + forMs * 1_000 : 0;
    for (const { key } of charges) {
      if (untilUs === 0 && states.denials.find(key) < 0) continue;
      if (!states.editDenials(key, (cells, at) => block(cells, at, untilUs))) throw states.full();
    }
  }

  /**
   * Lends units: min(want, what is there, max(1, share × what is there)), debited now. The charge's cost is ignored.
   *
   * @throws LedgerFull as `decide`.
   */
  grant(charge: Charge, want: number, share: number): Grant {
    const states = this.#states;
    const { key, policy } = charge;
    const table = states.table(charge);
    const { algorithm } = table;
    const nowUs = states.nowUs(policy);
    const slot = table.find(key);
    states.open(table, slot, policy, nowUs, 'take');
    const blockedUs = states.blockedUs(key);
    const available = blockedUs > 0 ? 0 : Math.max(0, algorithm.available(states.cells, states.at, policy, nowUs));
    const units = Math.floor(Math.max(0, Math.min(want, available, Math.max(1, share * available))));
    const waitUs = units > 0 ? 0 : algorithm.waitUs(states.cells, states.at, policy, nowUs, 1);
    if (units > 0) states.take(table, slot, charge, nowUs, units);
    const resetUs = Math.max(blockedUs, algorithm.freshAtUs(states.cells, states.at, policy) - nowUs, 0);
    states.tidy(table, nowUs);
    const lifeUs = algorithm.useUntilUs(policy, nowUs) - nowUs;
    return {
      units,
      retryAfterUs: blockedUs || waitUs,
      remaining: available - units,
      resetUs,
      lifeUs: Number.isFinite(lifeUs) ? lifeUs : undefined,
    };
  }

  /**
   * Frees states that are equal to none. About once a second; each state that is added lets go of two besides.
   *
   * @param budget - States to look at, at the most: 20,000 take about 3 ms.
   * @returns How many it freed.
   */
  sweep(budget = 20_000): number {
    const states = this.#states;
    const before = states.size;
    let left = budget;
    for (const table of states.tables) left -= table.sweep(states.nowOf(table), left);
    states.denials.sweep(states.steadyUs(), left);
    return before - states.size;
  }

  /** States as plain data, for another process to go on with. What is decided here afterwards is not in them. */
  export(filter: (key: string) => boolean = () => true): Generator<StateRecord> {
    return exportStates(this.#states, filter);
  }

  /** As `export`, of these keys alone. Cost: a look-up per key and algorithm. */
  exportKeys(keys: Iterable<string>): Generator<StateRecord> {
    return exportKeys(this.#states, keys);
  }

  /** Forgets states, with denials and blocks: another process goes on with them. Cost: a look at every state. */
  drop(filter: (key: string) => boolean): void {
    dropStates(this.#states, filter);
  }

  /**
   * Goes on with states of another process. The time they were on their way counts for nothing, so that nobody gets
   * units sooner. Where a key has a state here already, what was taken counts in both.
   *
   * @throws LedgerFull when there is no room; RangeError for a record that is none. Those before it are kept.
   */
  import(records: Iterable<StateRecord>): void {
    importStates(this.#states, records);
  }
}
