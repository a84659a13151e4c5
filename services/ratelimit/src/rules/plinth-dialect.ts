/** Our own language: a flat list of rules, each with the descriptors it is for. README.md has it member by member. */
import { ALGORITHM_NAMES, UNITS_MAX } from '@plinth/limiter';
import type { DocumentReader, Item, Members } from './document-reader.ts';
import { type DraftCollector, nameFlaw, pathName } from './draft-collector.ts';
import { camelCase, LIMIT_MEMBERS, type LimitContext, limitSpec } from './limit-members.ts';
import { matchOf } from './match-members.ts';
import { DEFAULTS, leaseOf, RULE_MEMBERS, type RuleDefaults, ruleMembers, saysUnlimited } from './rule-members.ts';

export const PLINTH_MEMBERS = ['domain', 'defaults', 'rules'];
const DEFAULT_MEMBERS = ['algorithm', 'shadow', 'onError', 'lease', 'leaseTtl'];
const KNOWN = ['name', 'match', 'limit', ...LIMIT_MEMBERS, 'shadow', ...RULE_MEMBERS];
/** Those that need no window would need other members of every rule. */
const DEFAULT_ALGORITHMS = ALGORITHM_NAMES.filter((name) => !['calendar', 'adaptive'].includes(name));

export function readPlinthRules(reader: DocumentReader, root: Members, collector: DraftCollector): void {
  const written = root.get('defaults');
  const defaults = written === undefined ? DEFAULTS : defaultsOf(reader, written);
  for (const item of reader.list(root.get('rules')!)) readRule(reader, item, { collector, defaults });
}

function defaultsOf(reader: DocumentReader, item: Item): RuleDefaults {
  const members = reader.members(item, DEFAULT_MEMBERS);
  const [algorithm, shadow, onError, lease, ttl] = DEFAULT_MEMBERS.map((name) => members.get(name));
  return {
    algorithm: (algorithm && reader.oneOf(algorithm, DEFAULT_ALGORITHMS)) ?? DEFAULTS.algorithm,
    shadow: (shadow && reader.flag(shadow)) ?? DEFAULTS.shadow,
    onError: (onError && reader.oneOf(onError, ['open', 'closed', 'local'] as const)) ?? DEFAULTS.onError,
    ...leaseOf({ reader, naming: camelCase, lease, ttl, defaults: DEFAULTS, algorithm: undefined }),
  };
}

interface RuleContext {
  readonly collector: DraftCollector;
  readonly defaults: RuleDefaults;
}

function readRule(reader: DocumentReader, item: Item, { collector, defaults }: RuleContext): void {
  const members = reader.members(item, KNOWN);
  if (!reader.isMapping(item)) return;
  const matchItem = members.get('match');
  if (matchItem === undefined) reader.fault(item, 'a rule needs a match: {path: /login, user: "*"}');
  const match = matchItem && matchOf(reader, matchItem);
  const limit = limitContext(reader, item, members, defaults);
  const spec = limit === undefined ? undefined : limitSpec(limit);
  const last = match?.last ?? { steps: [{ key: 'value', value: { kind: 'any' } as const }], isShared: false };
  const isUnlimited = saysUnlimited(reader, members.get('limit'));
  const rest = ruleMembers({ reader, members, naming: camelCase, defaults, spec, limit, isUnlimited, last });
  const shadow = members.get('shadow');
  const isShadow = (shadow && reader.flag(shadow)) ?? defaults.shadow;
  const nameItem = members.get('name');
  const name = nameItem === undefined ? pathName(match?.words ?? []) : givenName(reader, nameItem);
  if (match === undefined || name === undefined) return;
  collector.claimName(name, nameItem ?? item, { isGiven: nameItem !== undefined });
  // Also with faults, for those between rules: the document is refused anyway.
  collector.rule(
    { name, spec, isKeyed: match.isKeyed, shadow: isShadow, ...rest, replaces: [], quotaMode: false },
    match.paths,
    item,
  );
}

/** Undefined for an unlimited rule, and when the limit is none, which is told. */
function limitContext(
  reader: DocumentReader,
  owner: Item,
  members: Members,
  defaults: RuleDefaults,
): LimitContext | undefined {
  const item = members.get('limit');
  if (item === undefined) {
    reader.fault(owner, 'a rule needs a limit: a whole number, or unlimited');
    return undefined;
  }
  if (saysUnlimited(reader, item)) {
    for (const name of LIMIT_MEMBERS) {
      const member = members.get(name);
      if (member !== undefined) reader.fault(member, `${name} means nothing to an unlimited rule`);
    }
    return undefined;
  }
  const units = reader.whole(item, { least: 0, most: UNITS_MAX, or: ', or unlimited' });
  if (units === undefined) return undefined;
  return { reader, owner, members, naming: camelCase, limit: { item, units }, algorithm: defaults.algorithm };
}

function givenName(reader: DocumentReader, item: Item): string | undefined {
  const name = reader.text(item);
  if (name === undefined) return undefined;
  const flaw = nameFlaw(name);
  return flaw === undefined ? name : reader.fault(item, flaw);
}
