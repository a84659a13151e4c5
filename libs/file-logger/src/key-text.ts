/** What is known of a key of a line, looked up once per key and call. */
import { quoted } from './json-scalars.ts';
import type { RedactionNode } from './redaction.ts';
import type { Serializer } from './serializers.ts';

/** Keys that are remembered; more than that come from data, and are worked out each time. */
const KEYS_MAX = 4_096;
/** Keys longer than this are not remembered, in UTF-16 units. */
const KEY_LENGTH_MAX = 256;

/** A key, ready for the line. */
export class KeyText {
  readonly key: string;
  /** `"key":` */
  readonly name: string;
  /** `"key":"` */
  readonly nameText: string;
  /** `,"key":` */
  readonly open: string;
  /** `,"key":"` */
  readonly openText: string;
  readonly serializer: Serializer | undefined;
  readonly redaction: RedactionNode | undefined;
  /** Anything that the plain way of writing a value does not know: serializer, redaction, a word of a request. */
  readonly isSpecial: boolean;
  /** Remembered: a key that is not must not be led to by `next`, or what it leads to would be kept. */
  isKept = false;
  /** The key that followed this one the last time: objects of a kind have their keys in one order. */
  next: KeyText;

  constructor(
    key: string,
    serializer: Serializer | undefined,
    redaction: RedactionNode | undefined,
    isSpecial: boolean,
  ) {
    this.key = key;
    this.name = `${quoted(key)}:`;
    this.nameText = `${this.name}"`;
    this.open = `,${this.name}`;
    this.openText = `${this.open}"`;
    this.serializer = serializer;
    this.redaction = redaction;
    this.isSpecial = isSpecial || serializer !== undefined || redaction !== undefined;
    this.next = this;
  }
}

/** Tell a request and a response of HTTP from other objects. */
const HTTP_WORDS: ReadonlySet<string> = new Set(['method', 'setHeader']);

/** The keys of one kind of logger. */
export class KeyTexts {
  readonly #texts = new Map<string, KeyText>();
  readonly #serializers: Readonly<Record<string, Serializer>>;
  readonly #redaction: RedactionNode | undefined;
  /** Stands before the first key of any object. */
  readonly start = new KeyText('', undefined, undefined, false);

  constructor(serializers: Readonly<Record<string, Serializer>>, redaction: RedactionNode | undefined) {
    this.#serializers = serializers;
    this.#redaction = redaction;
  }

  get(key: string): KeyText {
    return this.#texts.get(key) ?? this.#make(key);
  }

  /** @returns `undefined` for a key that is not remembered, and will not be. */
  kept(key: string): KeyText | undefined {
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    return this.#texts.size < KEYS_MAX && key.length <= KEY_LENGTH_MAX ? this.#make(key) : undefined;
  }

  #make(key: string): KeyText {
    const serializer = Object.hasOwn(this.#serializers, key) ? this.#serializers[key] : undefined;
    const text = new KeyText(key, serializer, this.#redaction?.below(key), HTTP_WORDS.has(key));
    if (this.#texts.size < KEYS_MAX && key.length <= KEY_LENGTH_MAX) {
      this.#texts.set(key, text);
      text.isKept = true;
    }
    return text;
  }
}
