import type { LineSink, SinkStats } from './line-sink.ts';

/** Keeps lines in an array: for tests of what makes them. */
export class ArraySink implements LineSink {
  readonly lines: string[] = [];
  syncFlushes = 0;

  write(line: string): void {
    this.lines.push(line);
  }

  flush(done?: (error?: Error) => void): void {
    done?.();
  }

  flushSync(): boolean {
    this.syncFlushes++;
    return true;
  }

  async close(): Promise<void> {}

  stats(): SinkStats {
    const dropped = { full: 0, tooLong: 0, failed: 0, torn: 0 };
    return { written: this.lines.length, writtenBytes: 0, pending: 0, dropped, errors: 0 };
  }
}
