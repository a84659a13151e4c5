/**
 * Logging from many threads into one file.
 *
 * The main thread: `const log = threadLogger({ path: 'app.log' })`. A worker thread: `const log = threadLogger()`.
 * Threads that are started after the first call know where to log by themselves; others are given `log.handle`.
 */
import { writeSync } from 'node:fs';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { flushAtExit } from '../exit-flush.ts';
import { fileLogger } from '../file-logger.ts';
import type { LogFileOptions } from '../log-file.ts';
import { checkLogFileOptions } from '../log-file-options.ts';
import type { Logger } from '../logger.ts';
import type { LineOptions } from '../options.ts';
import { LineRing } from './ring.ts';
import type { RingOptions } from './ring-layout.ts';
import { attachThreadSink, endThreadsByNews, type ThreadLogHandle, ThreadSink } from './thread-sink.ts';
import { type ThreadLogTrouble, WriterOwner } from './writer-owner.ts';

export type { RingOptions } from './ring-layout.ts';
export { attachThreadSink, type ThreadLogHandle, ThreadSink } from './thread-sink.ts';
export type { ThreadLogTrouble } from './writer-owner.ts';

/** Where lines of many threads go: the file's options, the ring's, and our own. */
export interface ThreadSinkOwnerOptions extends Omit<LogFileOptions, 'onError' | 'isWaitless'>, RingOptions {
  /** How long lines may gather before they are written, in milliseconds. Default 10. */
  lingerMs?: number;
  /**
   * With durability `none`, about so many bytes of lines gather in their thread while it runs without a pause, and are lost
   * (and counted) when it is terminated meanwhile. 0: each line is in the ring when the call returns. Default 4096.
   */
  gatherBytes?: number;
  /** Of the lines in which the log tells of lost ones. Default `msg`. */
  messageKey?: string;
  /** Told of troubles of the file and of the writer. Default: a warning of the process. */
  onError?(trouble: ThreadLogTrouble): void;
}

/** A sink whose lines are written by a thread of its own, started by this call. */
export interface OwnedThreadSink {
  sink: ThreadSink;
  handle: ThreadLogHandle;
  owner: WriterOwner;
}

/** Some 25 lines: a page, and most of what gathering can save. */
const GATHER_BYTES = 4096;

/** Starts a writer. @throws TypeError or RangeError for options that make no sense. */
export function startThreadSink(options: ThreadSinkOwnerOptions): OwnedThreadSink {
  const { lingerMs = 10, gatherBytes: wantedBytes = GATHER_BYTES, messageKey, onError, path, ...rest } = options;
  const file: LogFileOptions = path === undefined && rest.descriptor === undefined ? { descriptor: 1 } : { path };
  for (const name of ['descriptor', 'durability', 'intervalMs', 'rotation', 'mode', 'retryMs', 'settleMs'] as const) {
    if (rest[name] !== undefined) Object.assign(file, { [name]: rest[name] });
  }
  checkLogFileOptions(file);
  if (!Number.isInteger(wantedBytes) || wantedBytes < 0) {
    throw new RangeError(`gatherBytes is ${wantedBytes}; it must be a whole number from 0`);
  }
  const ring = LineRing.create(rest);
  const owner = new WriterOwner(ring, { file, lingerMs, messageKey, onError });
  const durability = file.durability ?? 'none';
  // The other durabilities promise more than a thread can keep by itself.
  const gatherBytes = durability === 'none' ? wantedBytes : 0;
  let forget = (): void => undefined;
  const sink = new ThreadSink(ring, {
    durability,
    gatherBytes,
    messageKey,
    onWait: () => owner.watch(),
    async onClose() {
      disinherit(ring);
      await owner.close();
      forget();
    },
  });
  forget = flushWithProcess(ring, sink);
  endThreadsByNews(ring);
  return { sink, owner, handle: { ring: ring.handle, durability, gatherBytes, messageKey } };
}

/** @returns A call that takes the hooks off again. */
function flushWithProcess(ring: LineRing, sink: ThreadSink): () => void {
  const forget = flushAtExit({
    flushSync: (deadlineMs) => sink.flushAtEnd(deadlineMs),
    flush: (done) => sink.flush(done),
    get writtenBytes() {
      return sink.stats().writtenBytes;
    },
    get pending() {
      return ring.pendingLines();
    },
  });
  // Later than the hook above: what is still there then is lost, and there is no other place left to say so.
  const tell = (): void => {
    const lines = ring.pendingLines();
    if (lines > 0) writeSync(2, `file-logger: the process ended before ${lines} lines could be written\n`);
  };
  process.on('exit', tell);
  return () => {
    forget();
    process.removeListener('exit', tell);
  };
}

/** Threads started by this one, and theirs, find the handle under this key. */
const INHERITED = 'plinth.file-logger.threads.1';

/** Threads that are started from now on do not log into a ring that is closed. */
function disinherit({ handle }: LineRing): void {
  const inherited = getEnvironmentData(INHERITED) as ThreadLogHandle | undefined;
  if (inherited?.ring.buffer === handle.buffer) setEnvironmentData(INHERITED, undefined);
}

export interface ThreadLoggerOptions<Custom extends string = never>
  extends LineOptions<Custom>,
    Omit<ThreadSinkOwnerOptions, 'messageKey'> {
  /** Log into what another thread's logger writes. Default in a worker thread without `path`: what it inherited. */
  handle?: ThreadLogHandle;
}

/** A logger whose lines another thread writes. */
export type ThreadLogger = Logger & {
  /** For threads that were started before, or by others. */
  readonly handle: ThreadLogHandle;
  readonly sink: ThreadSink;
};

/**
 * A logger that many threads may have, into one file. With a path (or descriptor) it starts the writer; in a worker thread
 * without one, it logs where the thread that started it does.
 *
 * @throws TypeError or RangeError for options that make no sense, Error when more than `threadsMax` threads log.
 */
export function threadLogger<Custom extends string = never>(options: ThreadLoggerOptions<Custom> = {}): ThreadLogger {
  const isOwn = options.path !== undefined || options.descriptor !== undefined;
  const inherited = isMainThread || isOwn ? undefined : (getEnvironmentData(INHERITED) as ThreadLogHandle | undefined);
  const handle = options.handle ?? inherited;
  if (handle !== undefined) {
    const sink = attachThreadSink(handle);
    return Object.assign(fileLogger(options, sink), { handle, sink });
  }
  const { sink, handle: own } = startThreadSink(options);
  // The first one that is open is where threads log by default.
  if (getEnvironmentData(INHERITED) === undefined) setEnvironmentData(INHERITED, own as never);
  return Object.assign(fileLogger(options, sink), { handle: own, sink });
}
