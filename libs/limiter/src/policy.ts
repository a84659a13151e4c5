/** What a limit promises: checked once, and made ready to decide by. */
import type { Algorithm } from './algorithm.ts';
import { calendar } from './calendar.ts';
import { fixed } from './fixed.ts';
import { gcra } from './gcra.ts';
import { leaky } from './leaky.ts';
import { type Periods, periodsOf } from './periods.ts';
import { sliding } from './sliding.ts';
import { STRICT_BUCKETS, strict } from './strict.ts';

export const RATE_ALGORITHMS = { gcra, strict, sliding, fixed, calendar, leaky } as const;

/** Limits by rate or quota. `concurrency` and `adaptive` are decided by `Holds`. */
export type RateAlgorithm = keyof typeof RATE_ALGORITHMS;
export type AlgorithmName = RateAlgorithm | 'concurrency' | 'adaptive';
export const ALGORITHM_NAMES = [
  'gcra',
  'strict',
  'sliding',
  'fixed',
  'calendar',
  'leaky',
  'concurrency',
  'adaptive',
] as const satisfies AlgorithmName[];

export const PERIODS = ['day', 'week', 'month', 'year'] as const;
export type Period = (typeof PERIODS)[number];

/** The largest limit, burst and cost, in units. */
export const UNITS_MAX = 1_000_000_000;
/** The longest window: 366 days. Longer ones are calendar quotas. */
export const WINDOW_MS_MAX = 366 * 86_400_000;
/** The most units of one key in a microsecond: more cannot be told apart by the clock. */
const RATE_MAX_PER_US = 10;

/** A limit as it is written in rules, in requests and on the wire. */
export interface PolicySpec {
  /** Default `gcra`. */
  algorithm?: AlgorithmName | undefined;
  /** Units per window, or at once for `concurrency`. 0 denies everything. */
  limit: number;
  /** Needed but for `calendar`, `concurrency` and `adaptive`. */
  windowMs?: number | undefined;
  /** `gcra`: the most units at once, default `limit`. `leaky`: how many may wait, default `limit`. */
  burst?: number | undefined;
  /** `calendar`: what the quota is for. */
  period?: Period | undefined;
  /** `calendar`: an IANA zone, default UTC. */
  timeZone?: string | undefined;
  /** `concurrency`, `adaptive`: how long a hold lives without a heartbeat. Default 30,000. */
  holdMs?: number | undefined;
  /** `adaptive`: the least limit; `limit` is the most. Default 1. */
  limitMin?: number | undefined;
  /** `adaptive`: the latency above which the limit shrinks. */
  targetMs?: number | undefined;
  /** `adaptive`: the share of the limit that a class may fill; classes not named here may fill all of it. */
  shares?: Readonly<Record<string, number>> | undefined;
}

/** A checked limit with what follows from it. Immutable; made by `policyOf`. */
export interface Policy {
  readonly spec: Readonly<PolicySpec>;
  readonly name: AlgorithmName;
  /** Undefined for `concurrency` and `adaptive`. */
  readonly algorithm: Algorithm | undefined;
  /** Position of `name` in ALGORITHM_NAMES: finds what is kept per algorithm without a look-up by text. */
  readonly kind: number;
  readonly limit: number;
  /** Of `calendar`: the longest its period can be. */
  readonly windowUs: number;
  /** The most units that can be available. A cost beyond it can never be allowed. */
  readonly capacity: number;
  /** `gcra`, `leaky`: microseconds that a unit takes to come back. `strict`: width of a sub-bucket. */
  readonly stepUs: number;
  /** `calendar` only. */
  readonly periods: Periods | undefined;
}

/** @throws RangeError that names the member, its value and what is allowed. */
export function policyOf(spec: PolicySpec): Policy {
  const name = spec.algorithm ?? 'gcra';
  if (!ALGORITHM_NAMES.includes(name))
    throw new RangeError(`algorithm is ${JSON.stringify(name)}; it is one of ${ALGORITHM_NAMES.join(', ')}`);
  whole('limit', spec.limit, 0, UNITS_MAX);
  if (spec.burst !== undefined) whole('burst', spec.burst, 1, UNITS_MAX);
  if (name === 'concurrency' || name === 'adaptive') return holdPolicy(spec, name);
  if (name === 'calendar') return calendarPolicy(spec);
  return windowPolicy(spec, name);
}

function windowPolicy(spec: PolicySpec, name: Exclude<RateAlgorithm, 'calendar'>): Policy {
  whole('windowMs', spec.windowMs, 1, WINDOW_MS_MAX);
  refuse(spec, ['period', 'timeZone', 'holdMs', 'limitMin', 'targetMs', 'shares'], name);
  if (name !== 'gcra' && name !== 'leaky') refuse(spec, ['burst'], name);
  const windowUs = spec.windowMs! * 1_000;
  const { limit } = spec;
  if (limit / windowUs > RATE_MAX_PER_US) {
    throw new RangeError(`limit is ${limit} in ${spec.windowMs} ms; the most is ${RATE_MAX_PER_US} in a microsecond`);
  }
  const isPaced = name === 'gcra' || name === 'leaky';
  const capacity = isPaced ? (limit === 0 ? 0 : (spec.burst ?? limit)) : limit;
  // A limit of 0 never refills, and no state of it is ever taken from.
  // Whole microseconds, rounded up: 60 of them cover the window, whatever division would leave.
  const stepUs =
    name === 'strict' ? Math.ceil(windowUs / STRICT_BUCKETS) : isPaced && limit > 0 ? windowUs / limit : windowUs;
  return {
    spec,
    name,
    algorithm: RATE_ALGORITHMS[name],
    kind: ALGORITHM_NAMES.indexOf(name),
    limit,
    windowUs,
    capacity,
    stepUs,
    periods: undefined,
  };
}

function calendarPolicy(spec: PolicySpec): Policy {
  refuse(spec, ['windowMs', 'burst', 'holdMs', 'limitMin', 'targetMs', 'shares'], 'calendar');
  if (spec.period === undefined || !PERIODS.includes(spec.period)) {
    throw new RangeError(`period is ${JSON.stringify(spec.period)}; it is one of ${PERIODS.join(', ')}`);
  }
  const periods = periodsOf(spec.period, spec.timeZone ?? 'UTC');
  const windowUs = periods.longestMs * 1_000;
  return {
    spec,
    name: 'calendar',
    algorithm: calendar,
    kind: ALGORITHM_NAMES.indexOf('calendar'),
    limit: spec.limit,
    windowUs,
    capacity: spec.limit,
    stepUs: windowUs,
    periods,
  };
}

function holdPolicy(spec: PolicySpec, name: 'concurrency' | 'adaptive'): Policy {
  refuse(spec, ['windowMs', 'burst', 'period', 'timeZone'], name);
  if (name === 'concurrency') refuse(spec, ['limitMin', 'targetMs', 'shares'], name);
  if (spec.holdMs !== undefined) whole('holdMs', spec.holdMs, 100, 86_400_000);
  if (spec.limitMin !== undefined) whole('limitMin', spec.limitMin, 1, Math.max(1, spec.limit));
  if (name === 'adaptive') whole('targetMs', spec.targetMs, 1, 600_000);
  for (const [priority, share] of Object.entries(spec.shares ?? {})) {
    if (!(share > 0 && share <= 1))
      throw new RangeError(`the share of ${JSON.stringify(priority)} is ${share}; it must be above 0 and at most 1`);
  }
  const windowUs = (spec.holdMs ?? 30_000) * 1_000;
  return {
    spec,
    name,
    algorithm: undefined,
    kind: ALGORITHM_NAMES.indexOf(name),
    limit: spec.limit,
    windowUs,
    capacity: spec.limit,
    stepUs: windowUs,
    periods: undefined,
  };
}

function whole(member: string, value: number | undefined, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value! >= least && value! <= most) return;
  throw new RangeError(
    `${member} is ${value === undefined ? 'missing' : JSON.stringify(value)}; it must be a whole number from ${least} to ${most}`,
  );
}

function refuse(spec: PolicySpec, members: (keyof PolicySpec)[], name: AlgorithmName): void {
  for (const member of members) {
    if (spec[member] !== undefined) throw new RangeError(`${member} means nothing to ${name}`);
  }
}
