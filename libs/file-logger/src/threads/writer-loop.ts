/**
 * What the writer does: takes lines out of the ring, batch by batch, hands them to the file, syncs as the durability
 * says, tells how far it is, sleeps. It runs in a thread of its own (`writer-thread.ts`), or, when that thread has died,
 * wherever somebody pumps it.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { Durability } from '../line-sink.ts';
import type { LineRing } from './ring.ts';
import { RingConsumer } from './ring-consumer.ts';
import { LIFE, SLEEP, SLOT, TOTAL, WORD } from './ring-layout.ts';
import { isThreadAlive, ownThread } from './thread-life.ts';

/** The part of `LogFile` that is used here. */
export interface LineFile {
  appendSync(bytes: Uint8Array): number;
  syncSync(): boolean;
  closeSync(): void;
  readonly retryInMs: number;
  readonly compressing: number;
  readonly stats: { errors: number };
}

export interface WriterLoopOptions {
  durability: Durability;
  /** How long lines may gather before they are written. */
  lingerMs: number;
  /** Between two syncs of `interval`. */
  intervalMs: number;
  /** What the log itself says about lines that were given up. */
  noticeLine(lines: number, reason: string): string;
  /** The file that is written, to see what a writer that died in the middle of a call had still written. */
  path?: string;
}

/** A look at a record that is not completed. */
const STALL_LOOK_MS = 1;
/** After so long its thread is asked for: completing a record takes microseconds, being off the CPU some milliseconds. */
const STALL_PATIENCE_MS = 5;
/** Nothing happens: dead threads' slots are freed this often, and lost lines told. */
const IDLE_MS = 1_000;
/** The event loop of the thread gets a turn at least this often: rotated files are compressed there. */
const TURN_MS = 20;

export class WriterLoop {
  readonly #ring: LineRing;
  readonly #consumer: RingConsumer;
  readonly #file: LineFile;
  readonly #options: WriterLoopOptions;
  readonly #told = new Map<string, number>();
  #stalledSinceMs = 0;
  #isUnsynced = false;
  #syncedAtMs = 0;
  #tidiedAtMs = 0;
  #errorsNoted = 0;

  /** @throws Error when another writer is at work. */
  constructor(ring: LineRing, file: LineFile, options: WriterLoopOptions) {
    becomeWriter(ring);
    this.#ring = ring;
    this.#consumer = new RingConsumer(ring);
    this.#file = file;
    this.#options = options;
    this.#noteLastWrite();
  }

  /** Works until the ring is closed and empty. */
  async run(): Promise<void> {
    const { words } = this.#ring;
    let turnAtMs = performance.now();
    for (;;) {
      // Before the pump: what was taken between its look at the head and the closing it has not seen.
      const isClosed = Atomics.load(words, WORD.life) === LIFE.closed && this.#ring.isClosed();
      const isAll = this.pump();
      if (Atomics.load(words, WORD.life) === LIFE.abandoned || (isClosed && isAll)) return;
      this.#sleepShortly(isAll);
      const nowMs = performance.now();
      if (this.#consumer.pendingBytes() === 0 && this.#file.retryInMs === 0) {
        await this.#consumer.sleepLater(SLEEP.deep, this.#idleMs(nowMs), () => this.#isNeeded());
        turnAtMs = performance.now();
      } else if (nowMs - turnAtMs > TURN_MS || this.#file.compressing > 0) {
        await new Promise((resume) => setImmediate(resume));
        turnAtMs = performance.now();
      }
    }
  }

  /**
   * Writes what is there now, and syncs when that is due.
   *
   * @returns Whether all that was reserved at its beginning is done: false when the disk, or a record in the making, is in the way.
   */
  pump(): boolean {
    const { words } = this.#ring;
    const isUrgent = Atomics.exchange(words, WORD.urgent, 0) === 1;
    const head = this.#ring.head();
    let isDone = this.#writeBatch();
    while (isDone && ((head - this.#ring.tail()) | 0) > 0) {
      if (!this.#consumer.fill() && !this.#skipStalled()) {
        this.#consumer.wakeProducers();
        break;
      }
      this.#stalledSinceMs = 0;
      if (this.#hasMuchRoom()) this.#consumer.wakeProducers();
      isDone = this.#writeBatch();
    }
    this.#consumer.wakeProducers();
    if (isDone) this.#tellLost();
    this.#syncWhenDue(isUrgent);
    this.#publish();
    // A thread that finds no slot hurries the writer.
    if (isUrgent) this.#ring.freeSlots();
    return isDone && ((head - this.#ring.tail()) | 0) <= 0;
  }

  #hasMuchRoom(): boolean {
    return this.#consumer.pendingBytes() * 2 <= this.#ring.handle.ringBytes;
  }

  /** @returns Whether the batch is written as a whole. */
  #writeBatch(): boolean {
    const rest = this.#consumer.batchRest();
    if (rest.length > 0) {
      Atomics.store(this.#ring.totals, TOTAL.fileBytes, BigInt(fileBytes(this.#options.path)));
      const written = this.#file.retryInMs > 0 && !this.#isEnding() ? 0 : this.#file.appendSync(rest);
      if (written > 0) this.#isUnsynced = true;
      if (!this.#consumer.noteWritten(written)) {
        Atomics.store(this.#ring.words, WORD.failing, 1);
        return false;
      }
    } else if (this.#consumer.isBatchUncounted()) this.#consumer.noteWritten(0);
    Atomics.store(this.#ring.words, WORD.failing, 0);
    Atomics.store(this.#ring.words, WORD.written, this.#ring.tail());
    return true;
  }

  /** Somebody ends the process: each of its tries counts, whatever the file thinks of waiting. */
  #isEnding(): boolean {
    return Atomics.load(this.#ring.words, WORD.life) !== LIFE.open;
  }

  /** The record at the tail is not complete. @returns Whether it was skipped. */
  #skipStalled(): boolean {
    const nowMs = performance.now();
    if (this.#stalledSinceMs === 0) this.#stalledSinceMs = nowMs;
    if (nowMs - this.#stalledSinceMs < STALL_PATIENCE_MS) return false;
    return this.#consumer.skipTorn();
  }

  #syncWhenDue(isUrgent: boolean): void {
    const { durability, intervalMs } = this.#options;
    if (!this.#isUnsynced || durability === 'none') return;
    const nowMs = performance.now();
    if (durability === 'interval' && !isUrgent && nowMs - this.#syncedAtMs < intervalMs) return;
    this.#syncedAtMs = nowMs;
    if (!this.#file.syncSync()) return;
    this.#isUnsynced = false;
    Atomics.add(this.#ring.totals, TOTAL.syncs, 1n);
  }

  /** Says how far everything is, and wakes who waits for it. */
  #publish(): void {
    const { words, totals } = this.#ring;
    if (!this.#isUnsynced || this.#options.durability === 'none') {
      Atomics.store(words, WORD.safe, Atomics.load(words, WORD.written));
    }
    const { errors } = this.#file.stats;
    if (errors > this.#errorsNoted) {
      Atomics.add(totals, TOTAL.errors, BigInt(errors - this.#errorsNoted));
      this.#errorsNoted = errors;
    }
    if (Atomics.load(words, WORD.doneWanted) === 0) return;
    Atomics.store(words, WORD.doneWanted, 0);
    Atomics.notify(words, WORD.safe);
  }

  /** Lines that were given up since the last time, each second at most, in the log itself; those of threads that ended, too. */
  #tellLost(): void {
    const nowMs = performance.now();
    const isClosing = this.#ring.isClosed();
    if (nowMs - this.#tidiedAtMs < IDLE_MS && !isClosing) return;
    this.#tidiedAtMs = nowMs;
    this.#ring.endThreads();
    this.#ring.freeSlots();
    const full = this.#ring.count(SLOT.droppedNewest) + this.#ring.count(SLOT.droppedOldest);
    this.#tell('full', full);
    this.#tell('torn', Number(Atomics.load(this.#ring.totals, TOTAL.torn)));
    if (this.#consumer.batchRest().length > 0) this.#writeBatch();
  }

  #tell(reason: string, lines: number): void {
    const more = lines - (this.#told.get(reason) ?? 0);
    if (more > 0 && this.#consumer.addNotice(this.#options.noticeLine(more, reason))) this.#told.set(reason, lines);
  }

  /** The waits that are too short to leave the thread for. */
  #sleepShortly(isAll: boolean): void {
    const retryMs = this.#file.retryInMs;
    if (retryMs > 0) this.#consumer.sleep(SLEEP.stalled, Math.min(retryMs, IDLE_MS), () => this.#isUrgent());
    else if (!isAll || this.#stalledSinceMs > 0) {
      this.#consumer.sleep(SLEEP.stalled, STALL_LOOK_MS, () => this.#isUrgent());
    } else if (this.#options.durability !== 'always' && !this.#ring.isClosed()) {
      this.#consumer.sleep(SLEEP.linger, this.#options.lingerMs, () => this.#isUrgent() || this.#hasMuch());
    }
  }

  #hasMuch(): boolean {
    const { handle } = this.#ring;
    return this.#consumer.pendingBytes() >= Math.min(handle.batchBytes, handle.ringBytes / 4);
  }

  #isUrgent(): boolean {
    return Atomics.load(this.#ring.words, WORD.urgent) === 1;
  }

  #isNeeded(): boolean {
    return this.#isUrgent() || this.#consumer.pendingBytes() > 0 || this.#isOver();
  }

  #isOver(): boolean {
    const life = Atomics.load(this.#ring.words, WORD.life);
    return life === LIFE.closed || life === LIFE.abandoned;
  }

  /** How long nothing has to be done when no line comes. */
  #idleMs(nowMs: number): number {
    if (!this.#isUnsynced || this.#options.durability === 'none') return IDLE_MS;
    return Math.max(1, this.#options.intervalMs - (nowMs - this.#syncedAtMs));
  }

  /** What cannot be written is given up and counted, the file closed. */
  close(): void {
    this.#consumer.failRest();
    this.#file.closeSync();
    Atomics.store(this.#ring.words, WORD.written, this.#ring.tail());
    this.#isUnsynced = false;
    this.#publish();
    Atomics.store(this.#ring.words, WORD.writerThread, 0);
    Atomics.notify(this.#ring.words, WORD.writerThread);
  }

  /** Hands the ring over to another writer, as it is. */
  leave(): void {
    this.#file.closeSync();
    Atomics.store(this.#ring.words, WORD.writerThread, 0);
  }

  /** What is left of the batch may have been written by a call whose end the last writer did not live to note. */
  #noteLastWrite(): void {
    const rest = this.#consumer.batchRest();
    const bytes = fileBytes(this.#options.path) - Number(Atomics.load(this.#ring.totals, TOTAL.fileBytes));
    if (rest.length === 0 || bytes <= 0 || bytes > rest.length) return;
    if (endOfFile(this.#options.path!, bytes)?.equals(rest.subarray(0, bytes))) this.#consumer.noteWritten(bytes);
  }
}

/** @throws Error when another writer is at work. */
function becomeWriter({ words }: LineRing): void {
  const last = Atomics.load(words, WORD.writerThread);
  const isFree = last === 0 || !isThreadAlive(last);
  if (!isFree || Atomics.compareExchange(words, WORD.writerThread, last, ownThread()) !== last) {
    throw new Error('another thread writes the lines of this ring already');
  }
  Atomics.notify(words, WORD.writerThread);
}

/** 0 when there is none, or when it is not a regular file. Cost: one system call. */
function fileBytes(path: string | undefined): number {
  if (path === undefined) return 0;
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    return 0;
  }
}

function endOfFile(path: string, bytes: number): Buffer | undefined {
  try {
    const fd = openSync(path, 'r');
    try {
      const end = Buffer.alloc(bytes);
      return readSync(fd, end, 0, bytes, fstatSync(fd).size - bytes) === bytes ? end : undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}
