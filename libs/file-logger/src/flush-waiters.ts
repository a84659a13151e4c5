import type { Durability } from './line-sink.ts';
import type { LogFile } from './log-file.ts';

interface Waiter {
  done: (error?: Error) => void;
  /** It waits until so many of the lines that were ever taken have left the sink. */
  lines: number;
}

/** Those who asked to be told when all lines so far are written, and synced if the durability says so. */
export class FlushWaiters {
  readonly #file: LogFile;
  readonly #durability: Durability;
  #waiters: Waiter[] = [];

  constructor(file: LogFile, durability: Durability) {
    this.#file = file;
    this.#durability = durability;
  }

  get size(): number {
    return this.#waiters.length;
  }

  add(done: (error?: Error) => void, lines: number): void {
    this.#waiters.push({ done, lines });
  }

  /** Tells those whose lines are gone: all before `firstLine` are. */
  serve(firstLine: number): void {
    const ready = this.#waiters.filter(({ lines }) => lines <= firstLine);
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter(({ lines }) => lines > firstLine);
    const tell = (error?: Error): void => {
      for (const { done } of ready) done(error);
    };
    if (this.#durability === 'none') process.nextTick(tell);
    else this.#file.sync(tell);
  }

  /** A write failed: waiting could take for ever. The lines are kept and tried again. */
  fail(error: Error): void {
    const waiters = this.#waiters.splice(0);
    process.nextTick(() => {
      for (const { done } of waiters) done(error);
    });
  }
}
