/**
 * Byte strings: JavaScript strings whose every char is one byte. Path parameters and keys are byte strings inside the
 * house, since they need not be UTF-8; on the way they are percent-encoded, as in a URL.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: every ASCII byte is one char and the same byte.
const ASCII = /^[\x00-\x7f]*$/;
const UNRESERVED = /^[A-Za-z0-9._~-]*$/;
const BYTE = /[^A-Za-z0-9._~-]/g;

/** The UTF-8 of a text; undefined for one with half a surrogate pair, which has none and would become another text. */
export function bytesOfText(text: string): string | undefined {
  // Most are ASCII, and those are their own bytes.
  if (ASCII.test(text)) return text;
  return text.isWellFormed() ? Buffer.from(text, 'utf8').toString('latin1') : undefined;
}

/** The text whose UTF-8 the bytes are; undefined when they are not UTF-8. */
export function textOfBytes(bytes: string): string | undefined {
  if (ASCII.test(bytes)) return bytes;
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return Buffer.from(text, 'utf8').toString('latin1') === bytes ? text : undefined;
}

/** Every byte that is not unreserved in a URL becomes `%XX`. @throws TypeError for a char beyond one byte. */
export function percentEncode(bytes: string): string {
  if (UNRESERVED.test(bytes)) return bytes;
  return bytes.replace(BYTE, (char) => {
    const byte = char.charCodeAt(0);
    if (byte > 0xff) throw new TypeError(`a path parameter is a byte string; ${JSON.stringify(char)} is no byte`);
    return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
}

/** @returns Undefined when a `%` is not followed by two hex digits. Cost: one search when there is no `%`. */
export function percentDecode(text: string): string | undefined {
  if (!text.includes('%')) return text;
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return undefined;
  return text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
