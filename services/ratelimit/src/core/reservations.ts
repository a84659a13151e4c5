/**
 * Costs that are known later: bytes of an answer, tokens of a language model. A check takes an estimate and gives a
 * reservation; `report` settles the difference, once. Who never reports has paid the estimate.
 */
import type { Charge } from '@plinth/limiter';
import { Problem } from '@plinth/problem';
import type { Engine } from './engine.ts';
import { readToken, writeToken } from './tokens.ts';
import type { Check } from './verdict.ts';

/** Clocks of replicas differ a little: a claim is remembered longer than the reservation can be settled. */
const CLAIM_GRACE_MS = 60_000;

export interface ReservationsRooms {
  engine: Engine;
  newId: () => string;
  now: () => number;
}

export class Reservations {
  readonly #rooms: ReservationsRooms;

  constructor(rooms: ReservationsRooms) {
    this.#rooms = rooms;
  }

  /** For a check that was allowed. */
  write(check: Check, forMs: number): string {
    const { engine, newId, now } = this.#rooms;
    const charges = engine.chargesOf(check);
    return writeToken({ kind: 'reservation', id: newId(), charges, untilMs: now() + forMs });
  }

  /**
   * Settles a reservation with what it really cost. Nothing is denied: what is beyond the estimate becomes a debt.
   *
   * @throws Problem `conflict` when it was settled before or has expired; `invalid_request` when it is none.
   */
  async settle(text: string, cost: number): Promise<void> {
    const { engine, now } = this.#rooms;
    const token = readToken(text, 'reservation');
    const [first] = token?.charges ?? [];
    if (token === undefined) {
      const issues = [{ path: '/reservation', message: 'not a reservation' }];
      throw new Problem('invalid_request', 'this is no reservation that a check gave', { issues });
    }
    if (first === undefined) return;
    const leftMs = token.untilMs - now();
    if (leftMs < 0) throw new Problem('conflict', 'the reservation has expired; its estimate was charged');
    const isMine = await engine.attempt((backend) => backend.claim(first, token.id, leftMs + CLAIM_GRACE_MS));
    if (!isMine) throw new Problem('conflict', 'the reservation was settled before');
    await this.#charge(token.charges, cost);
  }

  async #charge(charges: readonly Charge[], cost: number): Promise<void> {
    const { engine } = this.#rooms;
    const over = charges
      .filter((charge) => cost > charge.cost)
      .map((charge) => ({ ...charge, cost: cost - charge.cost }));
    const under = charges
      .filter((charge) => cost < charge.cost)
      .map((charge) => ({ ...charge, cost: charge.cost - cost }));
    if (over.length > 0) await engine.attempt((backend) => backend.decide([{ charges: over, mode: 'debit' }]));
    if (under.length > 0) await engine.attempt((backend) => backend.give(under));
  }
}
