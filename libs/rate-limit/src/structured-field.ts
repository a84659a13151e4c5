/** What of RFC 9651, structured fields, these headers are made of. */

/** A String (§3.3.3). It holds visible ASCII and spaces; bytes of anything else are written `%xx`, and so is `%`. */
export function sfString(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  const ascii = NOT_ASCII.test(text) ? text.toWellFormed().replace(ENCODED, encodeURIComponent) : text;
  return `"${ascii.replace(/["\\]/g, '\\$&')}"`;
}

const PLAIN = /^[ !#-[\]-~]*$/;
const NOT_ASCII = /[^ -~]/;
/** `encodeURIComponent` takes pairs of surrogates, so whole characters are handed to it. */
const ENCODED = /%|[^ -~]/gu;

/** An Integer (§3.3.1) has 15 digits at the most; what is no such number is none. */
export function sfInteger(value: number): string {
  return String(Math.min(INTEGER_MAX, Math.max(0, Math.floor(value))));
}

const INTEGER_MAX = 999_999_999_999_999;

/** A Byte Sequence (§3.3.5). */
export const sfBytes = (bytes: Buffer): string => `:${bytes.toString('base64')}:`;
