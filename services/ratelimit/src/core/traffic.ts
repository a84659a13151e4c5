/** Traffic for simulations that is described instead of recorded: the same description gives the same requests. */
import type { SyntheticTraffic } from '@plinth/contracts/ratelimit';
import type { Entry } from './rule.ts';
import { type Check, checkOf, type Subject, subjectOf } from './verdict.ts';

/** One request of a simulation. */
export interface Visit {
  readonly atMs: number;
  readonly check: Check;
  /** What really became of it, where that is known. */
  readonly real?: { readonly wasAllowed: boolean; readonly wasDenied: (subject: number) => boolean } | undefined;
}

export interface TrafficPlan extends Omit<SyntheticTraffic, 'descriptors'> {
  /** `{n}` in their values stands for the number of the key. */
  readonly subjects: readonly Subject[];
  readonly startMs: number;
}

/** How many requests a description makes, within a few. */
export function requestsOf({ ratePerSecond, durationMs }: Pick<TrafficPlan, 'ratePerSecond' | 'durationMs'>): number {
  return Math.ceil((ratePerSecond * durationMs) / 1_000);
}

/** Requests in the order of time. Made one by one, so that a long plan takes no memory. */
export function* syntheticVisits(plan: TrafficPlan): Generator<Visit> {
  const random = seededRandom(plan.seed);
  const key = keyChooser(plan, random);
  const wait = waitChooser(plan, random);
  const { domain, cost, startMs, durationMs } = plan;
  for (let sinceMs = plan.pattern === 'random' ? wait() : 0; sinceMs < durationMs; sinceMs += wait()) {
    const number = key();
    const subjects = plan.subjects.map(({ entries, ...rest }) => subjectOf(filled(entries, number), rest));
    yield { atMs: startMs + sinceMs, check: checkOf(domain, subjects, cost, 'take') };
  }
}

/** Milliseconds until the next request. */
function waitChooser({ pattern, ratePerSecond, burstSize }: TrafficPlan, random: () => number): () => number {
  const meanMs = 1_000 / ratePerSecond;
  if (pattern === 'steady') return () => meanMs;
  // Of independent callers: the time between two is exponentially distributed.
  if (pattern === 'random') return () => -Math.log(1 - random()) * meanMs;
  let come = 0;
  return () => (++come % burstSize === 0 ? meanMs * burstSize : 0);
}

function keyChooser({ keys, distribution }: TrafficPlan, random: () => number): () => number {
  if (distribution === 'even') return () => Math.floor(random() * keys);
  // The inverse of the integral of 1/x: rank r comes about 1/r as often as the first.
  return () => Math.floor((keys + 1) ** random()) - 1;
}

function filled(entries: readonly Entry[], key: number): Entry[] {
  return entries.map((entry) => ({ key: entry.key, value: entry.value.replaceAll('{n}', String(key)) }));
}

/** Mulberry32 by Tommy Ettinger (public domain). */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
