/**
 * The last events, for those who watch and for those who come back: each has a number, and whoever names the last one
 * it got is told what it missed, as long as it is kept. A reader is a place in the ring; a slow one costs nothing.
 */

export interface RingEvent {
  /** One more than the one before. */
  readonly number: number;
  readonly type: string;
  /** JSON. */
  readonly data: string;
}

export interface EventRingOptions {
  /** Default 4,000: five minutes of counts each second with ten samples. */
  eventsMax?: number;
  /** Of all JSON together. Default 8 MiB. */
  bytesMax?: number;
}

export class EventRing {
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  #events: RingEvent[] = [];
  /** Those before it are forgotten, and cut off when they are half of all. */
  #first = 0;
  #bytes = 0;
  #lastNumber = 0;
  #isEnded = false;
  readonly #sleepers = new Set<() => void>();

  constructor({ eventsMax = 4_000, bytesMax = 8 * 1_048_576 }: EventRingOptions = {}) {
    this.#eventsMax = eventsMax;
    this.#bytesMax = bytesMax;
  }

  /** Of the last event; 0 before the first. */
  get lastNumber(): number {
    return this.#lastNumber;
  }

  /** Of the oldest event that is kept; one more than the last when none is. */
  get firstNumber(): number {
    return this.#lastNumber - (this.#events.length - this.#first) + 1;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  push(type: string, value: unknown): void {
    const data = JSON.stringify(value);
    this.#events.push({ number: ++this.#lastNumber, type, data });
    this.#bytes += data.length;
    while (this.#events.length - this.#first > this.#eventsMax || this.#bytes > this.#bytesMax) {
      this.#bytes -= this.#events[this.#first++]!.data.length;
    }
    if (this.#first > this.#events.length / 2) {
      this.#events = this.#events.slice(this.#first);
      this.#first = 0;
    }
    this.#wakeAll();
  }

  /** Events after a number, at most so many; those that are forgotten are left out. */
  after(number: number, limit: number): readonly RingEvent[] {
    const from = this.#first + Math.max(0, number + 1 - this.firstNumber);
    return this.#events.slice(from, from + limit);
  }

  /** Resolves when there is an event after `number`, the ring has ended, or the signal aborts. */
  async beyond(number: number, signal: AbortSignal): Promise<void> {
    if (this.#lastNumber > number || this.#isEnded || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#sleepers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#sleepers.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  /** No more events: readers end. */
  end(): void {
    this.#isEnded = true;
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of [...this.#sleepers]) wake();
  }
}
