/** Waking those who wait for a bucket to change: a bounded number of them, and all of them when the service stops. */
import { Problem } from '@plinth/problem';
import type { Handle } from '../core/catalog.ts';

export interface Waiter {
  /** Resolves with true when the bucket has changed since the last call, with false after `ms` without a change. */
  woken(ms: number): Promise<boolean>;
  /** The service is stopping: say where to resume, and end. */
  readonly ended: boolean;
  stop(): void;
}

export class Waker {
  readonly #waitersMax: number;
  readonly #stopping = new Set<() => void>();
  #ended = false;

  constructor(waitersMax: number) {
    this.#waitersMax = waitersMax;
  }

  /** @throws Problem `overloaded` when too many wait already. */
  admit(): void {
    if (this.#stopping.size < this.#waitersMax) return;
    throw new Problem('overloaded', `${this.#waitersMax} watches are open; that is the most`, { retryAfterMs: 5_000 });
  }

  /** @throws Problem as `admit`. */
  wait({ engine, bucket }: Handle, signal: AbortSignal): Waiter {
    this.admit();
    let hasChanged = false;
    let settle: ((changed: boolean) => void) | undefined;
    const wake = () => {
      hasChanged = true;
      settle?.(true);
    };
    const unwatch = engine.hub.watch(bucket.id, wake);
    this.#stopping.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    const isEnded = () => this.#ended;
    return {
      get ended() {
        return isEnded();
      },
      woken: (ms) =>
        new Promise((resolve) => {
          const timer = setTimeout(() => settle?.(false), ms);
          settle = (changed) => {
            clearTimeout(timer);
            settle = undefined;
            hasChanged = false;
            resolve(changed);
          };
          if (hasChanged) settle(true);
        }),
      stop: () => {
        unwatch();
        this.#stopping.delete(wake);
        signal.removeEventListener('abort', wake);
      },
    };
  }

  /** Ends all waits. */
  end(): void {
    this.#ended = true;
    for (const wake of this.#stopping) wake();
  }

  get count(): number {
    return this.#stopping.size;
  }
}
