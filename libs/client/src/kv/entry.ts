/** Entries as callers meet them, made from the headers of a value or from JSON. */
import type * as kv from '@plinth/contracts/kv';
import { base64Of, type Key } from '../byte-string.ts';
import type { TransportReply } from '../transport.ts';

/** The members of an entry that are the same everywhere. */
interface EntryFacts {
  revision: number;
  createRevision: number;
  version: number;
  sizeBytes: number;
  expiresAt?: string;
  modifiedAt?: string;
  contentType?: string;
  metadata?: Record<string, string>;
}

/** Text, bytes, or neither when the value was not asked for. */
type Value = string | Uint8Array | undefined;

/** A key with what is known of it, and its value where that was asked for. Reading it costs nothing but the decoding. */
export class Entry {
  /** The revision that wrote it: give it as `ifRevision` to write only if nobody else did. */
  readonly revision: number;
  /** The revision that made the key. */
  readonly createRevision: number;
  /** How often the key was written since it was made, from 1. */
  readonly version: number;
  readonly sizeBytes: number;
  readonly expiresAt: Date | undefined;
  /** To the second from `get` and `head`, to the millisecond elsewhere; undefined in lists without values. */
  readonly modifiedAt: Date | undefined;
  readonly contentType: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #key: Key;
  readonly #value: Value;

  constructor(key: Key, facts: EntryFacts, value: Value) {
    this.#key = key;
    this.#value = value;
    this.revision = facts.revision;
    this.createRevision = facts.createRevision;
    this.version = facts.version;
    this.sizeBytes = facts.sizeBytes;
    this.expiresAt = dateOf(facts.expiresAt);
    this.modifiedAt = dateOf(facts.modifiedAt);
    this.contentType = facts.contentType;
    this.metadata = facts.metadata ?? {};
  }

  /** As text. Bytes that are no UTF-8 show as U+FFFD: use `keyBytes` where keys may be such. */
  get key(): string {
    return textOf(this.#key);
  }

  get keyBytes(): Uint8Array {
    return bytesOf(this.#key);
  }

  /** False when only the entry was asked for, not its value. */
  get hasValue(): boolean {
    return this.#value !== undefined;
  }

  /** The value. @throws TypeError when it was not asked for; so do `text` and `json`. */
  get bytes(): Uint8Array {
    return bytesOf(this.#asked());
  }

  /** The value as UTF-8. */
  text(): string {
    return textOf(this.#asked());
  }

  /** The value, parsed. @throws SyntaxError when it is no JSON. */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }

  /** As the API writes it: what `import` takes. */
  toJSON(): kv.Entry {
    const { revision, createRevision, version, sizeBytes, contentType, metadata } = this;
    return {
      ...members('key', this.#key),
      ...{ revision, createRevision, version, sizeBytes, contentType, metadata },
      expiresAt: this.expiresAt?.toISOString(),
      modifiedAt: this.modifiedAt?.toISOString(),
      ...(this.#value === undefined ? {} : members('value', this.#value)),
    };
  }

  #asked(): Exclude<Value, undefined> {
    if (this.#value !== undefined) return this.#value;
    throw new TypeError(`the entry ${JSON.stringify(this.key)} came without its value: ask with values: true`);
  }
}

/** @param json - Members that a delete has not are 0. */
export function entryOfJson(json: Partial<kv.Entry>): Entry {
  const { key, keyBase64, value, valueBase64, ...facts } = json;
  const bytes = (base64: string | undefined) => (base64 === undefined ? undefined : Buffer.from(base64, 'base64'));
  const counts = { revision: 0, createRevision: 0, version: 0, sizeBytes: 0 };
  return new Entry(key ?? bytes(keyBase64) ?? '', { ...counts, ...facts }, value ?? bytes(valueBase64));
}

/** @param isHead - The answer tells of a value that it does not bring. */
export function entryOfHeaders(key: Key, { headers, body }: TransportReply, isHead: boolean): Entry {
  const facts = {
    ...versionOfHeaders(headers),
    sizeBytes: isHead ? Number(headers['content-length'] ?? body.byteLength) : body.byteLength,
    modifiedAt: headers['last-modified'],
    contentType: headers['content-type'],
    metadata: metadataOf(headers),
  };
  return new Entry(key, facts, isHead ? undefined : body);
}

/** What every write answers. */
export function versionOfHeaders(headers: TransportReply['headers']) {
  return {
    revision: Number(headers['kv-revision']),
    createRevision: Number(headers['kv-create-revision']),
    version: Number(headers['kv-version']),
    expiresAt: headers['kv-expires-at'],
  };
}

const META = 'kv-meta-';

function metadataOf(headers: TransportReply['headers']): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const name in headers) {
    if (name.startsWith(META)) metadata[name.slice(META.length)] = headers[name]!;
  }
  return metadata;
}

function members(name: 'key' | 'value', content: string | Uint8Array): Partial<kv.Entry> {
  return typeof content === 'string' ? { [name]: content } : { [`${name}Base64`]: base64Of(content) };
}

function textOf(content: string | Uint8Array): string {
  if (typeof content === 'string') return content;
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8');
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
}

export const dateOf = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text));
