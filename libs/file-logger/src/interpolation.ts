/** printf-like messages: `%s`, `%d`, `%f`, `%i`, `%j`, `%o`, `%O`, `%%`. */
import { messageOf } from './json-scalars.ts';
import type { JsonText } from './json-text.ts';

/**
 * A message with its values in place.
 *
 * Values that are left over are not shown; a place without a value, and one of a kind that its value does not have,
 * stay as they are. `%%` is a percent sign when there are values. Never throws.
 *
 * @param args - Holds the values, the first at `from`.
 */
export function interpolated(format: string, args: ArrayLike<unknown>, from: number, json: JsonText): string {
  const { length } = args;
  if (length <= from) return format;
  let text = '';
  let done = 0;
  let next = from;
  for (let at = format.indexOf('%'); at !== -1 && at + 1 < format.length; at = format.indexOf('%', at + 2)) {
    const kind = format.charCodeAt(at + 1);
    let shown: string | undefined;
    if (kind === PERCENT) shown = '%';
    // A place of an unknown kind uses its value up, too.
    else if (next < length) shown = placed(kind, args[next++], json);
    if (shown === undefined) continue;
    text += format.slice(done, at) + shown;
    done = at + 2;
  }
  return text + format.slice(done);
}

const PERCENT = 37;
const S = 115;
const D = 100;
const F = 102;
const I = 105;
/** j, o, O */
const JSON_KINDS: ReadonlySet<number> = new Set([106, 111, 79]);

/** @returns `undefined` when the place stays as it is. */
function placed(kind: number, value: unknown, json: JsonText): string | undefined {
  if (kind === S && typeof value === 'string') return value;
  if ((kind === S || kind === D || kind === F) && typeof value === 'number') return `${value}`;
  try {
    return placedOther(kind, value, json);
  } catch (error) {
    return `[Throws: ${messageOf(error)}]`;
  }
}

function placedOther(kind: number, value: unknown, json: JsonText): string | undefined {
  if (kind === S) return plainText(value);
  if (JSON_KINDS.has(kind)) return shownValue(value, json);
  if (value === null || value === undefined) return undefined;
  if (kind === D || kind === F) return `${numberOf(value)}`;
  return kind === I ? `${Math.floor(numberOf(value))}` : undefined;
}

function shownValue(value: unknown, json: JsonText): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return value.name === '' ? '<anonymous>' : value.name;
  return json.text(value) ?? 'undefined';
}

/** Items of an array that `%s` shows: `String` would go on until the memory is full. */
const ITEMS_MAX = 10_000;

/**
 * `String(value)`, but for arrays that are very long, or hold each other again and again.
 *
 * @throws what the value's own `toString` throws.
 */
export function plainText(value: unknown): string {
  return Array.isArray(value) && value.toString === Array.prototype.toString ? joined(value) : String(value);
}

function numberOf(value: unknown): number {
  return Array.isArray(value) ? Number(plainText(value)) : Number(value);
}

function joined(values: readonly unknown[]): string {
  let left = ITEMS_MAX;
  const ancestors = new Set<unknown>();
  const text = (value: unknown): string => {
    if (value === null || value === undefined || ancestors.has(value)) return '';
    if (!Array.isArray(value)) return String(value);
    const shown = Math.min(value.length, left);
    left -= shown;
    const parts: string[] = [];
    ancestors.add(value);
    for (let at = 0; at < shown; at++) parts.push(text(value[at]));
    ancestors.delete(value);
    if (shown < value.length) parts.push(`... ${value.length - shown} items not stringified`);
    return parts.join(',');
  };
  return text(values);
}
