/** What a limiter has done, for metrics: read it whenever you like. All are counts since it was made. */
export interface RateLimiterCounts {
  /** Decisions of every kind. */
  decisions: number;
  /** Decided here with borrowed units. */
  byLease: number;
  /** Denied here, since a denial still held. */
  byDenial: number;
  /** Decided without the service: it was away or late, or too many waited. */
  degraded: number;
  /** Requests to the service that failed. */
  failures: number;
  /** Units that could not be given back, and come back with time alone. */
  unitsLost: number;
}

export function noCounts(): RateLimiterCounts {
  return { decisions: 0, byLease: 0, byDenial: 0, degraded: 0, failures: 0, unitsLost: 0 };
}
