/** The doors of HTTP and the bus: every operation of the contract with its handler. */
import type { Served } from '@plinth/contracts';
import { decideOperations } from './api/decide.ts';
import { envoyJsonOperations } from './api/envoy-json.ts';
import { eventsOperations } from './api/events.ts';
import { type GateRooms, gateOperations } from './api/gate.ts';
import { gubernatorOperations } from './api/gubernator.ts';
import { loanOperations } from './api/loans.ts';
import { pageOperations } from './api/page.ts';
import { compiled, ruleOperations } from './api/rules.ts';
import { simulateOperations } from './api/simulate.ts';
import { stateOperations } from './api/states.ts';
import { topOperations } from './api/top.ts';
import type { Turns } from './api/turns.ts';
import type { RatelimitConfig } from './config.ts';
import type { Engine } from './core/engine.ts';
import type { Observatory } from './core/observatory.ts';
import type { Places } from './core/places.ts';
import type { RequestPolicies } from './core/request-policies.ts';
import type { Reservations } from './core/reservations.ts';
import type { LiveRules } from './core/rule-book.ts';
import type { RuleSources } from './rule-sources.ts';

export interface Rooms {
  config: RatelimitConfig;
  engine: Engine;
  policies: RequestPolicies;
  rules: LiveRules;
  sources: RuleSources;
  observatory: Observatory;
  turns: Turns;
  reservations: Reservations;
  places: Places;
  show: (value: string) => string;
  addressOf: GateRooms['addressOf'];
  now: () => number;
}

/** A page that takes no event for so long is gone. */
const EVENTS_STALL_MS = 30_000;

export function operations(rooms: Rooms): Served[] {
  const { config, engine, policies, rules, sources, observatory, turns, reservations, places, show, addressOf, now } =
    rooms;
  const { headers } = config;
  return [
    ...decideOperations({ engine, policies, reservations, turns, headers }),
    ...stateOperations({ engine, policies, reservations }),
    ...loanOperations({ engine, places, policies }),
    ...gateOperations({ engine, headers, addressOf }),
    ...gubernatorOperations({ engine, policies, now }),
    ...envoyJsonOperations({ engine }),
    ...ruleOperations({ live: rules, kv: sources.kv, faults: () => sources.faults() }),
    ...topOperations({ observatory, show }),
    ...eventsOperations({ observatory, stallMs: EVENTS_STALL_MS }),
    ...simulateOperations({ recorder: observatory.recorder, rules, policies, compile: compiled, show, now }),
    ...pageOperations(),
  ];
}
