/**
 * The log in segment files, after the write-ahead logs of PostgreSQL and etcd.
 *
 * Idea. A disk that is asked to make a *longer* file durable writes the data and then the file system's own journal.
 * Asked to overwrite bytes that already exist, it writes only the data. So segments are files of zeros (or of records
 * nobody needs any more) made before they are needed, and a record is one pwrite into the middle of one, on a
 * descriptor opened O_DSYNC. Measured here, ext4 on virtio: 0.12 ms, against 0.18 for an append with O_DSYNC and 0.20
 * for append + fdatasync (`segment-log.bench.ts`).
 *
 * Layout. `<start>-<magic>.log`, 16 and 8 hex digits. A position is a byte offset over the whole life of the log; the
 * byte at position p lies in the segment with the largest start ≤ p, at offset p − start. Frames (`record-frame.ts`)
 * follow one another without a gap from the first byte. A record never spans segments: one that does not fit begins
 * the next segment, whose start is the position then reached. So every sealed segment must be readable exactly up to
 * the start of the next, which leaves nothing to guess there; only the end of the last segment needs judgement
 * (`segment-scan.ts`).
 *
 * Life of a file: zeroed in the background (`*.unfinished`) or retired by `trim`, then a spare (`*.spare`), renamed to
 * be the active segment, sealed when the next one begins, retired again. Without a spare a segment begins empty and
 * grows by steps of zeros, so that a log of a few records is a file of 256 KiB.
 *
 * Why no dead record comes back. Files are reused, so behind the end there may lie whole old frames. Those of an
 * earlier life carry another magic and a smaller position. Those of *this* life, which a crash or a failed append left
 * behind the new end, would carry the right ones: so `open` and every failed append first shorten the file to its end
 * and flush it. From then on nothing but zeros, or frames of an earlier life, lies there.
 *
 * Why what `open` returns is durable. After a killed process the last frames may be in the system's cache only;
 * `open` flushes the segment before it tells the end, or a power loss could take back what a reader was shown.
 *
 * Tried and left: O_DIRECT (EINVAL: Node does not align its buffers to the disk's blocks); writev for every record in
 * place of a copy (equal from 1 KB to 256 KB; see `COPY_BYTES_MAX` in `segment-file.ts`).
 */
import { randomInt, randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Log, LogCorrupt, type LogRecord } from './log.ts';
import { bodyBytesOf, frameBytes, RECORD_BODY_BYTES_MAX } from './record-frame.ts';
import { SegmentFile, syncFolder } from './segment-file.ts';
import { findProofOfLoss, readFrames, type SegmentSource } from './segment-scan.ts';
import { SpareSegments } from './segment-spares.ts';
import type { LogPosition } from './store.ts';

const SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024;
/** `unsynced` in a frame is 32 bits and never more than a segment; and no file system likes larger ones better. */
const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;
/** One being filled next, one more for the moment `trim` comes late. */
const SPARE_SEGMENTS_DEFAULT = 2;

const SEGMENT_NAME = /^([0-9a-f]{16})-([0-9a-f]{8})\.log$/;

export interface SegmentLogOptions {
  /** `always`: `append` resolves when the record survives loss of power. `none`: after the write; see `flush`. */
  sync: 'always' | 'none';
  /** Size of a segment in bytes, at most 1 GiB. Default 64 MiB. */
  segmentBytes?: number;
  /** Most whole files kept for reuse, each of `segmentBytes`; 0 keeps none. Default 2. */
  spareSegmentsMax?: number;
  /** Where the store stands. A log that ends before it holds nothing new: it is dropped and begins here. Default 0. */
  startAt?: LogPosition;
  /** False: write + fdatasync even where O_DSYNC exists. For tests and the bench. */
  useDsync?: boolean;
}

/** The log can no longer tell what is on the disk: a cut or a flush failed (`cause`). Only opening it anew helps. */
export class LogBroken extends Error {
  override name = 'LogBroken';
  readonly code = 'LOG_BROKEN';
}

type Settings = Required<SegmentLogOptions>;

interface SealedSegment extends SegmentSource {
  sizeBytes: number;
}

/**
 * Opens the log in a folder, creating both when absent. One process at a time may have it open.
 *
 * A torn tail is cut off. A broken last record is taken for one, because nothing tells the two apart.
 *
 * @throws LogCorrupt when a broken record has valid ones behind it that prove it was once durable. The folder is then
 * unchanged. Damage in earlier segments is found by `replay`.
 * Cost: reads the last segment once and flushes it (64 MiB of 400-byte records, cached: about 110 ms); a few
 * milliseconds for an empty folder.
 */
export async function openSegmentLog(folder: string, options: SegmentLogOptions): Promise<Log> {
  const settings = withDefaults(options);
  await makeFolder(folder);
  const names = await readdir(folder);
  const segments = await listSegments(folder, names);
  const last = segments.at(-1);
  const end = last === undefined ? 0 : await findEnd(last);
  const spares = new SpareSegments(folder, settings);
  await spares.adopt(names);
  await syncFolder(folder);
  if (last !== undefined && end >= settings.startAt) {
    const active = await reopenSegment(last, end, settings);
    return new SegmentLog({ folder, settings, spares, sealed: segments.slice(0, -1), active });
  }
  // Oldest first: a crash in between leaves a log without a hole, which is dropped again at the next start.
  for (const segment of segments) await spares.retire(segment.path);
  const active = await beginSegment({ folder, settings, position: settings.startAt, sparePath: undefined });
  return new SegmentLog({ folder, settings, spares, sealed: [], active });
}

function withDefaults(options: SegmentLogOptions): Settings {
  const defaults = {
    segmentBytes: SEGMENT_BYTES_DEFAULT,
    spareSegmentsMax: SPARE_SEGMENTS_DEFAULT,
    startAt: 0,
    useDsync: true,
  };
  const settings = { ...defaults, ...options };
  const { segmentBytes, startAt } = settings;
  if (!(Number.isInteger(segmentBytes) && segmentBytes > 0 && segmentBytes <= SEGMENT_BYTES_MAX)) {
    throw new RangeError(`segmentBytes is ${segmentBytes}; it must be from 1 to ${SEGMENT_BYTES_MAX}`);
  }
  if (!Number.isSafeInteger(startAt) || startAt < 0) throw new RangeError(`startAt is ${startAt}: not a position`);
  return settings;
}

/** Creates the folder and makes its name, and that of every parent it needed, durable. */
async function makeFolder(folder: string): Promise<void> {
  const firstMade = await mkdir(folder, { recursive: true });
  if (firstMade === undefined) return;
  const top = dirname(resolve(firstMade));
  for (let parent = dirname(resolve(folder)); parent.length >= top.length; parent = dirname(parent)) {
    await syncFolder(parent);
    if (parent === top) return;
  }
}

/** The segments of a folder, oldest first. Files of other names are not ours and are left alone. */
async function listSegments(folder: string, names: readonly string[]): Promise<SealedSegment[]> {
  const segments: SealedSegment[] = [];
  // Names sort as their positions do: both numbers have a fixed width.
  for (const name of names.toSorted()) {
    const match = SEGMENT_NAME.exec(name);
    if (match === null) continue;
    const path = join(folder, name);
    const [, start = '', magic = ''] = match;
    const { size: sizeBytes } = await stat(path);
    segments.push({ path, start: Number.parseInt(start, 16), magic: Number.parseInt(magic, 16), sizeBytes });
  }
  return segments;
}

async function findEnd(last: SegmentSource): Promise<LogPosition> {
  let end = last.start;
  for await (const frame of readFrames(last, { from: last.start })) end = frame.end;
  const proof = await findProofOfLoss(last, end);
  if (proof === undefined) return end;
  throw new LogCorrupt(`${last.path}: no valid record at position ${end}, yet one at ${proof} was written after it`);
}

/** Opens the last segment for appending and shortens it to the end that was found. */
async function reopenSegment(last: SegmentSource, end: LogPosition, settings: Settings): Promise<SegmentFile> {
  const place = { position: last.start, magic: last.magic, usedBytes: end - last.start };
  const active = await SegmentFile.open(last.path, place, settings);
  await active.cut().catch(closeAndThrow(active));
  return active;
}

/** For a segment that could not be made ready: gives the descriptor back, then fails with the reason. */
function closeAndThrow(segment: SegmentFile): (error: unknown) => Promise<never> {
  return async (error) => {
    await segment.close();
    throw error;
  };
}

interface NewSegment {
  folder: string;
  settings: Settings;
  position: LogPosition;
  /** A file to rename into place; undefined: an empty one is created. */
  sparePath: string | undefined;
}

/**
 * Makes the file of a new segment, with a durable name.
 *
 * @throws The disk's error, after the file was removed again: a forgotten segment that begins here would hide records
 * later written at the same positions elsewhere. LogBroken when it could not be removed.
 */
async function beginSegment({ folder, settings, position, sparePath }: NewSegment): Promise<SegmentFile> {
  const magic = randomMagic();
  const path = join(folder, segmentName({ position, magic }));
  try {
    if (sparePath !== undefined) await rename(sparePath, path);
    const segment = await SegmentFile.open(path, { position, magic, usedBytes: 0 }, settings);
    await syncFolder(folder).catch(closeAndThrow(segment));
    return segment;
  } catch (error) {
    await removeSegment(folder, path);
    throw error;
  }
}

async function removeSegment(folder: string, path: string): Promise<void> {
  try {
    await rm(path, { force: true });
    await syncFolder(folder);
  } catch (cause) {
    throw new LogBroken(`cannot remove ${path}`, { cause });
  }
}

function segmentName({ position, magic }: { position: LogPosition; magic: number }): string {
  return `${position.toString(16).padStart(16, '0')}-${magic.toString(16).padStart(8, '0')}.log`;
}

/** Any number but 0, which is what free space is made of. */
function randomMagic(): number {
  return randomInt(1, 2 ** 32);
}

class SegmentLog implements Log {
  readonly #folder: string;
  readonly #settings: Settings;
  readonly #spares: SpareSegments;
  /** Oldest first, without a gap up to the active one. Whole and durable. */
  readonly #sealed: SealedSegment[];
  #active: SegmentFile;
  /** Everything before it is on the disk. */
  #durable: LogPosition;
  #appending: Promise<LogPosition> | undefined;
  /** `trim`s, one after the other. Never rejects. */
  #trimming: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #broken: LogBroken | undefined;
  /** The segment during which a spare was last asked for: on a full disk once is enough. */
  #preparedDuring: SegmentFile | undefined;

  constructor(state: {
    folder: string;
    settings: Settings;
    spares: SpareSegments;
    sealed: SealedSegment[];
    active: SegmentFile;
  }) {
    this.#folder = state.folder;
    this.#settings = state.settings;
    this.#spares = state.spares;
    this.#sealed = state.sealed;
    this.#active = state.active;
    this.#durable = state.active.end;
  }

  get end(): LogPosition {
    return this.#active.end;
  }

  get sizeBytes(): number {
    const sealedBytes = this.#sealed.reduce((sum, segment) => sum + segment.sizeBytes, 0);
    return sealedBytes + this.#active.sizeBytes + this.#spares.sizeBytes;
  }

  /**
   * As `Log.append`. Throws at once when another append is under way or the log is closed; rejects with LogBroken when
   * it is not known whether the record happened, with a RangeError when it is longer than 64 MiB.
   */
  append(parts: readonly Uint8Array[]): Promise<LogPosition> {
    this.#assertOpen();
    if (this.#appending !== undefined) throw new Error('append: another append is under way');
    this.#appending = this.#append(parts).finally(() => {
      this.#appending = undefined;
    });
    return this.#appending;
  }

  async #append(parts: readonly Uint8Array[]): Promise<LogPosition> {
    this.#assertWhole();
    const bodyBytes = bodyBytesOf(parts);
    if (bodyBytes > RECORD_BODY_BYTES_MAX) {
      throw new RangeError(`record is ${bodyBytes} bytes; the most is ${RECORD_BODY_BYTES_MAX}`);
    }
    const bytes = frameBytes(bodyBytes);
    if (!this.#active.hasRoomFor(bytes)) await this.#roll(bytes);
    await this.#writeOrCut(parts);
    if (this.#settings.sync === 'always') this.#durable = this.end;
    this.#prepareNext();
    return this.end;
  }

  async #writeOrCut(parts: readonly Uint8Array[]): Promise<void> {
    try {
      await this.#active.append(parts, this.end - this.#durable);
    } catch (error) {
      await this.#orBreak(this.#active.cut(), error);
      throw error;
    }
  }

  /** Seals the active segment and begins the next at the present end. */
  async #roll(bytes: number): Promise<void> {
    await this.#syncActive();
    const { segmentBytes } = this.#settings;
    // A record of its own segment would make the spare longer than it is useful for.
    const sparePath = bytes <= segmentBytes ? this.#spares.take() : undefined;
    const place = { folder: this.#folder, settings: this.#settings, position: this.end, sparePath };
    const next = await beginSegment(place).catch((error: unknown) => {
      if (error instanceof LogBroken) this.#broken = error;
      throw error;
    });
    const sealed = this.#active;
    const { path, start, magic, sizeBytes } = sealed;
    this.#sealed.push({ path, start, magic, sizeBytes });
    this.#active = next;
    await sealed.close();
  }

  /** Has a spare ready before the active segment is full, so that no append waits for its zeros. */
  #prepareNext(): void {
    if (!this.#active.isHalfFull || this.#preparedDuring === this.#active) return;
    this.#preparedDuring = this.#active;
    this.#spares.prepare(randomUUID());
  }

  /**
   * As `Log.replay`. Memory: a record and 1 MiB.
   * @throws LogCorrupt also when the log does not reach back to `from`, or ends before it.
   */
  replay(from: LogPosition): AsyncIterable<LogRecord> {
    this.#assertOpen();
    return this.#replay(from);
  }

  async *#replay(from: LogPosition): AsyncGenerator<LogRecord> {
    const { end } = this;
    const segments: SegmentSource[] = [...this.#sealed, this.#active];
    const first = segments[0]?.start ?? end;
    if (from < first || from > end) {
      throw new LogCorrupt(`${this.#folder} holds positions ${first} to ${end}; ${from} was asked for`);
    }
    for (const [index, segment] of segments.entries()) {
      const until = segments[index + 1]?.start ?? end;
      if (until > from) yield* replaySegment(segment, { from: Math.max(from, segment.start), until });
    }
  }

  /** As `Log.trim`. Cost: a rename for each segment and one flush of the folder. */
  trim(position: LogPosition): Promise<void> {
    this.#assertOpen();
    const trimmed = this.#trimming.then(() => this.#trim(position));
    this.#trimming = trimmed.catch(() => undefined);
    return trimmed;
  }

  async #trim(position: LogPosition): Promise<void> {
    const before = this.#sealed.length;
    for (let oldest = this.#sealed[0]; oldest !== undefined; oldest = this.#sealed[0]) {
      if ((this.#sealed[1] ?? this.#active).start > position) break;
      await this.#spares.retire(oldest.path);
      this.#sealed.shift();
    }
    if (this.#sealed.length < before) await syncFolder(this.#folder);
  }

  /** As `Log.flush`. When it fails the log is broken: the kernel forgets what it could not write, a retry would lie. */
  async flush(): Promise<void> {
    this.#assertOpen();
    this.#assertWhole();
    await this.#syncActive();
  }

  async #syncActive(): Promise<void> {
    const { end } = this;
    if (this.#durable >= end) return;
    await this.#orBreak(this.#active.datasync());
    this.#durable = Math.max(this.#durable, end);
  }

  /** Waits for what is under way, flushes and closes the files. Calling it again waits for the same. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // In this order: an append may be what asks for a spare.
    await this.#appending?.catch(() => undefined);
    await this.#trimming;
    await this.#spares.close();
    try {
      if (this.#broken === undefined) await this.#syncActive();
    } finally {
      await this.#active.close();
    }
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new Error('the log is closed');
  }

  #assertWhole(): void {
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** Waits for a step without which the state of the disk is unknown. */
  async #orBreak(step: Promise<void>, reason?: unknown): Promise<void> {
    try {
      await step;
    } catch (error) {
      const cause = reason === undefined ? error : new AggregateError([reason, error], 'write and cut failed');
      this.#broken = new LogBroken(`${this.#folder}: the log's end on disk is unknown`, { cause });
      throw this.#broken;
    }
  }
}

/** Copies out the records of one segment; `until` is where the next one begins, or the log's end. */
async function* replaySegment(
  segment: SegmentSource,
  { from, until }: { from: LogPosition; until: LogPosition },
): AsyncGenerator<LogRecord> {
  let reached = from;
  for await (const frame of readFrames(segment, { from, until })) {
    reached = frame.end;
    yield { end: frame.end, body: new Uint8Array(frame.body) };
  }
  if (reached !== until) throw new LogCorrupt(`${segment.path}: no valid record at position ${reached}`);
}
