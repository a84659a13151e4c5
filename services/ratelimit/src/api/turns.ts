/** Waiting for one's turn in a leaky queue, on the caller's behalf and no longer than it wants. */
import { Problem } from '@plinth/problem';
import type { Engine } from '../core/engine.ts';
import type { Check, Verdict } from '../core/verdict.ts';
import { ceilMs } from '../core/whole-times.ts';

export interface Turn {
  check: Check;
  verdict: Verdict;
  waitMs: number;
  signal: AbortSignal;
}

export class Turns {
  readonly #engine: Engine;
  readonly #waitersMax: number;
  #waiting = 0;

  /** @param waitersMax - Some 2 kB each: timer, request, socket. */
  constructor(engine: Engine, waitersMax: number) {
    this.#engine = engine;
    this.#waitersMax = waitersMax;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Resolves when the turn has come, with the verdict; or at once, denied and with the place in the queue given back,
   * when that is later than the caller waits. Rejects with the reason of the signal; the place is given back then too.
   */
  async wait({ check, verdict, waitMs, signal }: Turn): Promise<Verdict> {
    const delayMs = ceilMs(verdict.delayUs);
    if (delayMs > waitMs) {
      await this.#engine.give(check);
      return { ...verdict, isAllowed: false, retryAfterUs: (delayMs - waitMs) * 1_000, delayUs: 0 };
    }
    if (this.#waiting >= this.#waitersMax) {
      await this.#engine.give(check);
      throw new Problem('overloaded', `${this.#waitersMax} requests wait for their turn; that is the most`, {
        retryAfterMs: 1_000,
      });
    }
    this.#waiting += 1;
    try {
      await pause(delayMs, signal);
      return verdict;
    } catch (error) {
      await this.#engine.give(check);
      throw error;
    } finally {
      this.#waiting -= 1;
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
