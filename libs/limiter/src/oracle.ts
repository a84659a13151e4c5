/**
 * What limits mean, written to be read and not to be fast: lists of what was admitted, added up from the beginning for
 * every question. Tests and benches judge by it whoever limits: our algorithms, backends and doors, and others' servers.
 */
import type { PolicySpec } from './policy.ts';

/** Units that came through, at a moment of the judge's clock. */
export interface Admission {
  readonly atUs: number;
  readonly units: number;
}

/** One decision as it was logged. */
export interface Decided {
  readonly atUs: number;
  readonly key: string;
  readonly cost: number;
  readonly isAllowed: boolean;
}

/** What came through of a log, by key. */
export function admissionsByKey(log: Iterable<Decided>): Map<string, Admission[]> {
  const allowed = [...log].filter(({ isAllowed }) => isAllowed);
  const byKey = Map.groupBy(allowed, ({ key }) => key);
  return new Map([...byKey].map(([key, list]) => [key, list.map(({ atUs, cost }) => ({ atUs, units: cost }))]));
}

/** The most units that came through in any window: from any moment on, up to but without the moment `windowUs` later. */
export function maxInAnyWindow(admissions: readonly Admission[], windowUs: number): number {
  const inOrder = admissions.toSorted((one, other) => one.atUs - other.atUs);
  let most = 0;
  let sum = 0;
  let oldest = 0;
  // A fullest window can be moved until its last moment is an admission: so one look per admission is enough.
  for (const { atUs, units } of inOrder) {
    sum += units;
    while (inOrder[oldest]!.atUs <= atUs - windowUs) sum -= inOrder[oldest++]!.units;
    most = Math.max(most, sum);
  }
  return most;
}

/**
 * By how much the worst interval passed the law of the token bucket: admitted ≤ burst + rate × length. Below 0: room
 * was left even then.
 */
export function excessOver(
  admissions: readonly Admission[],
  { burst, perUs }: { burst: number; perUs: number },
): number {
  let level = burst;
  let lastUs = 0;
  let excess = -burst;
  for (const { atUs, units } of admissions.toSorted((one, other) => one.atUs - other.atUs)) {
    level = Math.min(burst, level + (atUs - lastUs) * perUs) - units;
    lastUs = atUs;
    excess = Math.max(excess, 0 - level);
  }
  return excess;
}

/** A limit by its definition: one key, times that never go back. */
export interface Reference {
  /** Whole units that could be taken; below 0 while a debt is open. */
  available(nowUs: number): number;
  take(nowUs: number, units: number): void;
  give(nowUs: number, units: number): void;
}

/** A limit by its definition. `calendar` wants wall time. @throws RangeError for `concurrency` and `adaptive`. */
export function referenceOf(spec: PolicySpec): Reference {
  const windowUs = (spec.windowMs ?? 0) * 1_000;
  switch (spec.algorithm ?? 'gcra') {
    case 'gcra':
    case 'leaky':
      return new Bucket(spec.limit === 0 ? 0 : (spec.burst ?? spec.limit), spec.limit / windowUs);
    case 'strict': {
      // The present sixtieth of the window and the sixty before it, all whole.
      const partUs = Math.ceil(windowUs / 60);
      const partOf = (atUs: number) => Math.floor(atUs / partUs);
      return new Log(spec.limit, (atUs, nowUs) => (partOf(atUs) >= partOf(nowUs) - 60 ? 1 : 0));
    }
    case 'sliding': {
      const isOne = (atUs: number, nowUs: number) => Math.floor(atUs / windowUs) === Math.floor(nowUs / windowUs);
      return new Log(spec.limit, (atUs, nowUs) => slidingWeight(atUs, nowUs, windowUs), isOne);
    }
    case 'fixed': {
      const isOne = (atUs: number, nowUs: number) => Math.floor(atUs / windowUs) === Math.floor(nowUs / windowUs);
      return new Log(spec.limit, (atUs, nowUs) => (isOne(atUs, nowUs) ? 1 : 0));
    }
    case 'calendar': {
      const nameOf = periodNames(spec);
      return new Log(spec.limit, (atUs, nowUs) => (nameOf(atUs) === nameOf(nowUs) ? 1 : 0));
    }
    default:
      throw new RangeError(`there is no reference of ${spec.algorithm}`);
  }
}

/**
 * Decides a log once more, by definition. @returns The decisions that it would have made otherwise; each goes on from
 * what the log says was admitted, so that one difference does not bring others. Times must not go back.
 */
export function differences(spec: PolicySpec, log: Iterable<Decided>): Decided[] {
  const references = new Map<string, Reference>();
  const found: Decided[] = [];
  for (const decided of log) {
    const { key, atUs, cost, isAllowed } = decided;
    const reference = references.get(key) ?? referenceOf(spec);
    references.set(key, reference);
    if (cost <= reference.available(atUs) !== isAllowed) found.push(decided);
    if (isAllowed) reference.take(atUs, cost);
  }
  return found;
}

/** A hundredth of a unit is never denied for: what the algorithms leave for rounding. */
const ROUNDING = 0.01;

class Bucket implements Reference {
  readonly #size: number;
  readonly #perUs: number;
  #level: number;
  #lastUs = 0;

  constructor(size: number, perUs: number) {
    this.#size = size;
    this.#perUs = perUs;
    this.#level = size;
  }

  available(nowUs: number): number {
    this.#level = Math.min(this.#size, this.#level + (nowUs - this.#lastUs) * this.#perUs);
    this.#lastUs = nowUs;
    return Math.floor(this.#level + ROUNDING);
  }

  take(nowUs: number, units: number): void {
    this.available(nowUs);
    this.#level -= units;
  }

  give(nowUs: number, units: number): void {
    this.available(nowUs);
    this.#level = Math.min(this.#size, this.#level + units);
  }
}

/** How much of a unit taken at the one moment counts at the other. */
type Weight = (atUs: number, nowUs: number) => number;

/** Everything ever taken, and how much of it counts at a moment: 1 whole, 0 not at all. */
class Log implements Reference {
  readonly #limit: number;
  readonly #weight: Weight;
  readonly #isWhole: (atUs: number, nowUs: number) => boolean;
  #taken: Admission[] = [];

  /** @param isWhole - Whether what was taken then has not begun to fade; without it, whether it counts at all. */
  constructor(limit: number, weight: Weight, isWhole = (atUs: number, nowUs: number) => weight(atUs, nowUs) === 1) {
    this.#limit = limit;
    this.#weight = weight;
    this.#isWhole = isWhole;
  }

  available(nowUs: number): number {
    let used = 0;
    for (const { atUs, units } of this.#taken) used += units * this.#weight(atUs, nowUs);
    return Math.floor(this.#limit - used + ROUNDING);
  }

  take(nowUs: number, units: number): void {
    this.#taken.push({ atUs: nowUs, units });
  }

  /** The oldest of what still counts whole. */
  give(nowUs: number, units: number): void {
    let left = units;
    this.#taken = this.#taken.map((taken) => {
      if (!this.#isWhole(taken.atUs, nowUs)) return taken;
      const given = Math.min(left, taken.units);
      left -= given;
      return { atUs: taken.atUs, units: taken.units - given };
    });
  }
}

function slidingWeight(atUs: number, nowUs: number, windowUs: number): number {
  const age = Math.floor(nowUs / windowUs) - Math.floor(atUs / windowUs);
  if (age > 1) return 0;
  return age === 0 ? 1 : 1 - (nowUs % windowUs) / windowUs;
}

/** The name that a period has in its place: `2024-02-29`, the Monday of a week, `2024-02`, `2024`. */
function periodNames({ period, timeZone = 'UTC' }: PolicySpec): (atUs: number) => string {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
  return (atUs) => {
    const date = format.format(atUs / 1_000);
    if (period === 'year') return date.slice(0, 4);
    if (period === 'month') return date.slice(0, 7);
    if (period === 'day') return date;
    const day = new Date(`${date}T00:00Z`);
    day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
    return day.toISOString().slice(0, 10);
  };
}
