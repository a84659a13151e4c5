/** Writes answers of the Redis protocol, one after the other, into a buffer that is sent in one piece. */

const CR = 13;
const LF = 10;
const COLON = 58;
const MINUS = 45;
const ZERO = 48;
/** Whole numbers below this are copied from what was encoded once: nearly all that limits say. */
const READY_MAX = 1_024;
/** `:` and 16 digits, a minus and CRLF. */
const INTEGER_BYTES_MAX = 20;

export const OK = Buffer.from('+OK\r\n');
export const FIVE = Buffer.from('*5\r\n');

export class RespWriter {
  #bytes = Buffer.allocUnsafeSlow(65_536);
  #at = 0;
  readonly #ready = Array.from({ length: READY_MAX }, (_, value) => Buffer.from(`:${value}\r\n`));

  get size(): number {
    return this.#at;
  }

  /** A copy of what was written; begins anew. Small ones come from the pool of `Buffer`, so they cost next to nothing. */
  take(): Buffer {
    const taken = Buffer.allocUnsafe(this.#at);
    this.#bytes.copy(taken, 0, 0, this.#at);
    this.#at = 0;
    return taken;
  }

  raw(bytes: Buffer): void {
    this.#room(bytes.length);
    for (let at = 0; at < bytes.length; at++) this.#bytes[this.#at++] = bytes[at]!;
  }

  /** A whole number below 2^53, of either sign. */
  integer(value: number): void {
    this.#room(INTEGER_BYTES_MAX);
    if (value >= 0 && value < READY_MAX) {
      this.raw(this.#ready[value]!);
      return;
    }
    this.#bytes[this.#at++] = COLON;
    if (value < 0) this.#bytes[this.#at++] = MINUS;
    this.#digits(Math.abs(value));
    this.#end();
  }

  /** A line of text: `+…` or `-…`. Line ends in it become spaces. */
  line(kind: '+' | '-', text: string): void {
    this.raw(Buffer.from(`${kind}${text.replace(/[\r\n]+/g, ' ')}\r\n`));
  }

  bulk(text: string): void {
    this.raw(Buffer.from(`$${Buffer.byteLength(text)}\r\n${text}\r\n`));
  }

  #digits(value: number): void {
    let length = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) length++;
    let rest = value;
    for (let at = this.#at + length - 1; at >= this.#at; at--) {
      this.#bytes[at] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.#at += length;
  }

  #end(): void {
    this.#bytes[this.#at++] = CR;
    this.#bytes[this.#at++] = LF;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe((this.#bytes.length + bytes) * 2);
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}
