/**
 * Path parameters on the wire: percent-encoded text, as in a URL. In calls they are byte strings, each char one byte,
 * since keys need not be UTF-8.
 */
const UNRESERVED = /^[A-Za-z0-9._~-]*$/;
const BYTE = /[^A-Za-z0-9._~-]/g;
const NOT_ASCII = /[\u0080-\uffff]/;

/** @throws TypeError for a char beyond one byte: text must be turned into the bytes of its encoding first. */
export function encodeByteString(bytes: string): string {
  if (UNRESERVED.test(bytes)) return bytes;
  return bytes.replace(BYTE, (char) => {
    const byte = char.charCodeAt(0);
    if (byte > 0xff) throw new TypeError(`a path parameter is a byte string; ${JSON.stringify(char)} is no byte`);
    return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
}

/** Undefined when a `%` is not followed by two hex digits. Text beyond ASCII, typed by hand, counts as its UTF-8. */
export function decodeByteString(text: string): string | undefined {
  const bytes = NOT_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
  if (!bytes.includes('%')) return bytes;
  if (/%(?![0-9a-fA-F]{2})/.test(bytes)) return undefined;
  return bytes.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
