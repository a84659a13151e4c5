/**
 * Limits of one process, in its memory: for a single replica, and for tests. Every answer is at hand. A restart forgets
 * what was taken.
 */
import {
  type Charge,
  type Decision,
  type Grant,
  Holds,
  HoldsFull,
  Ledger,
  LedgerFull,
  type LimiterClock,
} from '@plinth/limiter';
import { type Ask, type Backend, BackendAway, type Hold, type HoldAsk, type Outturn } from './backend.ts';
import { Claims } from './claims.ts';

/** States become equal to none at any moment; a second late costs nothing but memory. */
const SWEEP_MS = 1_000;

export interface MemoryBackendOptions {
  readonly clock: LimiterClock;
  /** The most keys that are kept, about 100 bytes each. Default 10,000,000. */
  readonly statesMax?: number | undefined;
  /** The most places that are held. Default 1,000,000. */
  readonly holdsMax?: number | undefined;
  /** The most ids that are claimed at a time. Default 1,000,000. */
  readonly claimsMax?: number | undefined;
}

export class MemoryBackend implements Backend {
  readonly name = 'memory';
  readonly #ledger: Ledger;
  readonly #holds: Holds;
  readonly #claims: Claims;
  readonly #sweeper: NodeJS.Timeout;

  constructor({ clock, statesMax, holdsMax, claimsMax = 1_000_000 }: MemoryBackendOptions) {
    this.#ledger = new Ledger({ clock, statesMax });
    this.#holds = new Holds({ clock, holdsMax });
    this.#claims = new Claims({ clock, claimsMax });
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** An ask that there is no room for is `isUndecided`; the others are decided all the same. */
  decide(asks: readonly Ask[]): Decision[] {
    return asks.map(({ charges, mode }) => {
      try {
        return this.#ledger.decide(charges, mode);
      } catch (error) {
        if (error instanceof LedgerFull) return { isAllowed: false, outcomes: [], isUndecided: true };
        throw error;
      }
    });
  }

  give(charges: readonly Charge[]): void {
    this.#ledger.give(charges);
  }

  reset(charges: readonly Charge[]): void {
    this.#ledger.reset(charges);
  }

  /** @throws BackendAway when there is no room for it. */
  block(charges: readonly Charge[], forMs: number): void {
    withRoom(() => this.#ledger.block(charges, forMs));
  }

  /** @throws BackendAway when there is no room for it. */
  grant(charge: Charge, want: number, share: number): Grant {
    return withRoom(() => this.#ledger.grant(charge, want, share));
  }

  /** @throws BackendAway when there is no room for it. */
  hold(ask: HoldAsk): Hold {
    return withRoom(() => this.#holds.hold(ask));
  }

  keep(charge: Charge, id: string, holdMs: number): boolean {
    return this.#holds.keep(charge, id, holdMs);
  }

  release(charge: Charge, id: string, outturn: Outturn): boolean {
    return this.#holds.release(charge, id, outturn);
  }

  /** @throws BackendAway when there is no room for it. */
  claim(near: Charge, id: string, forMs: number): boolean {
    const isClaimed = this.#claims.claim(near.key, id, forMs);
    if (isClaimed === undefined) throw new BackendAway('the most ids are claimed already');
    return isClaimed;
  }

  replicas(): number {
    return 1;
  }

  notReady(): undefined {
    return undefined;
  }

  metrics(): string {
    return [
      '# HELP ratelimit_states Keys whose state is kept.',
      '# TYPE ratelimit_states gauge',
      `ratelimit_states ${this.#ledger.size}`,
      '# HELP ratelimit_holds Places that are held.',
      '# TYPE ratelimit_holds gauge',
      `ratelimit_holds ${this.#holds.size}`,
      '',
    ].join('\n');
  }

  /** Frees what has become equal to nothing. */
  sweep(): void {
    this.#ledger.sweep();
    this.#holds.sweep();
    this.#claims.sweep();
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
  }
}

/** What cannot be kept cannot be decided here. */
function withRoom<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof LedgerFull || error instanceof HoldsFull)
      throw new BackendAway(error.message, { cause: error });
    throw error;
  }
}
