/** The one end of the ring that takes lines out, into a batch that lies in shared memory as well. */
import { type LineRing, unitsOf } from './ring.ts';
import { HEADER_BYTES, RECORD, SLEEP, SLOT, SLOT_DEAD, slotAt, TOTAL, WORD } from './ring-layout.ts';
import { isThreadAlive } from './thread-life.ts';

export class RingConsumer {
  readonly #ring: LineRing;
  readonly #isAlive: (thread: number) => boolean;

  /**
   * Takes the ring over, after whoever had it before: there must be no other consumer.
   *
   * @param isAlive - Asked about the owner of a record that is not completed, by its identity.
   */
  constructor(ring: LineRing, isAlive: (thread: number) => boolean = isThreadAlive) {
    this.#ring = ring;
    this.#isAlive = isAlive;
    const { words } = ring;
    if ((Atomics.load(words, WORD.tail) & 1) === 0) return;
    // The batch was being filled; all of it is still in the ring.
    Atomics.store(words, WORD.batchBytes, 0);
    Atomics.store(words, WORD.batchWritten, 0);
    Atomics.and(words, WORD.tail, ~1);
  }

  /** Bytes of the batch that are still to be written. */
  batchRest(): Uint8Array {
    const { words, batch } = this.#ring;
    return batch.subarray(Atomics.load(words, WORD.batchWritten), Atomics.load(words, WORD.batchBytes));
  }

  /** Notes that so many more bytes of the batch are written. @returns Whether all are. */
  noteWritten(bytes: number): boolean {
    const { words, totals } = this.#ring;
    Atomics.add(totals, TOTAL.writtenBytes, BigInt(bytes));
    const written = Atomics.load(words, WORD.batchWritten) + bytes;
    Atomics.store(words, WORD.batchWritten, written);
    if (written < Atomics.load(words, WORD.batchBytes)) return false;
    this.#endBatch(TOTAL.writtenLines);
    return true;
  }

  /** Counts the lines of the batch and empties it. */
  #endBatch(total: number): void {
    const { words, totals } = this.#ring;
    Atomics.add(totals, total, BigInt(Atomics.exchange(words, WORD.batchLines, 0)));
    Atomics.store(words, WORD.batchBytes, 0);
    Atomics.store(words, WORD.batchWritten, 0);
  }

  /** Gives up what is in the batch and in the ring: its lines count as failed. For the end. */
  failRest(): void {
    this.#failBatchRest();
    while (this.fill() || this.skipTorn()) this.#endBatch(TOTAL.failedLines);
  }

  /** A disk that fills up takes the first lines of a batch. */
  #failBatchRest(): void {
    const { words, totals } = this.#ring;
    let failed = 0;
    for (const byte of this.batchRest()) if (byte === 0x0a) failed += 1;
    const written = Math.max(0, Atomics.load(words, WORD.batchLines) - failed);
    Atomics.add(totals, TOTAL.writtenLines, BigInt(written));
    Atomics.sub(words, WORD.batchLines, written);
    this.#endBatch(TOTAL.failedLines);
  }

  /** Is the batch written and its lines not counted: did the writer before this one end just there? */
  isBatchUncounted(): boolean {
    return Atomics.load(this.#ring.words, WORD.batchLines) > 0;
  }

  /**
   * Fills the batch with committed records, in the order of their reservation. It must be empty.
   *
   * @returns Whether anything was there, be it only void.
   * Cost: some 30 ns for a short line, and one wake-up when a producer waits for room.
   */
  fill(): boolean {
    const { words } = this.#ring;
    const head = this.#ring.head();
    for (;;) {
      const tail = Atomics.load(words, WORD.tail);
      if (tail === head) return false;
      // A tail beyond the head that was read: producers drop the oldest at this moment, there is surely something.
      if (((head - tail) | 0) < 0) return this.fill();
      if (Atomics.compareExchange(words, WORD.tail, tail, tail | 1) !== tail) continue;
      const next = this.#copy(tail, head);
      Atomics.store(words, WORD.tail, next);
      return next !== tail;
    }
  }

  #copy(tail: number, head: number): number {
    const ring = this.#ring;
    const { words, recordWords, recordBytes, batch, mask } = ring;
    const most = batch.length - NOTICE_BYTES;
    let position = tail;
    let bytes = 0;
    let lines = 0;
    while (position !== head && ring.isCommitted(position)) {
      const start = position & mask;
      const word = recordWords[(start << 1) + 1]!;
      const length = word & RECORD.lengthMask;
      if ((word & RECORD.void) === 0) {
        if (bytes + length > most) break;
        const from = (start << 3) + HEADER_BYTES;
        recordBytes.copy(batch, bytes, from, from + length);
        bytes += length;
        if ((word & RECORD.notice) === 0) lines += recordWords[(start << 1) + 2]!;
      }
      position = (position + unitsOf(length)) | 0;
    }
    Atomics.store(words, WORD.batchWritten, 0);
    Atomics.store(words, WORD.batchLines, lines);
    Atomics.store(words, WORD.batchBytes, bytes);
    return position;
  }

  /** Adds a line of the writer's own to the batch, when there is room. @returns Whether there was. */
  addNotice(line: string): boolean {
    const { words, batch } = this.#ring;
    const at = Atomics.load(words, WORD.batchBytes);
    const bytes = Buffer.byteLength(line);
    if (bytes > NOTICE_BYTES || at + bytes > batch.length) return false;
    batch.write(line, at, 'utf8');
    Atomics.store(words, WORD.batchBytes, at + bytes);
    return true;
  }

  /** Wakes the threads that wait for room. */
  wakeProducers(): void {
    const { words } = this.#ring;
    if (Atomics.load(words, WORD.roomWanted) === 0) return;
    Atomics.store(words, WORD.roomWanted, 0);
    Atomics.notify(words, WORD.tail);
  }

  /** Bytes of the ring in use. */
  pendingBytes(): number {
    return ((this.#ring.head() - this.#ring.tail()) | 0) * 8;
  }

  /**
   * Skips the record at the tail if its thread ended before it was complete. See "torn records" in ring.ts.
   *
   * @returns Whether it was skipped. Cost: a system call for each thread that may own it.
   */
  skipTorn(): boolean {
    const { words } = this.#ring;
    const tail = this.#ring.tail();
    if (tail === this.#ring.head() || this.#mayBeOwned(tail) || this.#ring.isCommitted(tail)) return false;
    const next = this.#nextBeginning(tail, this.#ring.head());
    if (Atomics.compareExchange(words, WORD.tail, tail, next) !== tail) return false;
    Atomics.add(this.#ring.totals, TOTAL.torn, 1n);
    return true;
  }

  /** Does a thread that announced this position live? */
  #mayBeOwned(position: number): boolean {
    const { words, handle } = this.#ring;
    for (let slot = 0; slot < handle.threadsMax; slot++) {
      const at = slotAt(slot);
      if (Atomics.load(words, at + SLOT.announced) !== (position | 1)) continue;
      const owner = Atomics.load(words, at + SLOT.owner);
      if (owner <= 0) continue;
      if (this.#isAlive(owner)) return true;
      Atomics.compareExchange(words, at + SLOT.owner, owner, SLOT_DEAD);
    }
    return false;
  }

  #nextBeginning(position: number, head: number): number {
    const { words, handle } = this.#ring;
    let next = head;
    for (let slot = 0; slot < handle.threadsMax; slot++) {
      const announced = Atomics.load(words, slotAt(slot) + SLOT.announced);
      if ((announced & 1) === 0) continue;
      const beginning = announced & ~1;
      if (((beginning - position) | 0) > 0 && ((next - beginning) | 0) > 0) next = beginning;
    }
    for (let at = (position + 2) | 0; ((next - at) | 0) > 0; at = (at + 2) | 0)
      if (this.#ring.isCommitted(at)) return at;
    return next;
  }

  /** Sleeps until a producer wakes it. @param isNeeded - Looked at once more after everybody can see that it sleeps. */
  sleep(depth: number, timeoutMs: number, isNeeded: () => boolean): void {
    const { words } = this.#ring;
    Atomics.store(words, WORD.sleep, depth);
    if (!isNeeded()) Atomics.wait(words, WORD.sleep, depth, timeoutMs);
    Atomics.store(words, WORD.sleep, SLEEP.awake);
  }

  /** The same without holding the thread's event loop, for long sleeps. */
  async sleepLater(depth: number, timeoutMs: number, isNeeded: () => boolean): Promise<void> {
    const { words } = this.#ring;
    Atomics.store(words, WORD.sleep, depth);
    if (!isNeeded()) {
      const result = Atomics.waitAsync(words, WORD.sleep, depth, timeoutMs);
      if (result.async) await result.value;
    }
    Atomics.store(words, WORD.sleep, SLEEP.awake);
  }
}

/** Kept free in the batch for lines of the writer's own. */
const NOTICE_BYTES = 1024;
