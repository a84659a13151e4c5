/** Looks at what a logger has written. */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { checkLine } from './line.ts';

const CHUNK_BYTES = 1 << 20;
const NEWLINE = 10;

export interface WrittenFile {
  /** Whole lines. */
  lines: number;
  bytes: number;
}

/**
 * Counts the lines of a file, and looks closely at the first of every mebibyte.
 * @throws Error when one of those is not the line that was logged.
 */
export function readBack(path: string): WrittenFile {
  const found = { lines: 0, bytes: 0 };
  if (!existsSync(path)) return found;
  const file = openSync(path, 'r');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let size = readSync(file, chunk); size > 0; size = readSync(file, chunk)) {
    const bytes = chunk.subarray(0, size);
    checkSome(bytes, found.bytes === 0);
    found.lines += newlinesIn(bytes);
    found.bytes += size;
  }
  closeSync(file);
  return found;
}

/** A chunk begins anywhere; only behind its first newline a line certainly begins. */
function checkSome(bytes: Buffer, isStart: boolean): void {
  const begin = isStart ? 0 : bytes.indexOf(NEWLINE) + 1;
  const end = bytes.indexOf(NEWLINE, begin);
  if (end > begin) checkLine(bytes.toString('utf8', begin, end));
}

function newlinesIn(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}
