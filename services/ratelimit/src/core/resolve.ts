/**
 * From what a request says of itself to what it would be charged. Everything that needs no state is settled here:
 * lists, unlimited rules, subjects that no rule knows. What is left are charges for the backend.
 */
import { type Charge, type Mode, type Policy, stateKey } from '@plinth/limiter';
import { Problem } from '@plinth/problem';
import type { Ask } from '../store/backend.ts';
import type { Match, Rule } from './rule.ts';
import type { RuleBook } from './rule-book.ts';
import type { Check, Limit, Subject } from './verdict.ts';

/** A subject that a limit holds for. */
export interface Resolved {
  readonly rule: Rule | undefined;
  readonly name: string;
  readonly policy: Policy | undefined;
  readonly key: string;
  /** Undefined: settled without a state, see `settled`. */
  readonly charge: Charge | undefined;
  readonly settled: Limit | undefined;
}

/** A check made ready: what is asked of the backend, and what its answers will belong to. */
export interface ResolvedCheck extends Ask {
  readonly check: Check;
  /** One place per subject of the check, undefined where no rule matched. */
  readonly subjects: readonly (Resolved | undefined)[];
  /** Of the subjects that have one. */
  readonly charges: readonly Charge[];
  /** As the check has it, but a request that a list denies takes nothing from the limits it meets besides. */
  readonly mode: Mode;
  /** Places to take, which only `acquire` does: a check passes them by. */
  readonly holds: readonly Resolved[];
  /** Has rules in Envoy's quota mode, which deny only when all of them are over; and whether they are, once it is known. */
  readonly quota: 'unknown' | 'over' | 'within' | undefined;
  /** By which the recorder chooses keys; known beforehand for keys that come often. */
  readonly keyHash: number | undefined;
}

export interface ResolveOptions {
  /** No rule denies; what would have been denied is counted and told. */
  shadowAll: boolean;
}

const NO_HOLDS: readonly Resolved[] = [];

/** @throws Problem `limit_not_found`, `invalid_request` for a limit that means nothing. */
export function resolve(book: RuleBook, check: Check, options: ResolveOptions): ResolvedCheck {
  const subjects: (Resolved | undefined)[] = [];
  const charges: Charge[] = [];
  let holds = NO_HOLDS;
  let quota: ResolvedCheck['quota'];
  let mode = check.mode;
  for (let at = 0; at < check.subjects.length; at++) {
    const resolved = resolveSubject(book, check, check.subjects[at]!, options);
    const charge = resolved?.charge;
    const isHold = charge !== undefined && charge.policy.algorithm === undefined;
    subjects.push(isHold ? undefined : resolved);
    if (isHold) holds = [...holds, resolved!];
    else if (charge !== undefined) {
      charges.push(charge);
      if (isQuota(resolved!)) quota = 'unknown';
    } else if (resolved !== undefined && isDeniedByList(resolved) && mode === 'take') mode = 'look';
  }
  if (subjects.length > 1) dropReplaced(subjects, charges);
  return { check, subjects, charges, mode, holds, quota, keyHash: undefined };
}

const isDeniedByList = ({ settled }: Resolved): boolean => settled?.because === 'deny-list' && !settled.isShadow;

/** In quota mode, and meant. */
export const isQuota = ({ rule, charge }: Resolved): boolean =>
  rule?.quotaMode === true && charge !== undefined && charge.isShadow !== true;

/** The same check, now that it is known whether all its quotas are over: by themselves they deny nothing. */
export function withQuota(one: ResolvedCheck, isOver: boolean): ResolvedCheck {
  const quotas = new Set(
    one.subjects.filter((subject) => subject !== undefined && isQuota(subject)).map((subject) => subject!.charge),
  );
  const charges = one.charges.map((charge) => (quotas.has(charge) ? { ...charge, isShadow: true } : charge));
  const mode = isOver && one.mode === 'take' ? 'look' : one.mode;
  return { ...one, charges, mode, quota: isOver ? 'over' : 'within' };
}

function resolveSubject(book: RuleBook, check: Check, subject: Subject, options: ResolveOptions): Resolved | undefined {
  if (subject.policy !== undefined) return inline(check, subject, subject.policy, options);
  const match = matchOf(book, check.domain, subject);
  return match === undefined ? undefined : byRule(match, subject.cost ?? check.cost, options);
}

function matchOf(book: RuleBook, domain: string, { entries, ruleName }: Subject): Match | undefined {
  if (ruleName === undefined) return book.match(domain, entries);
  const rule = book.named(domain, ruleName);
  if (rule === undefined)
    throw new Problem('limit_not_found', `domain ${domain} has no limit ${JSON.stringify(ruleName)}`);
  const values = entries.map(({ value }) => value);
  return { rule, key: stateKey([domain, rule.name, ...values]), subject: values.at(-1) ?? '' };
}

/** What tells the states of limits apart that requests bring: the limit itself. Written once for each. */
const TEXTS = new WeakMap<Policy, string>();

function textOf(policy: Policy): string {
  let text = TEXTS.get(policy);
  if (text === undefined) {
    text = `inline:${JSON.stringify(policy.spec)}`;
    TEXTS.set(policy, text);
  }
  return text;
}

function inline(check: Check, { entries, cost }: Subject, policy: Policy, { shadowAll }: ResolveOptions): Resolved {
  const parts = [check.domain, textOf(policy)];
  for (const { key, value } of entries) parts.push(key, value);
  const key = stateKey(parts);
  const charge = { key, policy, cost: cost ?? check.cost, isShadow: shadowAll };
  return { rule: undefined, name: 'inline', policy, key, charge, settled: undefined };
}

function byRule({ rule, key, subject }: Match, cost: number, { shadowAll }: ResolveOptions): Resolved {
  const isShadow = rule.shadow || shadowAll;
  const override = rule.overrides.get(subject);
  const policy = override ?? rule.policy;
  const known = { rule, name: rule.name, policy, key };
  if (rule.denies(subject)) return { ...known, charge: undefined, settled: listed(known, isShadow, 'deny-list') };
  if (rule.allows(subject)) return { ...known, charge: undefined, settled: listed(known, isShadow, 'allow-list') };
  if (policy === undefined) return { ...known, charge: undefined, settled: unlimited(known, isShadow) };
  return { ...known, charge: { key, policy, cost, isShadow, penalty: rule.penalty }, settled: undefined };
}

type Known = Pick<Resolved, 'rule' | 'name' | 'policy' | 'key'>;

function listed(known: Known, isShadow: boolean, because: 'allow-list' | 'deny-list'): Limit {
  const isAllowed = because === 'allow-list';
  const never = Number.POSITIVE_INFINITY;
  return {
    ...known,
    isAllowed,
    remaining: isAllowed ? never : 0,
    retryAfterUs: isAllowed ? 0 : never,
    resetUs: 0,
    delayUs: 0,
    isShadow,
    because,
  };
}

function unlimited(known: Known, isShadow: boolean): Limit {
  const remaining = Number.POSITIVE_INFINITY;
  return {
    ...known,
    isAllowed: true,
    remaining,
    retryAfterUs: 0,
    resetUs: 0,
    delayUs: 0,
    isShadow,
    because: undefined,
  };
}

/** Envoy's `replaces`: a rule takes the place of others that the same request meets. */
function dropReplaced(subjects: (Resolved | undefined)[], charges: Charge[]): void {
  const replaced = new Set(subjects.flatMap((subject) => subject?.rule?.replaces ?? []));
  if (replaced.size === 0) return;
  for (const [at, subject] of subjects.entries()) {
    if (subject?.rule === undefined || !replaced.has(subject.name)) continue;
    subjects[at] = undefined;
    const charge = charges.indexOf(subject.charge!);
    if (charge >= 0) charges.splice(charge, 1);
  }
}
