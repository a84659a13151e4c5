/**
 * Several charges decided as one. Weighed first, in order, each with what those before it would take of the same key;
 * then all are taken or none. Shadows are weighed after all others, for they come into play only behind them.
 *
 * A slot is looked up once. It stays true because nothing is freed in between: room is made before, and denials are
 * counted and expired states swept when all is said.
 */
import type { Charge, Decision, Mode, Outcome } from './charge.ts';
import type { StateTable } from './state-table.ts';
import type { States } from './states.ts';

/** One charge of several while it is decided. */
interface Case {
  readonly charge: Charge;
  readonly table: StateTable;
  readonly nowUs: number;
  slot: number;
  isAllowed: boolean;
  retryAfterUs: number;
  delayUs: number;
  blockedUs: number;
}

/** As `Ledger.decide`. Cost: that of the charges, and a comparison of every two keys. */
export function decideTogether(states: States, charges: readonly Charge[], mode: Mode): Decision {
  states.hasRoom(charges.length);
  const cases = charges.map((charge) => caseOf(states, charge));
  const before: Case[] = [];
  let isAllowed = true;
  for (const one of cases) {
    if (one.charge.isShadow === true) continue;
    weigh(states, one, before, mode);
    before.push(one);
    isAllowed &&= one.isAllowed;
  }
  for (const one of cases) {
    if (one.charge.isShadow !== true) continue;
    weigh(states, one, before, mode);
    if (one.isAllowed) before.push(one);
  }
  if (mode === 'debit') takeAll(states, cases);
  else if (mode === 'take' && isAllowed) takeAll(states, before);
  const outcomes = cases.map((one) => outcomeOf(states, one));
  if (mode === 'take') for (const [at, one] of cases.entries()) punish(states, one, outcomes[at]!);
  for (const { table, nowUs } of cases) states.tidy(table, nowUs);
  return { isAllowed, outcomes };
}

function caseOf(states: States, charge: Charge): Case {
  const table = states.table(charge);
  return {
    charge,
    table,
    nowUs: states.nowUs(charge.policy),
    slot: table.find(charge.key),
    isAllowed: false,
    retryAfterUs: 0,
    delayUs: 0,
    blockedUs: 0,
  };
}

function weigh(states: States, one: Case, before: readonly Case[], mode: Mode): void {
  const { charge, table, nowUs, slot } = one;
  const { policy } = charge;
  const { algorithm } = table;
  let units = charge.cost;
  for (const other of before) if (isOneState(other, one)) units += other.charge.cost;
  states.open(table, slot, policy, nowUs, mode);
  const { cells, at } = states;
  one.blockedUs = states.blockedUs(charge.key);
  one.isAllowed = units <= algorithm.available(cells, at, policy, nowUs) && one.blockedUs === 0;
  if (!one.isAllowed) one.retryAfterUs = one.blockedUs || algorithm.waitUs(cells, at, policy, nowUs, units);
  if (algorithm.delayUs === undefined) return;
  one.delayUs = algorithm.delayUs(cells, at, policy, nowUs) + (units - charge.cost) * policy.stepUs;
}

function isOneState(one: Case, other: Case): boolean {
  return one.table === other.table && one.charge.key === other.charge.key;
}

/** @throws LedgerFull before anything is taken. */
function takeAll(states: States, cases: readonly Case[]): void {
  let added = 0;
  for (const { slot, charge } of cases) if (slot < 0 && charge.cost > 0) added++;
  if (added > 0 && !states.fits(added)) throw states.full();
  for (const one of cases) {
    const { charge, table, nowUs } = one;
    if (charge.cost === 0) continue;
    // It may be there by now: the same key twice.
    if (one.slot < 0) one.slot = table.find(charge.key);
    states.open(table, one.slot, charge.policy, nowUs, 'take');
    one.slot = states.take(table, one.slot, charge, nowUs, charge.cost);
  }
}

function outcomeOf(states: States, one: Case): Outcome {
  const { charge, table, nowUs, isAllowed, retryAfterUs, delayUs, blockedUs } = one;
  if (one.slot < 0) one.slot = table.find(charge.key);
  states.open(table, one.slot, charge.policy, nowUs, 'look');
  const { cells, at } = states;
  const available = table.algorithm.available(cells, at, charge.policy, nowUs);
  const freshInUs = table.algorithm.freshAtUs(cells, at, charge.policy) - nowUs;
  return {
    isAllowed,
    remaining: blockedUs > 0 ? 0 : Math.max(0, available),
    retryAfterUs,
    resetUs: Math.max(blockedUs, freshInUs, 0),
    delayUs,
    isBlocked: blockedUs > 0,
  };
}

/** Counts the denial of a charge, and says so when that blocks its key, or one before it in this ask has done so. */
function punish(states: States, { charge, isAllowed, blockedUs }: Case, outcome: Outcome): void {
  if (isAllowed || blockedUs > 0) return;
  const nowBlockedUs = states.blockedUs(charge.key) || states.countDenial(charge);
  if (nowBlockedUs === 0) return;
  outcome.isBlocked = true;
  outcome.remaining = 0;
  outcome.retryAfterUs = nowBlockedUs;
  outcome.resetUs = Math.max(outcome.resetUs, nowBlockedUs);
}
