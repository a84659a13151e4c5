/** `match` of our own language: which descriptors a rule is for, and which of their values share a state. */
import type { Step, ValuePattern } from '../core/rule-tree.ts';
import type { DocumentReader, Item } from './document-reader.ts';

/** As requests are bound by the contract: a longer one could never come. */
export const ENTRIES_MAX = 16;
const KEY_BYTES_MAX = 256;
const VALUE_BYTES_MAX = 2_048;
/** Lists of several entries multiply each other. */
const PATHS_MAX = 1_000;

export interface MatchDraft {
  /** All combinations, in the order they are written in. */
  readonly paths: readonly (readonly Step[])[];
  readonly isKeyed: readonly boolean[];
  /** One word per entry, for the name of a rule that has none. */
  readonly words: readonly string[];
  /** The last entry: what it may be, and whether all of it is one state. */
  readonly last: { readonly steps: readonly Step[]; readonly isShared: boolean };
}

interface EntryDraft {
  readonly key: string;
  readonly patterns: readonly ValuePattern[];
  readonly isShared: boolean;
}

/** @returns Undefined, with faults told, when it is no match. */
export function matchOf(reader: DocumentReader, item: Item): MatchDraft | undefined {
  const faultsBefore = reader.faults.length;
  const entries = entriesOf(reader, item)
    .map(([key, value]) => entryOf(reader, key, value))
    .filter((entry) => entry !== undefined);
  if (reader.faults.length > faultsBefore) return undefined;
  if (entries.length === 0) return reader.fault(item, 'match is empty; it names at least one entry of a descriptor');
  if (entries.length > ENTRIES_MAX)
    return reader.fault(item, `match has ${entries.length} entries; the most is ${ENTRIES_MAX}`);
  const count = entries.reduce((product, { patterns }) => product * patterns.length, 1);
  if (count > PATHS_MAX)
    return reader.fault(item, `match stands for ${count} combinations of values; the most is ${PATHS_MAX}`);
  return draftOf(entries);
}

function draftOf(entries: readonly EntryDraft[]): MatchDraft {
  let paths: Step[][] = [[]];
  for (const { key, patterns } of entries) {
    paths = paths.flatMap((path) => patterns.map((value) => [...path, { key, value }]));
  }
  const last = entries.at(-1)!;
  return {
    paths,
    isKeyed: entries.map(isKeyedEntry),
    words: entries.map(({ key, patterns }) => entryWord(key, patterns)),
    last: { steps: last.patterns.map((value) => ({ key: last.key, value })), isShared: last.isShared },
  };
}

/** An entry with one value needs no word in the state's key: the rule is enough. */
const isKeyedEntry = ({ patterns, isShared }: EntryDraft): boolean =>
  !isShared && (patterns.length > 1 || patterns[0]!.kind !== 'exact');

/** A mapping, or a list of them, for keys that come twice. */
function entriesOf(reader: DocumentReader, item: Item): [string, Item][] {
  if (!reader.isList(item)) return [...reader.members(item)];
  return reader.list(item).flatMap((each) => {
    const members = [...reader.members(each)];
    if (members.length > 1) reader.fault(each, 'in a list each entry stands by itself: [{path: /login}, {user: "*"}]');
    return members;
  });
}

function entryOf(reader: DocumentReader, key: string, item: Item): EntryDraft | undefined {
  const flaw = keyFlaw(key);
  if (flaw !== undefined) return reader.fault(item, flaw);
  if (reader.isMapping(item)) return objectEntry(reader, key, item);
  const patterns = patternsOf(reader, item);
  return patterns && { key, patterns, isShared: false };
}

export function keyFlaw(key: string): string | undefined {
  if (key === '') return 'a key is empty';
  const bytes = Buffer.byteLength(key);
  return bytes > KEY_BYTES_MAX ? `a key has ${bytes} bytes; the most is ${KEY_BYTES_MAX}` : undefined;
}

/** `{shared: "*"}` or `{exact: "*"}`. */
function objectEntry(reader: DocumentReader, key: string, item: Item): EntryDraft | undefined {
  const members = reader.members(item, ['shared', 'exact']);
  const shared = members.get('shared');
  const exact = members.get('exact');
  if (shared !== undefined && exact === undefined) {
    const patterns = patternsOf(reader, shared);
    return patterns && { key, patterns, isShared: true };
  }
  if (exact === undefined || shared !== undefined) return reader.fault(item, 'write {shared: "*"} or {exact: "a*b"}');
  const value = reader.text(exact);
  if (value === undefined || !isFine(reader, exact, value)) return undefined;
  return { key, patterns: [{ kind: 'exact', value }], isShared: false };
}

function patternsOf(reader: DocumentReader, item: Item): ValuePattern[] | undefined {
  const items = reader.isList(item) ? reader.list(item) : [item];
  if (items.length === 0) return reader.fault(item, 'a list of values needs at least one');
  const patterns = items.map((each) => patternAt(reader, each)).filter((pattern) => pattern !== undefined);
  return patterns.length === items.length ? patterns : undefined;
}

function patternAt(reader: DocumentReader, item: Item): ValuePattern | undefined {
  if (reader.isEmpty(item))
    return reader.fault(item, 'a value is empty; write "*" for any value, "" for the empty one');
  const text = reader.text(item);
  return text === undefined || !isFine(reader, item, text) ? undefined : patternOf(text);
}

function isFine(reader: DocumentReader, item: Item, text: string): boolean {
  const flaw = valueFlaw(text);
  if (flaw !== undefined) reader.fault(item, flaw);
  return flaw === undefined;
}

export function valueFlaw(text: string): string | undefined {
  const bytes = Buffer.byteLength(text);
  if (bytes > VALUE_BYTES_MAX) return `a value has ${bytes} bytes; the most is ${VALUE_BYTES_MAX}`;
  return text.includes(FRESH) ? 'a value has the character U+0001' : undefined;
}

/** `*` alone is any value; stars side by side are one. */
function patternOf(text: string): ValuePattern {
  const pattern = text.replace(/\*+/g, '*');
  if (pattern === '*') return { kind: 'any' };
  return pattern.includes('*') ? { kind: 'wildcard', pattern } : { kind: 'exact', value: text };
}

/** No pattern contains it, so that only a star can match it. */
export const FRESH = '\u0001';

/**
 * A value of a pattern that stands for all others: where another pattern matches it, only by a star, that pattern
 * matches every value of this one.
 */
export function typicalValue(value: ValuePattern): string {
  if (value.kind === 'any') return FRESH;
  return value.kind === 'exact' ? value.value : value.pattern.replaceAll('*', FRESH);
}

/** `path=/login`, `file=*.jpg`, `user` for any value, `plan=free|trial`. */
export function entryWord(key: string, patterns: readonly ValuePattern[]): string {
  const values = patterns.map((value) => {
    if (value.kind === 'any') return '*';
    return value.kind === 'exact'
      ? escaped(value.value, /[^\x21-\x7e]|[%,|*]/gu)
      : escaped(value.pattern, /[^\x21-\x7e]|[%,|]/gu);
  });
  const word = escaped(key, /[^\x21-\x7e]|[%,=]/gu);
  return patterns.length === 1 && patterns[0]!.kind === 'any' ? word : `${word}=${values.join('|')}`;
}

const escaped = (text: string, letters: RegExp): string =>
  text.replace(letters, (letter) =>
    [...Buffer.from(letter)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
