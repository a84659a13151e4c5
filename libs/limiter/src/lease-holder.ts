/**
 * The borrower's side of leases: units that the authority over a limit has debited already, spent here without asking.
 * It does no I/O. The caller asks when it is told to, and says when it asked and what came back; all times are the
 * caller's own steady clock.
 *
 * What makes the bound (README.md derives it): a lease ends `ttlUs` after it was *asked* for, which is before it was
 * granted; at most one request per key is under way; and it asks for no more than brings what it has to
 * max(1, share × capacity), units counted that expired and are on their way back. So a holder never has more of a key
 * than that. It asks when a quarter is left, so there may be two lots at once: the elder is spent first, and each ends
 * at its own time.
 */
import type { Grant, Outcome } from './charge.ts';
import { DeadlineHeap, type Ending } from './deadline-heap.ts';
import type { Policy } from './policy.ts';

/**
 * `yes`: taken. `low`: taken, and this is the moment to ask for more. `no`: denied, and `denial` says until when.
 * `ask`: it cannot be said here; ask the authority to decide this one, and `want` whether to borrow as well.
 */
export type LeaseVerdict = 'yes' | 'low' | 'no' | 'ask';

export interface LeaseTerms {
  readonly policy: Policy;
  /** Of what is there, how much a holder may have at once; 0 … 1. */
  readonly share: number;
  /** How long units that were lent may be spent. 100,000 is a good beginning. */
  readonly ttlUs: number;
}

export interface LeaseHolderOptions {
  /** Keys that are known at once; others are asked for one by one. Default 100,000. */
  keysMax?: number | undefined;
  /** A denial is believed for so long at the most, for a reset or a new limit is not told. Default 1,000,000. */
  denyMaxUs?: number | undefined;
  /** Below so many units per lease it is not worth while, and every one is asked for. Default 2. */
  wantMin?: number | undefined;
  /**
   * What `returns` and `drain` tell arrives at the authority within this time or never: the caller's requests have no
   * longer deadline. Until then it counts as had. Default 1,000,000.
   */
  transitMaxUs?: number | undefined;
}

/** Units to be given back: `ledger.give` at the authority with this cost and age. */
export interface LeaseReturn {
  readonly key: string;
  readonly policy: Policy;
  readonly units: number;
  /** They were granted so long ago or less. */
  readonly agoUs: number;
}

/** What is known of a key; its `untilUs` is the end of the elder lot, or when to look whether it is idle. */
interface Lease extends Ending {
  readonly key: string;
  terms: LeaseTerms;
  /** The lot that is spent: units, when they were asked for, and their end. */
  tokens: number;
  sentAtUs: number;
  expiresUs: number;
  /** The lot behind it. */
  nextTokens: number;
  nextSentAtUs: number;
  nextExpiresUs: number;
  /** Units that have expired: those not told by `returns` yet, and those that may be on their way since. */
  expired: number;
  inTransit: number;
  transitUntilUs: number;
  /** Refill when no more than so many are left. */
  lowAt: number;
  /** When the request under way was sent; −1: none. */
  askedAtUs: number;
  /** Costs of `denyCost` and more are denied until then. */
  denyUntilUs: number;
  denyCost: number;
  /** What is known of the denial, for those who ask. */
  retryAtUs: number;
  denyRemaining: number;
  isBlocked: boolean;
  /** Units per microsecond, smoothed; and what was taken since `countedFromUs`. */
  rate: number;
  counted: number;
  countedFromUs: number;
}

/** The rate follows a change within about three of these. */
const RATE_MEMORY_US = 500_000;
/** A key that nobody asks for is forgotten after so long. */
const IDLE_US = 10_000_000;
/** When this part of what was wanted is left, it is time to ask. */
const LOW_PART = 0.25;

/** Leases of one process. Cost of a `take`: one look-up in a Map. */
export class LeaseHolder {
  readonly #leases = new Map<string, Lease>();
  readonly #endings = new DeadlineHeap<Lease>();
  /** Taken out of expired leases, not yet given back. */
  #returns: LeaseReturn[] = [];
  readonly #keysMax: number;
  readonly #denyMaxUs: number;
  readonly #wantMin: number;
  readonly #transitMaxUs: number;

  constructor({
    keysMax = 100_000,
    denyMaxUs = 1_000_000,
    wantMin = 2,
    transitMaxUs = 1_000_000,
  }: LeaseHolderOptions = {}) {
    this.#keysMax = keysMax;
    this.#denyMaxUs = denyMaxUs;
    this.#wantMin = wantMin;
    this.#transitMaxUs = transitMaxUs;
  }

  /** Keys that are known. */
  get size(): number {
    return this.#leases.size;
  }

  /** Units of a key that could be spent here now. */
  tokens(key: string, nowUs: number): number {
    const lease = this.#leases.get(key);
    if (lease === undefined) return 0;
    return (nowUs < lease.expiresUs ? lease.tokens : 0) + (nowUs < lease.nextExpiresUs ? lease.nextTokens : 0);
  }

  /** Decides here if it can be. All or nothing. */
  take(key: string, cost: number, nowUs: number): LeaseVerdict {
    const lease = this.#leases.get(key);
    if (lease === undefined) return 'ask';
    lease.counted += cost;
    if (lease.nextTokens > 0 && (nowUs >= lease.expiresUs || cost > lease.tokens)) this.#turnToNext(lease, nowUs);
    if (nowUs < lease.expiresUs && cost <= lease.tokens && lease.tokens > 0) {
      lease.tokens -= cost;
      return lease.tokens <= lease.lowAt && lease.askedAtUs < 0 && lease.nextTokens === 0 ? 'low' : 'yes';
    }
    return nowUs < lease.denyUntilUs && cost >= lease.denyCost ? 'no' : 'ask';
  }

  /** Undoes a `take` of this moment: another charge of the same request was denied. */
  untake(key: string, cost: number): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    lease.tokens += cost;
    lease.counted -= cost;
  }

  /** After `no`: what the authority said, as of now. */
  denial(key: string, nowUs: number): Outcome {
    const lease = this.#leases.get(key);
    const retryAfterUs = Math.max(0, (lease?.retryAtUs ?? 0) - nowUs);
    const { denyRemaining: remaining = 0, isBlocked = false } = lease ?? {};
    return { isAllowed: false, remaining, retryAfterUs, resetUs: retryAfterUs, delayUs: 0, isBlocked };
  }

  /**
   * How many units to ask the authority for now: 0, none. More than 0 counts as asked: the answer must be told to
   * `granted`, or its absence to `failed`. At most one request per key is under way.
   */
  want(key: string, terms: LeaseTerms, nowUs: number): number {
    const lease = this.#leases.get(key) ?? this.#open(key, terms, nowUs);
    if (lease === undefined) return 0;
    lease.terms = terms;
    if (lease.askedAtUs >= 0 || nowUs < lease.denyUntilUs || lease.nextTokens > 0) return 0;
    this.#expire(lease, nowUs);
    this.#measure(lease, nowUs);
    const most = Math.max(1, Math.floor(terms.share * terms.policy.capacity));
    const wanted = Math.min(most, Math.ceil(lease.rate * terms.ttlUs));
    if (nowUs >= lease.transitUntilUs) lease.inTransit = 0;
    const units = Math.min(wanted, most - lease.expired - lease.inTransit) - lease.tokens;
    if (wanted < this.#wantMin || units < 1) return 0;
    lease.askedAtUs = nowUs;
    lease.lowAt = Math.floor(wanted * LOW_PART);
    return units;
  }

  /** The authority's answer to what `want` asked for. */
  granted(key: string, grant: Grant, nowUs: number): void {
    const lease = this.#leases.get(key);
    if (lease === undefined || lease.askedAtUs < 0) return;
    const sentAtUs = lease.askedAtUs;
    lease.askedAtUs = -1;
    this.#expire(lease, nowUs);
    if (grant.units <= 0) {
      const denied = { ...grant, isAllowed: false, delayUs: 0, isBlocked: false };
      this.denied(key, lease.terms, 1, denied, sentAtUs);
      return;
    }
    lease.nextTokens = grant.units;
    lease.nextSentAtUs = sentAtUs;
    lease.nextExpiresUs = sentAtUs + Math.min(lease.terms.ttlUs, grant.lifeUs ?? Number.POSITIVE_INFINITY);
    lease.denyUntilUs = 0;
    if (lease.tokens === 0) this.#turnToNext(lease, nowUs);
    this.#expire(lease, nowUs);
  }

  /** No answer came: whatever was granted is lost, and another request may be made. */
  failed(key: string): void {
    const lease = this.#leases.get(key);
    if (lease !== undefined) lease.askedAtUs = -1;
  }

  /**
   * The authority denied a cost. Further ones as large are denied here until it says they could be taken; smaller ones
   * are asked for, unless nothing at all is left, which is what a cost of 1 or a block is denied for.
   *
   * @param sentAtUs - When it was asked, which is no later than when it answered.
   */
  denied(key: string, terms: LeaseTerms, cost: number, outcome: Outcome, sentAtUs: number): void {
    const lease = this.#leases.get(key) ?? this.#open(key, terms, sentAtUs);
    if (lease === undefined) return;
    lease.denyUntilUs = sentAtUs + Math.min(outcome.retryAfterUs, this.#denyMaxUs);
    lease.denyCost = outcome.isBlocked ? 0 : cost;
    lease.retryAtUs = sentAtUs + outcome.retryAfterUs;
    lease.denyRemaining = outcome.remaining;
    lease.isBlocked = outcome.isBlocked;
  }

  /** What is known of a key is not true any more: it was reset, given to, or its limit changed. Its units go back. */
  forget(key: string, nowUs: number): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    this.#turnToNext(lease, nowUs);
    this.#turnToNext(lease, nowUs);
    lease.denyUntilUs = 0;
  }

  /** Units that were not spent in time, to be given back to the authority. About once per `ttlUs`. Each is told once. */
  returns(nowUs: number): LeaseReturn[] {
    for (
      let lease = this.#endings.earliest;
      lease !== undefined && lease.untilUs <= nowUs;
      lease = this.#endings.earliest
    ) {
      this.#expire(lease, nowUs);
      if (lease.untilUs > nowUs) continue;
      const isIdle = lease.counted === 0 && lease.askedAtUs < 0 && lease.countedFromUs + IDLE_US <= nowUs;
      if (isIdle) {
        this.#leases.delete(lease.key);
        this.#endings.remove(lease);
      } else {
        this.#measure(lease, nowUs);
        this.#endings.put(lease, nowUs + IDLE_US);
      }
    }
    const returns = this.#returns;
    this.#returns = [];
    for (const { key, units } of returns) {
      const lease = this.#leases.get(key);
      if (lease === undefined) continue;
      lease.expired -= units;
      lease.inTransit = units + (nowUs < lease.transitUntilUs ? lease.inTransit : 0);
      lease.transitUntilUs = nowUs + this.#transitMaxUs;
    }
    return returns;
  }

  /** The process stops: all units that are here, to be given back. */
  drain(nowUs: number): LeaseReturn[] {
    for (const lease of this.#leases.values()) {
      this.forget(lease.key, nowUs);
      this.#endings.remove(lease);
    }
    this.#leases.clear();
    return this.returns(nowUs);
  }

  #open(key: string, terms: LeaseTerms, nowUs: number): Lease | undefined {
    if (this.#leases.size >= this.#keysMax) return undefined;
    const lease: Lease = {
      key,
      terms,
      tokens: 0,
      sentAtUs: 0,
      expiresUs: 0,
      nextTokens: 0,
      nextSentAtUs: 0,
      nextExpiresUs: 0,
      expired: 0,
      inTransit: 0,
      transitUntilUs: 0,
      lowAt: 0,
      askedAtUs: -1,
      denyUntilUs: 0,
      denyCost: 0,
      retryAtUs: 0,
      denyRemaining: 0,
      isBlocked: false,
      rate: 0,
      counted: 1,
      countedFromUs: nowUs,
      untilUs: 0,
      place: -1,
    };
    this.#leases.set(key, lease);
    this.#endings.put(lease, nowUs + IDLE_US);
    return lease;
  }

  #expire(lease: Lease, nowUs: number): void {
    if (nowUs >= lease.expiresUs) this.#turnToNext(lease, nowUs);
    if (nowUs >= lease.expiresUs) this.#turnToNext(lease, nowUs);
  }

  /** What is left of the elder lot goes back, and the other one takes its place. */
  #turnToNext(lease: Lease, nowUs: number): void {
    const { key, tokens: units, sentAtUs } = lease;
    if (units > 0) this.#returns.push({ key, policy: lease.terms.policy, units, agoUs: nowUs - sentAtUs });
    lease.expired += units;
    lease.tokens = lease.nextTokens;
    lease.sentAtUs = lease.nextSentAtUs;
    lease.expiresUs = lease.nextExpiresUs;
    lease.nextTokens = 0;
    lease.nextExpiresUs = 0;
    if (lease.tokens > 0) this.#endings.put(lease, lease.expiresUs);
  }

  /** Exponentially weighed by time, so that it does not matter how often it is looked at. */
  #measure(lease: Lease, nowUs: number): void {
    const elapsedUs = nowUs - lease.countedFromUs;
    if (elapsedUs <= 0) return;
    const weight = 1 - Math.exp(-elapsedUs / RATE_MEMORY_US);
    lease.rate += weight * (lease.counted / elapsedUs - lease.rate);
    lease.counted = 0;
    lease.countedFromUs = nowUs;
  }
}
