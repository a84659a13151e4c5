/** The small words of JSON: strings, numbers, and the tests that make them cheap. */

/** Up to this length a loop is cheaper than a regular expression: found with line-encoder.bench.ts. */
const LOOP_LENGTH_MAX = 24;

/** What a string may not hold if it goes between quotes as it is. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const ODD = /[\u0000-\u001f"\\\ud800-\udfff]/;

/** `Object.prototype.hasOwnProperty`: next to for-in the compiler makes it free. */
export const hasOwn = Object.prototype.hasOwnProperty;

/** Whether a string needs no escape. Cost: 5 to 40 ns. */
export function isPlainText(text: string): boolean {
  const length = text.length;
  if (length > LOOP_LENGTH_MAX) return !ODD.test(text);
  for (let at = 0; at < length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 32 || unit === 34 || unit === 92 || (unit & 0xf800) === 0xd800) return false;
  }
  return true;
}

/** A string as JSON; lone surrogates as escapes, so that the line is valid UTF-8. */
export function quoted(text: string): string {
  return isPlainText(text) ? `"${text}"` : JSON.stringify(text);
}

/** A number as JSON: `null` for what JSON has no number for. */
export function numberText(value: number): string {
  return Number.isFinite(value) ? `${value}` : 'null';
}

/** What a thrown thing says, without trusting it. */
export function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.message}` : String(thrown);
  } catch {
    return 'something that has no text';
  }
}

class GaveUp extends Error {}

/** A pass that cannot go on throws this: made once, for its stack is of no use. */
export const GAVE_UP: Error = new GaveUp('not plain JSON');

/** Bytes of a typed array that are written one by one; of a larger one only what the limits allow. */
const VIEW_BYTES_MAX = 65_536;

/** A Buffer or a typed array whose list of items alone would fill the memory. */
export function isHugeView(object: object): object is Uint8Array {
  return ArrayBuffer.isView(object) && object.byteLength > VIEW_BYTES_MAX && !(object instanceof DataView);
}
