/**
 * Decisions in this process: all of them when there is no service, and a share of the limits while it is away.
 *
 * For the latter it remembers which limits the service named for checks of the same form: domain, and name of the limit
 * or keys of the descriptors. A rule that only matches certain values is remembered for all of them; that is as near as
 * one can get without the rules.
 */
import type { CheckAnswer, CheckRequest, LimitAnswer } from '@plinth/contracts/ratelimit';
import {
  type Charge,
  type Decision,
  Ledger,
  LedgerFull,
  type LimiterClock,
  type Mode,
  type Outcome,
  type Policy,
  type PolicySpec,
  policyOf,
  stateKey,
} from '@plinth/limiter';

export interface LocalDeciderOptions {
  clock: LimiterClock;
  /** Holds for every check that does not say its own limit. */
  spec?: PolicySpec | undefined;
  /** Processes that share each limit: this one decides over its part. */
  replicas: number;
  /** Most keys remembered at once. */
  statesMax?: number | undefined;
}

interface NamedPolicy {
  readonly name: string;
  readonly policy: Policy;
}

interface Learned {
  readonly policies: readonly NamedPolicy[];
  /** What they were made of, to see that they have changed. */
  readonly told: string;
}

/** Forms of checks in one program: names of limits, and ways to describe a request. */
const FORMS_MAX = 1_000;
/** The name of a limit that a check says itself. */
const INLINE = 'limit';

export class LocalDecider {
  readonly #ledger: Ledger;
  readonly #replicas: number;
  readonly #fixed: Policy | undefined;
  readonly #learned = new Map<string, Learned>();
  /** What was made ready is forgotten with the object that says the limit. */
  readonly #inline = new WeakMap<object, Policy>();

  /** @throws RangeError for a `spec` that is no limit, or one of places. */
  constructor({ clock, spec, replicas, statesMax }: LocalDeciderOptions) {
    this.#ledger = new Ledger({ clock, statesMax });
    this.#replicas = replicas;
    this.#fixed = spec === undefined ? undefined : ratePolicy(spec, replicas);
  }

  /** Remembers the limits that the service named. */
  learn(check: CheckRequest, { limits, degraded }: CheckAnswer): void {
    if (this.#fixed !== undefined || degraded !== undefined || typeof check.limit === 'object') return;
    const form = formOf(check);
    const told = limits.map(({ name, limit, windowMs }) => `${name}=${limit}/${windowMs}`).join();
    const known = this.#learned.get(form);
    if (known === undefined ? this.#learned.size >= FORMS_MAX : known.told === told) return;
    this.#learned.set(form, { told, policies: limits.flatMap((limit) => namedPolicyOf(limit, this.#replicas)) });
  }

  /** Undefined when it knows no limit for such a check, or cannot remember one more key. */
  decide(check: CheckRequest, mode: Mode = 'take'): CheckAnswer | undefined {
    const policies = this.#policiesFor(check);
    if (policies === undefined) return undefined;
    try {
      return answerOf(this.#ledger.decide(chargesOf(check, policies), mode), policies);
    } catch (error) {
      if (error instanceof LedgerFull) return undefined;
      throw error;
    }
  }

  give(check: CheckRequest): void {
    this.#ledger.give(this.#charges(check));
  }

  reset(check: CheckRequest): void {
    this.#ledger.reset(this.#charges(check));
  }

  block(check: CheckRequest, forMs: number): void {
    this.#ledger.block(this.#charges(check), forMs);
  }

  /** Frees what is as good as new. Call it about once a second; its work is bounded. */
  sweep(): void {
    this.#ledger.sweep();
  }

  #charges(check: CheckRequest): Charge[] {
    return chargesOf(check, this.#policiesFor(check) ?? []);
  }

  #policiesFor(check: CheckRequest): readonly NamedPolicy[] | undefined {
    if (typeof check.limit === 'object') return [{ name: INLINE, policy: this.#inlinePolicy(check.limit) }];
    if (this.#fixed !== undefined) return [{ name: check.limit ?? INLINE, policy: this.#fixed }];
    const policies = this.#learned.get(formOf(check))?.policies;
    return policies?.length === 0 ? undefined : policies;
  }

  #inlinePolicy(spec: PolicySpec): Policy {
    const known = this.#inline.get(spec);
    if (known !== undefined) return known;
    const policy = ratePolicy(spec, this.#replicas);
    this.#inline.set(spec, policy);
    return policy;
  }
}

function namedPolicyOf(limit: LimitAnswer, replicas: number): NamedPolicy[] {
  const policy = limit.shadow === true ? undefined : policyOfAnswer(limit, replicas);
  return policy === undefined ? [] : [{ name: limit.name, policy }];
}

/** The limit that an answer tells of; undefined for one without a number, or of places. */
export function policyOfAnswer({ limit, windowMs, algorithm }: LimitAnswer, replicas = 1): Policy | undefined {
  if (limit === undefined || windowMs === undefined) return undefined;
  if (algorithm === 'concurrency' || algorithm === 'adaptive') return undefined;
  // The period of a quota is not told, its length is.
  const known = algorithm === 'calendar' ? 'fixed' : (algorithm as PolicySpec['algorithm']);
  return ratePolicy({ algorithm: known, limit, windowMs: Math.max(1, Math.round(windowMs)) }, replicas);
}

/** The part of a limit that one of so many has. @throws RangeError */
function ratePolicy(spec: PolicySpec, replicas: number): Policy {
  const policy = policyOf(spec);
  if (policy.algorithm === undefined) throw new RangeError(`${policy.name} counts places and cannot be decided here`);
  if (replicas === 1) return policy;
  const burst = spec.burst === undefined ? undefined : shareOf(spec.burst, replicas);
  return policyOf({ ...spec, limit: shareOf(spec.limit, replicas), burst });
}

/** At least one unit: a process that may do nothing would make an outage of the limiter one of its own. */
function shareOf(units: number, replicas: number): number {
  return units === 0 ? 0 : Math.max(1, Math.floor(units / replicas));
}

function chargesOf(check: CheckRequest, policies: readonly NamedPolicy[]): Charge[] {
  const cost = check.cost ?? 1;
  const values = valuesOf(check);
  return policies.map(({ name, policy }) => ({ key: stateKey([check.domain ?? '', name, ...values]), policy, cost }));
}

function valuesOf({ key, descriptors = [] }: CheckRequest): readonly string[] {
  if (typeof key === 'string') return [key];
  if (key !== undefined) return key;
  return descriptors.flatMap((descriptor) => entriesOf(descriptor).flat());
}

function formOf({ domain = '', limit, descriptors = [] }: CheckRequest): string {
  if (typeof limit === 'string') return stateKey([domain, limit]);
  return stateKey([
    domain,
    '',
    ...descriptors.map((descriptor) => stateKey(entriesOf(descriptor).map(([key]) => key))),
  ]);
}

type Descriptor = NonNullable<CheckRequest['descriptors']>[number];

/** Either form of a descriptor as pairs. */
function entriesOf(descriptor: Descriptor): [string, string][] {
  const { entries } = descriptor;
  if (Array.isArray(entries)) return entries.map(({ key, value }) => [key, value]);
  return Object.entries(descriptor as Record<string, string>);
}

function answerOf(decision: Decision, policies: readonly NamedPolicy[]): CheckAnswer {
  const limits = decision.outcomes.map((outcome, at) => limitOf(outcome, policies[at]!));
  if (decision.isAllowed) return withDelay({ allowed: true, limits }, decision);
  const denied = limits.filter(({ allowed }) => !allowed);
  const retryAfterMs = denied.some((limit) => limit.retryAfterMs === null)
    ? null
    : Math.max(...denied.map((limit) => limit.retryAfterMs ?? 0));
  return { allowed: false, limits, violated: denied.map(({ name }) => name), retryAfterMs };
}

function withDelay(answer: CheckAnswer, { outcomes }: Decision): CheckAnswer {
  const delayUs = Math.max(...outcomes.map((outcome) => outcome.delayUs));
  return delayUs > 0 ? { ...answer, delayMs: msOf(delayUs) } : answer;
}

function limitOf(outcome: Outcome, { name, policy }: NamedPolicy): LimitAnswer {
  const { isAllowed, remaining, resetUs, retryAfterUs, isBlocked } = outcome;
  const limit: LimitAnswer = {
    name,
    allowed: isAllowed,
    algorithm: policy.name,
    limit: policy.limit,
    windowMs: policy.windowUs / 1_000,
    remaining,
    resetMs: msOf(resetUs),
  };
  if (!isAllowed) limit.retryAfterMs = Number.isFinite(retryAfterUs) ? msOf(retryAfterUs) : null;
  if (isBlocked) limit.because = 'blocked';
  return limit;
}

/** Rounded up, so that who waits so long is not early; but for what double precision adds to a whole number. */
export const msOf = (us: number): number => Math.ceil(us / 1_000 - ROUNDING_MS);
const ROUNDING_MS = 1e-4;
