/**
 * Where finished lines go: a file or a descriptor written by this thread, or a ring that another thread drains.
 *
 * The logger makes a line, the sink owns it from then on: nothing but a count ever tells that it could not be kept.
 */

/** What happened to lines since the sink was made. `written + dropped + pending` is the number of lines taken. */
export interface SinkStats {
  /** Lines handed to the operating system. */
  written: number;
  writtenBytes: number;
  /** Lines taken and not yet written. */
  pending: number;
  /** Lines that were given up, by reason. */
  dropped: {
    /** The buffers were full, and the policy drops. */
    full: number;
    /** Longer than what the sink takes. */
    tooLong: number;
    /** They could not be written until the sink was closed. */
    failed: number;
    /** Their thread was terminated before they were on their way. */
    torn: number;
  };
  /** Failed calls to the operating system: writes, syncs, rotations. */
  errors: number;
}

export interface LineSink {
  /**
   * Takes a line. Never throws.
   *
   * @param line - JSON text with its newline at the end and no other.
   * Cost: well below a microsecond unless a buffer is full or the durability is `always`.
   */
  write(line: string): void;
  /** Calls back when all lines taken so far are written, and synced unless the durability is `none`. Keeps the event loop alive. */
  flush(done?: (error?: Error) => void): void;
  /** As `flush`, but returns only then; gives up after `deadlineMs` (default 2,000). For `exit`. @returns Whether all were written. */
  flushSync(deadlineMs?: number): boolean;
  /** Flushes, and lets go of everything. No line may follow: it would be counted as dropped. */
  close(): Promise<void>;
  stats(): SinkStats;
}

/**
 * When lines are safe, and from what.
 * - `none`: written when a buffer is full or after `lingerMs`, never synced. SIGKILL loses at most what was buffered.
 * - `interval`: written and synced every `intervalMs`. SIGKILL or a power loss loses at most that time's lines.
 * - `always`: the call returns after the line is written and synced. Nothing is lost.
 */
export type Durability = 'none' | 'interval' | 'always';

/** What to do with a line when all buffers are full: wait for the disk, drop this line, or drop the oldest ones. */
export type WhenFull = 'block' | 'drop-newest' | 'drop-oldest';
