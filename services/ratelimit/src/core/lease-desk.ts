/**
 * This replica as a borrower: rules with a lease are decided here with units borrowed from the backend, and keys that
 * the backend has just denied are denied here. Units are debited before they are lent, so this never admits more; how
 * much earlier it may admit it, `libs/limiter/README.md` derives.
 *
 * Only for a request of one limit: several are charged together, where their states are.
 */
import { type Charge, type Decision, LeaseHolder, type LeaseTerms, type LimiterClock } from '@plinth/limiter';
import type { Ask, Backend } from '../store/backend.ts';
import type { Breaker } from './breaker.ts';
import type { Rule } from './rule.ts';

export interface LeaseDeskRooms {
  backend: Backend;
  breaker: Breaker;
  clock: LimiterClock;
}

/** Units given back in one go. */
const RETURNS_MAX = 1_000;

export class LeaseDesk {
  readonly #rooms: LeaseDeskRooms;
  readonly #holder = new LeaseHolder();
  /** What is in this process already need not be borrowed. */
  readonly #isUseful: boolean;
  #decidedHere = 0;
  #denied = 0;
  #borrowed = 0;
  #returned = 0;

  constructor(rooms: LeaseDeskRooms) {
    this.#rooms = rooms;
    this.#isUseful = rooms.backend.name !== 'memory';
  }

  /** The decision, when it can be made here. */
  decide({ charges, mode }: Ask, rule: Rule | undefined): Decision | undefined {
    const [charge] = charges;
    if (!this.#isUseful || charges.length !== 1 || mode !== 'take' || !isLent(charge!, rule)) return undefined;
    const nowUs = this.#rooms.clock.nowUs();
    const { key, cost } = charge!;
    const verdict = this.#holder.take(key, cost, nowUs);
    if (verdict === 'no') {
      this.#denied += 1;
      return { isAllowed: false, outcomes: [this.#holder.denial(key, nowUs)] };
    }
    if (verdict !== 'yes') this.#borrow(charge!, termsOf(charge!, rule!), nowUs);
    if (verdict === 'ask') return undefined;
    this.#decidedHere += 1;
    const remaining = this.#holder.tokens(key, nowUs);
    const outcome = { isAllowed: true, remaining, retryAfterUs: 0, resetUs: 0, delayUs: 0, isBlocked: false };
    return { isAllowed: true, outcomes: [outcome] };
  }

  /** What the backend decided on a charge that could not be decided here. */
  learn({ charges, mode }: Ask, rule: Rule | undefined, { outcomes }: Decision, askedAtUs: number): void {
    const [charge] = charges;
    if (!this.#isUseful || charges.length !== 1 || mode !== 'take' || !isLent(charge!, rule)) return;
    const [outcome] = outcomes;
    if (outcome !== undefined && !outcome.isAllowed) {
      this.#holder.denied(charge!.key, termsOf(charge!, rule!), charge!.cost, outcome, askedAtUs);
    }
  }

  get nowUs(): number {
    return this.#rooms.clock.nowUs();
  }

  /** Their states were changed from outside. */
  forget(charges: readonly Charge[]): void {
    const nowUs = this.#rooms.clock.nowUs();
    for (const { key } of charges) this.#holder.forget(key, nowUs);
  }

  /** Gives back what was not spent in time; about once per lease. */
  async tidy(): Promise<void> {
    await this.#return(this.#holder.returns(this.#rooms.clock.nowUs()));
  }

  /** The replica stops: all of it. */
  async giveBack(): Promise<void> {
    await this.#return(this.#holder.drain(this.#rooms.clock.nowUs()));
  }

  metrics(): string {
    const name = 'plinth_ratelimit_leases';
    return [
      `# HELP ${name}_decided_total Decisions made with borrowed units, and denials remembered.\n`,
      `# TYPE ${name}_decided_total counter\n`,
      `${name}_decided_total{verdict="allowed"} ${this.#decidedHere}\n`,
      `${name}_decided_total{verdict="denied"} ${this.#denied}\n`,
      `# HELP ${name}_units_total Units borrowed from the backend, and given back unspent.\n`,
      `# TYPE ${name}_units_total counter\n`,
      `${name}_units_total{way="borrowed"} ${this.#borrowed}\n`,
      `${name}_units_total{way="returned"} ${this.#returned}\n`,
    ].join('');
  }

  #borrow(charge: Charge, terms: LeaseTerms, nowUs: number): void {
    const { backend, breaker } = this.#rooms;
    if (breaker.isOpen) return;
    const { key } = charge;
    const want = this.#holder.want(key, terms, nowUs);
    if (want === 0) return;
    const finish = (grant: Awaited<ReturnType<Backend['grant']>>) => {
      this.#borrowed += grant.units;
      this.#holder.granted(key, grant, this.#rooms.clock.nowUs());
    };
    try {
      const grant = backend.grant({ ...charge, cost: 1 }, want, terms.share);
      // Whether it was granted is not known: then those units are lost, and nobody gets more for it.
      if (grant instanceof Promise) grant.then(finish, () => this.#holder.failed(key));
      else finish(grant);
    } catch {
      this.#holder.failed(key);
    }
  }

  async #return(returns: ReturnType<LeaseHolder['returns']>): Promise<void> {
    const { backend } = this.#rooms;
    for (let at = 0; at < returns.length; at += RETURNS_MAX) {
      const charges = returns.slice(at, at + RETURNS_MAX).map(({ units: cost, ...rest }) => ({ ...rest, cost }));
      try {
        await backend.give(charges);
        this.#returned += charges.reduce((sum, { cost }) => sum + cost, 0);
      } catch {
        // They are lost: somebody is denied a little early.
      }
    }
  }
}

/** Denials that bring a block must be counted where the state is. */
const isLent = (charge: Charge, rule: Rule | undefined): boolean =>
  rule !== undefined && rule.leaseShare > 0 && !charge.isShadow && charge.penalty === undefined;

const termsOf = ({ policy }: Charge, { leaseShare, leaseMs }: Rule): LeaseTerms => ({
  policy,
  share: leaseShare,
  ttlUs: leaseMs * 1_000,
});
