/**
 * All that a member knows of the keys it decides, and the decisions themselves: a ledger, holds and claims. Whether it
 * may decide is not asked here.
 */
import {
  type Charge,
  type HoldRecord,
  Holds,
  HoldsFull,
  Ledger,
  LedgerFull,
  type LimiterClock,
  policyOf,
  type StateRecord,
} from '@plinth/limiter';
import { ClaimBook, type ClaimRecord } from './claim-book.ts';
import type { OwnersLog } from './membership.ts';
import { slotOf } from './slots.ts';
import { FULL, type Reply, type Wish } from './wish.ts';

/** States on their way to another member. */
export interface Holding {
  states: StateRecord[];
  holds: HoldRecord[];
  claims: ClaimRecord[];
}

/** A page of states: well below the 1 MiB that a server takes, and a few milliseconds of writing and reading. */
export const PAGE_BYTES = 192 * 1_024;
/** What a record costs besides its key: the policy, and the digits of its numbers. */
const RECORD_BYTES = 160;
const CELL_BYTES = 8;

export interface EstateOptions {
  readonly clock: LimiterClock;
  readonly statesMax?: number | undefined;
  readonly log: OwnersLog | undefined;
  /** Told of each state that came from another member. */
  readonly taken: (state: StateRecord) => void;
  /** Told of slots that were forgotten. */
  readonly dropped: (slots: ReadonlySet<number>) => void;
}

export class Estate {
  readonly ledger: Ledger;
  readonly holds: Holds;
  readonly claims: ClaimBook;
  readonly #log: OwnersLog | undefined;
  readonly #taken: EstateOptions['taken'];
  readonly #dropped: EstateOptions['dropped'];

  constructor({ clock, statesMax, log, taken, dropped }: EstateOptions) {
    this.ledger = new Ledger({ clock, statesMax });
    this.holds = new Holds({ clock });
    this.claims = new ClaimBook({ nowUs: () => clock.nowUs() });
    this.#log = log;
    this.#taken = taken;
    this.#dropped = dropped;
  }

  /**
   * Does what is wished.
   *
   * @returns `FULL` when a new state has no room: nothing was counted.
   * @throws RangeError, TypeError for charges that are none.
   */
  perform(wish: Wish): Reply {
    try {
      return this.#perform(wish);
    } catch (error) {
      if (error instanceof LedgerFull || error instanceof HoldsFull) return FULL;
      throw error;
    }
  }

  #perform(wish: Wish): Reply {
    const { ledger, holds } = this;
    const { charges } = wish;
    const [charge] = charges as [Charge];
    switch (wish.kind) {
      case 'decide':
        return ledger.decide(charges, wish.mode);
      case 'give':
        return ledger.give(charges) as undefined;
      case 'reset':
        return ledger.reset(charges) as undefined;
      case 'block':
        return ledger.block(charges, wish.forMs) as undefined;
      case 'grant':
        return ledger.grant(charge, wish.want, wish.share);
      case 'hold':
        return holds.hold({ charge, id: wish.id, holdMs: wish.holdMs, priority: wish.priority });
      case 'keep':
        return holds.keep(charge, wish.id, wish.holdMs);
      case 'release':
        return holds.release(charge, wish.id, wish.outturn);
      case 'claim':
        return this.claims.claim(wish.id, slotOf(charge.key), wish.forMs) ?? FULL;
    }
  }

  /** Frees what has expired; about once a second. */
  sweep(): void {
    this.ledger.sweep();
    this.holds.sweep();
    this.claims.sweep();
  }

  // ------------------------------------------------------------ changing hands

  /** What is known of slots, in pages of about so many bytes. Decide nothing of them until the last one is out. */
  *pages(slots: ReadonlySet<number>, bytesMax: number): Generator<Holding> {
    let page: Holding = { states: [], holds: [], claims: [] };
    let bytes = 0;
    const isFull = (more: number) => {
      bytes += more;
      return bytes >= bytesMax;
    };
    const next = () => {
      const full = page;
      page = { states: [], holds: [], claims: [] };
      bytes = 0;
      return full;
    };
    const isWanted = (key: string) => slots.has(slotOf(key));
    for (const state of this.ledger.export(isWanted)) {
      page.states.push(state);
      if (isFull(RECORD_BYTES + 3 * state.key.length + CELL_BYTES * state.cells.length)) yield next();
    }
    for (const hold of this.holds.export(isWanted)) {
      page.holds.push(hold);
      if (isFull(RECORD_BYTES + 3 * hold.key.length)) yield next();
    }
    for (const claim of this.claims.export((slot) => slots.has(slot))) {
      page.claims.push(claim);
      if (isFull(RECORD_BYTES)) yield next();
    }
    if (bytes > 0) yield page;
  }

  /** Goes on with what another member knew. What has no room, or is no state, is left out and logged. */
  take({ states, holds, claims }: Holding): void {
    this.claims.import(claims);
    let leftOut = 0;
    let why = '';
    // One that cannot be taken ends an import; the next one goes on behind it.
    const takeAll = <T>(records: readonly T[], take: (rest: Iterable<T>) => void) => {
      let at = 0;
      const rest = function* () {
        while (at < records.length) yield records[at++]!;
      };
      while (at < records.length) {
        try {
          take(rest());
        } catch (error) {
          leftOut += 1;
          why = (error as Error).message;
        }
      }
    };
    takeAll(states, (rest) => this.ledger.import(rest));
    takeAll(holds, (rest) => this.holds.import(rest));
    for (const state of states) this.#taken(state);
    if (leftOut > 0) this.#log?.warn('states of another replica are left out', { leftOut, why });
  }

  /** Forgets slots: another member goes on with them, or knows better. */
  drop(slots: ReadonlySet<number>): void {
    const isGone = (key: string) => slots.has(slotOf(key));
    this.ledger.drop(isGone);
    for (const { key, spec, hold } of [...this.holds.export(isGone)]) {
      if (hold !== undefined) this.holds.release({ key, policy: policyOf(spec), cost: 0 }, hold.id);
    }
    this.claims.drop((slot) => slots.has(slot));
    this.#dropped(slots);
  }
}
