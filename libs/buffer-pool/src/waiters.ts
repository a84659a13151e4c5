import type { Block } from './block.ts';
import type { PoolExhausted } from './pool-errors.ts';

export interface WaitOptions {
  /** Ends the wait with its reason. */
  signal?: AbortSignal | undefined;
  /** Ends the wait with PoolExhausted; 0 or more. Default: waits for as long as it takes. */
  timeoutMs?: number | undefined;
}

interface Waiter {
  give(block: () => Block): void;
}

/** Those who wait for a block, first come, first served. Bounded: whoever would wait beyond is refused at once. */
export class Waiters {
  readonly #max: number;
  /** In the order in which they came; one that gives up is taken out at once. */
  readonly #queue = new Set<Waiter>();
  /** How many ever waited. */
  waits = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#queue.size;
  }

  wait({ signal, timeoutMs }: WaitOptions, refusal: (why: string) => PoolExhausted): Promise<Block> {
    if (this.#queue.size >= this.#max) return Promise.reject(refusal('too many wait for a block'));
    this.waits++;
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#queue.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const fail = (error: unknown) => {
        end();
        reject(error);
      };
      const abort = () => fail(signal?.reason);
      const late = () => fail(refusal(`no block was released within ${timeoutMs} ms`));
      const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
      const give = (block: () => Block) => {
        end();
        try {
          resolve(block());
        } catch (error) {
          reject(error);
        }
      };
      const waiter: Waiter = { give };
      this.#queue.add(waiter);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Gives a block to whoever waits longest. Somebody must wait. */
  give(block: () => Block): void {
    const { value } = this.#queue.values().next();
    value?.give(block);
  }
}
