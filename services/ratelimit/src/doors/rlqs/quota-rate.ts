/** What a limit is as a rate: what a quota that is shared out can be made of. */
import type { Policy } from '@plinth/limiter';

export interface QuotaRate {
  readonly perS: number;
  /** Units at once, of all clients together. */
  readonly burst: number;
}

/** Of a limit that promises its window: what may come at once. At 0.9 of the rate, no window sees more than the limit. */
const BURST_OF_WINDOW = 0.1;

/**
 * A bucket and a rate that admit what the policy does. `gcra` and `leaky` are one; the others promise at most `limit` in
 * a window, which a tenth at once and nine tenths by rate keep as well.
 *
 * @returns Undefined for what is no rate: `concurrency` and `adaptive`.
 */
export function quotaRateOf({ name, limit, windowUs, capacity, algorithm }: Policy): QuotaRate | undefined {
  if (algorithm === undefined) return undefined;
  const perS = (limit * 1e6) / windowUs;
  if (name === 'gcra' || name === 'leaky') return { perS, burst: capacity };
  return { perS: perS * (1 - BURST_OF_WINDOW), burst: limit * BURST_OF_WINDOW };
}
