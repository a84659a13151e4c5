/** A log whose disk does what the test says: waits, refuses, breaks. What it took, it keeps in memory. */
import type { Log, LogRecord } from '../store/log.ts';
import type { LogPosition } from '../store/store.ts';
import { type CommandRecord, decodeCommands } from './command.ts';

export const diskError = (code: string): Error => Object.assign(new Error(`the disk says ${code}`), { code });

export class ScriptedLog implements Log {
  readonly records: LogRecord[] = [];
  readonly trims: LogPosition[] = [];
  flushes = 0;
  isClosed = false;
  /** Codes with which the next appends fail, one each. */
  readonly failures: string[] = [];
  flushFailure: string | undefined;
  #gate: Promise<void> | undefined;
  #open: () => void = () => {};
  #isBusy = false;

  /** Appends wait until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  get commands(): CommandRecord[] {
    return this.records.map(({ body }) => decodeCommands(body));
  }

  async append(parts: readonly Uint8Array[]): Promise<LogPosition> {
    if (this.#isBusy) throw new Error('append: another append is under way');
    this.#isBusy = true;
    try {
      // A disk answers in a later turn.
      await (this.#gate ?? new Promise((resolve) => setImmediate(resolve)));
      const code = this.failures.shift();
      if (code !== undefined) throw diskError(code);
      const body = Buffer.concat(parts);
      this.records.push({ end: this.end + body.length, body });
      return this.end;
    } finally {
      this.#isBusy = false;
    }
  }

  get end(): LogPosition {
    return this.records.at(-1)?.end ?? 0;
  }

  async *replay(from: LogPosition): AsyncGenerator<LogRecord> {
    for (const { end, body } of this.records) if (end > from) yield { end, body: Buffer.from(body) };
  }

  async trim(position: LogPosition): Promise<void> {
    this.trims.push(position);
  }

  async flush(): Promise<void> {
    this.flushes += 1;
    if (this.flushFailure !== undefined) throw diskError(this.flushFailure);
  }

  get sizeBytes(): number {
    return this.end;
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}
