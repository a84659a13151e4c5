/**
 * JSON text of values that `JSON.stringify` would throw at, and of values with something to censor.
 *
 * Without limits it writes the bytes of `JSON.stringify` and throws where that throws. With limits it throws only
 * when the memory for a string is short: a circle becomes "[Circular]", what is too deep "[Object]" or "[Array]", what
 * is too wide ends in "N items not stringified", a getter that throws becomes "[Throws: …]", a BigInt its digits.
 * Keys are then sorted by their UTF-16 units.
 */
import { GAVE_UP, isHugeView, messageOf, numberText, quoted } from './json-scalars.ts';
import type { Redaction, RedactionNode } from './redaction.ts';

/** Members that are written without limits, and within limits, before the rest is left out. */
const NODES_MAX = 2_000_000;
const LIMITED_NODES_MAX = 100_000;

/** Limits for values that could not be written as they are. */
export interface JsonLimits {
  /** Nesting of a value that is written; deeper objects become "[Object]" and "[Array]". */
  depthLimit: number;
  /** Members of an object or an array that are written. */
  edgeLimit: number;
}

type Members = Record<string, unknown>;

/** Writes one value. Make one for each. */
export class CarefulJson {
  readonly #limits: JsonLimits | undefined;
  readonly #redaction: Redaction | undefined;
  /** Keys from the line's top to the value at hand: a censor is told. */
  readonly #path: string[];
  readonly #ancestors = new Set<object>();
  #nodesLeft: number;

  constructor(limits: JsonLimits | undefined, redaction: Redaction | undefined, path: readonly string[]) {
    this.#limits = limits;
    this.#redaction = redaction;
    this.#path = [...path];
    this.#nodesLeft = limits === undefined ? NODES_MAX : LIMITED_NODES_MAX;
  }

  /** @param node - What to censor in the value. @returns `undefined` for what JSON leaves out. */
  text(value: unknown, key: string, node: RedactionNode | undefined): string | undefined {
    if (node?.isCensored === true) return this.#censored(value);
    switch (typeof value) {
      case 'string':
        return quoted(value);
      case 'number':
        return numberText(value);
      case 'boolean':
        return value ? 'true' : 'false';
      case 'object':
        return value === null ? 'null' : this.#object(value, key, node);
      case 'bigint':
        return this.#bigint(value, key);
      default:
        return undefined;
    }
  }

  /** A program may have taught BigInt a `toJSON`. */
  #bigint(value: bigint, key: string): string | undefined {
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function') return this.text(toJSON.call(value, key), key, undefined);
    if (this.#limits === undefined) throw GAVE_UP;
    return `${value}`;
  }

  #censored(value: unknown): string | undefined {
    const redaction = this.#redaction!;
    if (redaction.remove) return undefined;
    if (typeof redaction.censor !== 'function') return this.#free(redaction.censor);
    try {
      return this.#free(redaction.censor(value, [...this.#path]));
    } catch (error) {
      // The value itself must not appear, whatever went wrong.
      return quoted(`[Redacted: the censor threw: ${messageOf(error)}]`);
    }
  }

  /** What a censor answered: nothing in it is censored again. */
  #free(value: unknown): string | undefined {
    const limits = this.#limits ?? { depthLimit: 5, edgeLimit: 100 };
    return new CarefulJson(limits, undefined, []).text(value, '', undefined);
  }

  #object(object: object, key: string, node: RedactionNode | undefined): string | undefined {
    try {
      const { toJSON } = object as { toJSON?: unknown };
      if (typeof toJSON !== 'function' || isHugeView(object)) return this.#composite(object, node);
      const value: unknown = toJSON.call(object, key);
      return typeof value === 'object' && value !== null
        ? this.#composite(value, node)
        : this.text(value, key, undefined);
    } catch (error) {
      if (this.#limits === undefined) throw error;
      return quoted(`[Throws: ${messageOf(error)}]`);
    }
  }

  #composite(object: object, node: RedactionNode | undefined): string | undefined {
    if (object instanceof String || object instanceof Number || object instanceof Boolean) {
      return this.text(object.valueOf(), '', undefined);
    }
    if (this.#ancestors.has(object)) {
      if (this.#limits === undefined) throw GAVE_UP;
      return '"[Circular]"';
    }
    if (isHugeView(object)) return this.#hugeView(object);
    const isArray = Array.isArray(object);
    const isTooDeep = this.#limits !== undefined && this.#ancestors.size >= this.#limits.depthLimit;
    const keys = isArray ? undefined : this.#keys(object);
    if ((keys ?? (object as unknown[])).length === 0) return isArray ? '[]' : '{}';
    if (isTooDeep) return isArray ? '"[Array]"' : '"[Object]"';
    this.#ancestors.add(object);
    try {
      return keys === undefined ? this.#array(object as unknown[], node) : this.#members(object, keys, node);
    } finally {
      this.#ancestors.delete(object);
    }
  }

  #hugeView(view: Uint8Array): string {
    if (this.#limits === undefined) throw GAVE_UP;
    const shown = this.#shown(view.length);
    const parts = Array.from(view.subarray(0, shown), (item, at) => `"${at}":${this.text(item, '', undefined)}`);
    return `{${parts.join(',')},"...":"${notWritten(view.length - shown)}"}`;
  }

  #keys(object: object): string[] {
    const keys = Object.keys(object);
    // Items of a typed array stay in the order of their numbers.
    return this.#limits === undefined || ArrayBuffer.isView(object) ? keys : keys.sort();
  }

  #array(values: readonly unknown[], node: RedactionNode | undefined): string {
    const { length } = values;
    const shown = this.#shown(length);
    const parts: string[] = [];
    for (let at = 0; at < shown; at++) parts.push(this.#member(values, `${at}`, node) ?? 'null');
    if (shown < length) parts.push(`"... ${notWritten(length - shown)}"`);
    return `[${parts.join(',')}]`;
  }

  #members(object: object, keys: readonly string[], node: RedactionNode | undefined): string {
    const shown = this.#shown(keys.length);
    const parts: string[] = [];
    for (let at = 0; at < shown; at++) {
      const key = keys[at]!;
      const value = this.#member(object, key, node);
      if (value !== undefined) parts.push(`${quoted(key)}:${value}`);
    }
    if (shown < keys.length) parts.push(`"...":"${notWritten(keys.length - shown)}"`);
    return `{${parts.join(',')}}`;
  }

  #member(object: object, key: string, node: RedactionNode | undefined): string | undefined {
    this.#path.push(key);
    try {
      return this.text((object as Members)[key], key, node?.below(key));
    } catch (error) {
      if (this.#limits === undefined) throw error;
      return quoted(`[Throws: ${messageOf(error)}]`);
    } finally {
      this.#path.pop();
    }
  }

  /** How many of so many members are written. */
  #shown(members: number): number {
    if (this.#limits === undefined) {
      if (members > this.#nodesLeft) throw GAVE_UP;
      this.#nodesLeft -= members;
      return members;
    }
    const shown = Math.min(members, this.#limits.edgeLimit, this.#nodesLeft);
    this.#nodesLeft -= shown;
    return shown;
  }
}

function notWritten(items: number): string {
  return `${items} ${items === 1 ? 'item' : 'items'} not stringified`;
}
