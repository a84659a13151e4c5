/**
 * Ids that were claimed, each until its time is over. They are kept in the order they were claimed in, so what is over
 * is found at the front; behind a claim for long, short ones wait to be freed, and count as long as they wait.
 */
import { type LimiterClock, stateKey } from '@plinth/limiter';

export interface ClaimsOptions {
  readonly clock: LimiterClock;
  /** The most that are kept. */
  readonly claimsMax: number;
}

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #untilUs = new Map<string, number>();

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#untilUs.size;
  }

  /** @returns True for the first within the time that the first has asked for; undefined when there is no room. */
  claim(near: string, id: string, forMs: number): boolean | undefined {
    const nowUs = this.#options.clock.nowUs();
    const claim = stateKey([near, id]);
    const untilUs = this.#untilUs.get(claim);
    if (untilUs !== undefined && untilUs > nowUs) return false;
    // Behind all others once more: its time begins anew.
    this.#untilUs.delete(claim);
    if (this.size >= this.#options.claimsMax && this.sweep() === 0) return undefined;
    this.#untilUs.set(claim, nowUs + forMs * 1_000);
    return true;
  }

  /** Frees those at the front whose time is over. @returns How many. Cost: that of those. */
  sweep(): number {
    const nowUs = this.#options.clock.nowUs();
    let freed = 0;
    for (const [claim, untilUs] of this.#untilUs) {
      if (untilUs > nowUs) break;
      this.#untilUs.delete(claim);
      freed++;
    }
    return freed;
  }
}
