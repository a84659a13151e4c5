/**
 * Keys as bytes. Text stands for its UTF-8; a byte string is those bytes with each char one byte, which is how path
 * parameters travel inside the client, since keys need not be UTF-8.
 */
import { bytesOfText } from '@plinth/contracts/byte-string';
import { Problem } from '@plinth/problem';

/** Text, or any bytes. */
export type Key = string | Uint8Array;

/** @throws Problem `invalid_key` for text with half a surrogate pair: it has no UTF-8, and would become another key. */
export function byteStringOf(key: Key): string {
  if (typeof key !== 'string') return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
  return bytesOfText(key) ?? refuseHalfPair();
}

/** A key in JSON: text as it is, bytes in base64. */
export function keyMembers(key: Key): { key: string } | { keyBase64: string } {
  if (typeof key === 'string') return { key: wellFormed(key) };
  return { keyBase64: base64Of(key) };
}

export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

const wellFormed = (key: string): string => (key.isWellFormed() ? key : refuseHalfPair());

function refuseHalfPair(): never {
  throw new Problem('invalid_key', 'the key holds half a surrogate pair, which has no UTF-8: give bytes instead');
}
