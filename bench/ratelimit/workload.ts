/**
 * What every limiter is asked: one unit of one of a thousand keys, drawn at random, under a limit so high that all are
 * allowed. A denied request is cheaper almost everywhere; a service that guards something answers yes most of the time.
 */

/** Of Envoy's protocol. Its rules are one file for both, so both keep fixed windows. */
export const ENVOY_DOMAIN = 'bench';
/** The domain of a check that names none. Ours alone knows it, and decides by its own default, GCRA. */
export const OWN_DOMAIN = 'default';
export const OWN_EXTENSION = 'algorithm: gcra';
/** So few that they stay in any cache: the figure is of the decision and its way, not of the memory's latency. */
export const KEYS = 1_000;

/** Calls, messages and connections under way at once. */
export const IN_FLIGHT = 64;

/** A limit that all can express: in a configured rule, in a request, as an argument. */
export interface NamedLimit {
  units: number;
  windowMs: number;
  /** The same window as rules write it. */
  unit: 'second' | 'minute' | 'day';
}

/**
 * `plenty` is for speed: more than anybody here can ask in its window. `ten` is for the check that a door really limits; its window is so long that no check can
 * see its end. `hundred` is for the probe of what can pass in one window.
 */
export const LIMITS = {
  plenty: { units: 100_000_000, windowMs: 60_000, unit: 'minute' },
  ten: { units: 10, windowMs: 86_400_000, unit: 'day' },
  hundred: { units: 100, windowMs: 1_000, unit: 'second' },
} as const satisfies Record<string, NamedLimit>;
export type LimitName = keyof typeof LIMITS;

/** The descriptors of a request with four of them; each is limited by itself, and all must allow. */
export const FOUR = ['user', 'address', 'tenant', 'path'] as const;
/** As `FOUR`, but the last is limited to ten. */
export const FOUR_TO_TEN = ['user', 'address', 'tenant', 'ten'] as const;

/** The key of a number from 0 to 999. */
export function keyOf(number: number): string {
  return `key-${String(number).padStart(6, '0')}`;
}

/** Draws numbers from 0 to `below` − 1: the same ones in each run (Park and Miller's generator). */
export function drawer(seed: number, below: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/**
 * The rules in the dialect of Envoy's rate limit service, which ours reads too.
 * @param extension - What only ours understands, such as `algorithm: gcra`, for each rule.
 */
export function rulesFile(domain: string, extension?: string): string {
  const x = extension === undefined ? '' : `, x: {${extension}}`;
  const rule = (key: string, { units, unit }: NamedLimit) =>
    `  - key: ${key}\n    rate_limit: {unit: ${unit}, requests_per_unit: ${units}${x}}\n`;
  const named = Object.entries(LIMITS).map(([name, limit]) => rule(name, limit));
  const four = FOUR.map((key) => rule(key, LIMITS.plenty));
  return `domain: ${domain}\ndescriptors:\n${[...named, ...four].join('')}`;
}
