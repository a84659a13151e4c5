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
  version(bucket: number, key: ByteString): Version | undefined;
  /** The value is a view into the store: good until something changes. */
  content(bucket: number, version: Version): Content;
  /** Keys from `start` to `end` that are live at `timeMs`, at most `limit`. */
  keys(bucket: number, range: KeyBounds, timeMs: number, limit: number): ByteString[];
}

export interface KeyBounds {
  start: ByteString;
  end: ByteString | undefined;
}

/** What a key is to become. */
export type Change = { type: 'put'; content: Content; expiresAtMs: number } | { type: 'delete' };

export interface Pending {
  /** The row in the index, live or not; undefined when the key was never there. */
  before: Version | undefined;
  /** Undefined: only read so far. */
  change: Change | undefined;
  /** The version a put has become, once the draft is committed. */
  after: Version | undefined;
}

export class Draft {
  readonly timeMs: number;
  readonly pending = new Map<ByteString, Pending>();
  readonly #bucket: number;
  /** How many more keys of ranges this command may look at: one command is applied without pause. */
  #rangeKeysLeft: number = LIMITS.rangeDeleteKeysMax;
  readonly #present: Present;

  constructor(present: Present, bucket: number, timeMs: number) {
    this.#present = present;
    this.#bucket = bucket;
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
    return before && this.#present.content(this.#bucket, before);
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
    const present = left === 0 ? [] : this.#present.keys(this.#bucket, { start, end }, this.timeMs, left + 1);
    const more = left === 0 || present.length > left;
    if (present.length > left) present.length = left;
    this.#rangeKeysLeft -= present.length;
    const keys = new Set(present);
    // Those that this command has put stand beside the keys of the store.
    for (const key of this.pending.keys()) if (key >= start && (end === undefined || key < end)) keys.add(key);
    return { keys: [...keys].filter((key) => this.exists(key)), more };
  }

  #open(key: ByteString): Pending {
    const known = this.pending.get(key);
    if (known !== undefined) return known;
    const opened: Pending = {
      before: this.#present.version(this.#bucket, key),
      change: undefined,
      after: undefined,
    };
    this.pending.set(key, opened);
    return opened;
  }
}
