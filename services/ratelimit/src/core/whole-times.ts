/** Times that are told: whole, and rounded up, so that whoever waits so long is not early. */

/** What double precision may add to a time counted up to here is no time. */
const ROUNDING_US = 0.1;

/** Microseconds as milliseconds, not below 0. */
export const ceilMs = (us: number): number => Math.max(0, Math.ceil((us - ROUNDING_US) / 1_000));

/** Microseconds as seconds, not below 0. */
export const ceilSeconds = (us: number): number => Math.max(0, Math.ceil((us - ROUNDING_US) / 1_000_000));

/** How long until it is allowed; null: never. */
export const retryMs = (us: number): number | null => (us === Number.POSITIVE_INFINITY ? null : ceilMs(us));
