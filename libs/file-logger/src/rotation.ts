/** When a log is rotated, and what its rotated files are called. */
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { CompressionFormat } from './compression.ts';
import { codeOf } from './trouble.ts';

export interface RotationOptions {
  /** Rotates before a file would grow past this. Only a single longer line makes a longer file. */
  bytesMax?: number;
  /** Rotates when an hour or a day (UTC) ends, or at each multiple of so many milliseconds since 1970. */
  every?: 'hour' | 'day' | number;
  /** Rotated files to keep; older ones are removed. Omitted: all. */
  keepFiles?: number;
  /** Bytes of rotated files to keep, as they lie on the disk. */
  keepBytes?: number;
  /** Age to keep, by the time in the file's name, in milliseconds. */
  keepMs?: number;
  /** Rotated files are compressed in the background. Default: not. */
  compress?: CompressionFormat | false;
}

const PERIODS_MS = { hour: 3_600_000, day: 86_400_000 };

/** Tells when a file is due. Time is the wall clock's, which may be set: a file is never rotated twice for one step. */
export class RotationSchedule {
  readonly #bytesMax: number;
  readonly #periodMs: number | undefined;
  readonly #now: () => number;
  #nextMs = Number.POSITIVE_INFINITY;

  constructor({ bytesMax, every }: RotationOptions, now: () => number) {
    this.#bytesMax = bytesMax ?? Number.POSITIVE_INFINITY;
    this.#periodMs = typeof every === 'string' ? PERIODS_MS[every] : every;
    this.#now = now;
  }

  /** A file begins, or goes on: `modifiedMs` is when it was last written, if it holds something. */
  begin(modifiedMs = this.#now()): void {
    if (this.#periodMs !== undefined) this.#nextMs = this.#periodEnd(modifiedMs);
  }

  /** Is the period over? The size is told by `roomBytes`. */
  get isDue(): boolean {
    return this.#periodMs !== undefined && this.#isOver(this.#periodMs);
  }

  roomBytes(sizeBytes: number): number {
    return this.#bytesMax - sizeBytes;
  }

  #isOver(periodMs: number): boolean {
    const now = this.#now();
    if (now >= this.#nextMs) return true;
    // The clock was set back by more than a period: without this the file would grow until the old time comes again.
    if (now < this.#nextMs - 2 * periodMs) this.#nextMs = this.#periodEnd(now);
    return false;
  }

  #periodEnd(ms: number): number {
    const periodMs = this.#periodMs as number;
    return (Math.floor(ms / periodMs) + 1) * periodMs;
  }
}

/** A rotated file, as its name tells. */
export interface RotatedFile {
  path: string;
  /** The name without the log's own and without the ending of a compressed one: sorts by age. */
  stamp: string;
  isCompressed: boolean;
}

const STAMP = /^(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z(?:_\d{6})?)(\.gz|\.zst)?$/;
const SUFFIX_DIGITS = 6;

/** The rotated files of a log, oldest first. Empty when the folder cannot be read. Cost: one listing of the folder. */
export function rotatedFiles(logPath: string): RotatedFile[] {
  const prefix = `${basename(logPath)}.`;
  const found: RotatedFile[] = [];
  for (const name of namesIn(dirname(logPath))) {
    const match = name.startsWith(prefix) ? STAMP.exec(name.slice(prefix.length)) : null;
    if (match === null) continue;
    found.push({ path: join(dirname(logPath), name), stamp: match[1] as string, isCompressed: match[2] !== undefined });
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** When a rotated file ended, in milliseconds since 1970. */
export function stampMs(stamp: string): number {
  const [day, time = ''] = stamp.slice(0, 23).split('T');
  return Date.parse(`${day}T${time.replaceAll('-', ':')}Z`);
}

/**
 * A stamp that sorts behind all there are. When the clock was set back, or two files end in one millisecond, it is the
 * newest one's with a number that counts up: `…123Z_000001`, which sorts behind `…123Z.gz`.
 */
export function nextStamp(newest: string | undefined, nowMs: number): string {
  const stamp = new Date(nowMs).toISOString().replaceAll(':', '-');
  if (newest === undefined || stamp > newest) return stamp;
  const [base, number = '0'] = newest.split('_');
  return `${base}_${String(Number(number) + 1).padStart(SUFFIX_DIGITS, '0')}`;
}

/**
 * Renames a log to its rotated name; nothing is ever overwritten, whoever else rotates.
 *
 * @returns The rotated file's path. @throws What the operating system says; the log is then where it was.
 */
export function moveAside(logPath: string, files: RotatedFile[], nowMs: number): string {
  let stamp = nextStamp(files.at(-1)?.stamp, nowMs);
  while (!isReserved(`${logPath}.${stamp}`)) stamp = nextStamp(stamp, nowMs);
  const target = `${logPath}.${stamp}`;
  try {
    renameSync(logPath, target);
  } catch (error) {
    rmSync(target, { force: true });
    throw error;
  }
  return target;
}

/** An empty file holds the name until the rename replaces it. */
function isReserved(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx'));
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Makes renames in a folder survive a power loss, where the system can. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
