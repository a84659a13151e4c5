/**
 * Makes lines of calls.
 *
 * Two ways. The plain one knows objects whose prototype is `Object.prototype`, and appends text for text to one
 * string, with the keys' texts ready made. Whatever it does not know, and whatever throws in it, goes the careful way
 * of `CarefulLine`, which never throws.
 */
import { CarefulLine } from './careful-line.ts';
import { hasOwn, isPlainText } from './json-scalars.ts';
import { JsonText } from './json-text.ts';
import { type KeyText, KeyTexts } from './key-text.ts';
import type { Logger } from './logger.ts';
import type { Bindings, LineOptions } from './options.ts';
import { Redaction } from './redaction.ts';
import { err } from './serializers.ts';

/** Writes the objects and messages of one kind of logger: a root, or children with serializers or redaction of their own. */
export class LineEncoder {
  readonly options: LineOptions;
  readonly json: JsonText;
  readonly keys: KeyTexts;
  readonly redaction: Redaction | undefined;
  readonly messageKey: KeyText;
  readonly errorKey: string;
  readonly lineEnd: string;
  readonly #careful: CarefulLine;
  /** Nothing has to be asked but the keys. */
  readonly #isPlain: boolean;
  /** The message of an error that the last object held. */
  #errorMessage: unknown = undefined;
  /** A line is being made. */
  #isBusy = false;

  /** @throws TypeError when a path of `redact` cannot be understood. */
  constructor(options: LineOptions) {
    const { messageKey = 'msg', errorKey = 'err', depthLimit = 5, edgeLimit = 100 } = options;
    const redaction = options.redact === undefined ? undefined : new Redaction(options.redact);
    this.options = options;
    this.redaction = redaction?.isEmpty === true ? undefined : redaction;
    this.json = new JsonText({ depthLimit, edgeLimit }, this.redaction);
    const serializers = { err, ...options.serializers };
    if (errorKey !== 'err' && !Object.hasOwn(serializers, errorKey)) {
      (serializers as Record<string, typeof err>)[errorKey] = serializers.err;
    }
    this.keys = new KeyTexts(serializers, this.redaction?.root);
    this.messageKey = this.keys.get(messageKey);
    this.errorKey = errorKey;
    this.lineEnd = options.crlf === true ? '}\r\n' : '}\n';
    this.#careful = new CarefulLine(this);
    const { mixin, formatters, nestedKey } = options;
    this.#isPlain = !(mixin || formatters?.log || nestedKey || this.messageKey.isSpecial);
  }

  /**
   * A whole line.
   *
   * @param head - The line up to what is the same in all calls: level, time, bindings.
   * @param object - Its members are written; an Error is written whole.
   * @param message - Written last; undefined: that of the error in the object, or none.
   * Never throws.
   */
  line(head: string, object: object | null, message: unknown, level: number, logger: Logger): string {
    // A getter or a serializer that logs: the line at hand must not notice.
    if (this.#isBusy) return new LineEncoder(this.options).line(head, object, message, level, logger);
    this.#isBusy = true;
    try {
      const line = this.#isPlain ? this.#plainLine(head, object, message) : undefined;
      if (line !== undefined) return line;
    } catch {
      // The careful way finds out which member it was.
    } finally {
      this.#isBusy = false;
    }
    return this.#carefulLine(head, object, message, level, logger);
  }

  #plainLine(head: string, object: object | null, message: unknown): string | undefined {
    this.#errorMessage = undefined;
    const text = object === null ? head : (this.#plainFields(head, object, message) ?? this.#plainError(head, object));
    if (text === undefined) return undefined;
    const shown = message === undefined ? this.#errorMessage : message;
    if (typeof shown === 'string' && isPlainText(shown)) {
      return `${text + this.messageKey.openText + shown}"${this.lineEnd}`;
    }
    return text + this.messageText(shown) + this.lineEnd;
  }

  #carefulLine(head: string, object: object | null, message: unknown, level: number, logger: Logger): string {
    this.#isBusy = true;
    try {
      return this.#careful.line(head, object, message, level, logger);
    } finally {
      this.#isBusy = false;
    }
  }

  /** A line of a text alone. */
  textLine(head: string, message: string, level: number, logger: Logger): string {
    if (this.#isPlain && isPlainText(message)) return `${head + this.messageKey.openText + message}"${this.lineEnd}`;
    return this.line(head, null, message, level, logger);
  }

  /** The message as a member of the line. @returns '' when there is none. */
  messageText(message: unknown): string {
    if (message === undefined) return '';
    const { serializer, redaction, open, key } = this.messageKey;
    const shown = serializer === undefined ? message : serializer(message);
    const text = this.json.text(shown, redaction, [key]);
    return text === undefined ? '' : open + text;
  }

  /** Members of an object that is the same in many lines, each with a comma before. Never throws. */
  bindingsText(bindings: object): string {
    return this.#careful.fields(bindings as Bindings);
  }

  /** @returns `undefined` for an object that the plain way does not know. */
  #plainFields(head: string, object: object, message: unknown): string | undefined {
    if (Object.getPrototypeOf(object) !== Object.prototype) return undefined;
    let text = head;
    let last = this.keys.start;
    for (const key in object) {
      if (!hasOwn.call(object, key)) continue;
      const value = (object as Bindings)[key];
      let known = last.next;
      if (known.key !== key || known === this.keys.start) {
        known = this.keys.get(key);
        if (known.isKept) last.next = known;
      }
      last = known;
      if (known.isSpecial) {
        const special = this.#specialField(known, value, object as Bindings, message);
        if (special === undefined) return undefined;
        text += special;
        continue;
      }
      switch (typeof value) {
        case 'string':
          text += isPlainText(value) ? `${known.openText + value}"` : known.open + JSON.stringify(value);
          break;
        case 'number':
          text += known.open + (Number.isFinite(value) ? value : 'null');
          break;
        case 'boolean':
          text += known.open + value;
          break;
        default:
          text += this.#otherField(known, value);
      }
    }
    return text;
  }

  /** A call with an Error and nothing else. */
  #plainError(head: string, object: object): string | undefined {
    if (!(object instanceof Error)) return undefined;
    this.#errorMessage = object.message;
    const known = this.keys.get(this.errorKey);
    const shown = known.serializer === undefined ? object : known.serializer(object);
    if (shown === undefined || typeof shown === 'function') return head;
    const text = this.json.text(shown, known.redaction, [known.key]);
    return text === undefined ? head : head + known.open + text;
  }

  #otherField(known: KeyText, value: unknown): string {
    if (value === null) return `${known.open}null`;
    const text = typeof value === 'object' ? this.json.objectText(value) : this.json.text(value);
    return text === undefined ? '' : known.open + text;
  }

  #specialField(known: KeyText, value: unknown, object: Bindings, message: unknown): string | undefined {
    if (value === undefined) return '';
    if (known.key === this.errorKey && message === undefined && object[this.messageKey.key] === undefined) {
      this.#errorMessage = (value as { message?: unknown } | null)?.message;
    }
    if (isHttp(object)) return undefined;
    const shown = known.serializer === undefined ? value : known.serializer(value);
    if (shown === undefined || typeof shown === 'function') return '';
    const text = this.json.text(shown, known.redaction, [known.key]);
    return text === undefined ? '' : known.open + text;
  }
}

/** A request or a response of node:http and its like. */
export function isHttp(object: Bindings): boolean {
  return isRequest(object) || typeof object.setHeader === 'function';
}

/** A request of node:http and its like. */
export function isRequest(object: Bindings): boolean {
  return Boolean(object.method && object.headers && object.socket);
}
