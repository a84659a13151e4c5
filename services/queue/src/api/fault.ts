/** Faults in bodies that are read by hand: each with its place as a JSON Pointer, and what would have been right. */
import { grouped, nearestName, Problem } from '@plinth/problem';

export type Members = Record<string, unknown>;

/** @param path - A JSON Pointer into the body. */
export function fault(path: string, message: string): Problem {
  const detail = `the body${path === '' ? '' : ` at ${path}`}: ${message}`;
  return new Problem('invalid_request', detail, { issues: [{ path, message }] });
}

/** @throws Problem `invalid_request` */
export function object(value: unknown, path: string, what: string): Members {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members;
  throw fault(path, `${what} is an object`);
}

/** @throws Problem `invalid_request` that names the first member that is none, and the one that may be meant. */
export function onlyKnown(members: Members, known: ReadonlySet<string>, path: string): void {
  for (const name in members) {
    if (known.has(name)) continue;
    const near = nearestName(name, [...known]);
    const hint = near === undefined ? '' : `; is ${near} meant?`;
    throw fault(`${path}/${pointerPart(name)}`, `${JSON.stringify(shortened(name))} is not known here${hint}`);
  }
}

/** @throws Problem `invalid_request` */
export function whole(value: unknown, path: string, min: number, max: number): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw fault(path, `it is ${shown(value)}; it must be a whole number from ${grouped(min)} to ${grouped(max)}`);
}

/** @throws Problem `invalid_request` */
export function between(value: unknown, path: string, min: number, max: number): number {
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw fault(path, `it is ${shown(value)}; it must be a number from ${grouped(min)} to ${grouped(max)}`);
}

/** @throws Problem `invalid_request` */
export function matching(value: unknown, path: string, pattern: RegExp, rule: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw fault(path, value === undefined ? `it is missing; it takes ${rule}` : `it takes ${rule}`);
}

/** @throws Problem `invalid_request` */
export function text(value: unknown, path: string, charsMin: number, charsMax: number): string {
  if (typeof value !== 'string') throw fault(path, value === undefined ? 'it is missing' : 'it must be a text');
  if (value.length < charsMin) throw fault(path, 'it is empty');
  if (value.length > charsMax) {
    throw fault(path, `it has ${grouped(value.length)} characters; the most is ${grouped(charsMax)}`);
  }
  return value;
}

/** @throws Problem `invalid_request` */
export function oneOf<Word extends string>(value: unknown, path: string, words: readonly Word[]): Word {
  if (words.includes(value as Word)) return value as Word;
  throw fault(path, `it is ${shown(value)}; it takes ${words.join(', ')}`);
}

/** @throws Problem `invalid_request` */
export function list(value: unknown, path: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw fault(path, 'it must be a list');
  if (value.length > max) throw fault(path, `${grouped(value.length)} items; the most is ${grouped(max)}`);
  return value;
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** RFC 3339 with a zone, or milliseconds since 1970. @throws Problem `invalid_request` */
export function moment(value: unknown, path: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 8.64e15) return value;
  const timeMs = typeof value === 'string' && RFC_3339.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  const wanted = 'a time with a zone, such as 2030-01-31T12:00:00Z, or milliseconds since 1970';
  throw fault(path, `it is ${shown(value)}; it takes ${wanted}`);
}

/** What was sent, for people, never long. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return typeof value === 'string' ? JSON.stringify(shortened(value)) : String(value);
}

const shortened = (value: string): string => (value.length <= 64 ? value : `${value.slice(0, 64)}…`);

/** RFC 6901: `~` and `/` in a name are written `~0` and `~1`. */
const pointerPart = (name: string): string => shortened(name).replaceAll('~', '~0').replaceAll('/', '~1');
