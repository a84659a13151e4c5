/**
 * The wire form of protocol buffers, as far as the doors need it: https://protobuf.dev/programming-guides/encoding/
 *
 * Written by hand because a call of the hot method is decoded and encoded in about 2 µs this way, without a schema in
 * memory. Fields that are not known, or known with another wire type, are skipped, as the specification asks.
 */
import { isUtf8 } from 'node:buffer';

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
const GROUP = 3;
const GROUP_END = 4;
const FIXED32 = 5;

/** Groups inside groups that are skipped; deeper ones are an attack on the stack. */
const GROUP_DEPTH_MAX = 32;
const TWO_32 = 4_294_967_296;

/** The bytes are no message. */
export class Malformed extends Error {
  override name = 'Malformed';
}

/** Reads one message and, by `enter` and `leave`, those inside of it. Never copies; strings are made of what is asked for. */
export class WireReader {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;
  #low = 0;
  #high = 0;

  /** Begins with another message. The buffer stays the caller's, and must not change while it is read. */
  open(bytes: Buffer, at = 0, end = bytes.length): this {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
    return this;
  }

  /** Whether the message that was entered last has more fields. */
  get hasMore(): boolean {
    return this.#at < this.#end;
  }

  /** Number of the next field × 8 + its wire type. @throws Malformed for field 0. */
  tag(): number {
    const tag = this.uint32();
    if (tag >>> 3 === 0) throw new Malformed('a field has the number 0');
    return tag;
  }

  /** A varint, its lowest 32 bits: what `uint32`, `int32`, `bool` and enumerations are. */
  uint32(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new Malformed('a number has more than 10 bytes');
  }

  /** A varint of 64 bits, unsigned; above 2^53 rounded, so compare it and do not count by it. */
  uint64(): number {
    this.#varint64();
    return this.#low + this.#high * 2 ** 28;
  }

  /** As `uint64`, signed: `int64`. */
  int64(): number {
    this.#varint64();
    return this.#low + (this.#high < 2 ** 35 ? this.#high : this.#high - 2 ** 36) * 2 ** 28;
  }

  /** The lowest 28 bits of a varint, and the 36 above them. */
  #varint64(): void {
    this.#low = 0;
    this.#high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 28) this.#low += (byte & 0x7f) * 2 ** shift;
      else this.#high += (byte & 0x7f) * 2 ** (shift - 28);
      if (byte < 0x80) {
        this.#high %= 2 ** 36;
        return;
      }
    }
    throw new Malformed('a number has more than 10 bytes');
  }

  /** Enters the message that comes now. @returns What `leave` wants. */
  enter(): number {
    const length = this.uint32();
    if (length > this.#end - this.#at) throw new Malformed('a field ends behind its message');
    const outerEnd = this.#end;
    this.#end = this.#at + length;
    return outerEnd;
  }

  /** Leaves a message, read to its end or not. */
  leave(outerEnd: number): void {
    this.#at = this.#end;
    this.#end = outerEnd;
  }

  /** @throws Malformed when it is longer than that many bytes, or no UTF-8. `what` names it. */
  string(what: string, bytesMax: number): string {
    const outerEnd = this.enter();
    const start = this.#at;
    const end = this.#end;
    this.leave(outerEnd);
    if (end - start > bytesMax) throw new Malformed(`${what} is ${end - start} bytes; the most is ${bytesMax}`);
    return this.#text(start, end, what);
  }

  /** Skips a field that is not known. */
  skip(tag: number, depth = 0): void {
    const type = tag & 7;
    if (type === VARINT) this.uint32();
    else if (type === FIXED64) this.#advance(8);
    else if (type === LENGTH) this.leave(this.enter());
    else if (type === FIXED32) this.#advance(4);
    else if (type === GROUP) this.#skipGroup(tag >>> 3, depth);
    else throw new Malformed(`a field has the wire type ${type}`);
  }

  #skipGroup(field: number, depth: number): void {
    if (depth === GROUP_DEPTH_MAX) throw new Malformed(`groups are nested more than ${GROUP_DEPTH_MAX} deep`);
    for (;;) {
      const tag = this.tag();
      if ((tag & 7) !== GROUP_END) this.skip(tag, depth + 1);
      else if (tag >>> 3 === field) return;
      else throw new Malformed('a group ends that did not begin');
    }
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new Malformed('the message is cut off');
    return this.#bytes[this.#at++]!;
  }

  #advance(bytes: number): void {
    if (bytes > this.#end - this.#at) throw new Malformed('the message is cut off');
    this.#at += bytes;
  }

  #text(start: number, end: number, what: string): string {
    const bytes = this.#bytes;
    for (let at = start; at < end; at++) {
      if (bytes[at]! < 0x80) continue;
      if (!isUtf8(bytes.subarray(start, end))) throw new Malformed(`${what} is not UTF-8`);
      return bytes.toString('utf8', start, end);
    }
    return bytes.toString('latin1', start, end);
  }
}

/**
 * Writes a message from its end to its beginning, so that every length is known when it is written. Fields therefore
 * are written last one first. One writer serves one thing after the other; `take` copies.
 */
export class WireWriter {
  #bytes: Buffer = Buffer.allocUnsafeSlow(1_024);
  #at = 1_024;

  /** Bytes written so far; the difference of two is the length of what was written in between. */
  get size(): number {
    return this.#bytes.length - this.#at;
  }

  begin(): void {
    this.#at = this.#bytes.length;
  }

  /** A copy of all that was written, behind `headBytes` bytes left for the caller to fill. */
  take(headBytes = 0): Buffer {
    const copy = Buffer.allocUnsafe(headBytes + this.size);
    this.#bytes.copy(copy, headBytes, this.#at);
    return copy;
  }

  /** A whole number from 0 to 2^53. */
  varint(value: number): void {
    this.#room(8);
    if (value < 0x80) {
      this.#bytes[--this.#at] = value;
      return;
    }
    const length = value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : Math.ceil(bitsOf(value) / 7);
    this.#at -= length;
    for (let at = this.#at, rest = value; at < this.#at + length; at++) {
      const isLast = at === this.#at + length - 1;
      this.#bytes[at] = (rest % 0x80) | (isLast ? 0 : 0x80);
      rest = Math.floor(rest / 0x80);
    }
  }

  /** A field of a number; 0, the default, is not written. */
  number(field: number, value: number): void {
    if (value === 0) return;
    this.varint(value);
    this.varint(field * 8 + VARINT);
  }

  bytes(field: number, value: Buffer): void {
    this.raw(value);
    this.varint(value.length);
    this.varint(field * 8 + LENGTH);
  }

  /** A field of text; the empty one, the default, is not written. */
  string(field: number, value: string): void {
    if (value !== '') this.entry(field, value);
  }

  /** As `string`, written also when it is empty. */
  entry(field: number, value: string): void {
    const before = this.size;
    const length = Buffer.byteLength(value);
    this.#room(length);
    this.#at -= length;
    this.#bytes.write(value, this.#at, length, 'utf8');
    this.message(field, before);
  }

  /** Makes what was written since `size` was `before` a field. */
  message(field: number, before: number): void {
    this.varint(this.size - before);
    this.varint(field * 8 + LENGTH);
  }

  /** What was encoded before. */
  raw(value: Buffer): void {
    this.#room(value.length);
    this.#at -= value.length;
    value.copy(this.#bytes, this.#at);
  }

  #room(bytes: number): void {
    if (this.#at >= bytes) return;
    const { size } = this;
    const larger = Buffer.allocUnsafeSlow((this.#bytes.length + bytes) * 2);
    this.#bytes.copy(larger, larger.length - size, this.#at);
    this.#at = larger.length - size;
    this.#bytes = larger;
  }
}

function bitsOf(value: number): number {
  return value < TWO_32 ? 32 - Math.clz32(value) : 64 - Math.clz32(Math.floor(value / TWO_32));
}
