/**
 * Numbers and strings as bytes: varints (LEB128) inside values, fixed-width big-endian inside keys, where byte order
 * has to be number order. Numbers are whole, from 0 to 2^53−1.
 */

const LOW_32_BITS = 2 ** 32;

/** Appends to one buffer that grows; `finish` shows what was written and starts anew. One instance, many values. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafe(4_096);
  #at = 0;

  byte(value: number): this {
    this.#room(1);
    this.#bytes[this.#at++] = value;
    return this;
  }

  varint(value: number): this {
    this.#room(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest = rest < LOW_32_BITS ? rest >>> 7 : Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
    return this;
  }

  /** A byte string behind its length. */
  text(value: string): this {
    this.varint(value.length);
    this.#room(value.length);
    this.#at += this.#bytes.write(value, this.#at, 'latin1');
    return this;
  }

  /** Bytes without a length: only as the last field. */
  rest(value: Uint8Array): this {
    this.#room(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  /** The bytes written since the last `finish`: a view, good until the writer is used again. */
  finish(): Buffer {
    const done = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    return done;
  }

  #room(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + size));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** Reads what `ByteWriter` wrote, field by field. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    return this.#bytes[this.#at++]!;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }

  text(): string {
    const length = this.varint();
    if (length === 0) return '';
    const start = this.#at;
    this.#at += length;
    return latin1(this.#bytes, start, this.#at);
  }

  /** Passes over a text that is known. */
  known(text: string): string {
    const length = this.varint();
    this.#at += length;
    return text;
  }

  /** A view of what is left; owned by whoever owns the bytes. */
  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  if (Buffer.isBuffer(bytes)) return bytes.toString('latin1', start, end);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start, end);
}

/** 4 bytes, big-endian. */
export function key32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/** 7 bytes, big-endian: room for 2^53. */
export function key56(value: number): string {
  const high = Math.floor(value / LOW_32_BITS);
  return (
    String.fromCharCode((high >>> 16) & 255, (high >>> 8) & 255, high & 255) +
    String.fromCharCode((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
  );
}

export function readKey32(key: string, at: number): number {
  return (
    ((key.charCodeAt(at) << 24) |
      (key.charCodeAt(at + 1) << 16) |
      (key.charCodeAt(at + 2) << 8) |
      key.charCodeAt(at + 3)) >>>
    0
  );
}

export function readKey56(key: string, at: number): number {
  const high = (key.charCodeAt(at) << 16) | (key.charCodeAt(at + 1) << 8) | key.charCodeAt(at + 2);
  return high * LOW_32_BITS + readKey32(key, at + 3);
}

/** The smallest byte string greater than every string that begins with `prefix`; undefined when there is none. */
export function afterPrefix(prefix: string): string | undefined {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const code = prefix.charCodeAt(at);
    if (code < 255) return prefix.slice(0, at) + String.fromCharCode(code + 1);
  }
  return undefined;
}
