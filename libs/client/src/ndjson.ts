/** NDJSON as it comes from a socket: chunks end anywhere, in the middle of a line or of a character. */
import { grouped, Problem } from '@plinth/problem';

/**
 * The longest line, in bytes: a change with its value and the one before, 1 MiB each, of which JSON makes six times as
 * much at worst (`\u0000`), and 4 MiB for key, metadata and names.
 */
export const LINE_BYTES_MAX = 16 * 1_048_576;

const NEWLINE = 0x0a;

/** Puts lines together from chunks. */
export class LineSplitter {
  #parts: Uint8Array[] = [];
  #partsBytes = 0;

  /** The lines that `chunk` completes. Cost: lines inside of one chunk are not copied. @throws Problem `internal`. */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    if (start < chunk.byteLength) this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(part: Uint8Array): void {
    this.#partsBytes += part.byteLength;
    if (this.#partsBytes > LINE_BYTES_MAX) {
      throw new Problem('internal', `the stream has a line of over ${grouped(LINE_BYTES_MAX)} bytes`);
    }
    this.#parts.push(part);
  }

  #take(): string {
    const line = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partsBytes = 0;
    return Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8');
  }
}

/**
 * The values of the lines, those of one chunk together; empty lines are skipped. A last line without its newline was
 * cut off, and is left out.
 *
 * @throws Problem `internal` for a line that is no JSON, and what `chunks` throws.
 */
export async function* ndjsonValues(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown[]> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) {
    const lines = splitter.push(chunk);
    if (lines.length > 0) yield lines.filter((line) => line.trim() !== '').map(parse);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new Problem('internal', `the stream has a line that is no JSON: ${line.slice(0, 80)}`, { cause });
  }
}
