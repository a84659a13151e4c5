/**
 * A command's changes before they are made. Operations read through the draft and write into it; when all of them
 * agree the machine commits it as one revision, and when one refuses it is simply forgotten. A key that is written
 * several times in one command changes once.
 */
import type { ByteString } from '../store/store.ts';
import { isLive, type Version } from './layout.ts';

export interface Content {
  value: Uint8Array;
  contentType: string;
  metadata: string;
}

/** Reads what is there now. The machine, to a draft. */
export interface Present {
  version(key: ByteString): Version | undefined;
  content(key: ByteString, version: Version): Content;
  /** Live keys from `start` to `end`, at most `limit`. */
  keys(start: ByteString, end: ByteString | undefined, limit: number): ByteString[];
}

/** What a key is to become. */
export type Change = { type: 'put'; content: Content; expiresAtMs: number } | { type: 'delete' };

export interface Pending {
  /** The row in the index, live or not; undefined when the key was never there. */
  before: Version | undefined;
  /** Undefined: only read so far. */
  change: Change | undefined;
}

export class Draft {
  readonly timeMs: number;
  readonly pending = new Map<ByteString, Pending>();
  readonly #present: Present;

  constructor(present: Present, timeMs: number) {
    this.#present = present;
    this.timeMs = timeMs;
  }

  /** The key's version as this command began, when it is live. */
  before(key: ByteString): Version | undefined {
    const { before } = this.#open(key);
    return before !== undefined && isLive(before, this.timeMs) ? before : undefined;
  }

  /** True when the key exists as far as this command has come. */
  exists(key: ByteString): boolean {
    const { change } = this.#open(key);
    return change === undefined ? this.before(key) !== undefined : change.type === 'put';
  }

  /** What the key holds as far as this command has come. */
  content(key: ByteString): Content | undefined {
    const { change } = this.#open(key);
    if (change !== undefined) return change.type === 'put' ? change.content : undefined;
    const before = this.before(key);
    return before && this.#present.content(key, before);
  }

  /** When it expires as far as this command has come; 0: never, or it does not exist. */
  expiresAtMs(key: ByteString): number {
    const { change } = this.#open(key);
    if (change !== undefined) return change.type === 'put' ? change.expiresAtMs : 0;
    return this.before(key)?.expiresAtMs ?? 0;
  }

  put(key: ByteString, content: Content, expiresAtMs: number): void {
    this.#open(key).change = { type: 'put', content, expiresAtMs };
  }

  /** @returns False when there was nothing to delete. */
  delete(key: ByteString): boolean {
    if (!this.exists(key)) return false;
    this.#open(key).change = { type: 'delete' };
    return true;
  }

  /** Keys of a range that existed as the command began, at most `limit`, and those it has made there. */
  keys(start: ByteString, end: ByteString | undefined, limit: number): ByteString[] {
    const keys = new Set(this.#present.keys(start, end, limit));
    for (const key of this.pending.keys()) {
      if (key >= start && (end === undefined || key < end)) keys.add(key);
    }
    return [...keys].filter((key) => this.exists(key));
  }

  #open(key: ByteString): Pending {
    const known = this.pending.get(key);
    if (known !== undefined) return known;
    const opened: Pending = { before: this.#present.version(key), change: undefined };
    this.pending.set(key, opened);
    return opened;
  }
}
