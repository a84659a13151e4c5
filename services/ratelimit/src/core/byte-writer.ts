/** Writes an answer, piece by piece, into one buffer that is used again for the next: for answers of many small parts. */
const ZERO = 48;

export class ByteWriter {
  #bytes = Buffer.allocUnsafeSlow(65_536);
  #at = 0;

  /** Bytes that were written since `take`. */
  get size(): number {
    return this.#at;
  }

  /** A copy of what was written; begins anew. */
  take(): Buffer {
    const taken = Buffer.allocUnsafe(this.#at);
    this.#bytes.copy(taken, 0, 0, this.#at);
    this.#at = 0;
    return taken;
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }

  /** Some hundred bytes at the most are best copied one by one. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    const into = this.#bytes;
    let at = this.#at;
    for (let index = 0; index < bytes.length; index++) into[at++] = bytes[index]!;
    this.#at = at;
  }

  /** Text as UTF-8. */
  text(text: string): void {
    this.#room(text.length * 3);
    this.#at += this.#bytes.write(text, this.#at);
  }

  /** The decimal digits of a whole number from 0 to 2^53. */
  digits(value: number): void {
    this.#room(DIGITS_MAX);
    const into = this.#bytes;
    if (value < 10) {
      into[this.#at++] = ZERO + value;
      return;
    }
    let rest = value;
    let end = this.#at + digitsOf(value);
    this.#at = end;
    // Beyond 2^31 numbers are doubles, whose division is slow.
    while (rest > 0x7fff_ffff) {
      const next = Math.floor(rest / 10);
      into[--end] = ZERO + (rest - next * 10);
      rest = next;
    }
    while (rest > 0) {
      const next = (rest / 10) | 0;
      into[--end] = ZERO + (rest - next * 10);
      rest = next;
    }
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow((this.#bytes.length + bytes) * 2);
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

const DIGITS_MAX = 16;

function digitsOf(value: number): number {
  let length = 1;
  for (let bound = 10; bound <= value; bound *= 10) length++;
  return length;
}
