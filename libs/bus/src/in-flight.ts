import { setTimeout as sleep } from 'node:timers/promises';
import { grouped, Problem } from '@plinth/problem';

/** What can be told that nobody waits for it any longer. */
interface Stoppable {
  stop(): void;
}

/** Requests under way, and the most there may be. */
export class InFlight {
  readonly #max: number;
  readonly #calls = new Set<Stoppable>();
  #idle: (() => void) | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** @throws Problem `overloaded` when there is no room for one more. */
  assertRoom(): void {
    if (this.#calls.size < this.#max) return;
    const detail = `${grouped(this.#max)} requests are being worked on; that is the most`;
    throw new Problem('overloaded', detail, { retryAfterMs: 1_000 });
  }

  enter(call: Stoppable): void {
    this.#calls.add(call);
  }

  leave(call: Stoppable): void {
    this.#calls.delete(call);
    if (this.#calls.size === 0) this.#idle?.();
  }

  /** Resolves when none is left. After so many milliseconds, those that are left are told to stop. */
  async drain(msMax: number): Promise<void> {
    if (this.#calls.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
    await Promise.race([idle, sleep(msMax, undefined, { ref: false })]);
    for (const call of this.#calls) call.stop();
  }
}
