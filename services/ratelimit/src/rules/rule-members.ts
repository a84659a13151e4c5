/** The members of a rule beside its limit, in both languages: lending, failures, blocks, exceptions for single values. */
import { isIP } from 'node:net';
import { type AlgorithmName, type Penalty, type PolicySpec, UNITS_MAX } from '@plinth/limiter';
import type { OnError } from '../core/rule.ts';
import type { Step, ValuePattern } from '../core/rule-tree.ts';
import { matchesWildcard } from '../core/wildcard-index.ts';
import type { DocumentReader, Item, Members } from './document-reader.ts';
import { type LimitContext, limitSpec, type Naming } from './limit-members.ts';
import type { RuleDraft } from './rule-draft.ts';
import { addressRangeOf, prefixMax } from './value-matcher.ts';

export const RULE_MEMBERS = ['onError', 'lease', 'leaseTtl', 'block', 'overrides', 'allow', 'deny'] as const;
const ON_ERRORS = ['open', 'closed', 'local'] as const;
/** Units lent for longer would be lost for longer when a holder dies; for less, a lease costs more than it saves. */
const LEASE_TTL_MS = { leastMs: 10, mostMs: 10_000 };
const BLOCK_MS = { leastMs: 1, mostMs: 366 * 86_400_000 };
const DENIALS_MAX = 1_000_000;
/** Where waiting or holding a place is the point, units lent elsewhere would not keep the promise. */
const NOT_LENT: readonly AlgorithmName[] = ['leaky', 'concurrency', 'adaptive'];

/** What rules have that say nothing of it. */
export interface RuleDefaults {
  readonly algorithm: AlgorithmName;
  readonly shadow: boolean;
  readonly onError: OnError;
  readonly leaseShare: number;
  readonly leaseMs: number;
}

export const DEFAULTS: RuleDefaults = {
  algorithm: 'gcra',
  shadow: false,
  onError: 'local',
  leaseShare: 0,
  leaseMs: 100,
};

export interface MembersContext {
  readonly reader: DocumentReader;
  readonly members: Members;
  readonly naming: Naming;
  readonly defaults: RuleDefaults;
  readonly spec: PolicySpec | undefined;
  /** Undefined for an unlimited rule, and for a limit at fault. */
  readonly limit: LimitContext | undefined;
  readonly isUnlimited: boolean;
  /** What the last entry may be, and whether all its values share a state. */
  readonly last: { readonly steps: readonly Step[]; readonly isShared: boolean };
}

type Exceptions = Pick<RuleDraft, 'overrides' | 'unlimitedValues' | 'allow' | 'deny'>;
type Conduct = Pick<RuleDraft, 'onError' | 'leaseShare' | 'leaseMs' | 'penalty'>;

/** The rest of a rule; what is at fault has its default, and the fault is told. */
export function ruleMembers(context: MembersContext): Exceptions & Conduct {
  const { reader, members, naming, spec, defaults, isUnlimited } = context;
  const get = (member: (typeof RULE_MEMBERS)[number]) => members.get(naming(member));
  if (isUnlimited) refuseOnUnlimited(context, get);
  const onError = get('onError');
  const block = get('block');
  return {
    ...exceptionsOf(context, get),
    ...leaseOf({ reader, naming, lease: get('lease'), ttl: get('leaseTtl'), defaults, algorithm: spec?.algorithm }),
    onError: (onError && reader.oneOf(onError, ON_ERRORS)) ?? defaults.onError,
    penalty: block && penaltyOf(reader, block, spec?.algorithm),
  };
}

function refuseOnUnlimited(
  { reader, naming }: MembersContext,
  get: (member: (typeof RULE_MEMBERS)[number]) => Item | undefined,
) {
  for (const member of ['lease', 'leaseTtl', 'block', 'overrides', 'allow'] as const) {
    const item = get(member);
    if (item !== undefined) reader.fault(item, `${naming(member)} means nothing to an unlimited rule`);
  }
}

interface LeaseMembers {
  readonly reader: DocumentReader;
  readonly naming: Naming;
  readonly lease: Item | undefined;
  readonly ttl: Item | undefined;
  readonly defaults: Pick<RuleDefaults, 'leaseShare' | 'leaseMs'>;
  readonly algorithm: AlgorithmName | undefined;
}

export function leaseOf(lease: LeaseMembers): { leaseShare: number; leaseMs: number } {
  const { reader, naming, ttl, defaults, algorithm } = lease;
  const isLent = algorithm === undefined || !NOT_LENT.includes(algorithm);
  const share = lease.lease === undefined ? undefined : leaseShareOf(reader, lease.lease);
  if (lease.lease !== undefined && share !== 0 && !isLent)
    reader.fault(lease.lease, `lease means nothing to ${algorithm}: its units are not lent`);
  const leaseShare = isLent ? (share ?? defaults.leaseShare) : 0;
  if (ttl === undefined) return { leaseShare, leaseMs: defaults.leaseMs };
  if (leaseShare === 0) reader.fault(ttl, `${naming('leaseTtl')} means nothing without a lease`);
  return { leaseShare, leaseMs: reader.durationMs(ttl, LEASE_TTL_MS) ?? defaults.leaseMs };
}

function leaseShareOf(reader: DocumentReader, item: Item): number | undefined {
  if (!reader.isMapping(item) && !reader.isList(item) && !reader.isEmpty(item)) {
    const text = reader.text(item);
    if (text === 'exact' || text === '0') return 0;
  }
  return reader.share(item, ', or exact');
}

function penaltyOf(reader: DocumentReader, item: Item, algorithm: AlgorithmName | undefined): Penalty | undefined {
  if (algorithm === 'concurrency' || algorithm === 'adaptive')
    return reader.fault(item, `block means nothing to ${algorithm}`);
  const members = reader.members(item, ['after', 'within', 'for']);
  const [after, within, blockFor] = ['after', 'within', 'for'].map((name) => {
    const member = members.get(name);
    if (member === undefined && reader.isMapping(item))
      reader.fault(item, `block needs ${name}: {after: 10, within: 1m, for: 15m}`);
    return member;
  });
  const denials = after && reader.whole(after, { least: 1, most: DENIALS_MAX });
  const withinMs = within && reader.durationMs(within, BLOCK_MS);
  const blockMs = blockFor && reader.durationMs(blockFor, BLOCK_MS);
  if (denials === undefined || withinMs === undefined || blockMs === undefined) return undefined;
  return { denials, withinMs, blockMs };
}

function exceptionsOf(
  context: MembersContext,
  get: (member: (typeof RULE_MEMBERS)[number]) => Item | undefined,
): Exceptions {
  const { reader } = context;
  const seen = new Map<string, Item>();
  /** One value, one word about it. */
  const claim = (value: string, item: Item): boolean => {
    const before = seen.get(value);
    if (before === undefined) return seen.set(value, item) !== undefined;
    const where = before.path.split('/').find((segment) => ['allow', 'deny', 'overrides'].includes(segment));
    reader.fault(item, `${JSON.stringify(value)} stands in ${where} as well, on line ${reader.lineOf(before)}`);
    return false;
  };
  const overrides = get('overrides');
  const allow = get('allow');
  const deny = get('deny');
  return {
    ...(overrides === undefined || context.limit === undefined
      ? { overrides: [], unlimitedValues: [] }
      : overridesOf(context, overrides, claim)),
    allow: allow === undefined ? [] : valuesOf(context, allow, claim, 'limit: unlimited'),
    deny: deny === undefined ? [] : valuesOf(context, deny, claim, 'limit: 0'),
  };
}

type Claim = (value: string, item: Item) => boolean;

function valuesOf(context: MembersContext, list: Item, claim: Claim, instead: string): string[] {
  const { reader } = context;
  const values: string[] = [];
  for (const item of reader.list(list)) {
    const value = reader.text(item);
    if (value === undefined) continue;
    if (/^\*+$/.test(value)) reader.fault(item, `${value} would be every value; write ${instead}`);
    else if (claim(value, item) && isPossible(context, item, value)) values.push(value);
  }
  return values;
}

/** Whether an entry of a list is well written, and can be a value at all. */
function isPossible({ reader, last }: MembersContext, item: Item, value: string): boolean {
  const range = addressRangeOf(value);
  if (range !== undefined) {
    const most = prefixMax(range.family);
    if (range.prefix <= most) return true;
    reader.fault(item, `${value} is no range of addresses: behind the slash stands a whole number from 0 to ${most}`);
    return false;
  }
  if (value.includes('*') || isIP(value) !== 0) return true;
  return isReachable(reader, item, value, last.steps);
}

function isReachable(reader: DocumentReader, item: Item, value: string, steps: readonly Step[]): boolean {
  if (steps.some((step) => isValueOf(step.value, value))) return true;
  const key = steps[0]!.key;
  reader.fault(item, `${JSON.stringify(value)} never comes here: it is no value of ${key} that the rule matches`);
  return false;
}

function isValueOf(pattern: ValuePattern, value: string): boolean {
  if (pattern.kind === 'any') return true;
  return pattern.kind === 'exact' ? pattern.value === value : matchesWildcard(pattern.pattern.split('*'), value);
}

function overridesOf(
  context: MembersContext,
  item: Item,
  claim: Claim,
): Pick<Exceptions, 'overrides' | 'unlimitedValues'> {
  const { reader, last } = context;
  const overrides: [string, PolicySpec][] = [];
  const unlimitedValues: string[] = [];
  if (last.isShared) {
    reader.fault(item, `overrides need a state for each value, but all values of ${last.steps[0]!.key} share one here`);
    return { overrides, unlimitedValues };
  }
  for (const [value, member] of reader.members(item)) {
    if (!claim(value, member) || !isReachable(reader, member, value, last.steps)) continue;
    if (isUnlimited(reader, member)) {
      unlimitedValues.push(value);
      continue;
    }
    const spec = overrideSpec(context, member);
    if (spec !== undefined) overrides.push([value, spec]);
  }
  return { overrides, unlimitedValues };
}

/** `unlimited`, also as `{limit: unlimited}`. */
function isUnlimited(reader: DocumentReader, item: Item): boolean {
  const limit = reader.isMapping(item) ? reader.members(item).get('limit') : item;
  return saysUnlimited(reader, limit);
}

/** The word in place of a limit. */
export function saysUnlimited(reader: DocumentReader, item: Item | undefined): boolean {
  if (item === undefined || reader.isMapping(item) || reader.isList(item) || reader.isEmpty(item)) return false;
  return reader.text(item) === 'unlimited';
}

/** What an override may say; the rest is the rule's. */
const OVERRIDE_MEMBERS = ['limit', 'window', 'per', 'burst', 'period', 'timeZone', 'limitMin'];
/** Members that say the same thing in other words: one of an override takes the place of the rule's. */
const SAME_THING = ['window', 'per', 'period'];

function overrideSpec(context: MembersContext, item: Item): PolicySpec | undefined {
  const { reader, naming, limit } = context;
  const known = OVERRIDE_MEMBERS.map(naming);
  const own = reader.isMapping(item) ? reader.members(item, known) : new Map([['limit', item]]);
  const limitItem = own.get('limit');
  const units =
    limitItem === undefined
      ? limit!.limit.units
      : reader.whole(limitItem, { least: 0, most: UNITS_MAX, or: ', or unlimited' });
  if (units === undefined) return undefined;
  if (own.size === 0)
    return reader.isMapping(item) ? reader.fault(item, 'an override without members changes nothing') : undefined;
  const isTimed = SAME_THING.some((member) => own.has(naming(member)));
  const inherited = [...limit!.members].filter(([name]) => !isTimed || !SAME_THING.map(naming).includes(name));
  return limitSpec({
    ...limit!,
    owner: item,
    members: new Map([...inherited, ...own]),
    limit: { item: limitItem ?? item, units },
  });
}
