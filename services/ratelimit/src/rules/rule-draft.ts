/**
 * A document between its text and its rules: checked, and plain data, so that a thread beside the one that decides can
 * do the reading. `DocumentBuilder` makes rules of it and cannot fail.
 */
import { type Penalty, type PolicySpec, policyOf } from '@plinth/limiter';
import type { OnError, Rule } from '../core/rule.ts';
import type { RuleDocument } from '../core/rule-book.ts';
import type { RulePath, Search, Step } from '../core/rule-tree.ts';
import type { RuleFault } from './fault.ts';
import { valueMatcher } from './value-matcher.ts';

export interface RuleDraft {
  readonly name: string;
  /** Undefined: unlimited. */
  readonly spec: PolicySpec | undefined;
  readonly isKeyed: readonly boolean[];
  readonly shadow: boolean;
  readonly onError: OnError;
  readonly leaseShare: number;
  readonly leaseMs: number;
  readonly penalty: Penalty | undefined;
  readonly overrides: readonly (readonly [value: string, spec: PolicySpec])[];
  /** Overrides that say `unlimited`: exact values, whatever they look like. */
  readonly unlimitedValues: readonly string[];
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly replaces: readonly string[];
  readonly quotaMode: boolean;
  readonly line: number;
}

export interface PathDraft {
  readonly steps: readonly Step[];
  /** Which of the rules; undefined: exempt. */
  readonly rule: number | undefined;
  readonly line: number;
}

export interface DocumentDraft {
  readonly domain: string;
  readonly rules: readonly RuleDraft[];
  readonly paths: readonly PathDraft[];
  readonly search: Search;
  readonly warnings: readonly RuleFault[];
}

/** Puts a document together, in as many steps as it is handed in. Cost: about 1 µs per rule. */
export class DocumentBuilder {
  readonly #text: string;
  readonly #source: string;
  readonly #rules: Rule[] = [];
  readonly #paths: RulePath[] = [];

  constructor({ text, source }: { text: string; source: string }) {
    this.#text = text;
    this.#source = source;
  }

  /** @param draft - Of a document, or a part of one; rules come before the paths that lead to them. */
  add(domain: string, { rules, paths }: Pick<DocumentDraft, 'rules' | 'paths'>): void {
    for (const rule of rules) this.#rules.push(ruleOf(rule, domain, this.#source));
    for (const { steps, rule } of paths) {
      this.#paths.push({ steps, rule: rule === undefined ? undefined : this.#rules[rule] });
    }
  }

  finish({ domain, search, warnings }: Pick<DocumentDraft, 'domain' | 'search' | 'warnings'>): RuleDocument {
    const [rules, paths] = [this.#rules, this.#paths];
    return { domain, rules, paths, search, warnings, text: this.#text, source: this.#source };
  }
}

const NO_OVERRIDES: Rule['overrides'] = new Map();

function ruleOf(draft: RuleDraft, domain: string, source: string): Rule {
  const { overrides } = draft;
  return {
    domain,
    name: draft.name,
    policy: draft.spec === undefined ? undefined : policyOf(draft.spec),
    isKeyed: draft.isKeyed,
    shadow: draft.shadow,
    onError: draft.onError,
    leaseShare: draft.leaseShare,
    leaseMs: draft.leaseMs,
    penalty: draft.penalty,
    overrides:
      overrides.length === 0 ? NO_OVERRIDES : new Map(overrides.map(([value, spec]) => [value, policyOf(spec)])),
    allows: valueMatcher(draft.allow, draft.unlimitedValues),
    denies: valueMatcher(draft.deny),
    replaces: draft.replaces,
    quotaMode: draft.quotaMode,
    source: `${source}:${draft.line}`,
  };
}
