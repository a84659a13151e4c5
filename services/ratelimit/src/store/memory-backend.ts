/**
 * Limits of one process, in its memory: for a single replica, and for tests. Every answer is at hand. A restart forgets
 * what was taken; with a journal it remembers long quotas, but for the last second.
 */

import type { NatsConnection } from '@nats-io/transport-node';
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
import type { OwnersLog } from './owners/membership.ts';
import { openQuotaJournal, type QuotaJournal } from './quota-journal.ts';

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

/** The backend, with what the journal remembers of long quotas. Without JetStream it begins without, and says so. */
export async function openMemory({ nats, log, ...options }: OpenMemoryOptions): Promise<MemoryBackend> {
  const backend = new MemoryBackend(options);
  if (nats === undefined) return backend;
  try {
    const quotas = await backend.remember((ledger) => openQuotaJournal({ nats, ledger, log }));
    if (quotas > 0) log.info('long quotas were read from the journal', { quotas });
  } catch (error) {
    log.warn('long quotas will not outlive this process: no journal can be kept', { error: (error as Error).message });
  }
  return backend;
}

export interface OpenMemoryOptions extends MemoryBackendOptions {
  /** Where the journal is kept. Omitted: there is none. */
  readonly nats?: NatsConnection | undefined;
  readonly log: OwnersLog;
}

export class MemoryBackend implements Backend {
  readonly name = 'memory';
  #journal: QuotaJournal | undefined;
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

  /** Reads what a journal has, and writes there from now on. @returns How many keys there were. */
  async remember(open: (ledger: Ledger) => Promise<QuotaJournal>): Promise<number> {
    const journal = await open(this.#ledger);
    const quotas = await journal.replay();
    this.#journal = journal;
    return quotas;
  }

  /** An ask that there is no room for is `isUndecided`; the others are decided all the same. */
  decide(asks: readonly Ask[]): Decision[] {
    return asks.map(({ charges, mode }) => {
      try {
        const decision = this.#ledger.decide(charges, mode);
        if (mode !== 'look') this.#note(charges);
        return decision;
      } catch (error) {
        if (error instanceof LedgerFull) return { isAllowed: false, outcomes: [], isUndecided: true };
        throw error;
      }
    });
  }

  give(charges: readonly Charge[]): void {
    this.#ledger.give(charges);
    this.#note(charges);
  }

  reset(charges: readonly Charge[]): void {
    this.#ledger.reset(charges);
    this.#note(charges);
  }

  /** @throws BackendAway when there is no room for it. */
  block(charges: readonly Charge[], forMs: number): void {
    withRoom(() => this.#ledger.block(charges, forMs));
    this.#note(charges);
  }

  /** @throws BackendAway when there is no room for it. */
  grant(charge: Charge, want: number, share: number): Grant {
    const grant = withRoom(() => this.#ledger.grant(charge, want, share));
    if (grant.units > 0) this.#journal?.note(charge);
    return grant;
  }

  #note(charges: readonly Charge[]): void {
    if (this.#journal === undefined) return;
    for (const charge of charges) this.#journal.note(charge);
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
      '# HELP plinth_ratelimit_states Keys whose state is kept.',
      '# TYPE plinth_ratelimit_states gauge',
      `plinth_ratelimit_states ${this.#ledger.size}`,
      '# HELP plinth_ratelimit_holds Places that are held.',
      '# TYPE plinth_ratelimit_holds gauge',
      `plinth_ratelimit_holds ${this.#holds.size}`,
      ...(this.#journal === undefined ? [] : [this.#journal.metrics()]),
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
    await this.#journal?.stop();
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
