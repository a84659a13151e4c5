/**
 * The language of envoyproxy/ratelimit: a tree of descriptors. Its files load as they are and match as they do there;
 * what ours can do beyond that stands under the key `x` of a `rate_limit`.
 *
 * Its windows are fixed ones on the grid of the clock, counted from 1970: a week begins on Thursday, a month has 30
 * days and a year 365, whatever the calendar says.
 */
import { UNITS_MAX } from '@plinth/limiter';
import type { Step, ValuePattern } from '../core/rule-tree.ts';
import type { DocumentReader, Item, Members } from './document-reader.ts';
import { type DraftCollector, nameFlaw, pathName } from './draft-collector.ts';
import { LIMIT_MEMBERS, type LimitContext, limitSpec, PER_MS, snakeCase } from './limit-members.ts';
import { ENTRIES_MAX, entryWord, keyFlaw, valueFlaw } from './match-members.ts';
import type { RuleDraft } from './rule-draft.ts';
import { DEFAULTS, RULE_MEMBERS, ruleMembers } from './rule-members.ts';

export const ENVOY_MEMBERS = ['domain', 'descriptors'];
const FLAGS = ['shadow_mode', 'quota_mode', 'detailed_metric', 'value_to_metric', 'share_threshold'] as const;
const DESCRIPTOR_MEMBERS = ['key', 'value', 'rate_limit', 'descriptors', ...FLAGS, 'metadata'];
const LIMIT_MEMBERS_THERE = ['unit', 'requests_per_unit', 'unlimited', 'name', 'replaces', 'x'];
const X_MEMBERS = [...LIMIT_MEMBERS.filter((name) => name !== 'per'), ...RULE_MEMBERS].map(snakeCase);
/** All of them in one list is how that service checks its files; there, one in the wrong place is read over. */
const KNOWN_SOMEWHERE = [...ENVOY_MEMBERS, ...DESCRIPTOR_MEMBERS, ...LIMIT_MEMBERS_THERE];
const UNIT_MS: Readonly<Record<string, number>> = { ...PER_MS, month: 30 * PER_MS.day, year: 365 * PER_MS.day };
const UNITS = Object.keys(UNIT_MS);

/** A rule without the name it will have: names need not be unique there. */
interface Found {
  readonly draft: Omit<RuleDraft, 'line' | 'name'>;
  readonly steps: readonly Step[];
  readonly item: Item;
  readonly givenName: string | undefined;
}

/** Where in the tree: the steps above, and which of them tell states apart. */
interface Level {
  readonly steps: readonly Step[];
  readonly isKeyed: readonly boolean[];
}

export function readEnvoyRules(reader: DocumentReader, root: Members, collector: DraftCollector): void {
  const found: (Found | { steps: readonly Step[]; item: Item; draft: undefined })[] = [];
  const descriptors = root.get('descriptors');
  if (descriptors !== undefined) new EnvoyReader(reader, found).level(descriptors, { steps: [], isKeyed: [] });
  const names = namesOf(found.filter((each) => each.draft !== undefined));
  for (const each of found) {
    if (each.draft === undefined) collector.exempt(each.steps, each.item);
    else
      collector.rule(
        { ...each.draft, name: names.of(each), replaces: names.all(each.draft.replaces) },
        [each.steps],
        each.item,
      );
  }
}

/** A name that several rules have is told apart by the path behind it; `replaces` means all of them, as it does there. */
function namesOf(found: readonly Found[]) {
  const owners = Map.groupBy(found, ({ givenName }) => givenName);
  const pathOf = ({ steps }: Found) => pathName(steps.map(({ key, value }) => entryWord(key, [value])));
  // A given name may be what another rule's path is called.
  const of = (each: Found): string => {
    const { givenName } = each;
    if (givenName === undefined) return owners.has(pathOf(each)) ? pathName(['', pathOf(each)]) : pathOf(each);
    return owners.get(givenName)!.length === 1 ? givenName : pathName([`${givenName}@${pathOf(each)}`]);
  };
  return { of, all: (names: readonly string[]) => names.flatMap((name) => owners.get(name)?.map(of) ?? [name]) };
}

class EnvoyReader {
  readonly #reader: DocumentReader;
  readonly #found: (Found | { steps: readonly Step[]; item: Item; draft: undefined })[];

  constructor(reader: DocumentReader, found: (Found | { steps: readonly Step[]; item: Item; draft: undefined })[]) {
    this.#reader = reader;
    this.#found = found;
  }

  level(list: Item, above: Level): void {
    if (this.#reader.isEmpty(list)) return;
    const seen = new Map<string, Item>();
    for (const item of this.#reader.list(list)) this.#descriptor(item, above, seen);
  }

  #descriptor(item: Item, above: Level, seen: Map<string, Item>): void {
    const reader = this.#reader;
    if (!reader.isMapping(item)) return void reader.fault(item, 'a descriptor must be a mapping');
    const members = this.#members(item, DESCRIPTOR_MEMBERS);
    const step = this.#step(item, members);
    if (step === undefined) return;
    const flags = this.#flags(members);
    const isWildcard = step.value.kind === 'wildcard';
    if (flags.share_threshold && !isWildcard) {
      reader.fault(members.get('share_threshold')!, 'share_threshold is for values with a *');
    }
    const word = entryWord(step.key, [step.value]) + (step.value.kind === 'any' ? '' : '!');
    const twin = seen.get(word);
    if (twin !== undefined) return void reader.fault(item, `the same key and value as on line ${reader.lineOf(twin)}`);
    seen.set(word, item);
    const level: Level = {
      steps: [...above.steps, step],
      isKeyed: [...above.isKeyed, step.value.kind !== 'exact' && !flags.share_threshold],
    };
    if (level.steps.length > ENTRIES_MAX)
      return void reader.fault(item, `descriptors are nested deeper than ${ENTRIES_MAX}`);
    this.#endHere(item, members, { level, flags });
    const nested = members.get('descriptors');
    if (nested !== undefined) this.level(nested, level);
  }

  /** A descriptor with neither a limit nor others below it keeps wider ones from matching: it is exempt. */
  #endHere(item: Item, members: Members, { level, flags }: { level: Level; flags: Flags }): void {
    const limit = members.get('rate_limit');
    if (limit !== undefined && !this.#reader.isEmpty(limit)) {
      const found = this.#rateLimit(limit, { level, flags, item });
      if (found !== undefined) this.#found.push(found);
      return;
    }
    const nested = members.get('descriptors');
    const isLeaf = nested === undefined || this.#reader.isEmpty(nested) || this.#reader.list(nested).length === 0;
    if (isLeaf) this.#found.push({ steps: level.steps, item, draft: undefined });
  }

  #rateLimit(item: Item, { level, flags, item: owner }: { level: Level; flags: Flags; item: Item }): Found | undefined {
    const reader = this.#reader;
    const faultsBefore = reader.faults.length;
    const members = this.#members(item, LIMIT_MEMBERS_THERE);
    const xItem = members.get('x');
    const x: Members = xItem === undefined ? new Map() : reader.members(xItem, X_MEMBERS);
    const limit = this.#limit(item, members, x);
    const spec = limit && limitSpec(limit);
    const last = { steps: [level.steps.at(-1)!], isShared: flags.share_threshold === true };
    const rest = ruleMembers({
      reader,
      members: x,
      naming: snakeCase,
      defaults: DEFAULTS,
      spec,
      limit,
      isUnlimited: this.#isUnlimited(members),
      last,
    });
    const givenName = this.#name(members.get('name'));
    const replaces = this.#replaces(members.get('replaces'), givenName);
    if (reader.faults.length > faultsBefore) return undefined;
    const modes = { shadow: flags.shadow_mode === true, quotaMode: flags.quota_mode === true };
    return {
      draft: { spec, isKeyed: level.isKeyed, ...modes, ...rest, replaces },
      steps: level.steps,
      item: owner,
      givenName,
    };
  }

  /** Undefined when unlimited, and when it is no limit, which is told. */
  #limit(owner: Item, members: Members, x: Members): LimitContext | undefined {
    const reader = this.#reader;
    const unit = members.get('unit');
    if (this.#isUnlimited(members)) {
      if (unit !== undefined) reader.fault(unit, 'unit means nothing to an unlimited descriptor');
      const limits = LIMIT_MEMBERS.map(snakeCase).map((name) => x.get(name));
      for (const item of limits)
        if (item !== undefined) reader.fault(item, 'an unlimited descriptor has no time and no algorithm');
      return undefined;
    }
    const item = members.get('requests_per_unit');
    if (item === undefined) return reader.fault(owner, 'requests_per_unit is missing; 0 denies everything');
    const units = reader.whole(item, { least: 0, most: UNITS_MAX, or: '; for no limit write unlimited: true' });
    const windowMs = this.#unitMs(owner, unit, x);
    if (units === undefined) return undefined;
    return { reader, owner, members: x, naming: snakeCase, limit: { item, units }, algorithm: 'fixed', windowMs };
  }

  #isUnlimited(members: Members): boolean {
    const item = members.get('unlimited');
    return item !== undefined && !this.#reader.isEmpty(item) && this.#reader.flag(item) === true;
  }

  #unitMs(owner: Item, unit: Item | undefined, x: Members): number | undefined {
    const reader = this.#reader;
    const other = ['window', 'period'].find((name) => x.has(name));
    const isTimeless = ['concurrency', 'adaptive'].some(
      (name) => x.has('algorithm') && reader.text(x.get('algorithm')!) === name,
    );
    if (unit === undefined) {
      if (other !== undefined || isTimeless) return undefined;
      reader.fault(owner, `unit is missing; it is one of ${UNITS.join(', ')}`);
      return 1_000;
    }
    if (other !== undefined) reader.fault(unit, `unit and x.${other} together; one of them is enough`);
    if (isTimeless) reader.fault(unit, 'unit means nothing to places that are held');
    const text = reader.text(unit);
    const ms = text === undefined ? undefined : UNIT_MS[text.toLowerCase()];
    if (text !== undefined && ms === undefined) reader.fault(unit, `unit is ${text}; it is one of ${UNITS.join(', ')}`);
    return ms ?? 1_000;
  }

  #step(item: Item, members: Members): Step | undefined {
    const reader = this.#reader;
    const keyItem = members.get('key');
    if (keyItem === undefined || reader.isEmpty(keyItem))
      return reader.fault(keyItem ?? item, 'a descriptor needs a key');
    const key = reader.text(keyItem);
    if (key === undefined) return undefined;
    const flaw = keyFlaw(key);
    if (flaw !== undefined) return reader.fault(keyItem, flaw);
    const valueItem = members.get('value');
    const value = valueItem === undefined || reader.isEmpty(valueItem) ? '' : reader.text(valueItem);
    if (value === undefined) return undefined;
    const valueFault = valueFlaw(value);
    return valueFault === undefined ? { key, value: patternThere(value) } : reader.fault(valueItem!, valueFault);
  }

  #flags(members: Members): Flags {
    const flags: Flags = {};
    for (const name of FLAGS) {
      const item = members.get(name);
      if (item !== undefined && !this.#reader.isEmpty(item)) flags[name] = this.#reader.flag(item) === true;
    }
    return flags;
  }

  #name(item: Item | undefined): string | undefined {
    const name = item === undefined || this.#reader.isEmpty(item) ? '' : this.#reader.text(item);
    if (name === undefined || name === '') return undefined;
    const flaw = nameFlaw(name);
    return flaw === undefined ? name : this.#reader.fault(item!, flaw);
  }

  #replaces(item: Item | undefined, ownName: string | undefined): string[] {
    const reader = this.#reader;
    if (item === undefined || reader.isEmpty(item)) return [];
    return reader.list(item).flatMap((each) => {
      const nameItem = this.#members(each, ['name']).get('name');
      const name = nameItem === undefined || reader.isEmpty(nameItem) ? '' : reader.text(nameItem);
      if (name === '') reader.fault(each, 'replaces has an entry without a name');
      else if (name === ownName) reader.fault(each, 'a rule cannot replace itself');
      else if (name !== undefined) return [name];
      return [];
    });
  }

  /** A member that is known elsewhere is read over there, and so it is here, aloud. */
  #members(item: Item, known: readonly string[]): Members {
    const members = this.#reader.members(item);
    const strange = [...members.keys()].filter((name) => !known.includes(name));
    if (strange.some((name) => !KNOWN_SOMEWHERE.includes(name)))
      return this.#reader.members(item, [...known, ...strange.filter((name) => KNOWN_SOMEWHERE.includes(name))]);
    for (const name of strange) this.#reader.warn(members.get(name)!, `${name} means nothing here and is read over`);
    return members;
  }
}

type Flags = Partial<Record<(typeof FLAGS)[number], boolean>>;

/** Here `*` is a wildcard like others, and comes before no value at all. */
function patternThere(text: string): ValuePattern {
  if (text === '') return { kind: 'any' };
  return text.includes('*') ? { kind: 'wildcard', pattern: text } : { kind: 'exact', value: text };
}
