/**
 * Deciding while the backend is away. Each rule says how: `open` lets everything through, `closed` nothing, and `local`
 * decides here with this replica's share of the limit, so that all replicas together admit about the limit and never
 * more than that of each alone.
 */

import type { Mode } from '@plinth/limiter';
import { type Charge, type Decision, type Ledger, type Outcome, type Policy, policyOf } from '@plinth/limiter';
import type { OnError, Rule } from './rule.ts';

/** The strictest of them decides for the request. */
const ORDER: readonly OnError[] = ['closed', 'local', 'open'];

export interface FallbackRooms {
  ledger: Ledger;
  replicas: () => number;
  /** For limits that a request said itself. */
  onError: OnError;
}

export class Fallback {
  readonly #rooms: FallbackRooms;
  readonly #shares = new WeakMap<Policy, { replicas: number; policy: Policy }>();

  constructor(rooms: FallbackRooms) {
    this.#rooms = rooms;
  }

  /** How a request is decided that meets these rules. */
  wayFor(rules: readonly (Rule | undefined)[]): OnError {
    const ways = rules.map((rule) => rule?.onError ?? this.#rooms.onError);
    return ORDER.find((way) => ways.includes(way)) ?? this.#rooms.onError;
  }

  decide(charges: readonly Charge[], mode: Mode, way: OnError): Decision {
    if (way === 'local')
      return this.#rooms.ledger.decide(
        charges.map((charge) => this.#shareOf(charge)),
        mode,
      );
    const isAllowed = way === 'open' || charges.every(({ isShadow }) => isShadow);
    return { isAllowed, outcomes: charges.map(({ policy }) => outcome(policy, way === 'open')) };
  }

  #shareOf(charge: Charge): Charge {
    const replicas = Math.max(1, this.#rooms.replicas());
    return replicas === 1 ? charge : { ...charge, policy: this.#share(charge.policy, replicas) };
  }

  #share(policy: Policy, replicas: number): Policy {
    const known = this.#shares.get(policy);
    if (known?.replicas === replicas) return known.policy;
    const { spec } = policy;
    const part = (units: number) => (units === 0 ? 0 : Math.max(1, Math.floor(units / replicas)));
    const burst = spec.burst === undefined ? undefined : part(spec.burst);
    const share = policyOf({ ...spec, limit: part(spec.limit), burst });
    this.#shares.set(policy, { replicas, policy: share });
    return share;
  }
}

/** A second is what those who are denied for an outage are told to wait: the store may be back by then. */
const RETRY_US = 1_000_000;

function outcome({ capacity }: Policy, isAllowed: boolean): Outcome {
  const retryAfterUs = isAllowed ? 0 : RETRY_US;
  return { isAllowed, remaining: isAllowed ? capacity : 0, retryAfterUs, resetUs: 0, delayUs: 0, isBlocked: false };
}
