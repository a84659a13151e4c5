/** The sink of one thread: its lines go into the shared ring, another thread writes them. */
import { flushAtExit } from '../exit-flush.ts';
import type { Durability, LineSink, SinkStats } from '../line-sink.ts';
import { LineGatherer } from './line-gatherer.ts';
import { Notices } from './notice.ts';
import { LineRing } from './ring.ts';
import { LIFE, type RingHandle, SLOT, TOTAL, WORD } from './ring-layout.ts';
import { RingProducer } from './ring-producer.ts';
import { hasTaskFolders } from './thread-life.ts';

const FLUSH_MS = 2_000;
/** A waiting flush looks at least this often whether the writer lives. */
const SLICE_MS = 50;
/** `flush` of a file in trouble tells so after this long. */
const TROUBLE_MS = 5_000;
/** How often threads that are to put what they gathered are looked at. */
const DRAIN_LOOK_MS = 1;

export interface ThreadSinkOptions {
  durability: Durability;
  /** Lines gather in their thread up to about so many bytes; 0: each goes into the ring at once. */
  gatherBytes: number;
  messageKey?: string;
  /** Called while the thread waits for the writer. */
  onWait?(): void;
  /** Closes the writer as well: of the thread that started it. Otherwise closing lets go of this thread's slot only. */
  onClose?(): Promise<void>;
  /** Called when it is closed. */
  onClosed?(): void;
}

/** What another thread needs to log into the same file: plain data, for `workerData` or `postMessage`. */
export interface ThreadLogHandle {
  ring: RingHandle;
  durability: Durability;
  gatherBytes: number;
  messageKey: string | undefined;
}

/** One thread's end of a log that another thread writes. */
export class ThreadSink implements LineSink {
  readonly #ring: LineRing;
  readonly #producer: RingProducer;
  readonly #options: ThreadSinkOptions;
  #gatherer: LineGatherer | undefined;
  #isClosed = false;
  #isEnding = false;
  #refused = 0;

  /** @throws Error when as many threads log already as the ring has slots. */
  constructor(ring: LineRing, options: ThreadSinkOptions) {
    const notices = new Notices({ messageKey: options.messageKey });
    this.#ring = ring;
    this.#options = options;
    this.#producer = new RingProducer(ring, {
      always: options.durability === 'always',
      onWait: options.onWait,
      tooLongLine: (lineBytes, lineBytesMax) => notices.tooLong(lineBytes, lineBytesMax),
    });
    if (options.gatherBytes > 0) this.#gatherer = new LineGatherer(ring, this.#producer, options.gatherBytes);
  }

  write(line: string): void {
    if (this.#isClosed) this.#refused += 1;
    else if (this.#isEnding) this.#writeAtEnd(line);
    else if (this.#gatherer !== undefined) this.#gatherer.write(line);
    else this.#producer.write(line);
  }

  /** Puts what this thread has gathered into the ring, where others can see it. */
  put(): void {
    this.#gatherer?.put();
  }

  /** From now on each line goes into the ring at once. */
  putAtOnce(): void {
    this.put();
    this.#gatherer = undefined;
  }

  /** The process ends and the ring is closed, but this thread's other exit handlers still log. */
  #writeAtEnd(line: string): void {
    this.#ring.reopen();
    this.#producer.write(line);
    this.flushAtEnd(FLUSH_MS);
  }

  /** Of the lines that other threads have gathered, only those are waited for that they have put into the ring. */
  flush(done: (error?: Error) => void = () => undefined): void {
    this.put();
    const target = this.#ring.head();
    const startMs = performance.now();
    this.#ring.hurry();
    const look = (waitMs: number): void => {
      this.#options.onWait?.();
      const isFailing = Atomics.load(this.#ring.words, WORD.failing) === 1;
      if (this.#ring.isSafe(target)) done();
      else if (isFailing && performance.now() - startMs > TROUBLE_MS) done(new Error('the log cannot be written'));
      else {
        this.#ring.hurry();
        setTimeout(look, waitMs, Math.min(SLICE_MS, waitMs * 2));
      }
    };
    setTimeout(look, 1, 1);
  }

  flushSync(deadlineMs = FLUSH_MS): boolean {
    this.put();
    return this.#waitUntilSafe(this.#ring.head(), deadlineMs);
  }

  #waitUntilSafe(target: number, deadlineMs: number): boolean {
    const { words } = this.#ring;
    const endMs = performance.now() + deadlineMs;
    for (;;) {
      const safe = Atomics.load(words, WORD.safe);
      if (this.#ring.isSafe(target)) return true;
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) return false;
      this.#ring.hurry();
      if (Atomics.wait(words, WORD.safe, safe, Math.min(leftMs, SLICE_MS)) === 'timed-out') this.#options.onWait?.();
    }
  }

  /** The last flush of the process: nothing is taken after it, so that all that was taken is in it. */
  flushAtEnd(deadlineMs: number): boolean {
    const { words, totals } = this.#ring;
    this.#isEnding = true;
    this.put();
    const writtenBytes = Atomics.load(totals, TOTAL.writtenBytes);
    const endMs = performance.now() + deadlineMs;
    while (this.#ring.drain() && this.#ring.isGathering()) {
      if (performance.now() < endMs) Atomics.wait(words, WORD.life, LIFE.draining, DRAIN_LOOK_MS);
      // They wait for room, and the disk is only slow: the caller will ask again.
      else if (Atomics.load(totals, TOTAL.writtenBytes) > writtenBytes) return false;
      else break;
    }
    return this.#waitUntilSafe(this.#ring.close(LIFE.ending), deadlineMs);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.put();
    if (this.#options.onClose === undefined) {
      await new Promise<void>((resolve, reject) => this.flush((error) => (error ? reject(error) : resolve())));
    } else {
      await this.#drained();
      this.#ring.close(LIFE.closed);
      await this.#options.onClose();
    }
    this.#producer.detach();
    this.#options.onClosed?.();
  }

  /** All threads have put what they gathered, or are too busy to. */
  async #drained(): Promise<void> {
    const endMs = performance.now() + FLUSH_MS;
    while (this.#ring.drain() && this.#ring.isGathering() && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
    }
  }

  /** Of all threads together. */
  stats(): SinkStats {
    const ring = this.#ring;
    const total = (index: number): number => Number(Atomics.load(ring.totals, index));
    return {
      written: total(TOTAL.writtenLines),
      writtenBytes: total(TOTAL.writtenBytes),
      pending: ring.pendingLines(),
      dropped: {
        full: ring.count(SLOT.droppedNewest) + ring.count(SLOT.droppedOldest),
        tooLong: ring.count(SLOT.tooLong),
        failed: ring.count(SLOT.failed) + total(TOTAL.failedLines) + this.#refused,
        torn: total(TOTAL.torn),
      },
      errors: total(TOTAL.errors),
    };
  }
}

/**
 * The sink of this thread into a ring that another thread's `startThreadSink` made.
 *
 * @throws Error when as many threads log already as the ring has slots.
 */
export function attachThreadSink({ ring: handle, durability, gatherBytes, messageKey }: ThreadLogHandle): ThreadSink {
  const ring = new LineRing(handle);
  endThreadsByNews(ring);
  let forget = (): void => undefined;
  const sink = new ThreadSink(ring, { durability, gatherBytes, messageKey, onClosed: () => forget() });
  forget = putAtExit(sink);
  return sink;
}

/** The thread's end is not the process's: what it gathered is for the writer, which goes on. */
function putAtExit(sink: ThreadSink): () => void {
  return flushAtExit({
    writtenBytes: 0,
    pending: 0,
    flushSync() {
      sink.put();
      return true;
    },
    flush(done) {
      sink.put();
      done();
    },
    writeAtOnce: () => sink.putAtOnce(),
  });
}

/** Where nobody can be asked whether a thread lives, its parent must say that it ended. */
export function endThreadsByNews(ring: LineRing): void {
  if (hasTaskFolders) return;
  process.on('worker', (worker) => {
    const { threadId } = worker;
    worker.once('exit', () => ring.endThreads((id) => id === threadId));
  });
}
