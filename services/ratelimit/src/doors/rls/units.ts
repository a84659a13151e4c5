/** Envoy's units of time, as numbers of `RateLimitUnit` and `RateLimitResponse.RateLimit.Unit`: the same in both. */
import { type Policy, policyOf } from '@plinth/limiter';
import { Malformed } from '../grpc/wire.ts';

export const SECOND = 1;
const MINUTE = 2;
const HOUR = 3;
const DAY = 4;
const MONTH = 5;
const YEAR = 6;
const WEEK = 7;

const DAY_MS = 86_400_000;
/** A month has 30 days and a year 365, as envoyproxy/ratelimit counts them. */
export const UNIT_MS: ReadonlyMap<number, number> = new Map([
  [SECOND, 1_000],
  [MINUTE, 60_000],
  [HOUR, 3_600_000],
  [DAY, DAY_MS],
  [WEEK, 7 * DAY_MS],
  [MONTH, 30 * DAY_MS],
  [YEAR, 365 * DAY_MS],
]);
const UNIT_OF_US = new Map([...UNIT_MS].map(([unit, ms]) => [ms * 1_000, unit]));
const UNIT_OF_PERIOD = { day: DAY, week: WEEK, month: MONTH, year: YEAR } as const;

/** The unit whose length is the window of a policy; 0, unknown, for windows that Envoy has no word for. */
export function unitOf({ spec, windowUs, algorithm }: Policy): number {
  if (spec.period !== undefined) return UNIT_OF_PERIOD[spec.period];
  return algorithm === undefined ? 0 : (UNIT_OF_US.get(windowUs) ?? 0);
}

/** Policies of limits that requests say themselves; as many as there are routes with one, so few. */
const KEPT_MAX = 10_000;

export class Overrides {
  readonly #kept = new Map<number, Policy>();

  /** @throws Malformed when the unit is none, or the limit cannot be kept. */
  policy(requestsPerUnit: number, unit: number): Policy {
    const key = requestsPerUnit * 8 + unit;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const windowMs = UNIT_MS.get(unit);
    if (windowMs === undefined)
      throw new Malformed(`the unit of a limit is ${unit}; it is one of 1 (second) to 7 (week)`);
    const policy = made(requestsPerUnit, windowMs);
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(key, policy);
    return policy;
  }
}

function made(limit: number, windowMs: number): Policy {
  try {
    return policyOf({ limit, windowMs });
  } catch (error) {
    throw new Malformed((error as RangeError).message, { cause: error });
  }
}
