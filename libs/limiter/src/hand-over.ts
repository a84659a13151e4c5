/** States leave one process for another. */
import { denials } from './denials.ts';
import { type Policy, policyOf } from './policy.ts';
import { denialRecord, denialsHere, type StateRecord, stateHere, stateRecord } from './state-record.ts';
import type { States } from './states.ts';

export function* exportStates(states: States, filter: (key: string) => boolean): Generator<StateRecord> {
  for (const table of states.tables) {
    const nowUs = states.nowOf(table);
    for (const slot of table.occupied()) if (filter(table.keyOf(slot))) yield stateRecord(table, slot, nowUs);
  }
  const nowUs = states.steadyUs();
  for (const slot of states.denials.occupied()) {
    if (filter(states.denials.keyOf(slot))) yield denialRecord(states.denials, slot, nowUs);
  }
}

/** What is known of these keys, under whatever policies. */
export function* exportKeys(states: States, keys: Iterable<string>): Generator<StateRecord> {
  for (const key of keys) {
    for (const table of states.tables) {
      const slot = table.find(key);
      if (slot >= 0) yield stateRecord(table, slot, states.nowOf(table));
    }
    const slot = states.denials.find(key);
    if (slot >= 0) yield denialRecord(states.denials, slot, states.steadyUs());
  }
}

/** Forgets what another process goes on with. */
export function dropStates(states: States, filter: (key: string) => boolean): void {
  for (const table of [...states.tables, states.denials]) {
    for (const slot of table.occupied()) if (filter(table.keyOf(slot))) table.free(slot);
  }
}

export function importStates(states: States, records: Iterable<StateRecord>): void {
  // Thousands of keys have one policy: its text is read once.
  const policies = new Map<string, Policy>();
  for (const record of records) {
    if (record.spec === null) {
      importDenials(states, record);
      continue;
    }
    const text = JSON.stringify(record.spec);
    const policy = policies.get(text) ?? policyOf(record.spec);
    policies.set(text, policy);
    importState(states, record, policy);
  }
}

function importState(states: States, record: StateRecord, policy: Policy): void {
  const { key } = record;
  const table = states.table({ key, policy, cost: 0 });
  const { algorithm } = table;
  const nowUs = states.nowUs(policy);
  const state = stateHere(record, policy, nowUs);
  if (algorithm.freshAtUs(state, 0, policy) <= nowUs) return;
  const slot = table.find(key);
  if (slot >= 0) {
    states.open(table, slot, policy, nowUs, 'take');
    const used = policy.capacity - algorithm.available(states.cells, states.at, policy, nowUs);
    if (used > 0) algorithm.take(state, 0, policy, nowUs, used);
    table.replace(slot, policy, state);
    return;
  }
  if (!states.hasRoom(1)) throw states.full();
  const added = table.add(key, policy);
  table.replace(added, policy, state);
  table.settle(added, nowUs);
}

function importDenials(states: States, record: StateRecord): void {
  const nowUs = states.steadyUs();
  const state = denialsHere(record, denials, nowUs);
  if (denials.freshAtUs(state, 0) <= nowUs) return;
  const isNoted = states.editDenials(record.key, (cells, at) => {
    for (let cell = 0; cell < denials.cells; cell++) cells[at + cell] = Math.max(cells[at + cell]!, state[cell]!);
  });
  if (!isNoted) throw states.full();
}
