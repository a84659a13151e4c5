/**
 * Where a list goes on: opaque to callers, stateless for us. It pins the view of the first page, so that all pages
 * together are one consistent list, and it knows which request it belongs to.
 */
import { createHash } from 'node:crypto';
import { Problem } from '@plinth/problem';
import type { KeyRange, View } from '../core/reader.ts';

export interface Cursor {
  view: View;
  /** What is left of the range. */
  range: KeyRange;
}

type Encoded = [
  format: 1,
  bucket: number,
  request: string,
  revision: number,
  timeMs: number,
  start: string,
  end: string | null,
  /** Print of all before it: a character that was changed on the way would lead elsewhere. */
  check: string,
];

const FORMAT = 1;
const PARTS = 8;

/** What the pages of one list have in common, in a few characters. */
export const requestPrint = (parameters: unknown): string =>
  createHash('sha256').update(JSON.stringify(parameters)).digest('base64url').slice(0, 8);

export function encodeCursor(bucket: number, request: string, { view, range }: Cursor): string {
  const parts = [FORMAT, bucket, request, view.revision, view.timeMs, range.start, range.end ?? null];
  return Buffer.from(JSON.stringify([...parts, requestPrint(parts)]), 'utf8').toString('base64url');
}

/** @throws Problem `invalid_cursor` when it is damaged, or belongs to another bucket or request. */
export function decodeCursor(text: string, bucket: number, request: string, reverse: boolean): Cursor {
  const encoded = parse(text);
  if (encoded === undefined) throw new Problem('invalid_cursor', 'the cursor is damaged: send it as it was given');
  const [, itsBucket, itsRequest, revision, timeMs, start, end] = encoded;
  if (itsBucket !== bucket) throw new Problem('invalid_cursor', 'the cursor belongs to another bucket');
  if (itsRequest !== request) {
    throw new Problem('invalid_cursor', 'the cursor belongs to a list with other parameters; send the same ones again');
  }
  return { view: { revision, timeMs }, range: { start, end: end ?? undefined, reverse } };
}

function parse(text: string): Encoded | undefined {
  try {
    const parts = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown[];
    const isWhole = parts.length === PARTS && parts[0] === FORMAT && parts.at(-1) === requestPrint(parts.slice(0, -1));
    return isWhole ? (parts as Encoded) : undefined;
  } catch {
    return undefined;
  }
}
