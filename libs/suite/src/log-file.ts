import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** Two files of this size are kept for each name: enough for a day of a chatty service, and 20 MiB at most. */
const BYTES_MAX = 10 * 1024 * 1024;

/**
 * A log that cannot fill the disk: past its bound the file becomes `<name>.1`, replacing the one before.
 * Writes are synchronous, so that the last words of a crash are on record.
 */
export class LogFile {
  readonly #path: string;
  readonly #bytesMax: number;
  #descriptor: number;
  #bytes: number;

  constructor(path: string, bytesMax = BYTES_MAX) {
    mkdirSync(dirname(path), { recursive: true });
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#descriptor = openSync(path, 'a');
    this.#bytes = fstatSync(this.#descriptor).size;
  }

  /** Appends one line. */
  write(line: string): void {
    if (this.#bytes >= this.#bytesMax) this.#rotate();
    this.#bytes += writeSync(this.#descriptor, `${line}\n`);
  }

  /** Closes the file; no line may follow. */
  close(): void {
    closeSync(this.#descriptor);
  }

  #rotate(): void {
    closeSync(this.#descriptor);
    renameSync(this.#path, `${this.#path}.1`);
    this.#descriptor = openSync(this.#path, 'a');
    this.#bytes = 0;
  }
}
