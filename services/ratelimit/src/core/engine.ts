/**
 * The limiter: what every door asks. A check goes through three rooms: `resolve` says which limits it meets, the
 * backend (or a lease of it, or the fallback while it is away) decides, and here the verdict is put together.
 *
 * An answer that is at hand is no promise, so that a check on the embedded backend costs no microtask.
 */
import type { Charge, Decision, Grant, Outcome, Policy } from '@plinth/limiter';
import { Problem } from '@plinth/problem';
import { type Backend, BackendAway } from '../store/backend.ts';
import type { Breaker } from './breaker.ts';
import type { Fallback } from './fallback.ts';
import { FamiliarChecks } from './familiar-checks.ts';
import type { LeaseDesk } from './lease-desk.ts';
import { isQuota, type Resolved, type ResolvedCheck, resolve, withQuota } from './resolve.ts';
import type { OnError } from './rule.ts';
import type { RuleBook } from './rule-book.ts';
import type { Check, Limit, Verdict } from './verdict.ts';

/** Told of every decision; must be cheap. */
export interface LimitObserver {
  decided(check: Check, verdict: Verdict, nowMs: number, keyHash?: number): void;
}

export interface EngineRooms {
  /** The rules in force; replaced as a whole. */
  rules: { readonly book: RuleBook };
  backend: Backend;
  breaker: Breaker;
  fallback: Fallback;
  desk: LeaseDesk;
  observer: LimitObserver;
  now: () => number;
  /** No rule denies anybody; what would have been denied is told. */
  shadowAll: boolean;
  /** The backend went away, or is back. */
  report: (state: 'away' | 'back', reason?: string) => void;
}

/** What is lent to a client. */
export interface Loan {
  readonly name: string;
  readonly policy: Policy;
  readonly units: number;
  readonly remaining: number;
  readonly retryAfterUs: number;
  readonly resetUs: number;
  /** Of `strict`: the units must be spent within so long, or more than the limit would fall into one window. */
  readonly lifeUs?: number | undefined;
  readonly degraded: OnError | undefined;
}

/** A decision, and how it was made where the backend could not make it. */
interface Decided extends Decision {
  readonly degraded?: OnError | undefined;
}

/** Of a check without a charge. */
const NOTHING_ASKED: Decided = { isAllowed: true, outcomes: [] };

/** The answers of those that were asked, put between those that were known. */
function fill(known: readonly (Decided | undefined)[], found: readonly Decided[]): Decided[] {
  let next = 0;
  return known.map((decided) => decided ?? found[next++]!);
}

export class Engine {
  readonly #rooms: EngineRooms;
  readonly #familiar = new FamiliarChecks();

  constructor(rooms: EngineRooms) {
    this.#rooms = rooms;
  }

  get book(): RuleBook {
    return this.#rooms.rules.book;
  }

  /**
   * Decides checks in order. Never rejects for a limit that is reached or a backend that is away.
   *
   * @throws Problem `limit_not_found`, before anything of any of them is counted.
   */
  check(checks: readonly Check[]): Verdict[] | Promise<Verdict[]> {
    const ready: ResolvedCheck[] = [];
    let hasQuotas = false;
    for (let at = 0; at < checks.length; at++) {
      const one = this.resolve(checks[at]!);
      if (one.quota !== undefined) hasQuotas = true;
      ready.push(one);
    }
    return hasQuotas ? this.#checkQuotas(ready) : this.#checkReady(ready);
  }

  #checkReady(ready: readonly ResolvedCheck[]): Verdict[] | Promise<Verdict[]> {
    const decided = this.#decideAll(ready);
    if (decided instanceof Promise) return decided.then((late) => this.#verdicts(ready, late));
    return this.#verdicts(ready, decided);
  }

  /**
   * Envoy's quota mode: rules so marked deny a request only when all of them are over. That takes a look before, so two
   * requests at once may both find the last unit of a quota; each rule by itself still counts exactly.
   */
  async #checkQuotas(ready: readonly ResolvedCheck[]): Promise<Verdict[]> {
    const known = ready.map(async (one) => {
      if (one.quota === undefined) return one;
      const quotas = one.subjects.filter((subject) => subject !== undefined && isQuota(subject));
      const looks = await this.#ask(quotas.map((subject) => ({ ...one, charges: [subject!.charge!], mode: 'look' })));
      const isOver = looks.every(({ isAllowed }) => !isAllowed);
      return withQuota(one, isOver);
    });
    return this.#checkReady(await Promise.all(known));
  }

  resolve(check: Check): ResolvedCheck {
    const { book } = this;
    const familiar = this.#familiar.find(book, check);
    if (familiar !== undefined) {
      const { subjects, charges, mode, holds, quota, keyHash } = familiar;
      return { check, subjects, charges, mode, holds, quota, keyHash };
    }
    const resolved = resolve(book, check, this.#rooms);
    this.#familiar.meet(resolved);
    return resolved;
  }

  // ------------------------------------------------------------ deciding

  #decideAll(ready: readonly ResolvedCheck[]): Decided[] | Promise<Decided[]> {
    const { desk } = this.#rooms;
    let known: (Decided | undefined)[] | undefined;
    for (let at = 0; at < ready.length; at++) {
      const one = ready[at]!;
      const decided = one.charges.length === 0 ? NOTHING_ASKED : desk.decide(one, one.subjects[0]?.rule);
      if (decided === undefined) continue;
      known ??= ready.map(() => undefined);
      known[at] = decided;
    }
    if (known === undefined) return this.#ask(ready);
    return this.#askRest(ready, known);
  }

  #askRest(ready: readonly ResolvedCheck[], known: readonly (Decided | undefined)[]): Decided[] | Promise<Decided[]> {
    const asked = ready.filter((_, at) => known[at] === undefined);
    if (asked.length === 0) return known as Decided[];
    const found = this.#ask(asked);
    return found instanceof Promise ? found.then((late) => fill(known, late)) : fill(known, found);
  }

  #ask(asks: readonly ResolvedCheck[]): Decided[] | Promise<Decided[]> {
    const { backend, breaker, desk } = this.#rooms;
    if (!breaker.admits()) return this.#withoutBackend(asks);
    const askedAtUs = desk.nowUs;
    try {
      const decisions = backend.decide(asks);
      if (!(decisions instanceof Promise)) return this.#answered(decisions, asks, askedAtUs);
      return decisions.then(
        (late) => this.#answered(late, asks, askedAtUs),
        (error: unknown) => this.#failed(error, asks),
      );
    } catch (error) {
      return this.#failed(error, asks);
    }
  }

  #answered(decisions: Decided[], asks: readonly ResolvedCheck[], askedAtUs: number): Decided[] {
    this.#succeeded();
    for (let at = 0; at < decisions.length; at++) {
      const decision = decisions[at]!;
      if (decision.isUndecided) decisions[at] = this.#decideWithout(asks[at]!);
      else if (!decision.isAllowed) {
        this.#rooms.desk.learn(asks[at]!, asks[at]!.subjects[0]?.rule, decision, askedAtUs);
      }
    }
    return decisions;
  }

  /** @throws What is no outage: a bug must not look like one. */
  #failed(error: unknown, asks: readonly ResolvedCheck[]): Decided[] {
    this.#noteFailure(error);
    return this.#withoutBackend(asks);
  }

  #withoutBackend(asks: readonly ResolvedCheck[]): Decided[] {
    return asks.map((ask) => this.#decideWithout(ask));
  }

  #decideWithout({ charges, mode, subjects }: ResolvedCheck): Decided {
    const { fallback } = this.#rooms;
    const way = fallback.wayFor(
      subjects.filter((subject) => subject?.charge !== undefined).map((subject) => subject!.rule),
    );
    return { ...fallback.decide(charges, mode, way), degraded: way };
  }

  #succeeded(): void {
    const { breaker, report } = this.#rooms;
    if (breaker.isOpen) report('back');
    breaker.succeeded();
  }

  #noteFailure(error: unknown): void {
    if (!(error instanceof BackendAway)) throw error;
    if (this.#rooms.breaker.failed()) this.#rooms.report('away', error.message);
  }

  // ------------------------------------------------------------ verdicts

  #verdicts(ready: readonly ResolvedCheck[], decided: readonly Decided[]): Verdict[] {
    const nowMs = this.#rooms.now();
    const { observer } = this.#rooms;
    const verdicts: Verdict[] = [];
    for (let at = 0; at < ready.length; at++) {
      const one = ready[at]!;
      const verdict = verdictOf(one, decided[at]!);
      observer.decided(one.check, verdict, nowMs, one.keyHash);
      verdicts.push(verdict);
    }
    return verdicts;
  }

  // ------------------------------------------------------------ other wishes

  /** Charges of a check, for what is done to states without deciding. @throws Problem `limit_not_found` */
  chargesOf(check: Check): readonly Charge[] {
    return this.resolve(check).charges;
  }

  /** @returns How many limits it went to. @throws Problem `unavailable` */
  give(check: Check): number | Promise<number> {
    const charges = this.chargesOf(check);
    return this.#done(charges.length, () => this.#rooms.backend.give(charges));
  }

  reset(check: Check): number | Promise<number> {
    const charges = this.chargesOf(check);
    this.#rooms.desk.forget(charges);
    return this.#done(charges.length, () => this.#rooms.backend.reset(charges));
  }

  block(check: Check, forMs: number): number | Promise<number> {
    const charges = this.chargesOf(check);
    this.#rooms.desk.forget(charges);
    return this.#done(charges.length, () => this.#rooms.backend.block(charges, forMs));
  }

  /**
   * Lends units of the one limit of a check; none of a rule that is `exact`, which is asked for every decision.
   *
   * @throws Problem `limit_not_found`, `invalid_request`, `unavailable`
   */
  lend(check: Check, want: number): Loan | Promise<Loan> {
    const [subject] = this.resolve(check).subjects;
    if (subject === undefined) throw new Problem('limit_not_found', 'no rule matches what is to be limited');
    const { charge, name, rule } = subject;
    if (charge === undefined) throw new Problem('invalid_request', `limit ${name} has no units that could be lent`);
    const { policy } = charge;
    if (rule?.leaseShare === 0) return this.#lendNothing(charge, name);
    const share = rule?.leaseShare ?? DEFAULT_LEASE_SHARE;
    const loan = this.#attempt(() => this.#rooms.backend.grant(charge, want, share));
    const finish = (grant: Grant): Loan => ({ name, policy, degraded: undefined, ...grant });
    return loan instanceof Promise ? loan.then(finish) : finish(loan);
  }

  #lendNothing(charge: Charge, name: string): Loan | Promise<Loan> {
    const looked = this.#attempt(() =>
      this.#rooms.backend.decide([{ charges: [{ ...charge, cost: 0 }], mode: 'look' }]),
    );
    const finish = ([decision]: Decision[]): Loan => {
      const { remaining = 0, resetUs = 0, retryAfterUs = 0 } = decision?.outcomes[0] ?? {};
      return { name, policy: charge.policy, degraded: undefined, units: 0, remaining, resetUs, retryAfterUs };
    };
    return looked instanceof Promise ? looked.then(finish) : finish(looked);
  }

  #done(limits: number, work: () => void | Promise<void>): number | Promise<number> {
    if (limits === 0) return 0;
    const done = this.#attempt(work);
    return done instanceof Promise ? done.then(() => limits) : limits;
  }

  /** Something that only the backend can do. @throws Problem `unavailable` when it is away. */
  #attempt<T>(work: () => T | Promise<T>): T | Promise<T> {
    if (!this.#rooms.breaker.admits()) throw away('it has not answered lately');
    const refuse = (error: unknown): never => {
      this.#noteFailure(error);
      throw away((error as Error).message);
    };
    try {
      const done = work();
      if (!(done instanceof Promise)) return done;
      return done.then((value) => {
        this.#succeeded();
        return value;
      }, refuse);
    } catch (error) {
      return refuse(error);
    }
  }

  /** As `#attempt`, for the rooms that hold places and settle reservations. */
  readonly attempt = <T>(work: (backend: Backend) => T | Promise<T>): T | Promise<T> =>
    this.#attempt(() => work(this.#rooms.backend));
}

/** Of limits whose rule says nothing: a twentieth of what is left. */
const DEFAULT_LEASE_SHARE = 0.05;

const away = (reason: string): Problem =>
  new Problem('unavailable', `the backend of the limits is away: ${reason}`, { retryAfterMs: 1_000 });

/** What a decision of the charges of a check means for all it is about. */
export function verdictOf({ check, subjects, quota }: ResolvedCheck, { outcomes, degraded }: Decided): Verdict {
  let isAllowed = true;
  let retryAfterUs = 0;
  let delayUs = 0;
  let charge = 0;
  const limits: (Limit | undefined)[] = [];
  for (let at = 0; at < subjects.length; at++) {
    const subject = subjects[at];
    const limit = subject && (subject.settled ?? limitOf(subject, outcomes[charge++]!));
    limits.push(limit);
    if (limit === undefined || limit.isShadow) continue;
    delayUs = Math.max(delayUs, limit.delayUs);
    if (limit.isAllowed || check.mode === 'debit') continue;
    if (quota === 'within' && isQuota(subject!)) continue;
    isAllowed = false;
    retryAfterUs = Math.max(retryAfterUs, limit.retryAfterUs);
  }
  return { isAllowed, limits, degraded, retryAfterUs, delayUs: isAllowed ? delayUs : 0 };
}

function limitOf({ rule, name, policy, key, charge }: Resolved, outcome: Outcome): Limit {
  const { isAllowed, remaining, retryAfterUs, resetUs, delayUs, isBlocked } = outcome;
  const because = isBlocked ? 'blocked' : undefined;
  const isShadow = charge!.isShadow ?? false;
  return { rule, name, policy, key, isAllowed, remaining, retryAfterUs, resetUs, delayUs, isShadow, because };
}
