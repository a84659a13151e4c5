/**
 * Reading segments: records in order, and the search that tells a torn tail from damage in the middle.
 *
 * A scan stops at the first frame that is not valid. In a sealed segment that must be exactly where the next segment
 * starts. In the last one it is the end of the log, if the bytes behind it are what a crash leaves: nothing valid, or
 * only records that were themselves written before the broken one was durable (`sync: 'none'` and a loss of power,
 * where pages reach the disk in any order). A valid record that was written when the broken place was already durable
 * proves that the disk lost it.
 */
import { type FileHandle, open } from 'node:fs/promises';
import {
  FRAME_ALIGN_BYTES,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameBytes,
  isFrameIntact,
  readFrameHeader,
} from './record-frame.ts';
import type { LogPosition } from './store.ts';

/** Bytes read at once: at 1 MiB a read's fixed cost is lost in the copy; the memory a scan takes besides one record. */
const READ_BYTES = 1024 * 1024;

export interface SegmentSource {
  path: string;
  /** Position of the file's first byte. */
  start: LogPosition;
  magic: number;
}

export interface Frame {
  /** Position just after the record. */
  end: LogPosition;
  /** A view, valid until the next frame is asked for. */
  body: Buffer;
}

/**
 * The valid records of a segment from position `from`, which must be a record's beginning, up to position `until`
 * (omitted: to the end of the file). Stops at the first place that holds no valid record, without saying why.
 */
export async function* readFrames(
  source: SegmentSource,
  { from, until }: { from: LogPosition; until?: LogPosition },
): AsyncGenerator<Frame> {
  const handle = await open(source.path, 'r');
  try {
    const view = new FileWindow(handle, Math.min((await handle.stat()).size, (until ?? Infinity) - source.start));
    for (let position = from; ; ) {
      const frame = await frameAt(view, source, position);
      if (frame === undefined) return;
      position = frame.end;
      yield frame;
    }
  } finally {
    await handle.close();
  }
}

/**
 * Looks behind a broken place for a record that proves that the log once was durable past it.
 *
 * @returns The position of such a record, or undefined: then nothing behind `broken` was ever promised to anyone.
 * Cost: reads the rest of the file, 64 MiB of zeros take about 25 ms.
 */
export async function findProofOfLoss(source: SegmentSource, broken: LogPosition): Promise<LogPosition | undefined> {
  const handle = await open(source.path, 'r');
  try {
    const view = new FileWindow(handle, (await handle.stat()).size);
    for await (const position of magicPositions(view, source, broken + FRAME_ALIGN_BYTES)) {
      const frame = await frameAt(view, source, position);
      if (frame !== undefined && position - frame.header.unsyncedBytes > broken) return position;
    }
    return undefined;
  } finally {
    await handle.close();
  }
}

/** The positions from `from` on, at which a frame could begin, that hold the segment's magic. */
async function* magicPositions(
  view: FileWindow,
  source: SegmentSource,
  from: LogPosition,
): AsyncGenerator<LogPosition> {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(source.magic);
  for (let offset = from - source.start; offset < view.fileBytes; ) {
    const chunk = await view.from(offset);
    const found = chunk.indexOf(magic);
    if (found < 0) {
      if (chunk.byteLength < magic.byteLength || offset + chunk.byteLength >= view.fileBytes) return;
      // The last three bytes may be the beginning of a magic that ends in the next chunk.
      offset += chunk.byteLength - 3;
      continue;
    }
    if ((offset + found) % FRAME_ALIGN_BYTES === 0) yield source.start + offset + found;
    offset += found + 1;
  }
}

/** The valid record at a position, or undefined. */
async function frameAt(
  view: FileWindow,
  source: SegmentSource,
  position: LogPosition,
): Promise<(Frame & { header: FrameHeader }) | undefined> {
  const offset = position - source.start;
  const head = view.cached(offset, FRAME_HEADER_BYTES) ?? (await view.read(offset, FRAME_HEADER_BYTES));
  if (head === undefined) return undefined;
  const header = readFrameHeader(head, { magic: source.magic, position });
  if (header === undefined) return undefined;
  const bytes = frameBytes(header.bodyBytes);
  const whole = view.cached(offset, bytes) ?? (await view.read(offset, bytes));
  if (whole === undefined || !isFrameIntact(whole, header)) return undefined;
  const body = whole.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + header.bodyBytes);
  return { end: position + bytes, body, header };
}

/** A file seen through one buffer that moves forward and is as long as the longest record so far, at least 1 MiB. */
class FileWindow {
  /** Bytes at and after this offset do not exist for the reader. */
  readonly fileBytes: number;
  readonly #handle: FileHandle;
  #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #offset = 0;
  #bytes = 0;

  constructor(handle: FileHandle, fileBytes: number) {
    this.#handle = handle;
    this.fileBytes = fileBytes;
  }

  /** A view of those bytes when they are in the buffer; saves the turn of the event loop that `read` costs. */
  cached(offset: number, bytes: number): Buffer | undefined {
    const at = offset - this.#offset;
    return at >= 0 && at + bytes <= this.#bytes ? this.#buffer.subarray(at, at + bytes) : undefined;
  }

  /** A view of those bytes, valid until the next read; undefined when the file ends before them. */
  async read(offset: number, bytes: number): Promise<Buffer | undefined> {
    // Checked before allocating: a damaged length must not cost memory.
    if (offset + bytes > this.fileBytes) return undefined;
    if (bytes > this.#buffer.byteLength) this.#buffer = Buffer.allocUnsafeSlow(bytes);
    await this.#load(offset);
    return this.cached(offset, bytes);
  }

  /** As many bytes from `offset` on as the buffer holds or can take in one read. */
  async from(offset: number): Promise<Buffer> {
    if (this.cached(offset, FRAME_HEADER_BYTES) === undefined) await this.#load(offset);
    const at = offset - this.#offset;
    return this.#buffer.subarray(at, this.#bytes);
  }

  async #load(offset: number): Promise<void> {
    const bytesMax = Math.min(this.#buffer.byteLength, this.fileBytes - offset);
    this.#offset = offset;
    this.#bytes = 0;
    while (this.#bytes < bytesMax) {
      const at = { offset: this.#bytes, length: bytesMax - this.#bytes, position: offset + this.#bytes };
      const { bytesRead } = await this.#handle.read(this.#buffer, at.offset, at.length, at.position);
      if (bytesRead === 0) return;
      this.#bytes += bytesRead;
    }
  }
}
