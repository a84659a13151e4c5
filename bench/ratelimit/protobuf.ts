/** As much of protocol buffers as the calls here need: numbers below 2^53, texts, and messages inside messages. */

const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH = 2;
const FOUR_BYTES = 5;

/** One field of a message as it was read: a number, or the bytes of a text or of a message inside. */
export interface Field {
  number: number;
  value: number | Buffer;
}

/** Writes one field. Zero is what a missing field means, so it is left out. */
export function field(number: number, value: number | string | Buffer): Buffer {
  if (typeof value === 'number') {
    return value === 0 ? Buffer.alloc(0) : Buffer.concat([varint(number * 8 + VARINT), varint(value)]);
  }
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint(number * 8 + LENGTH), varint(bytes.length), bytes]);
}

/** @param number - Whole, from 0 to 2^53 − 1. */
export function varint(number: number): Buffer {
  const bytes: number[] = [];
  let rest = number;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Buffer.from([...bytes, rest]);
}

/**
 * Reads the fields of a message in their order. Numbers of a fixed width are passed over.
 * @throws RangeError when the message ends inside a field.
 */
export function* fieldsOf(message: Buffer): Generator<Field> {
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = message.readUInt8(at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = next();
    const [number, kind] = [Math.floor(tag / 8), tag % 8];
    if (kind === VARINT) {
      yield { number, value: next() };
    } else if (kind === LENGTH) {
      const length = next();
      if (at + length > message.length) throw new RangeError(`field ${number} goes on behind the end of the message`);
      yield { number, value: message.subarray(at, at + length) };
      at += length;
    } else if (kind === EIGHT_BYTES || kind === FOUR_BYTES) {
      at += kind === EIGHT_BYTES ? 8 : 4;
    } else {
      throw new RangeError(`field ${number} is of kind ${kind}, which nobody writes any more`);
    }
  }
}
