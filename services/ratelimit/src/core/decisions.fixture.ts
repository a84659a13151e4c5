/** Checks and verdicts for tests of what watches them. */
import { policyOf } from '@plinth/limiter';
import type { Rule } from './rule.ts';
import type { Check, Limit, Verdict } from './verdict.ts';

export const PER_MINUTE = policyOf({ limit: 10, windowMs: 60_000 });

export function ruleOf(name: string, told: Partial<Rule> = {}): Rule {
  return {
    domain: 'api',
    name,
    policy: PER_MINUTE,
    isKeyed: [true],
    shadow: false,
    onError: 'open',
    leaseShare: 0,
    leaseMs: 100,
    penalty: undefined,
    overrides: new Map(),
    allows: () => false,
    denies: () => false,
    replaces: [],
    quotaMode: false,
    source: 'test.yaml:1',
    ...told,
  };
}

/** One subject a value: `{user: value}`. */
export function checkOf(values: readonly string[], told: Partial<Check> = {}): Check {
  const subjects = values.map((value) => ({ entries: [{ key: 'user', value }] }));
  return { domain: 'api', subjects, cost: 1, mode: 'take', ...told };
}

export function limitOf(rule: Rule, value: string, told: Partial<Limit> = {}): Limit {
  const { name, policy } = rule;
  const key = `${rule.domain}/${name}/${value}`;
  const units = { isAllowed: true, remaining: 9, retryAfterUs: 0, resetUs: 6_000_000, delayUs: 0 };
  return { rule, name, policy, key, ...units, isShadow: rule.shadow, because: undefined, ...told };
}

export function verdictOf(limits: readonly (Limit | undefined)[], told: Partial<Verdict> = {}): Verdict {
  const isAllowed = limits.every((limit) => limit === undefined || limit.isShadow || limit.isAllowed);
  return { isAllowed, limits, degraded: undefined, retryAfterUs: 0, delayUs: 0, ...told };
}
