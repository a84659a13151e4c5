/** Gathers the rules of a document, and finds what is wrong between them: twice the same name, twice the same match. */
import { createHash } from 'node:crypto';
import { type RulePath, RuleTree, type Search, type Step } from '../core/rule-tree.ts';
import type { DocumentReader, Item } from './document-reader.ts';
import { entryWord, typicalValue } from './match-members.ts';
import type { DocumentDraft, PathDraft, RuleDraft } from './rule-draft.ts';

/** As in the contract: more of one domain is a mistake of a generator. */
const RULES_MAX = 100_000;
const PATHS_MAX = 200_000;
const NAME_LENGTH_MAX = 256;
const NAME = /^[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?$/;

interface Collected extends PathDraft, RulePath {
  readonly rule: undefined;
  readonly of: number | undefined;
  readonly item: Item;
}

export class DraftCollector {
  readonly #reader: DocumentReader;
  readonly #search: Search;
  readonly #rules: RuleDraft[] = [];
  readonly #paths: Collected[] = [];
  readonly #names = new Map<string, { item: Item; isGiven: boolean }>();

  constructor(reader: DocumentReader, search: Search) {
    this.#reader = reader;
    this.#search = search;
  }

  /** @param item - Where it is written, for faults between rules. */
  rule(rule: Omit<RuleDraft, 'line'>, paths: readonly (readonly Step[])[], item: Item): void {
    const of = this.#rules.push({ ...rule, line: this.#reader.lineOf(item) }) - 1;
    if (of === RULES_MAX) this.#reader.fault(item, `more than ${RULES_MAX} rules`);
    for (const steps of paths) this.#path(steps, of, item);
  }

  /** Descriptors that are limited by no rule, whatever others match them. */
  exempt(steps: readonly Step[], item: Item): void {
    this.#path(steps, undefined, item);
  }

  /** Takes a name. Rules that got the same one by their path have the same match, which is told anyway. */
  claimName(name: string, item: Item, { isGiven }: { isGiven: boolean }): void {
    const before = this.#names.get(name);
    if (before === undefined) this.#names.set(name, { item, isGiven });
    else if (isGiven || before.isGiven) {
      const line = this.#reader.lineOf(before.item);
      this.#reader.fault(item, `the name ${JSON.stringify(name)} is taken by the rule on line ${line}`);
    }
  }

  finish(domain: string): DocumentDraft {
    const paths = this.#checkedPaths();
    return { domain, rules: this.#rules, paths, search: this.#search, warnings: this.#reader.warnings };
  }

  #path(steps: readonly Step[], of: number | undefined, item: Item): void {
    this.#paths.push({ steps, rule: undefined, of, item, line: this.#reader.lineOf(item) });
    if (this.#paths.length === PATHS_MAX + 1)
      this.#reader.fault(item, `the rules stand for more than ${PATHS_MAX} paths`);
  }

  #checkedPaths(): PathDraft[] {
    const tree = new RuleTree(this.#paths.slice(0, PATHS_MAX), this.#search);
    const twice = new Set<RulePath>();
    for (const { first, second } of tree.duplicates as readonly { first: Collected; second: Collected }[]) {
      twice.add(second);
      this.#reader.fault(second.item, this.#duplicateWords(first, second));
    }
    for (const path of this.#paths.slice(0, PATHS_MAX)) if (!twice.has(path)) this.#assertReachable(tree, path);
    return this.#paths.map(({ steps, of, line }) => ({ steps, rule: of, line }));
  }

  #duplicateWords(first: Collected, second: Collected): string {
    if (first.item === second.item) return `${wordsOf(second.steps)} is written twice in this match`;
    const name = first.of === undefined ? '' : ` ${JSON.stringify(this.#rules[first.of]!.name)}`;
    return `the same match, ${wordsOf(second.steps)}, as the rule${name} on line ${first.line}`;
  }

  /** A descriptor that only stars can match stands for all of the path: where it goes elsewhere, all of them do. */
  #assertReachable(tree: RuleTree, path: Collected): void {
    if (path.steps.every(({ value }) => value.kind === 'exact')) return;
    const typical = path.steps.map(({ key, value }) => ({ key, value: typicalValue(value) }));
    const found = tree.find(typical) as Collected | undefined;
    if (found === path) return;
    const before =
      found === undefined
        ? 'an earlier wildcard takes all that it would'
        : `${wordsOf(found.steps)} on line ${found.line} comes first`;
    const message = `${wordsOf(path.steps)} can never match: ${before}`;
    // Their service takes such a file, so ours does.
    if (this.#search === 'greedy') this.#reader.warn(path.item, message);
    else this.#reader.fault(path.item, `${message}; write the narrower one before it`);
  }
}

const wordsOf = (steps: readonly Step[]): string => pathName(steps.map(({ key, value }) => entryWord(key, [value])));

/** The name of a rule that has none: `path=/login,user`. Long ones end in a hash, and stay different. */
export function pathName(words: readonly string[]): string {
  const name = words.join(',');
  if (name.length <= NAME_LENGTH_MAX) return name;
  return `${name.slice(0, 200)}~${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}

/** Names travel in headers and metrics. Undefined: it is fine. */
export function nameFlaw(name: string): string | undefined {
  if (name.startsWith('inline:')) return 'names that begin with inline: are taken by limits that requests bring along';
  return NAME.test(name)
    ? undefined
    : `${JSON.stringify(name)} is no name: 1–${NAME_LENGTH_MAX} visible ASCII characters, spaces within`;
}
