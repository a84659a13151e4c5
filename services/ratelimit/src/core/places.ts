/**
 * Places of `concurrency` and `adaptive` limits. A request takes all the places it needs or none, and what its rate
 * limits cost with them; a place that is not kept by heartbeats is free again when its time is over.
 */
import { Problem } from '@plinth/problem';
import type { Backend, Hold, Outturn } from '../store/backend.ts';
import type { Engine } from './engine.ts';
import type { Resolved } from './resolve.ts';
import { readToken, type Token, writeToken } from './tokens.ts';
import type { Check, Limit, Verdict } from './verdict.ts';

export interface PlacesRooms {
  engine: Engine;
  newId: () => string;
  now: () => number;
}

export interface Acquired {
  verdict: Verdict;
  /** Undefined when denied, or when the request met no such limit. */
  hold: string | undefined;
  expiresInMs: number | undefined;
}

export class Places {
  readonly #rooms: PlacesRooms;

  constructor(rooms: PlacesRooms) {
    this.#rooms = rooms;
  }

  /** @throws Problem `limit_not_found`; `unavailable` when the backend is away. */
  async acquire(check: Check, priority: string | undefined): Promise<Acquired> {
    const { engine, newId, now } = this.#rooms;
    const { holds } = engine.resolve(check);
    const [rates] = await engine.check([check]);
    const id = newId();
    const held: Resolved[] = [];
    const limits: Limit[] = [];
    let isAllowed = rates!.isAllowed;
    for (const place of isAllowed ? holds : []) {
      const { policy } = place.charge!;
      const ask = { charge: place.charge!, id, holdMs: policy.windowUs / 1_000, priority };
      const hold = await engine.attempt((backend) => backend.hold(ask));
      limits.push(limitOf(place, hold));
      if (hold.isHeld) held.push(place);
      else if (!place.charge!.isShadow) isAllowed = false;
      if (!isAllowed) break;
    }
    const retryAfterUs = Math.max(rates!.retryAfterUs, ...limits.map((limit) => limit.retryAfterUs));
    const verdict = {
      ...rates!,
      isAllowed,
      limits: [...rates!.limits, ...limits],
      retryAfterUs: isAllowed ? 0 : retryAfterUs,
    };
    if (!isAllowed && rates!.isAllowed) await this.#giveUp(check, held, id);
    if (!isAllowed || held.length === 0) return { verdict, hold: undefined, expiresInMs: undefined };
    const expiresInMs = Math.min(...held.map(({ charge }) => charge!.policy.windowUs)) / 1_000;
    const charges = held.map(({ charge }) => charge!);
    return { verdict, hold: writeToken({ kind: 'hold', id, charges, untilMs: now() + expiresInMs }), expiresInMs };
  }

  /** @returns For how long. @throws Problem `lease_lost` */
  async heartbeat(text: string): Promise<number> {
    const { id, charges } = this.#read(text);
    const holdMs = Math.min(...charges.map(({ policy }) => policy.windowUs / 1_000));
    await this.#each(charges, (backend, charge) => backend.keep(charge, id, holdMs));
    return holdMs;
  }

  /** @throws Problem `lease_lost` */
  async release(text: string, outturn: Outturn): Promise<void> {
    const { id, charges } = this.#read(text);
    await this.#each(charges, (backend, charge) => backend.release(charge, id, outturn));
  }

  async #each(
    charges: Token['charges'],
    work: (backend: Backend, charge: Token['charges'][number]) => boolean | Promise<boolean>,
  ): Promise<void> {
    const { engine } = this.#rooms;
    const kept = await Promise.all(charges.map((charge) => engine.attempt((backend) => work(backend, charge))));
    if (!kept.every(Boolean))
      throw new Problem('lease_lost', 'the place was given up: its time was over, or it was released');
  }

  async #giveUp(check: Check, held: readonly Resolved[], id: string): Promise<void> {
    const { engine } = this.#rooms;
    await engine.give(check);
    for (const { charge } of held) await engine.attempt((backend) => backend.release(charge!, id, {}));
  }

  #read(text: string): Token {
    const token = readToken(text, 'hold');
    if (token !== undefined && token.charges.length > 0) return token;
    throw new Problem('invalid_request', 'this is no hold that `acquire` gave', {
      issues: [{ path: '/hold', message: 'not a hold' }],
    });
  }
}

function limitOf({ rule, name, policy, key, charge }: Resolved, hold: Hold): Limit {
  return {
    rule,
    name,
    policy,
    key,
    isAllowed: hold.isHeld,
    remaining: hold.remaining,
    retryAfterUs: hold.isHeld ? 0 : hold.retryAfterUs,
    resetUs: 0,
    delayUs: 0,
    isShadow: charge!.isShadow ?? false,
    because: undefined,
  };
}
