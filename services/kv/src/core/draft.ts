/**
 * A command's changes before they are made. Operations read through the draft and write into it; when all of them
 * agree the machine commits it as one revision, and when one refuses it is simply forgotten. A key that is written
 * several times in one command changes once.
 */
import { LIMITS } from '@plinth/contracts/kv';
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
  /** The value is a view into the store: good until something changes. */
  content(version: Version): Content;
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
  /** Keys this command has put: what a range finds beside the keys of the store. */
  readonly #made = new Set<ByteString>();
  /** How many more keys of ranges this command may look at: one command is applied without pause. */
  #rangeKeysLeft: number = LIMITS.rangeDeleteKeysMax;
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
    return before && this.#present.content(before);
  }

  /** When it expires as far as this command has come; 0: never, or it does not exist. */
  expiresAtMs(key: ByteString): number {
    const { change } = this.#open(key);
    if (change !== undefined) return change.type === 'put' ? change.expiresAtMs : 0;
    return this.before(key)?.expiresAtMs ?? 0;
  }

  /** True when what the key holds is the doing of this command, so that it has no revision yet. */
  hasChanged(key: ByteString): boolean {
    return this.#open(key).change !== undefined;
  }

  put(key: ByteString, content: Content, expiresAtMs: number): void {
    this.#made.add(key);
    this.#open(key).change = { type: 'put', content, expiresAtMs };
  }

  /** @returns False when there was nothing to delete. */
  delete(key: ByteString): boolean {
    if (!this.exists(key)) return false;
    this.#open(key).change = { type: 'delete' };
    return true;
  }

  /** Keys of a range as far as this command has come; `more`: there may be others, but it has looked at enough. */
  keys(start: ByteString, end: ByteString | undefined): { keys: ByteString[]; more: boolean } {
    const left = this.#rangeKeysLeft;
    const present = left === 0 ? [] : this.#present.keys(start, end, left + 1);
    const more = left === 0 || present.length > left;
    if (present.length > left) present.length = left;
    this.#rangeKeysLeft -= present.length;
    const keys = new Set(present);
    for (const key of this.#made) if (key >= start && (end === undefined || key < end)) keys.add(key);
    return { keys: [...keys].filter((key) => this.exists(key)), more };
  }

  #open(key: ByteString): Pending {
    const known = this.pending.get(key);
    if (known !== undefined) return known;
    const opened: Pending = { before: this.#present.version(key), change: undefined };
    this.pending.set(key, opened);
    return opened;
  }
}
