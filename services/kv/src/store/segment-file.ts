/**
 * One segment of the log on disk, open for appending frames at its end.
 *
 * The fast path is one pwrite on an O_DSYNC descriptor inside a part of the file that already holds zeros: the file
 * system then has data to write and no metadata to commit. A file that began as a spare is zeroed whole. One that
 * began empty is zeroed ahead of its end, in doubling steps, in the background; a write that comes before the zeros
 * makes the file longer itself, which is just as correct and only slower.
 */
import { constants, write, writev } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { bodyBytesOf, FRAME_HEADER_BYTES, type FramePlace, frameBytes, writeFrameHeader } from './record-frame.ts';
import type { LogPosition } from './store.ts';

/**
 * Frames up to this size are copied into one buffer, longer ones are given to writev as a list. From 1 KB to 256 KB the
 * two took the same time; the copy allows the zeros of `#pagedBytes`, and a batch of thousands of small parts stays one
 * write, where writev takes 1,024 at a time and syncs after each. The list spares a buffer for the longest record.
 */
const COPY_BYTES_MAX = 64 * 1024;
const PAGE_BYTES = 4096;

/** First step of zeros in a file that began empty: a service that stores nothing costs no more than this. */
const GROW_BYTES_MIN = 256 * 1024;
/** Longest step, reached by doubling. Half of it is always ahead of the end, so appends never wait for zeros. */
const GROW_BYTES_MAX = 4 * 1024 * 1024;

/**
 * One write of zeros. An append to the same file waits behind it, and each costs a commit: p99 of 20 KB appends to a
 * growing file was 0.5 ms with 64 KiB, 0.6 with 256 KiB and 1.1 with 1 MiB, appends/s 4,200, 5,100 and 5,000.
 */
const ZEROS = Buffer.alloc(256 * 1024);

const writeAt = promisify(write);
const writeAllAt = promisify(writev);

/**
 * Linux only: Windows has no O_DSYNC, and macOS's leaves the bytes in the drive's own cache, which its fdatasync (as
 * libuv calls it, F_FULLFSYNC) does not. Elsewhere a write is followed by fdatasync.
 */
const O_DSYNC = process.platform === 'linux' ? constants.O_DSYNC : undefined;

export interface SegmentOptions {
  /** `always`: an append is on the disk when it resolves. `none`: it is in the operating system's memory. */
  sync: 'always' | 'none';
  /** Size of a segment in bytes. A record longer than this still fits, alone in a longer segment. */
  segmentBytes: number;
  /** False: use write + fdatasync even where O_DSYNC exists. For tests and the bench. */
  useDsync?: boolean;
}

/**
 * Opens a file for reading and positioned writing, creating it when absent.
 *
 * @returns The handle, and whether its writes are durable when they return (false: they need `datasync`).
 */
export async function openForWriting(
  path: string,
  options: Pick<SegmentOptions, 'sync' | 'useDsync'>,
): Promise<{ handle: FileHandle; isDsync: boolean }> {
  const isDsync = options.sync === 'always' && O_DSYNC !== undefined && options.useDsync !== false;
  const flags = constants.O_RDWR | constants.O_CREAT | (isDsync ? O_DSYNC : 0);
  return { handle: await open(path, flags, 0o600), isDsync };
}

/**
 * Writes zeros over [from, to), one piece at a time.
 *
 * @param onPiece - Told the offset reached after each piece; answering false stops there.
 */
export async function writeZeros(
  handle: FileHandle,
  { from, to, onPiece }: { from: number; to: number; onPiece: (reached: number) => boolean },
): Promise<void> {
  for (let at = from; at < to; ) {
    const bytes = Math.min(ZEROS.byteLength, to - at);
    await writeFully(handle.fd, [ZEROS.subarray(0, bytes)], at);
    at += bytes;
    if (!onPiece(at)) return;
  }
}

/** Makes created, renamed and removed names of a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folders; NTFS journals names by itself.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes all pieces in one call, or, when the kernel took less, the rest in more calls until it says why. */
async function writeFully(fd: number, pieces: readonly Uint8Array[], at: number): Promise<void> {
  const total = bodyBytesOf(pieces);
  let written = await writeOnce(fd, pieces, at);
  if (written === total) return;
  const whole = Buffer.concat(pieces);
  while (written < total) {
    const { bytesWritten } = await writeAt(fd, whole, written, total - written, at + written);
    if (bytesWritten === 0) throw Object.assign(new Error('the disk takes no more bytes'), { code: 'ENOSPC' });
    written += bytesWritten;
  }
}

async function writeOnce(fd: number, pieces: readonly Uint8Array[], at: number): Promise<number> {
  const [first] = pieces;
  const { bytesWritten } =
    pieces.length === 1 && first !== undefined
      ? await writeAt(fd, first, 0, first.byteLength, at)
      : await writeAllAt(fd, pieces, at);
  return bytesWritten;
}

export class SegmentFile {
  readonly path: string;
  /** Position of the segment's first byte. */
  readonly start: LogPosition;
  readonly magic: number;

  readonly #handle: FileHandle;
  readonly #isDsync: boolean;
  readonly #options: SegmentOptions;
  readonly #staging = Buffer.allocUnsafeSlow(COPY_BYTES_MAX + PAGE_BYTES);
  #usedBytes: number;
  /** Bytes of the file that are known to be written: a write inside them changes no metadata. */
  #allocatedBytes: number;
  #growing: Promise<void> | undefined;
  #isClosing = false;

  /** Use `SegmentFile.open`. */
  constructor(
    { path, handle, isDsync, ...at }: { path: string; handle: FileHandle; isDsync: boolean } & SegmentExtent,
    options: SegmentOptions,
  ) {
    this.path = path;
    this.start = at.position;
    this.magic = at.magic;
    this.#handle = handle;
    this.#isDsync = isDsync;
    this.#options = options;
    this.#usedBytes = at.usedBytes;
    this.#allocatedBytes = at.sizeBytes;
  }

  /** Opens or creates the file. Its contents up to `usedBytes` are kept; the rest is free to be written over. */
  static async open(
    path: string,
    place: FramePlace & { usedBytes: number },
    options: SegmentOptions,
  ): Promise<SegmentFile> {
    const { handle, isDsync } = await openForWriting(path, options);
    try {
      const { size: sizeBytes } = await handle.stat();
      return new SegmentFile({ path, handle, isDsync, sizeBytes, ...place }, options);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Position just after the last record. */
  get end(): LogPosition {
    return this.start + this.#usedBytes;
  }

  get sizeBytes(): number {
    return this.#allocatedBytes;
  }

  /** True when at least half of the segment is used: time to have the next one ready. */
  get isHalfFull(): boolean {
    return this.#usedBytes * 2 >= this.#options.segmentBytes;
  }

  /** True when a frame of that size belongs into this segment. The first record always does, however long. */
  hasRoomFor(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#options.segmentBytes;
  }

  /**
   * Writes one record behind the last. One call under way at a time.
   *
   * @throws The disk's error. The file may then hold a part of the frame: `cut` before anything else.
   */
  async append(parts: readonly Uint8Array[], unsyncedBytes: number): Promise<void> {
    const bytes = frameBytes(bodyBytesOf(parts));
    // Zeros still on their way past the allocated part would land on top of the record.
    if (this.#usedBytes + bytes > this.#allocatedBytes) await this.#growing;
    const pieces = this.#frame(parts, bytes, unsyncedBytes);
    await writeFully(this.#handle.fd, pieces, this.#usedBytes);
    if (this.#options.sync === 'always' && !this.#isDsync) await this.#handle.datasync();
    this.#usedBytes += bytes;
    this.#allocatedBytes = Math.max(this.#allocatedBytes, this.#usedBytes);
    this.#growAhead();
  }

  /** The frame as a list of buffers, ready for one write at the end of the segment. */
  #frame(parts: readonly Uint8Array[], bytes: number, unsyncedBytes: number): readonly Uint8Array[] {
    const header = this.#staging.subarray(0, FRAME_HEADER_BYTES);
    writeFrameHeader(header, { magic: this.magic, position: this.end, unsyncedBytes, parts });
    const paddingBytes = bytes - FRAME_HEADER_BYTES - bodyBytesOf(parts);
    if (bytes > COPY_BYTES_MAX) return [header, ...parts, ZEROS.subarray(0, paddingBytes)];
    let at = FRAME_HEADER_BYTES;
    for (const part of parts) {
      this.#staging.set(part, at);
      at += part.byteLength;
    }
    const writeBytes = this.#pagedBytes(bytes);
    this.#staging.fill(0, at, writeBytes);
    return [this.#staging.subarray(0, writeBytes)];
  }

  /**
   * Length of the write, with zeros up to the end of the frame's last page when those bytes are allocated and free.
   * In a recycled file that is no longer cached a page written only in part must be read first: 20 KB records took
   * 0.29 ms without this and 0.21 with it, and 0.20 in a file that is cached.
   */
  #pagedBytes(bytes: number): number {
    const end = this.#usedBytes + bytes;
    const pageEnd = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;
    return Math.max(end, Math.min(pageEnd, this.#allocatedBytes)) - this.#usedBytes;
  }

  /**
   * Makes everything behind the last record unreadable, for good: the file is shortened to its end and flushed, so a
   * half-written frame, or whole ones that an unsynced log left behind a hole, are gone from the disk before anything
   * new is written. Zeroing a header would do less: a later record of just the right length could make the *next*
   * stale frame line up again. The price, zeros to be written anew, is paid only after a crash or a full disk.
   */
  async cut(): Promise<void> {
    await this.#growing;
    await this.#handle.truncate(this.#usedBytes);
    await this.#handle.sync();
    this.#allocatedBytes = this.#usedBytes;
  }

  /** Makes everything appended so far durable. */
  async datasync(): Promise<void> {
    await this.#handle.datasync();
  }

  /** Stops growing and closes the file. No append may be under way. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#growing;
    await this.#handle.close();
  }

  /** Starts a step of zeros in the background when less than half a step is left in front of the end. */
  #growAhead(): void {
    const stepBytes = Math.min(GROW_BYTES_MAX, Math.max(GROW_BYTES_MIN, this.#allocatedBytes));
    const isFar = this.#allocatedBytes - this.#usedBytes >= stepBytes / 2;
    const isWhole = this.#allocatedBytes >= this.#options.segmentBytes;
    if (isFar || isWhole || this.#growing !== undefined) return;
    this.#growing = this.#grow(Math.min(this.#options.segmentBytes, this.#allocatedBytes + stepBytes));
  }

  /** Never rejects: without the zeros the next append makes the file longer itself and meets the disk's error. */
  async #grow(toBytes: number): Promise<void> {
    const onPiece = (reached: number): boolean => {
      this.#allocatedBytes = reached;
      return !this.#isClosing;
    };
    try {
      await writeZeros(this.#handle, { from: this.#allocatedBytes, to: toBytes, onPiece });
    } catch {
      // Nothing depends on it.
    } finally {
      this.#growing = undefined;
    }
  }
}

interface SegmentExtent extends FramePlace {
  usedBytes: number;
  sizeBytes: number;
}
