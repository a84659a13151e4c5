/**
 * A sink on this thread. Lines gather as one string, which is encoded into a pooled block in one go and written at once:
 * to encode each line by itself costs more (`file-sink.bench.ts`).
 *
 *   write(line) → text → (full, or after `lingerMs`) → block → queue → file
 *
 * The queue is empty but for a disk that is slow or fails. Its blocks and the text are all the memory lines can take.
 */
import { type Block, BlockPool } from '@plinth/buffer-pool';
import { sleepSync } from './append-target.ts';
import { DropNotices, type TakenNotice } from './drop-notices.ts';
import { flushAtExit } from './exit-flush.ts';
import { type FileSinkOptions, type FileSinkSettings, fileSinkSettings } from './file-sink-options.ts';
import { FlushWaiters } from './flush-waiters.ts';
import { GatheredLines, newlinesIn } from './gathered-lines.ts';
import type { LineSink, SinkStats } from './line-sink.ts';
import { LogFile } from './log-file.ts';

export type { DropNotice, FileSinkOptions } from './file-sink-options.ts';

const NEWLINE = 0x0a;
/** What an encoder may leave free at the end of a block because the next character does not fit. */
const CHARACTER_BYTES_MAX = 4;
const FLUSH_MS = 2_000;
/** A slow write is looked at so often; longer than a healthy one takes. */
const LOOK_MS = 20;
/** How long a caller may be held by `block` without any progress: a disk that hangs must not hang the process. */
const BLOCK_MS_MAX = 10_000;

/** Writes lines to a file or a descriptor from this thread. `write` never throws; what it gives up is counted, and told in the log. */
export class FileSink implements LineSink {
  readonly file: LogFile;
  readonly #settings: FileSinkSettings;
  readonly #pool: BlockPool;
  readonly #drops: DropNotices;
  readonly #queue: GatheredLines[] = [];
  readonly #waiters: FlushWaiters;
  readonly #leaveExit: () => void;
  readonly #textMax: number;
  #text = '';
  /** What the first lines of the text are, if they are ours. */
  #notice: TakenNotice | undefined;
  #textLines = 0;
  #written = 0;
  #queuedLines = 0;
  /** Lines that ever left the text. */
  #sealedLines = 0;
  #isArmed = false;
  /** A write by the thread pool was waited for in vain: not again before it has ended. */
  #isStuck = false;
  /** The text waits for a block. */
  #isOverdue = false;
  #isClosed = false;
  #isAtOnce = false;
  #lingerTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #syncTimer: NodeJS.Timeout | undefined;

  /** @throws TypeError or RangeError for options that make no sense. */
  constructor(options: FileSinkOptions) {
    this.#settings = fileSinkSettings(options);
    const { bufferBytes, buffersMax, whenFull } = this.#settings;
    this.file = new LogFile({ isWaitless: whenFull !== 'block', ...options });
    this.#pool = new BlockPool({ blockBytes: bufferBytes, blocksMax: buffersMax, blocksPerSlab: 1 });
    this.#drops = new DropNotices(options.noticeLine, options.now ?? Date.now);
    this.#waiters = new FlushWaiters(this.file, this.#settings.durability);
    this.#textMax = bufferBytes - CHARACTER_BYTES_MAX;
    this.#leaveExit = options.flushesAtExit === false ? () => undefined : flushAtExit(this);
  }

  write(line: string): void {
    if (this.#text.length + line.length > this.#textMax && !this.#makeRoom(line)) return;
    this.#text += line;
    this.#textLines += 1;
    if (!this.#isArmed) this.#arm();
  }

  flush(done: (error?: Error) => void = () => undefined): void {
    this.#seal();
    this.#waiters.add(done, this.#sealedLines + this.#textLines);
    this.#retryTimer?.ref();
    this.#pump();
    this.#waiters.serve(this.#firstLine);
  }

  flushSync(deadlineMs: number = FLUSH_MS): boolean {
    const endMs = performance.now() + deadlineMs;
    while (this.#text !== '' || this.#queue.length > 0) {
      // A notice of what was dropped may be added once there is room: then there is one more round.
      this.#seal();
      if (!this.#drainSync(endMs)) return false;
    }
    const isSynced = this.#settings.durability === 'none' || this.file.syncSync();
    this.#waiters.serve(this.#firstLine);
    return isSynced;
  }

  writeAtOnce(): void {
    this.#isAtOnce = true;
    this.#isArmed = false;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, BLOCK_MS_MAX);
      this.flush(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.flushSync(FLUSH_MS);
    this.#isClosed = true;
    this.#isArmed = false;
    this.#leaveExit();
    for (const timer of [this.#lingerTimer, this.#retryTimer, this.#syncTimer]) clearTimeout(timer);
    this.#giveUpText();
    this.#giveUpQueue();
    await this.file.close();
  }

  stats(): SinkStats {
    const { writtenBytes, errors } = this.file.stats;
    return { written: this.#written, writtenBytes, pending: this.pending, dropped: { ...this.#drops.counts }, errors };
  }

  /** Lines taken and not yet written. */
  get pending(): number {
    return this.#textLines + this.#queuedLines;
  }

  get writtenBytes(): number {
    return this.file.stats.writtenBytes;
  }

  // ---- Gathering

  /** The first line since the text was written. */
  #arm(): void {
    if (this.#isClosed) {
      this.#giveUpText();
      return;
    }
    const { durability, lingerMs } = this.#settings;
    if (durability === 'always') {
      this.#writeNow();
      return;
    }
    if (this.#isAtOnce) {
      this.flushSync();
      return;
    }
    this.#isArmed = true;
    this.#lingerTimer ??= setTimeout(() => this.#lingered(), lingerMs).unref();
    this.#lingerTimer.refresh();
    if (durability === 'interval') this.#armSync();
  }

  #lingered(): void {
    this.#isArmed = false;
    this.#seal();
    this.#pump();
    if (this.#drops.hasNews) this.#tell();
  }

  /** For `always`: the call returns when the line is safe, or when the disk has failed. */
  #writeNow(): void {
    const endMs = performance.now() + BLOCK_MS_MAX;
    this.#seal();
    while (this.#queue.length > 0) {
      if (!this.#hasWritten(endMs)) {
        this.#retryLater();
        return;
      }
    }
    this.file.syncSync();
  }

  /** Writes the first of the queue, however slow its reader. @returns False when the disk fails, or hangs. */
  #hasWritten(endMs: number): boolean {
    if (this.#queue[0]?.isInFlight) return this.#hasLanded(endMs);
    // A disk that fails is not waited for: the application is worth more than its log.
    while (!(this.file.isFailing && this.file.retryInMs > 0)) {
      if (this.#writeFirstSync(endMs)) return true;
      if (this.file.isFailing || performance.now() >= endMs) return false;
      this.#pauseSync(endMs);
    }
    return false;
  }

  /** What the thread pool writes shows only when it succeeds: its error comes with the event loop. */
  #hasLanded(endMs: number): boolean {
    while (!this.#isStuck && !this.file.waitSync(LOOK_MS)) {
      this.#isStuck = performance.now() >= endMs || !this.file.hasRoom(this.#settings.bufferBytes);
    }
    return !this.#isStuck;
  }

  #giveUpText(): void {
    this.#drops.drop('failed', this.#textLines);
    this.#sealedLines += this.#textLines;
    this.#text = '';
    this.#textLines = 0;
  }

  /** The text is full. @returns False when the line was dropped, or taken by itself. */
  #makeRoom(line: string): boolean {
    if (this.#isClosed) return true;
    if (line.length > this.#textMax) {
      this.#takeLong(line);
      return false;
    }
    while (!this.#seal() && this.#text.length + line.length > this.#textMax) {
      if (!this.#freeBlock()) {
        this.#drops.drop('full', 1);
        this.#pump();
        return false;
      }
    }
    this.#pump();
    if (this.#drops.hasNews) this.#tell();
    return true;
  }

  /** Encodes the text into a block of the queue. @returns False when there is no block; the text stays. */
  #seal(): boolean {
    while (this.#text !== '') {
      const block = this.#pool.tryAcquire();
      this.#isOverdue = block === undefined;
      if (block === undefined) return false;
      this.#encode(block);
    }
    return true;
  }

  #encode(block: Block): void {
    const { bytes } = block;
    const writtenBytes = bytes.write(this.#text, 0);
    if (writtenBytes > bytes.length - CHARACTER_BYTES_MAX) {
      this.#encodePart(block);
      return;
    }
    this.#enqueue(block, bytes.subarray(0, writtenBytes), this.#textLines);
    this.#text = '';
  }

  /** The text has more bytes than the block: as many whole lines as fit; they end at the same newline in both forms. */
  #encodePart(block: Block): void {
    const { read, written } = new TextEncoder().encodeInto(this.#text, block.bytes);
    const end = written === 0 ? 0 : block.bytes.lastIndexOf(NEWLINE, written - 1) + 1;
    const cut = end === 0 ? this.#text.indexOf('\n') + 1 : this.#text.lastIndexOf('\n', read - 1) + 1;
    const bytes = end === 0 ? Buffer.from(this.#text.slice(0, cut)) : block.bytes.subarray(0, end);
    this.#enqueue(block, bytes, newlinesIn(bytes, 0, bytes.length) - (this.#notice?.lines ?? 0));
    this.#text = this.#text.slice(cut);
  }

  /** @param lines - Those of the text's that the bytes hold. */
  #enqueue(block: Block, bytes: Uint8Array, lines: number): void {
    this.#queue.push(new GatheredLines(block, bytes, { lines, firstLine: this.#sealedLines, notice: this.#notice }));
    this.#notice = undefined;
    this.#textLines -= lines;
    this.#queuedLines += lines;
    this.#sealedLines += lines;
  }

  /** All lines before this one have left. */
  get #firstLine(): number {
    return this.#queue[0]?.firstLine ?? this.#sealedLines;
  }

  /** A line that no block holds has memory of its own, and a block's place in the queue, so that all stays bounded. */
  #takeLong(line: string): void {
    const bytes = line.length > this.#settings.lineBytesMax ? undefined : Buffer.from(line);
    if (bytes === undefined || bytes.length > this.#settings.lineBytesMax) {
      this.#drops.drop('tooLong', 1);
      this.#seal();
      this.#tell();
      return;
    }
    const block = this.#blockForLong();
    if (block === undefined) {
      this.#drops.drop('full', 1);
      return;
    }
    this.#textLines += 1;
    this.#enqueue(block, bytes, 1);
    if (this.#settings.durability === 'always') this.#writeNow();
    else this.#pump();
  }

  /** The text goes first, as its lines came first. */
  #blockForLong(): Block | undefined {
    for (;;) {
      const block = this.#seal() ? this.#pool.tryAcquire() : undefined;
      if (block !== undefined || !this.#freeBlock()) return block;
    }
  }

  /** What the policy says when no block is free. @returns Whether one is now. */
  #freeBlock(): boolean {
    const { whenFull } = this.#settings;
    if (whenFull === 'drop-newest') return false;
    return whenFull === 'drop-oldest' ? this.#dropOldest() : this.#waitForBlock();
  }

  #dropOldest(): boolean {
    const at = this.#queue.findIndex((lines) => !lines.isInFlight && !lines.isMidLine);
    if (at === -1) return false;
    const [oldest] = this.#queue.splice(at, 1) as [GatheredLines];
    this.#drops.drop('full', oldest.lines);
    if (oldest.notice !== undefined) this.#drops.putBack(oldest.notice);
    this.#queuedLines -= oldest.lines;
    oldest.block.release();
    return true;
  }

  #waitForBlock(): boolean {
    const endMs = performance.now() + BLOCK_MS_MAX;
    while (this.#queue.length >= this.#settings.buffersMax) {
      if (!this.#hasWritten(endMs)) return false;
    }
    return true;
  }

  // ---- Writing

  /** Writes what the queue holds, or sees to it that somebody does. */
  #pump(): void {
    if (this.#isClosed || this.#queue.length === 0 || this.#queue[0]?.isInFlight) return;
    if (this.file.retryInMs === Infinity) {
      this.#giveUpQueue();
      return;
    }
    if (this.#retryTimer !== undefined) return;
    if (this.#settings.isSync) this.#pumpSync();
    else this.#pumpLater();
  }

  #pumpSync(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      this.#advance(first, this.file.appendSync(first.rest));
      if (!first.isWritten) {
        this.#retryLater();
        return;
      }
    }
  }

  #pumpLater(): void {
    const first = this.#queue[0] as GatheredLines;
    first.isInFlight = true;
    this.file.append(first.rest, (writtenBytes) => {
      first.isInFlight = false;
      this.#isStuck = false;
      if (this.#isClosed) {
        first.block.release();
        return;
      }
      this.#advance(first, writtenBytes);
      if (this.file.retryInMs > 0) this.#retryLater();
      else this.#pump();
    });
  }

  #advance(lines: GatheredLines, writtenBytes: number): void {
    const finished = lines.advance(writtenBytes);
    this.#written += finished;
    this.#queuedLines -= finished;
    if (!lines.isWritten) return;
    this.#queue.shift();
    lines.block.release();
    if (this.#isOverdue) this.#seal();
    if (this.#drops.hasNews) this.#tell();
    if (this.#waiters.size > 0) this.#waiters.serve(this.#firstLine);
  }

  /** There is room again: what was dropped is told, behind the lines that came before. */
  #tell(): void {
    if (this.#text !== '' || this.file.isFailing || this.file.retryInMs === Infinity) return;
    this.#notice = this.#drops.take();
    this.#text = this.#notice.text;
    // Not from within a write that goes on.
    if (!this.#isArmed) setImmediate(() => this.#lingered()).unref();
  }

  #retryLater(): void {
    if (this.file.retryInMs === Infinity) {
      this.#giveUpQueue();
      return;
    }
    const trouble = this.file.trouble;
    if (trouble !== undefined) this.#waiters.fail(trouble);
    if (this.#retryTimer !== undefined) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.#pump();
    }, this.file.retryInMs);
    if (this.#waiters.size === 0) this.#retryTimer.unref();
  }

  /** A closed pipe: nobody will ever read these. */
  #giveUpQueue(): void {
    for (const lines of this.#queue.splice(0)) {
      this.#drops.drop('failed', lines.lines);
      // The thread pool still reads the other's memory: its own end releases it.
      if (!lines.isInFlight) lines.block.release();
    }
    this.#queuedLines = 0;
    const trouble = this.file.trouble;
    if (trouble !== undefined) this.#waiters.fail(trouble);
  }

  /** @returns Whether the queue is empty. */
  #drainSync(endMs: number): boolean {
    while (this.#queue.length > 0) {
      if (this.#writeFirstSync(endMs)) continue;
      if (performance.now() >= endMs) return false;
      this.#pauseSync(endMs);
    }
    return true;
  }

  /** One try at the first of the queue. @returns Whether it is written, or can never be. */
  #writeFirstSync(endMs: number): boolean {
    const first = this.#queue[0] as GatheredLines;
    if (first.isInFlight) return this.file.waitSync(Math.max(0, endMs - performance.now()));
    this.#advance(first, this.file.appendSync(first.rest));
    if (first.isWritten) return true;
    if (this.file.retryInMs === Infinity) {
      this.#giveUpQueue();
      return true;
    }
    return false;
  }

  #pauseSync(endMs: number): void {
    sleepSync(Math.min(Math.max(1, this.file.retryInMs), Math.max(1, endMs - performance.now())));
  }

  // ---- Syncing by the interval

  #armSync(): void {
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      this.#seal();
      this.#pump();
      this.file.sync(() => undefined);
      if (this.pending > 0) this.#armSync();
    }, this.#settings.intervalMs).unref();
  }
}
