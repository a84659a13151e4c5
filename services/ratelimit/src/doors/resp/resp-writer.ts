/** Writes answers of the Redis protocol, one after the other, into a buffer that is sent in one piece. */
import { ByteWriter } from '../../core/byte-writer.ts';

const CRLF = Buffer.from('\r\n');
const COLON = 58;
const MINUS = 45;
/** Whole numbers below this are copied from what was encoded once: nearly all that limits say. */
const READY_MAX = 1_024;

export const OK = Buffer.from('+OK\r\n');
export const FIVE = Buffer.from('*5\r\n');

export class RespWriter extends ByteWriter {
  readonly #ready = Array.from({ length: READY_MAX }, (_, value) => Buffer.from(`:${value}\r\n`));

  /** A whole number below 2^53, of either sign. */
  integer(value: number): void {
    if (value >= 0 && value < READY_MAX) {
      this.raw(this.#ready[value]!);
      return;
    }
    this.byte(COLON);
    if (value < 0) this.byte(MINUS);
    this.digits(Math.abs(value));
    this.raw(CRLF);
  }

  /** A line of text: `+…` or `-…`. Line ends in it become spaces. */
  line(kind: '+' | '-', text: string): void {
    this.raw(Buffer.from(`${kind}${text.replace(/[\r\n]+/g, ' ')}\r\n`));
  }

  bulk(text: string): void {
    this.raw(Buffer.from(`$${Buffer.byteLength(text)}\r\n${text}\r\n`));
  }
}
