/**
 * Checks of one unit and one subject that came again and again lately, made ready once: a hot key is found by its value,
 * and its state's key is not joined and hashed anew each time. What is remembered holds for one rule book.
 */
import type { Policy } from '@plinth/limiter';
import { hashOf } from './key-hash.ts';
import type { ResolvedCheck } from './resolve.ts';
import type { RuleBook } from './rule-book.ts';
import type { Check, Subject } from './verdict.ts';

/** Checks that are remembered, and the longest value among them: about 2 MB. */
const FAMILIAR_MAX = 4_096;
const VALUE_LENGTH_MAX = 128;
/** One in so many that were not remembered is: where keys hardly ever come back, remembering costs little. */
const REMEMBERED_EVERY = 16;
/** The entry that a limit of the request's own is for, unless it says another. */
const KEY_ENTRY = 'key';

type ByValue = Map<string, ResolvedCheck>;

/** What a subject names, besides its value: the key of its entry, the rule, or the limit itself. */
interface Shelves {
  readonly byEntry: Map<string, ByValue>;
  readonly byRule: Map<string, ByValue>;
  readonly byPolicy: Map<Policy, ByValue>;
}

/** A shelf, with all that names it. */
interface Place {
  readonly domain: string;
  readonly key: string;
  readonly policy: Policy | undefined;
  readonly ruleName: string | undefined;
  readonly shelf: ByValue;
}

/** Domains are never empty. */
const NOBODY: Place = { domain: '', key: '', policy: undefined, ruleName: undefined, shelf: new Map() };

export class FamiliarChecks {
  readonly #domains = new Map<string, Shelves>();
  #last = NOBODY;
  #book: RuleBook | undefined;
  #size = 0;
  #strangers = 0;

  /** An equal check, made ready. Cost: one look-up of a word, or three. */
  find(book: RuleBook, check: Check): ResolvedCheck | undefined {
    if (book !== this.#book) this.#begin(book);
    if (!isPlain(check)) return undefined;
    const subject = check.subjects[0]!;
    const { key, value } = subject.entries[0]!;
    return this.#shelf(check.domain, key, subject)?.get(value);
  }

  /** Whoever asks much asks by one rule: the shelf that was looked at last is at hand. */
  #shelf(domain: string, key: string, { policy, ruleName }: Subject): ByValue | undefined {
    const last = this.#last;
    if (last.policy === policy && last.key === key && last.domain === domain && last.ruleName === ruleName) {
      return last.shelf;
    }
    const shelves = this.#domains.get(domain);
    const shelf = shelves && shelfOf(shelves, key, policy, ruleName);
    if (shelf !== undefined) this.#last = { domain, key, policy, ruleName, shelf };
    return shelf;
  }

  /** One in sixteen of those that were not found is remembered. */
  meet(resolved: ResolvedCheck): void {
    const { check } = resolved;
    if (!isPlain(check) || ++this.#strangers % REMEMBERED_EVERY !== 0) return;
    const [subject] = check.subjects;
    const { value, key } = subject!.entries[0]!;
    if (value.length > VALUE_LENGTH_MAX || (subject!.policy !== undefined && key !== KEY_ENTRY)) return;
    if (this.#size++ === FAMILIAR_MAX) this.#begin(this.#book);
    const ready = { ...resolved, keyHash: hashOf(resolved.subjects[0]?.key ?? value) };
    let shelves = this.#domains.get(check.domain);
    if (shelves === undefined) {
      shelves = { byEntry: new Map(), byRule: new Map(), byPolicy: new Map() };
      this.#domains.set(check.domain, shelves);
    }
    if (subject!.policy !== undefined) put(shelves.byPolicy, subject!.policy, value, ready);
    else if (subject!.ruleName !== undefined) put(shelves.byRule, subject!.ruleName, value, ready);
    else put(shelves.byEntry, key, value, ready);
  }

  #begin(book: RuleBook | undefined): void {
    this.#book = book;
    this.#last = NOBODY;
    this.#domains.clear();
    this.#size = 0;
  }
}

/** Takes one unit, of one subject with one entry. */
function isPlain({ mode, cost, subjects }: Check): boolean {
  if (mode !== 'take' || cost !== 1 || subjects.length !== 1) return false;
  const subject = subjects[0]!;
  return subject.cost === undefined && subject.entries.length === 1;
}

function shelfOf(
  shelves: Shelves,
  key: string,
  policy: Policy | undefined,
  ruleName: string | undefined,
): ByValue | undefined {
  if (policy !== undefined) return key === KEY_ENTRY ? shelves.byPolicy.get(policy) : undefined;
  return ruleName === undefined ? shelves.byEntry.get(key) : shelves.byRule.get(ruleName);
}

function put<K>(shelves: Map<K, ByValue>, name: K, value: string, ready: ResolvedCheck): void {
  const shelf = shelves.get(name);
  if (shelf === undefined) shelves.set(name, new Map([[value, ready]]));
  else shelf.set(value, ready);
}
