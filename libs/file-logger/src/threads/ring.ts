/**
 * A ring of lines in shared memory: many threads put lines in, one takes them out. Nothing in it is a lock, so that a
 * thread that is terminated at any point holds up nobody for longer than it takes to see that it is gone.
 *
 * POSITIONS count units of 8 bytes since the ring was made, in 32 bits that wrap. The ring holds 2^k units, so
 * `position & mask` stays right across the wrap, and positions are compared by the sign of their difference (they are
 * never more than 2^27 units apart). A record takes an even number of units: bit 0 of a position is free for flags,
 * and one compare-and-swap covers position and flag together.
 *
 * A RECORD is [commit word | length word | lines word | text of one line or several]. It lies in one piece: one that begins near the end of
 * the ring runs on into an overhang behind it, and the positions that it covers at the ring's start stay unused.
 * (Fillers were the first idea. They make two records of one reservation, and a thread that dies between the two
 * leaves a hole that nobody announced.) The commit word of the record at position p is `lap(p) << 8 | 1`.
 *
 * A PRODUCER (1) stores `p | 1` for the head p that it read into its slot, the announcement, (2) moves head from p to
 * p + n by compare-and-swap, (3) writes the other words and the text with plain stores, (4) stores the commit word, (5) clears the
 * announcement. The CONSUMER, at tail, loads the commit word; when it is right it copies the line into a batch, goes on
 * to the next, and at last moves tail past all of them.
 *
 * WHY A READER NEVER SEES HALF A RECORD. Step 4 is an `Atomics.store`, which is sequentially consistent: what the
 * thread wrote before it is visible to whoever loads that value. The consumer reads the rest only after it loaded the
 * value. Nobody writes these bytes again before tail has passed them: a reservation needs
 * `head + n - tail <= capacity`, and tail moves only after the copy (consumer) or by a compare-and-swap that fails
 * when somebody else moved it (`drop-oldest`). A producer reads head before tail; tail may have moved on meanwhile,
 * which makes the room only greater than it computed, and when head moved its compare-and-swap fails.
 *
 * WHY NOTHING OLD IS TAKEN FOR A COMMIT WORD. Head only grows, so in one lap a position is reserved at most once, and
 * a commit word with this lap's number can only be this record's. What else can lie there: (a) the commit word of an
 * earlier lap: another lap number; (b) bytes of a line: records begin
 * at multiples of 16 bytes, and each such boundary inside a record is a byte of its text, which is lines of JSON: no byte
 * below 0x20 but the newline 0x0a, while a commit word's first byte is 0x01 (all machines that node runs on are
 * little-endian; `LineRing` checks); (c) the other header words: never
 * at such a boundary. Lap numbers repeat
 * after 2^24 laps, or when positions wrap (with 4 MiB: after 8,192 laps). By then each 16 bytes were overwritten
 * thousands of times, except those that records skip which run into the overhang: their producer clears them.
 *
 * TORN RECORDS. A thread that ends between steps 2 and 4 leaves a hole of unknown length. The consumer that finds no
 * commit word at tail looks who announced this position. Its owner did, before it reserved, and has not taken it back.
 * While one of those who announced it lives, the consumer waits. When all are gone, and the commit word is still not
 * there, the record is torn. Where does the next one begin? Head is only ever at the beginning of a record, so
 * announced positions are beginnings, won or lost. The consumer reads head, THEN all announcements, THEN searches for
 * commit words: a record that began before that head is either still announced, or it was committed before its thread
 * announced another, and so its commit word is found. The next of these positions is where the consumer goes on; when
 * there is none, at that head. A dead thread's slot is reused only when tail has passed its announcement.
 *
 * DROPPING THE OLDEST. A producer that finds no room moves tail past one committed record by compare-and-swap. While
 * the consumer copies it keeps bit 0 of tail set, and nobody drops: otherwise each batch would be spoilt by the first
 * thread that needs room, and under the very load that fills the ring nothing would ever be written. Copying a batch
 * takes microseconds; a producer that finds the bit set waits for a moment, then gives up its own line instead.
 *
 * THE WRITER'S END. What was taken out of the ring lies in the batch, in the same shared memory, until the operating
 * system has it: whoever takes over continues there. Bit 0 of tail set means that the batch is not complete and the
 * ring still has all of it.
 *
 * CLOSING sets bit 0 of head: from then on no compare-and-swap of a producer succeeds, so "everything that was taken"
 * is a definite position.
 */
import { endianness } from 'node:os';
import {
  HEADER_BYTES,
  LIFE,
  newHandle,
  type RingHandle,
  type RingOptions,
  SLEEP,
  SLOT,
  SLOT_DEAD,
  SLOT_FREE,
  slotAt,
  TOTAL,
  viewsOf,
  WORD,
} from './ring-layout.ts';
import { isThreadAlive } from './thread-life.ts';

/** Units of 8 bytes, always an even number, that a record of so many bytes of text takes. */
export const unitsOf = (textBytes: number): number => ((textBytes + HEADER_BYTES + 15) >>> 4) << 1;

/** Bytes that are left in the units of such a text. */
export const spareBytesOf = (textBytes: number): number => -(textBytes + HEADER_BYTES) & 15;

/** The memory of a ring as one thread sees it. Cost of making one: a few views. */
export class LineRing {
  readonly handle: RingHandle;
  readonly words: Int32Array;
  readonly totals: BigInt64Array;
  readonly recordWords: Int32Array;
  readonly recordBytes: Buffer;
  readonly batch: Buffer;
  readonly capacity: number;
  readonly mask: number;
  readonly #lapShift: number;

  constructor(handle: RingHandle) {
    if (endianness() !== 'LE') throw new Error('a ring of lines needs a little-endian machine');
    const { words, totals, recordWords, recordBytes, batch } = viewsOf(handle);
    this.handle = handle;
    this.words = words;
    this.totals = totals;
    this.recordWords = recordWords;
    this.recordBytes = recordBytes;
    this.batch = batch;
    this.capacity = handle.ringBytes / 8;
    this.mask = this.capacity - 1;
    this.#lapShift = Math.log2(this.capacity);
  }

  /** @throws RangeError for a size that is not possible. */
  static create(options: RingOptions = {}): LineRing {
    const ring = new LineRing(newHandle(options));
    const start = (options.startPosition ?? 0) & ~1;
    for (const word of [WORD.head, WORD.tail, WORD.written, WORD.safe]) Atomics.store(ring.words, word, start);
    return ring;
  }

  /** The commit word of the record at a position. */
  commitWord(position: number): number {
    return ((position >>> this.#lapShift) << 8) | 1;
  }

  isCommitted(position: number): boolean {
    return Atomics.load(this.recordWords, (position & this.mask) << 1) === this.commitWord(position);
  }

  /** Position after the last reserved record. */
  head(): number {
    return Atomics.load(this.words, WORD.head) & ~1;
  }

  tail(): number {
    return Atomics.load(this.words, WORD.tail) & ~1;
  }

  isClosed(): boolean {
    return (Atomics.load(this.words, WORD.head) & 1) === 1;
  }

  /** Has threads put what they have gathered, before the ring is closed. @returns false: it is closed already. */
  drain(): boolean {
    const life = Atomics.compareExchange(this.words, WORD.life, LIFE.open, LIFE.draining);
    return life === LIFE.open || life === LIFE.draining;
  }

  /** From now on no record is reserved. @returns The position that everything taken lies before. */
  close(life: number): number {
    Atomics.store(this.words, WORD.life, life);
    const head = Atomics.or(this.words, WORD.head, 1) & ~1;
    // Threads that wait for room shall see it.
    Atomics.notify(this.words, WORD.tail);
    return head;
  }

  /** Takes lines again, until it is closed once more. */
  reopen(): void {
    Atomics.and(this.words, WORD.head, ~1);
  }

  /** Is everything before this position as safe as the durability says? */
  isSafe(position: number): boolean {
    return ((Atomics.load(this.words, WORD.safe) - position) | 0) >= 0;
  }

  /** Wakes a writer that waits for lines. */
  wakeGathering(): void {
    const sleep = Atomics.load(this.words, WORD.sleep);
    if (sleep !== SLEEP.linger && sleep !== SLEEP.deep) return;
    if (Atomics.compareExchange(this.words, WORD.sleep, sleep, SLEEP.awake) === sleep) {
      Atomics.notify(this.words, WORD.sleep);
    }
  }

  /** Wakes the writer however it sleeps, and has it write everything. */
  hurry(): void {
    Atomics.store(this.words, WORD.doneWanted, 1);
    Atomics.store(this.words, WORD.urgent, 1);
    if (Atomics.exchange(this.words, WORD.sleep, SLEEP.awake) !== SLEEP.awake) {
      Atomics.notify(this.words, WORD.sleep);
    }
  }

  /** Sum of a counter over all slots, since the ring was made. */
  count(counter: number): number {
    let sum = 0;
    for (let slot = 0; slot < this.handle.threadsMax; slot++) sum += readPair(this.words, slotAt(slot) + counter);
    return sum;
  }

  /** Lines that threads have gathered, those of threads that ended included. */
  gatheredLines(): number {
    let sum = 0;
    for (let slot = 0; slot < this.handle.threadsMax; slot++) sum += this.#gathered(slotAt(slot));
    return sum;
  }

  /** Will a thread that lives put lines into the ring which it has gathered? Cost: a system call for each that has. */
  isGathering(): boolean {
    for (let slot = 0; slot < this.handle.threadsMax; slot++) {
      const at = slotAt(slot);
      const owner = Atomics.load(this.words, at + SLOT.owner);
      if (owner > 0 && this.#gathered(at) > 0 && isThreadAlive(owner)) return true;
    }
    return false;
  }

  #gathered(slot: number): number {
    return Atomics.load(this.words, slot + SLOT.gathered);
  }

  /** Lines that were taken and are neither written nor given up. */
  pendingLines(): number {
    const written = Number(
      Atomics.load(this.totals, TOTAL.writtenLines) + Atomics.load(this.totals, TOTAL.failedLines),
    );
    const taken = this.count(SLOT.committed) + this.gatheredLines();
    return Math.max(0, taken - written - this.count(SLOT.droppedOldest));
  }

  /**
   * Notes that threads ended, so that what they left is given up.
   *
   * @param isGone - Asked for each slot in use. Default: the operating system is.
   */
  endThreads(isGone: (threadId: number, thread: number) => boolean = (_, thread) => !isThreadAlive(thread)): void {
    for (let slot = 0; slot < this.handle.threadsMax; slot++) {
      const at = slotAt(slot);
      const owner = Atomics.load(this.words, at + SLOT.owner);
      if (owner > 0 && isGone(Atomics.load(this.words, at + SLOT.threadId), owner)) {
        Atomics.compareExchange(this.words, at + SLOT.owner, owner, SLOT_DEAD);
      }
    }
  }

  /** Frees the slots of dead threads whose last record is behind; what they had gathered is lost, and counted. Only for the consumer. */
  freeSlots(): void {
    const tail = this.tail();
    for (let slot = 0; slot < this.handle.threadsMax; slot++) {
      const at = slotAt(slot);
      if (Atomics.load(this.words, at + SLOT.owner) !== SLOT_DEAD) continue;
      const announced = Atomics.load(this.words, at + SLOT.announced);
      if (announced !== 0 && (((announced & ~1) - tail) | 0) >= 0) continue;
      Atomics.store(this.words, at + SLOT.announced, 0);
      Atomics.add(this.totals, TOTAL.torn, BigInt(Atomics.exchange(this.words, at + SLOT.gathered, 0)));
      Atomics.store(this.words, at + SLOT.owner, SLOT_FREE);
    }
  }
}

/** Reads a counter of two words that another thread may be adding to. */
export function readPair(words: Int32Array, at: number): number {
  for (;;) {
    const high = Atomics.load(words, at + 1);
    const low = Atomics.load(words, at) >>> 0;
    if (Atomics.load(words, at + 1) === high) return high * 2 ** 32 + low;
  }
}

/** Adds to a counter of two words that only this thread adds to. The high word first: it never reads too low. */
export function add(words: Int32Array, at: number, count: number): void {
  const low = (words[at]! >>> 0) + count;
  if (low > 0xffffffff) words[at + 1] = words[at + 1]! + 1;
  else if (low < 0) words[at + 1] = words[at + 1]! - 1;
  words[at] = low | 0;
}
