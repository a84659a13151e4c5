/**
 * How keys begin whose states were lost with their owner. `permissive`: as new ones, so that at worst a limit is
 * admitted once more. `conservative`: as if all of them had been used up at that moment. `auto`: conservative for
 * `strict`, which promises that no window ever holds more; permissive for the rest.
 *
 * Only slots of which nothing is known are meant: where copies came from the owner they are gone by. Quotas of an hour
 * or more are not meant either: nobody may lose a month for a crash, and the journal remembers them.
 */
import type { Charge, Ledger, Policy } from '@plinth/limiter';
import { SLOTS, slotOf } from './slots.ts';
import type { Wish } from './wish.ts';

export type Restart = 'permissive' | 'conservative' | 'auto';

export const LONG_WINDOW_MS = 3_600_000;

export class Conservatism {
  readonly #restart: Restart;
  readonly #ledger: Ledger;
  readonly #nowMs: () => number;
  /** By slot: when its states were lost. */
  readonly #lostMs = new Float64Array(SLOTS).fill(Number.NEGATIVE_INFINITY);
  #untilMs = Number.NEGATIVE_INFINITY;
  /** Keys that were reset since: they begin as new ones. */
  readonly #reset = new Set<string>();

  constructor({ restart, ledger, nowMs }: { restart: Restart; ledger: Ledger; nowMs: () => number }) {
    this.#restart = restart;
    this.#ledger = ledger;
    this.#nowMs = nowMs;
  }

  /** May any key be concerned now? */
  get isOn(): boolean {
    if (this.#untilMs === Number.NEGATIVE_INFINITY) return false;
    if (this.#nowMs() < this.#untilMs) return true;
    this.#untilMs = Number.NEGATIVE_INFINITY;
    this.#reset.clear();
    return false;
  }

  /** The states of these slots are lost, now. */
  begin(slots: readonly number[]): void {
    if (slots.length === 0 || this.#restart === 'permissive') return;
    const nowMs = this.#nowMs();
    for (const slot of slots) this.#lostMs[slot] = nowMs;
    this.#untilMs = nowMs + LONG_WINDOW_MS;
  }

  /** Before anything is done with keys: those that nothing is known of get what they may have lost. */
  before({ kind, charges }: Wish): void {
    if (kind === 'reset') for (const { key } of charges) this.#reset.add(key);
    if (kind !== 'decide' && kind !== 'grant') return;
    for (const charge of charges) {
      const ageMs = this.#nowMs() - this.#lostMs[slotOf(charge.key)]!;
      if (this.#isMeant(charge.policy, ageMs) && !this.#reset.has(charge.key) && this.#isFresh(charge)) {
        this.#useUp(charge, ageMs);
      }
    }
  }

  #isMeant({ name, windowUs, periods, algorithm }: Policy, ageMs: number): boolean {
    if (this.#restart === 'auto' && name !== 'strict') return false;
    if (periods !== undefined || algorithm === undefined) return false;
    return windowUs < LONG_WINDOW_MS * 1_000 && ageMs * 1_000 < windowUs;
  }

  #isFresh({ key, policy }: Charge): boolean {
    const { isBlocked, resetUs } = this.#ledger.decideOne({ key, policy, cost: 0 }, 'look');
    return resetUs === 0 && !isBlocked;
  }

  #useUp({ key, policy }: Charge, ageMs: number): void {
    const { name, capacity, stepUs } = policy;
    // What refills by itself has done so since; of a window nobody knows when its units were taken.
    const isRefilling = name === 'gcra' || name === 'leaky';
    const cost = isRefilling ? Math.ceil(capacity - (ageMs * 1_000) / stepUs) : capacity;
    if (cost > 0) this.#ledger.decideOne({ key, policy, cost }, 'debit');
  }
}
