/**
 * The store: an ordered map of byte strings in a few tables, changed in atomic steps. The state machine in `core/`
 * keeps everything it knows here and nowhere else, so two backends that pass `store.contract.ts` are interchangeable.
 *
 * Keys are *byte strings*: JavaScript strings whose every char is one byte (0–255, "latin1"). Comparing two of them
 * with `<` is comparing bytes, they are cheap to slice and to join, and they need no copy to be a `Map` key.
 */

/** A string whose every char code is 0–255: one byte. */
export type ByteString = string;

/** The tables. A closed set, so that a backend can open all of them at once. */
export const TABLES = ['meta', 'buckets', 'index', 'versions', 'records', 'expiry', 'idempotency'] as const;
export type Table = (typeof TABLES)[number];

/** The longest key a backend must take: 1,024 bytes of a user's key and 64 of ours around it. */
export const STORE_KEY_BYTES_MAX = 1_024 + 64;

export interface Range {
  /** First key, inclusive. Omitted: from the smallest. */
  start?: ByteString;
  /** Bound, exclusive. Omitted: to the largest. */
  end?: ByteString;
  /** True: from just below `end` down to `start`. */
  reverse?: boolean;
}

export interface Entry {
  key: ByteString;
  /** Owned by the store: valid until the next change or the next turn of the event loop; copy it to keep it. */
  value: Uint8Array;
}

/**
 * Where the store stands in the log: every record that ends at or before `position` is inside it.
 * 0 means nothing was ever applied.
 */
export type LogPosition = number;

export interface Store {
  /**
   * The value of a key as of the last change, or undefined.
   * Ownership: as `Entry.value`. Cost: microseconds, never waits for the disk's sync.
   */
  get(table: Table, key: ByteString): Uint8Array | undefined;

  /**
   * Entries of a range in byte order, as of the last change made *before the call*. The iterator must be consumed
   * within one turn of the event loop and before the next change; a longer scan asks again from its last key.
   */
  range(table: Table, range: Range): Iterable<Entry>;

  /**
   * Sets a key. The store copies `value`: the caller may use the bytes for something else at once.
   * Only inside `step`.
   */
  put(table: Table, key: ByteString, value: Uint8Array): void;

  /** Removes a key; nothing happens if it is absent. Only inside `step`. */
  remove(table: Table, key: ByteString): void;

  /**
   * Runs `change`, whose puts and removes become one atomic step that ends at `position`: after a crash either all or
   * none of them are found, and steps are found as a prefix of the order in which they ran. Visible to reads at once;
   * durable only after a `checkpoint` that began later. Synchronous. When `change` throws, its changes are undone and
   * the error is thrown on.
   */
  step<T>(position: LogPosition, change: () => T): T;

  /** The end position of the last step that is visible. After `open`: of the last durable one. */
  readonly position: LogPosition;

  /** The end position of the last step that is on disk and flushed. A memory store answers `position`. */
  readonly durablePosition: LogPosition;

  /**
   * Makes every step so far durable and resolves with the position reached (≥ `position` at the call). Calls made
   * while one runs share the next. Rejects when the disk refuses (its `code`, e.g. `ENOSPC`); nothing is lost or
   * half-written then, reads go on, and it may be called again.
   */
  checkpoint(): Promise<LogPosition>;

  /**
   * Bytes held in memory because they are not yet in a checkpoint. The owner calls `checkpoint` before this grows past
   * its bound. A memory store answers 0.
   */
  readonly pendingBytes: number;

  /**
   * Writes a consistent copy of the state of the last checkpoint into the empty folder `target`; opening that folder
   * gives the same store. Memory stores reject.
   */
  copyTo(target: string): Promise<LogPosition>;

  /** Stops. Does not checkpoint: what is not durable is expected in the log. */
  close(): Promise<void>;
}
