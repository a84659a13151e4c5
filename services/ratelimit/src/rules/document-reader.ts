/**
 * Reading a document of rules, YAML or JSON, member by member, so that everything wrong with it can be told with its
 * line. Faults are gathered, not thrown: a person who has made three wants to hear of three.
 */
import { grouped, nearestName } from '@plinth/problem';
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import { durationText, writtenDurationMs } from './duration.ts';
import { RuleFault } from './fault.ts';

/** More than these of one document help nobody. */
const FAULTS_MAX = 100;
/** Values looked at: enough for the most rules, and an end for aliases that multiply each other. */
const ITEMS_MAX = 4_000_000;

/** A value of the document: what it is, and where it stands. */
export interface Item {
  /** JSON Pointer. */
  readonly path: string;
  readonly offset: number;
  /** Where its name stands; for what is wrong with the name. */
  readonly nameOffset?: number;
  /** Aliases are resolved. Undefined: nothing is written there. */
  readonly node: Node | undefined;
}

/** The members of a mapping by name, in the order they are written in. */
export type Members = ReadonlyMap<string, Item>;

const NOTHING: Members = new Map();

export class DocumentReader {
  readonly source: string;
  /** In the order they were found in. */
  readonly faults: RuleFault[] = [];
  /** What is read over: it does no harm, but it does not do what it seems to. */
  readonly warnings: RuleFault[] = [];
  readonly root: Item;
  readonly #lines = new LineCounter();
  readonly #document: ReturnType<typeof parseDocument>;
  /** What each alias stands for; made when the first one is met. */
  #anchored: ReadonlyMap<Node, Node> | undefined;
  readonly #said = new Set<string>();
  #items = 0;

  constructor(text: string, source: string) {
    this.source = source;
    // Double keys are looked for here, by hash: the parser would compare each key with all before it.
    this.#document = this.#parsed(text);
    for (const { pos, message } of [...this.#document.errors, ...this.#document.warnings]) {
      this.#note(this.faults, pos[0], '', wordsOf(message));
    }
    this.root = {
      path: '',
      offset: this.#document.contents?.range?.[0] ?? 0,
      node: this.#resolved(this.#document.contents),
    };
  }

  fault(item: Item, message: string): undefined {
    this.#note(this.faults, item.offset, item.path, message);
  }

  warn(item: Item, message: string): void {
    this.#note(this.warnings, item.offset, item.path, message);
  }

  lineOf(item: Item): number {
    return this.#lines.linePos(item.offset).line;
  }

  /** Of a mapping; empty, with a fault, when the item is none. @param known - Other names are faults. */
  members(item: Item, known?: readonly string[]): Members {
    if (!isMap(item.node)) {
      this.fault(item, `${nameOf(item)} is ${this.#kindOf(item)}; it must be a mapping`);
      return NOTHING;
    }
    const members = new Map<string, Item>();
    this.#collect(item.node, item, members, false);
    if (known !== undefined)
      for (const [name, member] of members) if (!known.includes(name)) this.#unknown(name, member, known);
    return members;
  }

  /** Of a list; empty, with a fault, when the item is none. */
  list(item: Item): Item[] {
    if (!isSeq(item.node)) {
      this.fault(item, `${nameOf(item)} is ${this.#kindOf(item)}; it must be a list`);
      return [];
    }
    return item.node.items.map((node, at) => this.#item(node as Node | null, `${item.path}/${at}`, item.offset));
  }

  isMapping = (item: Item): boolean => isMap(item.node);
  isList = (item: Item): boolean => isSeq(item.node);
  /** Nothing is written, or `null` is. */
  isEmpty = (item: Item): boolean => item.node === undefined || (isScalar(item.node) && item.node.value === null);

  /** As it is written: `1.10` stays `1.10`, and `true` is four letters. */
  text(item: Item): string | undefined {
    const { node } = item;
    if (isScalar(node) && node.value !== null)
      return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
    return this.fault(item, `${nameOf(item)} is ${this.#kindOf(item)}; it must be text`);
  }

  oneOf<Word extends string>(item: Item, words: readonly Word[]): Word | undefined {
    const text = isScalar(item.node) && item.node.value !== null ? this.text(item)! : this.#kindOf(item);
    if ((words as readonly string[]).includes(text)) return text as Word;
    return this.fault(item, `${nameOf(item)} is ${text}; it is one of ${words.join(', ')}`);
  }

  /** YAML 1.1 knew further words for these, which older files still use. */
  flag(item: Item): boolean | undefined {
    if (isScalar(item.node) && item.node.value !== null) {
      const word = this.#written(item).toLowerCase();
      if (['true', 'yes', 'on'].includes(word)) return true;
      if (['false', 'no', 'off'].includes(word)) return false;
    }
    return this.fault(item, `${nameOf(item)} is ${this.#written(item)}; it must be true or false`);
  }

  whole(item: Item, bounds: { least: number; most: number; or?: string }): number | undefined {
    const value = isScalar(item.node) ? item.node.value : undefined;
    const { least, most, or = '' } = bounds;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const range = `a whole number from ${grouped(least)} to ${grouped(most)}`;
    return this.fault(item, `${nameOf(item)} is ${this.#written(item)}; it must be ${range}${or}`);
  }

  /** Above 0, at most 1. */
  share(item: Item, or = ''): number | undefined {
    const value = isScalar(item.node) ? item.node.value : undefined;
    if (typeof value === 'number' && value > 0 && value <= 1) return value;
    return this.fault(item, `${nameOf(item)} is ${this.#written(item)}; it must be above 0 and at most 1${or}`);
  }

  /** Milliseconds of `500ms`, `30s`, `5m`, `2h`, `7d`. */
  durationMs(item: Item, bounds: { leastMs: number; mostMs: number }): number | undefined {
    const written = this.#written(item);
    const value = isScalar(item.node) ? item.node.value : undefined;
    const ms = typeof value === 'string' ? writtenDurationMs(value) : undefined;
    if (ms === undefined) {
      return this.fault(
        item,
        `${nameOf(item)} is ${written}; a duration is a whole number and a unit: 500ms, 30s, 5m, 2h, 7d`,
      );
    }
    if (ms >= bounds.leastMs && ms <= bounds.mostMs) return ms;
    const range = `from ${durationText(bounds.leastMs)} to ${durationText(bounds.mostMs)}`;
    return this.fault(item, `${nameOf(item)} is ${written}; it must be ${range}`);
  }

  #parsed(text: string): ReturnType<typeof parseDocument> {
    const options = { lineCounter: this.#lines, uniqueKeys: false, merge: true, logLevel: 'error' } as const;
    try {
      // Double keys are looked for here, by hash: the parser would compare each key with all before it.
      return parseDocument(text, options);
    } catch (error) {
      // The parser calls itself for each level.
      if (!(error instanceof RangeError)) throw error;
      this.#note(this.faults, 0, '', 'the document is nested too deep');
      return parseDocument('');
    }
  }

  #collect(map: YAMLMap, parent: Item, members: Map<string, Item>, isMerged: boolean): void {
    const merged: Node[] = [];
    for (const pair of map.items as Pair<Node, Node | null>[]) {
      const { key, value } = pair;
      if (isScalar(key) && typeof key.value === 'symbol') {
        merged.push(...this.#mergedMaps(value));
        continue;
      }
      const keyOffset = key?.range?.[0] ?? parent.offset;
      const name = isScalar(key) ? (typeof key.value === 'string' ? key.value : (key.source ?? '')) : undefined;
      const path = `${parent.path}/${pointerOf(name ?? '')}`;
      const item = { ...this.#item(value, path, keyOffset), nameOffset: keyOffset };
      if (name === undefined) this.fault(item, 'a key must be text');
      else if (!members.has(name)) members.set(name, item);
      else if (!isMerged)
        this.fault(
          { ...item, offset: keyOffset },
          `${name} is written twice; first on line ${this.lineOf(members.get(name)!)}`,
        );
    }
    // What is merged in never takes the place of what is written.
    for (const node of merged) {
      // One that merges itself, or others that do so in turn, would never end.
      if (++this.#items > ITEMS_MAX) return;
      if (isMap(node)) this.#collect(node, parent, members, true);
    }
  }

  #mergedMaps(value: Node | null): Node[] {
    const node = this.#resolved(value);
    if (isSeq(node)) return node.items.map((each) => this.#resolved(each as Node)).filter((each) => each !== undefined);
    return node === undefined ? [] : [node];
  }

  #item(node: Node | null, path: string, offset: number): Item {
    if (++this.#items === ITEMS_MAX) this.fault({ path, offset, node: undefined }, 'the document has too many values');
    if (this.#items > ITEMS_MAX) return { path, offset, node: undefined };
    // An alias is at fault where it is used.
    return { path, offset: node?.range?.[0] ?? offset, node: this.#resolved(node) };
  }

  #resolved(node: Node | null | undefined): Node | undefined {
    if (!isAlias(node)) return node ?? undefined;
    this.#anchored ??= anchoredNodes(this.#document);
    const target = this.#anchored.get(node);
    if (target === undefined)
      this.#note(
        this.faults,
        node.range?.[0] ?? 0,
        '',
        `*${node.source} stands for nothing: no &${node.source} comes before it`,
      );
    return target;
  }

  #unknown(name: string, member: Item, known: readonly string[]): void {
    const near = nearestName(name, known);
    const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
    const place = { ...member, offset: member.nameOffset ?? member.offset };
    this.fault(place, `${JSON.stringify(name)} is not known here; ${hint}`);
  }

  #written(item: Item): string {
    const { node } = item;
    if (!isScalar(node) || node.value === null) return this.#kindOf(item);
    return typeof node.value === 'string' && node.type !== 'PLAIN'
      ? JSON.stringify(node.value)
      : (node.source ?? String(node.value));
  }

  #kindOf({ node }: Item): string {
    if (isMap(node)) return 'a mapping';
    if (isSeq(node)) return 'a list';
    return isScalar(node) && node.value !== null ? JSON.stringify(node.value) : 'empty';
  }

  #note(notes: RuleFault[], offset: number, path: string, message: string): void {
    // A member that is read twice is at fault once.
    const words = `${offset} ${path} ${message}`;
    if (notes.length >= FAULTS_MAX || this.#said.has(words)) return;
    this.#said.add(words);
    const { line, col } = this.#lines.linePos(offset);
    notes.push(
      new RuleFault({ source: this.source, line: Math.max(line, 1), column: Math.max(col, 1), path, message }),
    );
  }
}

/** An alias stands for the last node of its name before it. One walk for all of them: `Alias.resolve` does one each. */
function anchoredNodes(document: ReturnType<typeof parseDocument>): Map<Node, Node> {
  const byName = new Map<string, Node>();
  const targets = new Map<Node, Node>();
  visit(document, {
    Node(_, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) byName.set(node.anchor, node);
        return;
      }
      const target = byName.get(node.source);
      if (target !== undefined) targets.set(node, target);
    },
  });
  return targets;
}

/** The last word of the path: `limit`. Of an entry of a list its number, from 1. */
function nameOf({ path }: Item): string {
  if (path === '') return 'the document';
  const segments = path.split('/');
  const last = segments.at(-1)!;
  return /^\d+$/.test(last)
    ? `${segments.at(-2)} ${Number(last) + 1}`
    : last.replaceAll('~1', '/').replaceAll('~0', '~');
}

const pointerOf = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');

/** The parser's first sentence, without the place, which is told beside it, and without advice for programmers. */
function wordsOf(message: string): string {
  const line = message.split('\n', 1)[0]!.replace(/ at line \d+, column \d+:?$/, '');
  // The parser calls itself for each level, and says so.
  if (line.startsWith('Maximum call stack')) return 'the document is nested too deep';
  return line.startsWith('Source contains multiple documents')
    ? 'a file holds one document; --- begins a second one'
    : line;
}
