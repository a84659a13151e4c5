/**
 * The log: what was decided, in order, before anything else happens. A write is answered only after its record is
 * here; the store follows. One record holds everything that waited at one moment, so the price of a sync is shared.
 */
import type { LogPosition } from './store.ts';

export interface LogRecord {
  /** Position just after this record: what `Store.step` is told. Positions only grow and never repeat. */
  end: LogPosition;
  /** The bytes given to `append`. Owned by the reader: a fresh copy. */
  body: Uint8Array;
}

export interface Log {
  /**
   * Appends one record; resolves with its end position when the record would survive what the log's sync policy
   * promises (`always`: loss of power). One append at a time: calling it while one is under way is a bug and throws.
   * `body` may be given in parts, which are written one after the other without being joined first.
   *
   * Rejects with the disk's error (`ENOSPC`, `EIO` …) after the log has been cut back to its previous end: the record
   * did not happen and the next append may be tried. When even the cut fails the log is `broken` and refuses appends.
   */
  append(parts: readonly Uint8Array[]): Promise<LogPosition>;

  /** Where the next record begins. */
  readonly end: LogPosition;

  /**
   * Everything from `from` (a record's end, or 0) to the end, in order. Called once, after `open`.
   * @throws LogCorrupt when a record *before the last valid one* is damaged; a torn tail was already cut off by `open`.
   */
  replay(from: LogPosition): AsyncIterable<LogRecord>;

  /** Forgets records that end at or before `position`. Whole segments only; cheap; may keep more than asked. */
  trim(position: LogPosition): Promise<void>;

  /** Makes all appended records durable, whatever the policy. */
  flush(): Promise<void>;

  /** Bytes the log takes on disk. */
  readonly sizeBytes: number;

  close(): Promise<void>;
}

/** A record that had been acknowledged cannot be read back: the disk lost or changed it. Never skipped silently. */
export class LogCorrupt extends Error {
  override name = 'LogCorrupt';
}
