/** All rules in force: a tree per domain, and how several sources of rules become one book. */
import { stateKey } from '@plinth/limiter';
import type { Descriptor, Match, Rule } from './rule.ts';
import { type RulePath, RuleTree, type Search, type Trial } from './rule-tree.ts';

/** The rules of one domain, as they were written in one place. Immutable. */
export interface RuleDocument {
  readonly domain: string;
  /** In the order they are written in; names are unique. */
  readonly rules: readonly Rule[];
  /** Which descriptors they are for, and which are exempt, in the same order. */
  readonly paths: readonly RulePath[];
  readonly search: Search;
  /** As it was written. */
  readonly text: string;
  /** Where: `limits/api.yaml`, `kv:api`. */
  readonly source: string;
  /** What is read over: no fault, but it does not do what it seems to. */
  readonly warnings: readonly Warning[];
}

export interface Warning {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Why a descriptor is or is not limited. */
export interface Explanation {
  /** The branches that were taken, one for each entry that was matched. */
  readonly path: readonly string[];
  readonly tried: readonly Trial[];
  readonly match: Match | undefined;
}

/** The rules in force at one moment. Immutable: a change makes a new book. */
export class RuleBook {
  readonly #trees = new Map<string, { document: RuleDocument; tree: RuleTree; byName: Map<string, Rule> }>();

  /**
   * @param documents - Of one domain the last one counts.
   * @param previous - Trees of documents that are in it as well are taken from it, not made again.
   */
  constructor(documents: readonly RuleDocument[], previous?: RuleBook) {
    for (const document of documents) {
      const known = previous === undefined ? undefined : previous.#trees.get(document.domain);
      this.#trees.set(document.domain, known?.document === document ? known : grown(document));
    }
  }

  /** The rule that a descriptor belongs to, with its state. Undefined: it is not limited. */
  match(domain: string, descriptor: Descriptor): Match | undefined {
    const rule = this.#trees.get(domain)?.tree.find(descriptor)?.rule;
    return rule === undefined ? undefined : matchOf(rule, descriptor);
  }

  named(domain: string, name: string): Rule | undefined {
    return this.#trees.get(domain)?.byName.get(name);
  }

  /** In the order they are written in; empty for a domain that is not there. */
  rulesOf(domain: string): readonly Rule[] {
    return this.#trees.get(domain)?.document.rules ?? [];
  }

  documentOf(domain: string): RuleDocument | undefined {
    return this.#trees.get(domain)?.document;
  }

  domains(): string[] {
    return [...this.#trees.keys()];
  }

  /** Which branches were tried for a descriptor, and why they were not taken. */
  explain(domain: string, descriptor: Descriptor): Explanation {
    const tried = this.#trees.get(domain)?.tree.explain(descriptor) ?? [];
    const match = this.match(domain, descriptor);
    const taken = tried.filter(({ outcome }) => TAKEN.includes(outcome));
    return { path: taken.map(({ branch }) => branch), tried, match };
  }
}

const TAKEN: readonly Trial['outcome'][] = [
  'matched',
  'taken, and it leads on',
  'taken, and it is written without a limit',
];

function grown(document: RuleDocument) {
  const byName = new Map(document.rules.map((rule) => [rule.name, rule]));
  return { document, tree: new RuleTree(document.paths, document.search), byName };
}

function matchOf(rule: Rule, descriptor: Descriptor): Match {
  const parts = [rule.domain, rule.name];
  for (let at = 0; at < descriptor.length; at++) if (rule.isKeyed[at]) parts.push(descriptor[at]!.value);
  return { rule, key: stateKey(parts), subject: descriptor[descriptor.length - 1]!.value };
}

/** A document with where it came from, and whether another source has replaced it. */
export interface PlacedDocument {
  readonly sourceId: string;
  readonly document: RuleDocument;
  /** The source whose document of the same domain counts instead. */
  readonly hiddenBy: string | undefined;
}

/**
 * Rules that change while they are used.
 *
 * Sources stand in an order, and of one domain the document of the last source that has one counts, whole: documents
 * are never mixed. Whoever reads takes `book` once per decision and sees the old rules or the new ones, nothing between.
 */
export class LiveRules {
  /** Replaced by one assignment; hold it for a decision, not longer. */
  book: RuleBook = new RuleBook([]);
  /** Grows by one with every change. */
  version = 0;
  /** In the order of precedence, the strongest last. */
  readonly #sources: Map<string, readonly RuleDocument[]>;
  readonly #listeners = new Set<(book: RuleBook) => void>();

  /** @param order - Source ids, the strongest last. Others come behind these, as they first appear. */
  constructor(order: readonly string[] = ['files', 'kv', 'api']) {
    this.#sources = new Map(order.map((sourceId) => [sourceId, []]));
  }

  /** All that a source has to say from now on: one document, several of different domains, or undefined for none. */
  replace(sourceId: string, documents: RuleDocument | readonly RuleDocument[] | undefined): void {
    this.#sources.set(sourceId, documents === undefined ? [] : 'domain' in documents ? [documents] : documents);
    // A later source writes over an earlier one, for the book keeps the last of a domain.
    this.book = new RuleBook([...this.#sources.values()].flat(), this.book);
    this.version++;
    for (const listener of this.#listeners) listener(this.book);
  }

  /** Calls `listener` after each change. @returns How to end that. */
  onChange(listener: (book: RuleBook) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** All documents of all sources, those that do not count included. */
  documents(): PlacedDocument[] {
    const winners = new Map<string, string>();
    for (const [sourceId, documents] of this.#sources) {
      for (const { domain } of documents) winners.set(domain, sourceId);
    }
    return [...this.#sources].flatMap(([sourceId, documents]) =>
      documents.map((document) => {
        const winner = winners.get(document.domain);
        return { sourceId, document, hiddenBy: winner === sourceId ? undefined : winner };
      }),
    );
  }
}
