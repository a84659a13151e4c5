/**
 * One record as it lies in a segment file: a header, the body, zeros up to the next multiple of 8.
 *
 *     0  u32  magic: the segment's own random number, also in its file name
 *     4  u32  crc32 of everything from byte 8 to the end of the body
 *     8  u32  body length in bytes
 *    12  u32  unsynced: how many bytes just before this record were not known to be durable when it was written
 *    16  u64  absolute position of the header's first byte
 *    24       body
 *
 * All little-endian. A frame is valid only where magic, position, length and crc all fit. The position tells a record
 * from one that an earlier life of a recycled file left behind. The magic does so once more, and because nobody
 * outside the folder knows it, a *value* that holds bytes shaped like a frame can never pass for one after a crash.
 */
import { crc32 } from 'node:zlib';
import type { LogPosition } from './store.ts';

/** Frames begin at multiples of this, so that a search for them may step over the rest. */
export const FRAME_ALIGN_BYTES = 8;
export const FRAME_HEADER_BYTES = 24;

/** Longest body. A batch is at most ~16 MiB; four times that, so that this is never the limit anyone meets first. */
export const RECORD_BODY_BYTES_MAX = 64 * 1024 * 1024;

const CRC_AT = 4;
const LENGTH_AT = 8;
const UNSYNCED_AT = 12;
const POSITION_AT = 16;
const UINT32_RANGE = 2 ** 32;

export interface FrameHeader {
  crc: number;
  bodyBytes: number;
  /** Everything before `position - unsyncedBytes` was durable when this record was written. */
  unsyncedBytes: number;
  position: LogPosition;
}

/** Where a frame is expected: the magic of its segment and the position it must carry. */
export interface FramePlace {
  magic: number;
  position: LogPosition;
}

/** Bytes a record takes in the log: header, body, padding. */
export function frameBytes(bodyBytes: number): number {
  return Math.ceil((FRAME_HEADER_BYTES + bodyBytes) / FRAME_ALIGN_BYTES) * FRAME_ALIGN_BYTES;
}

/** Length of a body given in parts. */
export function bodyBytesOf(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.byteLength;
  return bytes;
}

/**
 * Writes the header of a record into the first 24 bytes of `target`.
 * Cost: one crc32 pass over the parts, about 0.15 ms per MiB.
 */
export function writeFrameHeader(
  target: Buffer,
  frame: FramePlace & { unsyncedBytes: number; parts: readonly Uint8Array[] },
): void {
  target.writeUInt32LE(frame.magic, 0);
  target.writeUInt32LE(bodyBytesOf(frame.parts), LENGTH_AT);
  target.writeUInt32LE(frame.unsyncedBytes, UNSYNCED_AT);
  target.writeUInt32LE(frame.position % UINT32_RANGE, POSITION_AT);
  target.writeUInt32LE(Math.floor(frame.position / UINT32_RANGE), POSITION_AT + 4);
  let crc = crc32(target.subarray(LENGTH_AT, FRAME_HEADER_BYTES));
  for (const part of frame.parts) crc = crc32(part, crc);
  target.writeUInt32LE(crc, CRC_AT);
}

/**
 * Reads a header, or undefined when the bytes are not one for this place. A header that is read is not yet a valid
 * record: its length may reach past the file, and its crc is still to be compared (`isFrameIntact`).
 *
 * @param bytes - At least 24 bytes; the header is at their beginning.
 */
export function readFrameHeader(bytes: Buffer, place: FramePlace): FrameHeader | undefined {
  if (bytes.readUInt32LE(0) !== place.magic) return undefined;
  const position = bytes.readUInt32LE(POSITION_AT) + bytes.readUInt32LE(POSITION_AT + 4) * UINT32_RANGE;
  if (position !== place.position) return undefined;
  const bodyBytes = bytes.readUInt32LE(LENGTH_AT);
  if (bodyBytes > RECORD_BODY_BYTES_MAX) return undefined;
  return { crc: bytes.readUInt32LE(CRC_AT), bodyBytes, unsyncedBytes: bytes.readUInt32LE(UNSYNCED_AT), position };
}

/** True when the crc of a whole frame fits. `bytes` begins with the header and holds at least the body behind it. */
export function isFrameIntact(bytes: Buffer, header: FrameHeader): boolean {
  return crc32(bytes.subarray(LENGTH_AT, FRAME_HEADER_BYTES + header.bodyBytes)) === header.crc;
}
