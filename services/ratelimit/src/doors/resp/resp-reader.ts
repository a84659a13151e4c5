/**
 * Reads commands of the Redis protocol (RESP2) and inline commands, out of whatever pieces the network cuts them into:
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 *
 * A command is left where it is: the reader only says where its arguments begin and end. So a decision makes no string
 * but that of its key.
 */

/** Arguments of one command, its name included. */
export const ARGS_MAX = 16;
/** Of one argument. */
export const BULK_BYTES_MAX = 4_096;
/** Of an inline command, as Redis has it. */
const INLINE_BYTES_MAX = 65_536;
/** What a command can be at the most, heads of its arguments included. */
const COMMAND_BYTES_MAX = Math.max(INLINE_BYTES_MAX, ARGS_MAX * (BULK_BYTES_MAX + 16) + 16);

const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;
const DOLLAR = 36;
const STAR = 42;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;

/** The client does not speak the protocol: it is told so, and the connection is closed. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}

export class RespReader {
  /** The bytes that `starts` and `ends` speak of; valid until the next `push`. */
  bytes: Buffer = Buffer.alloc(0);
  /** Arguments of the command that `next` found. */
  args = 0;
  readonly starts = new Int32Array(ARGS_MAX);
  readonly ends = new Int32Array(ARGS_MAX);
  #at = 0;
  #size = 0;
  #isOwned = false;

  /** Adds what has arrived. The chunk must not change until the next `push`. */
  push(chunk: Buffer): void {
    const left = this.#size - this.#at;
    if (left === 0) {
      this.bytes = chunk;
      this.#at = 0;
      this.#size = chunk.length;
      this.#isOwned = false;
      return;
    }
    this.#append(chunk, left);
  }

  /** A command that comes in small pieces is not copied once for each of them: there is room behind it. */
  #append(chunk: Buffer, left: number): void {
    const size = left + chunk.length;
    if (!this.#isOwned || this.#size + chunk.length > this.bytes.length) {
      const room = Buffer.allocUnsafe(size * 2);
      this.bytes.copy(room, 0, this.#at, this.#size);
      this.bytes = room;
      this.#at = 0;
      this.#size = left;
      this.#isOwned = true;
    }
    chunk.copy(this.bytes, this.#size);
    this.#size += chunk.length;
  }

  /** Bytes that have arrived and are no command yet. */
  get waitingBytes(): number {
    return this.#size - this.#at;
  }

  /**
   * Finds the next command. A command of no arguments (an empty line) is passed over, as Redis does.
   *
   * @returns False when it has not arrived whole.
   * @throws ProtocolError
   */
  next(): boolean {
    while (this.#at < this.#size) {
      const isFound = this.bytes[this.#at] === STAR ? this.#array() : this.#inline();
      if (!isFound) {
        if (this.waitingBytes > COMMAND_BYTES_MAX) throw new ProtocolError('too big request');
        return false;
      }
      if (this.args > 0) return true;
    }
    return false;
  }

  /** One argument as text, each byte a character. */
  text(arg: number): string {
    return this.bytes.toString('latin1', this.starts[arg]!, this.ends[arg]!);
  }

  #array(): boolean {
    const { bytes } = this;
    let at = this.#lineEnd(this.#at + 1);
    if (at < 0) return false;
    const count = this.#number(this.#at + 1, at, 'invalid multibulk length');
    if (count > ARGS_MAX)
      throw new ProtocolError(`invalid multibulk length: ${count} arguments; the most is ${ARGS_MAX}`);
    at += 2;
    for (let arg = 0; arg < count; arg++) {
      if (at >= this.#size) return false;
      if (bytes[at] !== DOLLAR) throw new ProtocolError(`expected '$', got '${shown(bytes[at]!)}'`);
      const head = this.#lineEnd(at + 1);
      if (head < 0) return false;
      const length = this.#number(at + 1, head, 'invalid bulk length');
      if (length < 0) throw new ProtocolError('invalid bulk length');
      if (length > BULK_BYTES_MAX) {
        throw new ProtocolError(`invalid bulk length: ${length} bytes; the most is ${BULK_BYTES_MAX}`);
      }
      const start = head + 2;
      const end = start + length;
      if (end + 2 > this.#size) return false;
      if (bytes[end] !== CR || bytes[end + 1] !== LF) throw new ProtocolError('an argument does not end with CRLF');
      this.starts[arg] = start;
      this.ends[arg] = end;
      at = end + 2;
    }
    this.args = Math.max(0, count);
    this.#at = at;
    return true;
  }

  /** Words in a line, for people with telnet. Quotes mean nothing. */
  #inline(): boolean {
    const { bytes } = this;
    const end = bytes.indexOf(LF, this.#at);
    if (end < 0 || end >= this.#size) return false;
    const lineEnd = end > this.#at && bytes[end - 1] === CR ? end - 1 : end;
    let args = 0;
    for (let at = this.#at; at < lineEnd; ) {
      if (bytes[at] === SPACE || bytes[at] === TAB) {
        at++;
        continue;
      }
      const start = at;
      while (at < lineEnd && bytes[at] !== SPACE && bytes[at] !== TAB) at++;
      if (args === ARGS_MAX) throw new ProtocolError(`too many words in an inline command; the most is ${ARGS_MAX}`);
      if (at - start > BULK_BYTES_MAX)
        throw new ProtocolError(`a word is ${at - start} bytes; the most is ${BULK_BYTES_MAX}`);
      this.starts[args] = start;
      this.ends[args] = at;
      args++;
    }
    this.args = args;
    this.#at = end + 1;
    return true;
  }

  /** Where the CR of the line is; -1 when the line has not arrived. A head has few digits, or is no number. */
  #lineEnd(from: number): number {
    const { bytes } = this;
    const last = Math.min(this.#size - 1, from + 16);
    for (let at = from; at < last; at++) {
      if (bytes[at] === CR) {
        if (bytes[at + 1] !== LF) throw new ProtocolError('a line does not end with CRLF');
        return at;
      }
    }
    if (this.#size - 1 > from + 16) throw new ProtocolError('a length has more digits than any length');
    return -1;
  }

  #number(from: number, end: number, fault: string): number {
    const { bytes } = this;
    let at = from;
    let value = 0;
    if (bytes[at] === MINUS) at++;
    if (at === end) throw new ProtocolError(fault);
    for (; at < end; at++) {
      const digit = bytes[at]!;
      if (digit < ZERO || digit > NINE) throw new ProtocolError(fault);
      value = value * 10 + digit - ZERO;
    }
    return bytes[from] === MINUS ? -value : value;
  }
}

function shown(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
}
