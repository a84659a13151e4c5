/** What may be asked, looked at before it is sent: a fault is then the caller's alone and not that of a whole batch. */
import type { CheckRequest, LIMITS, PolicySpec } from '@plinth/contracts/ratelimit';
import { stateKey } from '@plinth/limiter';
import { grouped } from '@plinth/problem';

/** What is limited: an address, a user; or several words, of which no two lists mean the same. */
export type LimitKey = string | readonly string[];

/** One limit by its name, or said here, and what is limited by it. */
export interface Subject {
  readonly limit: string | PolicySpec;
  readonly key: LimitKey;
}

/** Said again here since the contract loads zod; `check-form.test.ts` keeps them equal. */
export const CHECK_LIMITS = {
  unitsMax: 1_000_000_000,
  entryValueBytesMax: 2_048,
  entriesMax: 16,
} as const satisfies Partial<typeof LIMITS>;

/** A check as it goes on the wire. @throws RangeError that names what is wrong and what is allowed. */
export function checkOf({ limit, key }: Subject, cost: number, domain: string | undefined): CheckRequest {
  return validCheck({ domain, limit, key: typeof key === 'string' ? key : [...key], cost });
}

/** @throws RangeError that names what is wrong and what is allowed. */
export function validCheck<Check extends CheckRequest>(check: Check): Check {
  const { limit, key, cost } = check;
  if (typeof limit === 'string') assertWord('limit', limit);
  if (key !== undefined) assertKey(key);
  if (cost !== undefined) assertCost(cost);
  return check;
}

/** @throws RangeError that names the cost and what it may be. */
export function assertCost(cost: number): void {
  if (Number.isInteger(cost) && cost >= 0 && cost <= CHECK_LIMITS.unitsMax) return;
  throw new RangeError(`cost is ${cost}; it is a whole number from 0 to ${grouped(CHECK_LIMITS.unitsMax)}`);
}

function assertKey(key: LimitKey): void {
  if (typeof key === 'string') {
    assertWord('key', key);
    return;
  }
  if (key.length === 0 || key.length > CHECK_LIMITS.entriesMax) {
    throw new RangeError(`key has ${key.length} words; it has 1 to ${CHECK_LIMITS.entriesMax}`);
  }
  for (const word of key) assertWord('key', word);
}

function assertWord(what: string, word: unknown): void {
  if (typeof word !== 'string') throw new RangeError(`${what} is a ${typeof word}; it is a text`);
  const charsMax = CHECK_LIMITS.entryValueBytesMax;
  if (word.length > 0 && word.length <= charsMax) return;
  throw new RangeError(`${what} has ${grouped(word.length)} characters; it has 1 to ${grouped(charsMax)}`);
}

/** Texts of subjects, of which no two have the same; and back. */
export class SubjectIds {
  /** Of limits that are said: forgotten with the object that says it. */
  readonly #texts = new WeakMap<object, string>();

  /** Cost: one concatenation, 50 ns. */
  idOf(limit: string | PolicySpec, key: LimitKey): string {
    const isNamed = typeof limit === 'string';
    const text = isNamed ? limit : this.#textOf(limit);
    if (typeof key === 'string') return `${text.length}${isNamed ? ':' : '|'}${text}${key}`;
    return `${text.length}${isNamed ? ';' : '!'}${text}${stateKey(key)}`;
  }

  #textOf(spec: PolicySpec): string {
    const known = this.#texts.get(spec);
    if (known !== undefined) return known;
    const text = JSON.stringify(spec);
    this.#texts.set(spec, text);
    return text;
  }
}

export function subjectOf(id: string): { limit: string | PolicySpec; key: string | string[] } {
  const lengthText = /^\d+/.exec(id)![0];
  const mark = id[lengthText.length];
  const start = lengthText.length + 1;
  const end = start + Number(lengthText);
  const text = id.slice(start, end);
  const rest = id.slice(end);
  return {
    limit: mark === ':' || mark === ';' ? text : JSON.parse(text),
    key: mark === ':' || mark === '|' ? rest : wordsOf(rest),
  };
}

/** The parts of a `stateKey`. */
function wordsOf(joined: string): string[] {
  const words: string[] = [];
  for (let at = 0; at < joined.length; ) {
    const colon = joined.indexOf(':', at);
    const end = colon + 1 + Number(joined.slice(at, colon));
    words.push(joined.slice(colon + 1, end));
    at = end;
  }
  return words;
}
