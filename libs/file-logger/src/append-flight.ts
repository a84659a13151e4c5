/**
 * One write that the thread pool carries out, and a way to wait for it without the event loop: at exit there is none,
 * and lines written past it would overtake it.
 */
import { readFileSync, write } from 'node:fs';
import { sizeOf, sleepSync } from './append-target.ts';

export class AppendFlight {
  readonly #fd: number;
  readonly #bytes: number;
  readonly #sizeBefore: number;
  readonly #landed: (error: Error | null, writtenBytes: number) => void;
  #isOver = false;

  /** @param landed - Called once, from `waitSync` or from the event loop. */
  constructor(fd: number, bytes: Uint8Array, landed: (error: Error | null, writtenBytes: number) => void) {
    this.#fd = fd;
    this.#bytes = bytes.length;
    this.#landed = landed;
    this.#sizeBefore = sizeOf(fd);
    write(fd, bytes, 0, bytes.length, null, (error, writtenBytes) => this.#land(error, writtenBytes ?? 0));
  }

  #land(error: Error | null, writtenBytes: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#landed(error, writtenBytes);
  }

  /**
   * Waits until the bytes are in the file. @returns False when they were not within the time: they may come yet.
   * Cost: some 10 µs a look, one look a millisecond.
   */
  waitSync(deadlineMs: number): boolean {
    const endMs = performance.now() + deadlineMs;
    while (!this.#isOver && !this.#isWritten()) {
      if (performance.now() >= endMs) return false;
      sleepSync(1);
    }
    this.#land(null, this.#bytes);
    return true;
  }

  /** The descriptor's own position moves to the end of what it appended; other processes move only the size. */
  #isWritten(): boolean {
    const position = positionOf(this.#fd);
    if (position >= this.#sizeBefore + this.#bytes) return true;
    // Somebody cut the file meanwhile. Until the write the position lies beyond its end, where the last one left it.
    const size = sizeOf(this.#fd);
    return size < this.#sizeBefore && position >= this.#bytes && position <= size;
  }
}

function positionOf(fd: number): number {
  try {
    return Number(/^pos:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]);
  } catch {
    // Not Linux: right as long as no other process appends to the file.
    return sizeOf(fd);
  }
}
