/**
 * JSON text of single values, the same bytes as `JSON.stringify` where that succeeds, and never an exception.
 *
 * Two passes. The first writes what JSON can say, in the order of the keys. It gives up on a circle, a BigInt, a
 * getter that throws, a graph that is too deep or too large; then `CarefulJson` writes all it can within the limits
 * of depth and width, and says in the text what it left out.
 */
import { CarefulJson, type JsonLimits } from './careful-json.ts';
import { GAVE_UP, hasOwn, isHugeView, isPlainText, messageOf, quoted } from './json-scalars.ts';
import { type KeyText, KeyTexts } from './key-text.ts';
import type { Redaction, RedactionNode } from './redaction.ts';
import { SerializedError } from './serializers.ts';

/** Nesting from which the ancestors are remembered to find a circle; a circle gets here by itself. */
const CIRCLE_CHECK_DEPTH = 64;
/** Members one value may have in all, repeated references counted each time: a line of some 25 MB. */
const NODES_MAX = 2_000_000;

type Members = Record<string, unknown>;

/** Writes values as JSON text. Keeps nothing between two calls. */
export class JsonText {
  readonly #limits: JsonLimits;
  readonly #redaction: Redaction | undefined;
  /** Texts of the keys below the top of a line: nothing special is known of them. */
  readonly #keys = new KeyTexts({}, undefined);
  #nodesLeft = 0;
  #ancestors: Set<object> | undefined;

  constructor(limits: JsonLimits, redaction: Redaction | undefined) {
    this.#limits = limits;
    this.#redaction = redaction;
  }

  /**
   * JSON text of any value.
   *
   * @param node - What to censor in it, `path` being the keys that lead to it.
   * @returns `undefined` for what JSON leaves out: undefined, functions, symbols. Never throws.
   */
  text(value: unknown, node?: RedactionNode, path: string[] = []): string | undefined {
    if (node !== undefined) return this.#carefulText(value, node, path);
    if (typeof value === 'string') return quoted(value);
    if (typeof value !== 'object') return this.#carefulText(value, undefined, path);
    return value === null ? 'null' : this.objectText(value);
  }

  /** The text of an object without redaction. Cost: about that of `JSON.stringify`, a third of it for small ones. */
  objectText(value: object): string | undefined {
    this.#nodesLeft = NODES_MAX;
    try {
      return this.#composite(value, '', 0);
    } catch {
      return this.#carefulText(value, undefined, []);
    } finally {
      this.#ancestors = undefined;
    }
  }

  #carefulText(value: unknown, node: RedactionNode | undefined, path: string[]): string | undefined {
    if (node !== undefined || typeof value !== 'object') {
      try {
        return new CarefulJson(undefined, this.#redaction, path).text(value, '', node);
      } catch {
        // The limited pass below says what is wrong.
      }
    }
    try {
      return new CarefulJson(this.#limits, this.#redaction, path).text(value, '', node);
    } catch (error) {
      return quoted(`[Not written: ${messageOf(error)}]`);
    }
  }

  #value(value: unknown, key: string, depth: number): string | undefined {
    switch (typeof value) {
      case 'string':
        return isPlainText(value) ? `"${value}"` : JSON.stringify(value);
      case 'number':
        return Number.isFinite(value) ? `${value}` : 'null';
      case 'boolean':
        return value ? 'true' : 'false';
      case 'object':
        return value === null ? 'null' : this.#composite(value, key, depth);
      case 'bigint':
        throw GAVE_UP;
      default:
        return undefined;
    }
  }

  #composite(object: object, key: string | number, depth: number): string | undefined {
    // Apart from objects: so that the look-up below sees fewer shapes.
    if (Array.isArray(object) && (object as { toJSON?: unknown }).toJSON === undefined && depth < CIRCLE_CHECK_DEPTH) {
      return this.#array(object, depth);
    }
    let value: object = object;
    const { toJSON } = object as { toJSON?: unknown };
    if (typeof toJSON === 'function') {
      if (isHugeView(object)) throw GAVE_UP;
      const replaced: unknown = toJSON.call(object, `${key}`);
      if (typeof replaced !== 'object' || replaced === null) return this.#value(replaced, '', depth);
      value = replaced;
    }
    if (depth >= CIRCLE_CHECK_DEPTH) return this.#deep(value, depth);
    return Array.isArray(value) ? this.#array(value, depth) : this.#object(value, depth);
  }

  #deep(value: object, depth: number): string {
    this.#ancestors ??= new Set();
    if (this.#ancestors.has(value)) throw GAVE_UP;
    this.#ancestors.add(value);
    const text = Array.isArray(value) ? this.#array(value, depth) : this.#object(value, depth);
    this.#ancestors.delete(value);
    return text;
  }

  #array(values: readonly unknown[], depth: number): string {
    const { length } = values;
    if (length === 0) return '[]';
    this.#spend(length);
    let text = `[${this.#item(values[0], 0, depth)}`;
    for (let at = 1; at < length; at++) text += `,${this.#item(values[at], at, depth)}`;
    return `${text}]`;
  }

  #item(value: unknown, at: number, depth: number): string {
    if (typeof value === 'number' && Number.isFinite(value)) return `${value}`;
    if (typeof value !== 'object') return this.#value(value, '', depth) ?? 'null';
    return value === null ? 'null' : (this.#composite(value, at, depth + 1) ?? 'null');
  }

  #object(object: object, depth: number): string {
    if (Object.getPrototypeOf(object) !== Object.prototype) {
      if (isHugeView(object)) throw GAVE_UP;
      const boxed = unboxed(object);
      if (boxed !== object) return this.#value(boxed, '', depth) ?? 'null';
    }
    this.#spend(1);
    let text = '{';
    let isFirst = true;
    let last = this.#keys.start;
    for (const key in object) {
      if (!hasOwn.call(object, key)) continue;
      let known: KeyText | undefined = last.next;
      if (known.key !== key || known === this.#keys.start) {
        known = this.#keys.kept(key);
        if (known !== undefined) last.next = known;
      }
      this.#nodesLeft--;
      if (known !== undefined) last = known;
      const member = (object as Members)[key];
      if (known !== undefined && typeof member === 'string' && isPlainText(member)) {
        text += `${(isFirst ? known.nameText : known.openText) + member}"`;
      } else {
        const value = this.#value(member, key, depth + 1);
        if (value === undefined) continue;
        const name = known === undefined ? `${quoted(key)}:` : known.name;
        text += isFirst ? name + value : known === undefined ? `,${name}${value}` : known.open + value;
      }
      isFirst = false;
    }
    return `${text}}`;
  }

  #spend(nodes: number): void {
    this.#nodesLeft -= nodes;
    if (this.#nodesLeft < 0) throw GAVE_UP;
  }
}

/** `new String('x')` is written as "x": the value in a boxed primitive; anything else as it is. */
function unboxed(object: object): unknown {
  if (object instanceof SerializedError) return object;
  if (object instanceof String) return `${object as unknown as string}`;
  if (object instanceof Number) return +object;
  if (object instanceof Boolean) return object.valueOf();
  return object;
}
