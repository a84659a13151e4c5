import type { Durability, WhenFull } from './line-sink.ts';
import { checkAtLeast, type LogFileOptions } from './log-file-options.ts';

export interface FileSinkOptions extends LogFileOptions {
  /** Lines gather up to so many bytes before they are written. Default 65,536, at least 1,024. */
  bufferBytes?: number;
  /** A line waits at most so long, in milliseconds, as long as the event loop turns. Default 10. */
  lingerMs?: number;
  /** Buffers that may wait for a slow or failing disk: the memory's bound. Default 16, at least 2. */
  buffersMax?: number;
  /** When all buffers are full. Default `block`. A disk that fails, rather than being slow, drops the newest lines. */
  whenFull?: WhenFull;
  /**
   * True: a full buffer is written by this thread, which costs the least CPU; a slow disk holds the thread.
   * False: by the thread pool. Default: true for `block`, false for the policies that drop, as those never wait.
   */
  sync?: boolean;
  /** A longer line is dropped and counted; a short one in its place says so. Default: what all buffers hold. */
  lineBytesMax?: number;
  /** False: not flushed by itself when the process ends. Default true. */
  flushesAtExit?: boolean;
  /** The line that tells how many were dropped. Ends with a newline. Default: level 40, time, pid, hostname, msg, reason. */
  noticeLine?: (notice: DropNotice) => string;
}

export interface DropNotice {
  lines: number;
  reason: 'full' | 'failed' | 'tooLong';
  /** Milliseconds since 1970. */
  timeMs: number;
}

export interface FileSinkSettings {
  bufferBytes: number;
  lingerMs: number;
  buffersMax: number;
  whenFull: WhenFull;
  isSync: boolean;
  durability: Durability;
  intervalMs: number;
  lineBytesMax: number;
}

const DURABILITIES = ['none', 'interval', 'always'];
const POLICIES = ['block', 'drop-newest', 'drop-oldest'];

/** @throws TypeError or RangeError that names the option. */
export function fileSinkSettings(options: FileSinkOptions): FileSinkSettings {
  const { durability = 'none', intervalMs = 100, whenFull = 'block', bufferBytes = 65_536, buffersMax = 16 } = options;
  oneOf('durability', durability, DURABILITIES);
  oneOf('whenFull', whenFull, POLICIES);
  const { lingerMs = 10, lineBytesMax = bufferBytes * buffersMax } = options;
  checkAtLeast({ intervalMs, lineBytesMax }, 1);
  checkAtLeast({ lingerMs }, 0);
  checkAtLeast({ bufferBytes }, 1_024);
  checkAtLeast({ buffersMax }, 2);
  return {
    bufferBytes,
    buffersMax,
    whenFull,
    durability,
    intervalMs,
    lineBytesMax,
    lingerMs: durability === 'interval' ? Math.min(lingerMs, intervalMs) : lingerMs,
    isSync: options.sync ?? whenFull === 'block',
  };
}

function oneOf(name: string, value: string, allowed: string[]): void {
  if (allowed.includes(value)) return;
  throw new RangeError(`${name} is ${JSON.stringify(value)}; it may be ${allowed.join(', ')}`);
}
