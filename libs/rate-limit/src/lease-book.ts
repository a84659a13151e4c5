/**
 * Units that the service lent, spent here. `LeaseHolder` decides, this asks: for more when units run low, and to take
 * back what was not spent. It also keeps denials, with or without leases.
 *
 * A request that borrows decides over nobody: whoever comes while there is nothing to spend is asked for one by one.
 */
import type { CheckAnswer, LeaseAnswer, LimitAnswer } from '@plinth/contracts/ratelimit';
import { LeaseHolder, type LeaseTerms, type LimiterClock, type Outcome } from '@plinth/limiter';
import { subjectOf } from './check-form.ts';
import { isAnswer } from './check-queue.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import { type LimitsService, limitsEndpoints } from './limits-service.ts';
import { msOf, policyOfAnswer } from './local-decider.ts';
import type { RateLimiterCounts } from './rate-limiter-counts.ts';

export interface LeaseOptions {
  /** The most of a limit that this process has at once, 0 … 1. Default 0.1. The service lends no more than its rule allows. */
  share?: number | undefined;
  /** Milliseconds that borrowed units may be spent, 10 to 60,000. Default 100. */
  ttlMs?: number | undefined;
}

export interface LeaseBookOptions {
  service: LimitsService;
  breaker: CircuitBreaker;
  clock: LimiterClock;
  counts: RateLimiterCounts;
  domain: string | undefined;
  /** Undefined: nothing is borrowed, only denials are kept. */
  leases: Required<LeaseOptions> | undefined;
  /** Milliseconds that a denial is believed; 0: not at all. */
  denyMs: number;
  timeoutMs: number;
}

/** What is known of a limit. One object for all keys that have the same. */
interface Facts extends Pick<LimitAnswer, 'name' | 'algorithm' | 'limit' | 'windowMs'> {
  readonly terms: LeaseTerms;
  /** The service lends nothing of it before that. */
  exactUntilUs: number;
}

/** What the service said of a key when it answered last. */
interface Left {
  readonly facts: Facts;
  readonly remaining: number;
  readonly resetAtUs: number;
}

/** Limits of one program, those that single keys have of their own among them. */
const FACTS_MAX = 1_000;
/** Keys that are known; each takes about 500 bytes. */
const KEYS_MAX = 100_000;
/** Requests that borrow or give back, at once. */
const ERRANDS_MAX = 64;
/** Requests that give back when all is given back, and how long that may take. */
const CLOSING_RUNNERS = 32;
const CLOSING_MS_MAX = 2_000;
/** A rule that lends nothing is asked again after so long. */
const EXACT_US = 10_000_000;

export class LeaseBook {
  readonly #options: LeaseBookOptions;
  readonly #holder: LeaseHolder;
  readonly #facts = new Map<string, Facts>();
  readonly #left = new Map<string, Left>();
  #errands = 0;
  #isClosed = false;
  #returns: NodeJS.Timeout | undefined;

  constructor(options: LeaseBookOptions) {
    this.#options = options;
    this.#holder = new LeaseHolder({ keysMax: KEYS_MAX, denyMaxUs: options.denyMs * 1_000 });
  }

  /** The decision, if it can be made here: no request, no promise. */
  take(id: string, cost: number): CheckAnswer | undefined {
    const { clock, counts } = this.#options;
    const nowUs = clock.nowUs();
    const verdict = this.#holder.take(id, cost, nowUs);
    if (verdict === 'ask') return undefined;
    const left = this.#left.get(id);
    if (left === undefined) return undefined;
    if (verdict === 'no') {
      counts.byDenial++;
      return deniedAnswer(left.facts, this.#holder.denial(id, nowUs));
    }
    if (verdict === 'low') this.#borrow(id, left.facts, nowUs);
    counts.byLease++;
    return { allowed: true, limits: [this.#spent(id, left, nowUs)] };
  }

  /** Learns from an answer of the service, and borrows if that is worth while. */
  learn(id: string, cost: number, answer: CheckAnswer, sentAtUs: number): void {
    const [told] = answer.limits;
    // Several limits under one name, or one that is only watched, are for the service to decide.
    if (told === undefined || answer.limits.length > 1 || told.shadow === true || answer.degraded !== undefined) return;
    const facts = this.#factsOf(told);
    if (facts === undefined) return;
    this.#remember(id, {
      facts,
      remaining: told.remaining ?? 0,
      resetMs: told.resetMs ?? 0,
      isDenied: !answer.allowed,
    });
    if (answer.allowed) this.#borrow(id, facts, this.#options.clock.nowUs());
    else if (cost > 0 && this.#options.denyMs > 0)
      this.#holder.denied(id, facts.terms, cost, outcomeOf(told), sentAtUs);
  }

  /** Puts units back that were spent here. False: there is no lease that they could go to. */
  untake(id: string, units: number): boolean {
    if (this.#holder.tokens(id, this.#options.clock.nowUs()) === 0) return false;
    this.#holder.untake(id, units);
    return true;
  }

  /** The key was changed: what is known of it no longer holds. */
  forget(id: string): void {
    this.#left.delete(id);
    this.#holder.forget(id, this.#options.clock.nowUs());
  }

  /** Gives all units back. Resolves when the service has them, or after 2 s. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#returns);
    const { clock, counts } = this.#options;
    const untilUs = clock.nowUs() + CLOSING_MS_MAX * 1_000;
    const returns = this.#holder.drain(clock.nowUs());
    const run = async () => {
      for (let next = returns.pop(); next !== undefined; next = returns.pop()) {
        if (clock.nowUs() < untilUs) await this.#giveBack(next.key, next.units);
        else counts.unitsLost += next.units;
      }
    };
    await Promise.all(Array.from({ length: CLOSING_RUNNERS }, run));
  }

  #spent(id: string, left: Left, nowUs: number): LimitAnswer {
    const { name, algorithm, limit, windowMs } = left.facts;
    const remaining = left.remaining + this.#holder.tokens(id, nowUs);
    const resetMs = Math.max(0, Math.ceil((left.resetAtUs - nowUs) / 1_000));
    return { name, allowed: true, algorithm, limit, windowMs, remaining, resetMs };
  }

  #factsOf(told: LimitAnswer): Facts | undefined {
    const { name, algorithm, limit, windowMs } = told;
    const text = `${limit}/${windowMs}/${algorithm}/${name}`;
    const known = this.#facts.get(text);
    if (known !== undefined) return known;
    const policy = policyOfAnswer(told);
    if (policy === undefined || this.#facts.size >= FACTS_MAX) return undefined;
    const { share = 0, ttlMs = 0 } = this.#options.leases ?? {};
    const facts = { name, algorithm, limit, windowMs, terms: { policy, share, ttlUs: ttlMs * 1_000 }, exactUntilUs: 0 };
    this.#facts.set(text, facts);
    return facts;
  }

  #remember(id: string, told: { facts: Facts; remaining: number; resetMs: number; isDenied: boolean }): void {
    // Without leases it is looked at for denials alone.
    if (this.#options.leases === undefined && !told.isDenied) return;
    const { facts, remaining, resetMs } = told;
    if (this.#left.size >= KEYS_MAX && !this.#left.has(id)) this.#left.delete(this.#left.keys().next().value!);
    this.#left.set(id, { facts, remaining, resetAtUs: this.#options.clock.nowUs() + resetMs * 1_000 });
  }

  #borrow(id: string, facts: Facts, nowUs: number): void {
    const { leases, breaker } = this.#options;
    // Who has borrowed would not be told to wait for its turn.
    if (facts.algorithm === 'leaky') return;
    if (leases === undefined || nowUs < facts.exactUntilUs || breaker.isOpen || this.#errands >= ERRANDS_MAX) return;
    const want = this.#holder.want(id, facts.terms, nowUs);
    if (want === 0) return;
    this.#returns ??= setInterval(() => this.#giveExpiredBack(), leases.ttlMs).unref();
    void this.#ask<LeaseAnswer>('lease', id, { want, ttlMs: leases.ttlMs }).then((grant) =>
      this.#lent(id, facts, grant),
    );
  }

  /** @param grant - Undefined: there was no answer, and what was lent is lost. */
  #lent(id: string, facts: Facts, grant: LeaseAnswer | undefined): void {
    if (this.#isClosed) {
      if (grant !== undefined && grant.units > 0) void this.#giveBack(id, grant.units);
      return;
    }
    const nowUs = this.#options.clock.nowUs();
    const isExhausted = grant?.units === 0 && grant.remaining < 1 && (grant.retryAfterMs ?? 0) > 0;
    if (grant === undefined || grant.degraded !== undefined || (grant.units === 0 && !isExhausted)) {
      // A rule that lends nothing though there is something left wants to decide by itself. That is no denial.
      if (grant !== undefined) facts.exactUntilUs = nowUs + EXACT_US;
      this.#holder.failed(id);
      return;
    }
    const { units, remaining, resetMs, ttlMs } = grant;
    this.#remember(id, { facts, remaining, resetMs, isDenied: units === 0 });
    const retryAfterUs = this.#options.denyMs === 0 ? 0 : (grant.retryAfterMs ?? 0) * 1_000;
    this.#holder.granted(
      id,
      { units, retryAfterUs, remaining, resetUs: resetMs * 1_000, lifeUs: ttlMs * 1_000 },
      nowUs,
    );
  }

  #giveExpiredBack(): void {
    for (const { key, units } of this.#holder.returns(this.#options.clock.nowUs())) {
      if (this.#errands >= ERRANDS_MAX || this.#options.breaker.isOpen) this.#options.counts.unitsLost += units;
      else void this.#giveBack(key, units);
    }
  }

  async #giveBack(id: string, units: number): Promise<void> {
    // Not again when there is no answer: units that are given back twice would be given away.
    if ((await this.#ask('return', id, { units })) === undefined) this.#options.counts.unitsLost += units;
  }

  /** Undefined: it was refused, or there was no answer. Never throws. */
  async #ask<Answer>(what: 'lease' | 'return', id: string, members: object): Promise<Answer | undefined> {
    const { service, breaker, domain, timeoutMs, counts } = this.#options;
    this.#errands++;
    try {
      const answer = await service.ask<Answer>(
        limitsEndpoints[what],
        { domain, ...subjectOf(id), ...members },
        { timeoutMs },
      );
      breaker.succeeded();
      return answer;
    } catch (error) {
      if (isAnswer(error)) breaker.succeeded();
      else {
        counts.failures++;
        breaker.failed(error);
      }
      return undefined;
    } finally {
      this.#errands--;
    }
  }
}

function outcomeOf({ remaining = 0, retryAfterMs, resetMs = 0, because }: LimitAnswer): Outcome {
  const retryAfterUs =
    retryAfterMs === null || retryAfterMs === undefined ? Number.POSITIVE_INFINITY : retryAfterMs * 1_000;
  return {
    isAllowed: false,
    remaining,
    retryAfterUs,
    resetUs: resetMs * 1_000,
    delayUs: 0,
    isBlocked: because === 'blocked',
  };
}

function deniedAnswer({ name, algorithm, limit, windowMs }: Facts, outcome: Outcome): CheckAnswer {
  const { retryAfterUs, remaining, isBlocked } = outcome;
  const retryAfterMs = Number.isFinite(retryAfterUs) ? Math.max(1, msOf(retryAfterUs)) : null;
  const told: LimitAnswer = { name, allowed: false, algorithm, limit, windowMs, remaining, retryAfterMs };
  told.resetMs = retryAfterMs ?? windowMs ?? 0;
  if (isBlocked) told.because = 'blocked';
  return { allowed: false, limits: [told], violated: [name], retryAfterMs };
}
