/** Makes lines of calls that the plain way does not know, one member after the other, whatever throws in between. */
import { isHugeView, messageOf, quoted } from './json-scalars.ts';
import { isHttp, isRequest, type LineEncoder } from './line-encoder.ts';
import type { Logger } from './logger.ts';
import type { Bindings } from './options.ts';
import { mapHttpRequest, mapHttpResponse } from './serializers.ts';

/** Where a line says what failed while it was made. */
const FAULTS_KEY = 'logErrors';

/** The careful half of a `LineEncoder`. */
export class CarefulLine {
  readonly #encoder: LineEncoder;
  /** What failed in the line at hand. */
  #faults: string[] = [];

  constructor(encoder: LineEncoder) {
    this.#encoder = encoder;
  }

  /** As `LineEncoder.line`. */
  line(head: string, object: object | null, message: unknown, level: number, logger: Logger): string {
    this.#faults = [];
    try {
      return this.#line(head, object, message, level, logger);
    } catch (error) {
      // A line beyond what a string may hold.
      this.#faults.push(`The line could not be written: ${messageOf(error)}`);
      return head + this.#faultsText() + this.#encoder.lineEnd;
    } finally {
      this.#faults = [];
    }
  }

  #line(head: string, given: object | null, message: unknown, level: number, logger: Logger): string {
    const { lineEnd, messageKey } = this.#encoder;
    const object = this.#tried('object', () => this.#wrapped(given)) ?? {};
    const shown = message === undefined ? this.#tried('message', () => this.#errorMessage(given, object)) : message;
    const mixed = this.#formatted(this.#mixed(object, level, logger));
    const fields = this.#nested(this.#members(mixed));
    const last = this.#tried(messageKey.key, () => this.#encoder.messageText(shown)) ?? '';
    const text = head + fields + this.#faultsText() + last + lineEnd;
    return text.startsWith('{,') ? `{${text.slice(2)}` : text;
  }

  /** Members with a comma before each. */
  fields(object: Bindings): string {
    this.#faults = [];
    const text = this.#members(object) + this.#faultsText();
    this.#faults = [];
    return text;
  }

  #tried<Value>(what: string, make: () => Value): Value | undefined {
    try {
      return make();
    } catch (error) {
      this.#faults.push(`${what}: ${messageOf(error)}`);
      return undefined;
    }
  }

  #faultsText(): string {
    return this.#faults.length === 0 ? '' : `,"${FAULTS_KEY}":[${this.#faults.map(quoted).join(',')}]`;
  }

  #wrapped(object: object | null): Bindings {
    if (object === null) return {};
    if (isHugeView(object)) throw new TypeError(`a list of ${object.byteLength} bytes; put it below a key`);
    if (object instanceof Error) return { [this.#encoder.errorKey]: object };
    if (!isHttp(object as Bindings)) return object as Bindings;
    return isRequest(object as Bindings) ? mapHttpRequest(object as Bindings) : mapHttpResponse(object as Bindings);
  }

  #errorMessage(given: object | null, object: Bindings): unknown {
    if (given === null) return undefined;
    if (given instanceof Error) return given.message;
    if (object[this.#encoder.messageKey.key] !== undefined) return undefined;
    const error = object[this.#encoder.errorKey];
    return (error as { message?: unknown } | null | undefined)?.message;
  }

  #mixed(object: Bindings, level: number, logger: Logger): Bindings {
    const { mixin, mixinMergeStrategy } = this.#encoder.options;
    if (mixin === undefined) return object;
    const mixed = this.#tried('mixin', () => {
      const added = mixin(object, level, logger) as Bindings;
      return mixinMergeStrategy === undefined ? { ...added, ...object } : mixinMergeStrategy(object, added);
    });
    return mixed ?? object;
  }

  #formatted(object: Bindings): Bindings {
    const { formatters } = this.#encoder.options;
    if (formatters?.log === undefined) return object;
    const before = this.#faults.length;
    const formatted = this.#tried('formatters.log', () => formatters.log!(object));
    return this.#faults.length > before ? object : ((formatted as Bindings | undefined) ?? {});
  }

  #nested(fields: string): string {
    const { nestedKey } = this.#encoder.options;
    if (!nestedKey || fields === '') return fields;
    return `,${quoted(nestedKey)}:{${fields.slice(1)}}`;
  }

  #members(object: Bindings): string {
    let text = '';
    for (const key of this.#tried('keys', () => Object.keys(object)) ?? []) {
      const { open } = this.#encoder.keys.get(key);
      const value = this.#member(object, key);
      if (value !== undefined) text += open + value;
    }
    return text;
  }

  #member(object: Bindings, key: string): string | undefined {
    const { serializer, redaction } = this.#encoder.keys.get(key);
    let value: unknown;
    try {
      value = object[key];
      if (value === undefined || (typeof value === 'function' && serializer === undefined)) return undefined;
    } catch (error) {
      return quoted(`[Throws: ${messageOf(error)}]`);
    }
    try {
      if (serializer !== undefined) value = serializer(value);
    } catch (error) {
      return quoted(`[The serializer threw: ${messageOf(error)}]`);
    }
    return value === undefined || typeof value === 'function'
      ? undefined
      : this.#encoder.json.text(value, redaction, [key]);
  }
}
