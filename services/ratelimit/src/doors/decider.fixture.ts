/** A decider for tests of the doors: rules in a list, states in a real ledger. The engine has its own tests. */
import { type Charge, Ledger, type Outcome, type Policy, policyOf, processClock, stateKey } from '@plinth/limiter';
import type { Entry, Rule } from '../core/rule.ts';
import type { Check, Limit, Subject, Verdict } from '../core/verdict.ts';
import type { CheckOptions, Decider } from './decider.ts';

/** A rule for entries with these keys, in this order. */
export interface TestRule extends Partial<Omit<Rule, 'policy'>> {
  readonly keys: readonly string[];
  /** Undefined: unlimited. */
  readonly policy?: Policy;
}

export interface TestDecider extends Decider {
  /** Each call of `check`, as it came. */
  readonly asked: { checks: readonly Check[]; options: CheckOptions | undefined }[];
  rules: TestRule[];
  /** Answers late, as a backend across the network does. */
  delayMs: number | undefined;
  degraded: Verdict['degraded'];
  fault: Error | undefined;
}

export const perMinute = (limit: number) => policyOf({ limit, windowMs: 60_000 });

/** A clock can be given, so that nothing comes back while a test counts. */
export function testDecider(rules: TestRule[], nowUs: () => number = processClock().nowUs): TestDecider {
  const ledger = new Ledger({ clock: { nowUs, wallUs: nowUs } });
  const decider: TestDecider = {
    asked: [],
    rules,
    delayMs: undefined,
    degraded: undefined,
    fault: undefined,
    check(checks, options) {
      decider.asked.push({ checks, options });
      if (decider.fault !== undefined) throw decider.fault;
      const verdicts = checks.map((check) => decided(ledger, decider, check));
      const { delayMs } = decider;
      if (delayMs === undefined) return verdicts;
      return new Promise((resolve) => setTimeout(() => resolve(verdicts), delayMs));
    },
  };
  return decider;
}

function decided(ledger: Ledger, decider: TestDecider, check: Check): Verdict {
  const found = check.subjects.map((subject) => resolve(decider.rules, check, subject));
  const charges = found.flatMap((one) => (one?.charge === undefined ? [] : [one.charge]));
  const { isAllowed, outcomes } = ledger.decide(charges, check.mode);
  let next = 0;
  const limits = found.map((one) => one && limitOf(one, one.charge && outcomes[next++]));
  const denied = limits.filter((limit) => limit !== undefined && !limit.isAllowed && !limit.isShadow);
  const retryAfterUs = isAllowed ? 0 : Math.max(...denied.map((limit) => limit!.retryAfterUs));
  return { isAllowed, limits, degraded: decider.degraded, retryAfterUs, delayUs: 0 };
}

const TEXTS = new WeakMap<Policy, string>();

function textOf(policy: Policy): string {
  const text = TEXTS.get(policy) ?? `inline:${JSON.stringify(policy.spec)}`;
  TEXTS.set(policy, text);
  return text;
}

interface Found {
  rule: Rule | undefined;
  name: string;
  policy: Policy | undefined;
  key: string;
  charge: Charge | undefined;
}

function resolve(rules: readonly TestRule[], check: Check, subject: Subject): Found | undefined {
  const { entries, cost = check.cost } = subject;
  const found = subject.policy === undefined ? rules.find((rule) => meets(rule, entries)) : undefined;
  if (subject.policy === undefined && found === undefined) return undefined;
  const name = found?.name ?? found?.keys.join('/') ?? 'inline';
  const policy = subject.policy ?? found?.policy;
  const text = subject.policy === undefined ? name : textOf(subject.policy);
  const key = stateKey([check.domain, text, ...entries.map(({ value }) => value)]);
  const charge = policy?.algorithm && { key, policy, cost, isShadow: found?.shadow };
  return { rule: found as Rule | undefined, name, policy, key, charge };
}

function meets({ keys }: TestRule, entries: readonly Entry[]): boolean {
  return keys.length === entries.length && keys.every((key, at) => entries[at]!.key === key);
}

function limitOf({ rule, name, policy, key }: Found, outcome: Outcome | undefined): Limit {
  const unlimited = { isAllowed: true, remaining: Number.POSITIVE_INFINITY, retryAfterUs: 0, resetUs: 0, delayUs: 0 };
  const { isAllowed, remaining, retryAfterUs, resetUs, delayUs } = outcome ?? unlimited;
  const isShadow = rule?.shadow === true;
  return {
    rule,
    name,
    policy,
    key,
    isAllowed,
    remaining,
    retryAfterUs,
    resetUs,
    delayUs,
    isShadow,
    because: undefined,
  };
}
