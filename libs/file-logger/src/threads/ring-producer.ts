/** One thread's end of the ring: takes lines, and does what the policy says when there is no room. */
import { threadId } from 'node:worker_threads';
import type { WhenFull } from '../line-sink.ts';
import { add, type LineRing, spareBytesOf, unitsOf } from './ring.ts';
import { HEADER_BYTES, LIFE, RECORD, SLEEP, SLOT, SLOT_DEAD, SLOT_FREE, slotAt, WORD } from './ring-layout.ts';
import { ownThread } from './thread-life.ts';

/** Answers of `reserve` that are no position: positions are even. */
const FULL = 1;
const CLOSED = 3;

/** Of UTF-8, for one character. */
const WIDE_BYTES_MAX = 4;

/** A wait is cut into pieces of this length, to see whether the writer still lives. */
const WAIT_MS = 100;
/** How long a dropping producer waits for a copy in progress, which takes microseconds unless its thread is off the CPU. */
const COPY_WAIT_MS = 1;
const COPY_WAITS = 2;
/** How long a thread other than the main one waits for the end of a process that is ending. */
const ENDING_WAIT_MS = 10_000;

export interface ProducerOptions {
  /** Bytes that may wait in the ring before a gathering writer is woken. Default: a batch, at most a quarter of the ring. */
  wakeBytes?: number;
  /** Wait until each line is safe. */
  always?: boolean;
  /** Called every 100 ms of a wait for the writer. */
  onWait?(): void;
  /** What is written in the place of a line that is too long. With its newline. */
  tooLongLine?(lineBytes: number, lineBytesMax: number): string;
}

export class RingProducer {
  readonly #ring: LineRing;
  readonly #slot: number;
  readonly #owner: number;
  readonly #whenFull: WhenFull;
  readonly #wakeUnits: number;
  readonly #options: ProducerOptions;
  readonly #lineBytesMax: number;
  /** The last line was not ASCII: measure the next before it is reserved. */
  #isWide = false;
  #isDetached = false;
  /** The record that is reserved and not completed: its commit word, where that stands, the bytes; 0: none. */
  #openWord = 0;
  #openAt = 0;
  #openBytes = 0;
  /** What is being written is in the ring, whatever happens from here on. */
  #isPut = false;

  /** @throws Error when as many threads log already as the ring has slots. */
  constructor(ring: LineRing, options: ProducerOptions = {}) {
    const { handle } = ring;
    this.#ring = ring;
    this.#options = options;
    this.#whenFull = handle.whenFull;
    this.#lineBytesMax = handle.lineBytesMax;
    const wakeBytes = options.wakeBytes ?? Math.min(handle.batchBytes, handle.ringBytes / 4);
    this.#wakeUnits = options.always === true ? 0 : wakeBytes / 8;
    this.#owner = ownThread();
    this.#slot = claimSlot(ring, this.#owner);
  }

  /** Position in the control words, for tests. */
  get slot(): number {
    return this.#slot;
  }

  /**
   * Takes a line, or some in one text, or counts them. Never throws, and leaves no hole when the stack overflows in it.
   *
   * @param text - Lines of JSON text, each with its newline at the end. A single one may be of any length, several are
   *   together no longer than a line may be.
   * @returns Whether they were taken.
   * Cost: four atomic operations and one copy, some 100 ns for a short ASCII line.
   */
  write(text: string, lines = 1): boolean {
    this.#isPut = false;
    try {
      return this.#put(text, lines);
    } catch {
      if (this.#isPut) return true;
      // The stack is full, or the line is no string. No call from here that needs more of the stack.
      const { words, recordWords } = this.#ring;
      words[this.#slot + SLOT.failed] = (words[this.#slot + SLOT.failed]! + lines) | 0;
      if (this.#openBytes === 0) return false;
      recordWords[this.#openAt + 1] = this.#openBytes | RECORD.void;
      this.#openBytes = 0;
      Atomics.store(recordWords, this.#openAt, this.#openWord);
      Atomics.store(words, this.#slot + SLOT.announced, 0);
      return false;
    }
  }

  #put(text: string, lines: number): boolean {
    const length = text.length;
    // Several lines that are cut may end with a newline nevertheless: they need the room to see that they are longer.
    const isUnclear = lines > 1 && spareBytesOf(length) < WIDE_BYTES_MAX;
    if (isUnclear || this.#isWide || length > this.#lineBytesMax) return this.#putMeasured(text, lines);
    const position = this.#reserve(length);
    if ((position & 1) === 1) return this.#refuse(position, lines);
    // Most lines are ASCII: as many bytes as characters.
    const isWhole = lines === 1 ? this.#fill(position, text, length) : this.#fillAscii(position, text, length);
    this.#commit(position, length, isWhole ? 0 : RECORD.void, lines);
    if (isWhole) return this.#taken(position + unitsOf(length));
    this.#isWide = true;
    return this.#putMeasured(text, lines);
  }

  #putMeasured(given: string, lines: number): boolean {
    const text = given.endsWith('\n') ? given : `${given}\n`;
    const bytes = Buffer.byteLength(text);
    if (bytes > this.#lineBytesMax) return this.#tellTooLong(bytes, lines);
    this.#isWide = bytes !== text.length;
    const position = this.#reserve(bytes);
    if ((position & 1) === 1) return this.#refuse(position, lines);
    this.#fill(position, text, bytes);
    this.#commit(position, bytes, 0, lines);
    return this.#taken(position + unitsOf(bytes));
  }

  /** A line that is not one of the caller's: it is not counted. */
  #putNotice(line: string): void {
    const bytes = Buffer.byteLength(line);
    const position = this.#reserve(bytes);
    if ((position & 1) === 1) return;
    this.#fill(position, line, bytes);
    this.#commit(position, bytes, RECORD.notice, 0);
    this.#wake(position + unitsOf(bytes));
  }

  /** @returns A position, or `FULL` or `CLOSED`. */
  #reserve(bytes: number): number {
    const ring = this.#ring;
    const { words, capacity } = ring;
    const units = unitsOf(bytes);
    for (;;) {
      const head = Atomics.load(words, WORD.head);
      if ((head & 1) === 1) {
        if (this.#waitForEnd()) continue;
        return this.#giveUp(CLOSED);
      }
      const used = (head - (Atomics.load(words, WORD.tail) & ~1)) | 0;
      // Tail has passed the head that was read: read again.
      if (used < 0) continue;
      if (used + units > capacity) {
        if (this.#makeRoom(head, units)) continue;
        return this.#giveUp(FULL);
      }
      const word = ring.commitWord(head);
      Atomics.store(words, this.#slot + SLOT.announced, head | 1);
      if (Atomics.compareExchange(words, WORD.head, head, (head + units) | 0) !== head) continue;
      this.#openWord = word;
      this.#openAt = (head & ring.mask) << 1;
      this.#openBytes = bytes;
      return head;
    }
  }

  /** Takes the announcement back: the thread may be idle for long, and would hold up the consumer at a torn record. */
  #giveUp(answer: number): number {
    Atomics.store(this.#ring.words, this.#slot + SLOT.announced, 0);
    return answer;
  }

  /**
   * With room for `WIDE_BYTES_MAX` more: a text that is not ASCII then takes more bytes than it has characters, however it
   * is cut, for what is cut off would not have fitted.
   *
   * @returns Whether the text is there as a whole.
   */
  #fillAscii(position: number, text: string, length: number): boolean {
    const { recordBytes, mask } = this.#ring;
    const at = ((position & mask) << 3) + HEADER_BYTES;
    return recordBytes.write(text, at, length + WIDE_BYTES_MAX, 'utf8') === length;
  }

  /** One line that is cut has lost its newline. @returns Whether the text is there as a whole. */
  #fill(position: number, text: string, bytes: number): boolean {
    const { recordBytes, mask } = this.#ring;
    const at = ((position & mask) << 3) + HEADER_BYTES;
    return recordBytes.write(text, at, bytes, 'utf8') === bytes && recordBytes[at + bytes - 1] === 0x0a;
  }

  #commit(position: number, bytes: number, flags: number, lines: number): void {
    const ring = this.#ring;
    const start = position & ring.mask;
    const beyond = start + unitsOf(bytes) - ring.capacity;
    if (beyond > 0) for (let unit = 0; unit < beyond; unit += 2) ring.recordWords[unit << 1] = 0;
    ring.recordWords[(start << 1) + 1] = bytes | flags;
    ring.recordWords[(start << 1) + 2] = lines;
    if (flags === 0) add(ring.words, this.#slot + SLOT.committed, lines);
    this.#isPut = flags === 0;
    this.#openBytes = 0;
    Atomics.store(ring.recordWords, start << 1, this.#openWord);
    Atomics.store(ring.words, this.#slot + SLOT.announced, 0);
  }

  #taken(end: number): boolean {
    this.#wake(end);
    if (this.#options.always === true) this.#waitUntilSafe(end | 0);
    return true;
  }

  #wake(end: number): void {
    const { words } = this.#ring;
    const sleep = Atomics.load(words, WORD.sleep);
    if (sleep === SLEEP.awake || sleep === SLEEP.stalled) return;
    if (sleep === SLEEP.linger && ((end - this.#ring.tail()) | 0) < this.#wakeUnits) return;
    if (Atomics.compareExchange(words, WORD.sleep, sleep, SLEEP.awake) === sleep) Atomics.notify(words, WORD.sleep);
  }

  #waitUntilSafe(end: number): void {
    const { words } = this.#ring;
    for (;;) {
      const safe = Atomics.load(words, WORD.safe);
      if (((safe - end) | 0) >= 0) return;
      // A dropping policy never waits for a disk that is in trouble: its line waits in the ring.
      if (this.#whenFull !== 'block' && Atomics.load(words, WORD.failing) === 1) return;
      Atomics.store(words, WORD.doneWanted, 1);
      if (Atomics.wait(words, WORD.safe, safe, WAIT_MS) === 'timed-out') this.#options.onWait?.();
    }
  }

  /** @returns Whether to try again. */
  #makeRoom(head: number, units: number): boolean {
    if (this.#whenFull === 'drop-newest') return false;
    if (this.#whenFull === 'drop-oldest') return this.#dropOldest(head, units);
    // A reservation that was announced and lost must not be waited for by the consumer while this thread sleeps.
    this.#giveUp(FULL);
    const { words } = this.#ring;
    const tail = Atomics.load(words, WORD.tail);
    Atomics.store(words, WORD.roomWanted, 1);
    if (this.#wouldFit(units)) return true;
    this.#ring.wakeGathering();
    if (Atomics.wait(words, WORD.tail, tail, WAIT_MS) === 'timed-out') this.#options.onWait?.();
    return true;
  }

  #wouldFit(units: number): boolean {
    const { words, capacity } = this.#ring;
    const head = Atomics.load(words, WORD.head);
    return ((head - this.#ring.tail()) | 0) + units <= capacity || (head & 1) === 1;
  }

  /** Drops committed records at the tail until there is room. @returns false: they cannot be dropped at the moment. */
  #dropOldest(head: number, units: number): boolean {
    const { words, recordWords, mask, capacity } = this.#ring;
    let waits = 0;
    for (;;) {
      const tail = Atomics.load(words, WORD.tail);
      if (((head - (tail & ~1)) | 0) + units <= capacity) return true;
      if ((tail & 1) === 1 || !this.#ring.isCommitted(tail)) {
        if (waits++ === COPY_WAITS) return false;
        Atomics.wait(words, WORD.tail, tail, COPY_WAIT_MS);
        continue;
      }
      const length = recordWords[((tail & mask) << 1) + 1]!;
      const lines = (length & (RECORD.void | RECORD.notice)) === 0 ? recordWords[((tail & mask) << 1) + 2]! : 0;
      const next = (tail + unitsOf(length & RECORD.lengthMask)) | 0;
      // Counted before it is done: a thread that ends in between has told of too many, never of too few.
      add(words, this.#slot + SLOT.droppedOldest, lines);
      if (Atomics.compareExchange(words, WORD.tail, tail, next) !== tail) {
        add(words, this.#slot + SLOT.droppedOldest, -lines);
      }
    }
  }

  #refuse(answer: number, lines: number): boolean {
    const counter = answer === CLOSED ? SLOT.failed : SLOT.droppedNewest;
    add(this.#ring.words, this.#slot + counter, lines);
    return false;
  }

  #tellTooLong(bytes: number, lines: number): boolean {
    add(this.#ring.words, this.#slot + SLOT.tooLong, lines);
    const notice = this.#options.tooLongLine?.(bytes, this.#lineBytesMax);
    if (notice !== undefined && notice.length * 3 <= this.#lineBytesMax) this.#putNotice(notice);
    return false;
  }

  /** In a process that ends, other threads wait instead of logging into nothing. @returns Whether to try again. */
  #waitForEnd(): boolean {
    const { words } = this.#ring;
    if (Atomics.load(words, WORD.life) !== LIFE.ending || threadId === 0 || this.#isDetached) return false;
    this.#giveUp(CLOSED);
    Atomics.wait(words, WORD.life, LIFE.ending, ENDING_WAIT_MS);
    return Atomics.load(words, WORD.life) === LIFE.open;
  }

  /** Gives the slot back. Lines that follow are not taken. */
  detach(): void {
    if (this.#isDetached) return;
    this.#isDetached = true;
    const { words } = this.#ring;
    Atomics.store(words, this.#slot + SLOT.announced, 0);
    Atomics.compareExchange(words, this.#slot + SLOT.owner, this.#owner, SLOT_FREE);
  }
}

function claimSlot(ring: LineRing, owner: number): number {
  const { words, handle } = ring;
  for (let round = 0; round < 3; round++) {
    for (let slot = 0; slot < handle.threadsMax; slot++) {
      const at = slotAt(slot);
      if (Atomics.compareExchange(words, at + SLOT.owner, SLOT_FREE, owner) !== SLOT_FREE) continue;
      Atomics.store(words, at + SLOT.threadId, threadId);
      return at;
    }
    // Slots of threads that ended are freed by the writer.
    ring.endThreads();
    ring.hurry();
    Atomics.wait(words, WORD.writerThread, Atomics.load(words, WORD.writerThread), 50);
  }
  const dead = Array.from({ length: handle.threadsMax }, (_, slot) => Atomics.load(words, slotAt(slot) + SLOT.owner));
  const ended = dead.filter((state) => state === SLOT_DEAD).length;
  throw new Error(
    `${handle.threadsMax} threads log into this ring already (${ended} of them have ended); raise threadsMax`,
  );
}
