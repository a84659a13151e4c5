/**
 * The worst of many random schedules, decided by our algorithms on a clock of our own: what no probe of a running
 * server can reach, because time here is exact to the microsecond and a schedule costs microseconds too.
 *
 * Schedules are mean on purpose: they take all there is just before and just behind multiples of a sub-bucket and of the
 * window, drip in between, and begin anywhere.
 */
import { type PolicySpec, policyOf } from '@plinth/limiter';
import { type Admission, maxInAnyWindow } from '@plinth/limiter/oracle';
import type { Excess } from './boundary-probe.ts';
import { drawer, LIMITS } from './workload.ts';

const { units: LIMIT, windowMs: WINDOW_MS } = LIMITS.hundred;
const WINDOW_US = WINDOW_MS * 1_000;
const STEPS = 24;
/** Strict windows are kept in sixty of these; others have no such edges and lose nothing by them. */
const BUCKETS = 60;
const BUCKET_US = Math.ceil(WINDOW_US / BUCKETS);

export interface Search extends Excess {
  schedules: number;
  seed: number;
}

/** Decides so many random schedules. The same seed finds the same. Cost: some 5 µs each. */
export function worstSchedule(
  algorithm: NonNullable<PolicySpec['algorithm']>,
  { schedules, seed }: { schedules: number; seed: number },
): Search {
  const draw = drawer(seed, 2_147_483_647);
  let admittedMax = 0;
  for (let count = 0; count < schedules; count++) {
    admittedMax = Math.max(admittedMax, maxInAnyWindow(schedule(algorithm, draw), WINDOW_US));
  }
  return { admittedMax, limit: LIMIT, ratio: admittedMax / LIMIT, schedules, seed };
}

function schedule(algorithm: NonNullable<PolicySpec['algorithm']>, draw: () => number): Admission[] {
  const policy = policyOf({ algorithm, limit: LIMIT, windowMs: WINDOW_MS });
  const { available, take, cells } = policy.algorithm!;
  const state = new Float64Array(cells);
  const admissions: Admission[] = [];
  let nowUs = draw() % (10 * WINDOW_US);
  for (let step = 0; step < STEPS; step++) {
    nowUs += gapUs(draw);
    const units = Math.min(wanted(draw), available(state, 0, policy, nowUs));
    if (units <= 0) continue;
    take(state, 0, policy, nowUs, units);
    admissions.push({ atUs: nowUs, units });
  }
  return admissions;
}

function gapUs(draw: () => number): number {
  const edgeUs = (draw() % 3) - 1;
  switch (draw() % 6) {
    case 0:
      return 0;
    case 1:
      return draw() % 2_000;
    case 2:
      return draw() % WINDOW_US;
    case 3:
      return WINDOW_US + edgeUs;
    default:
      return Math.max(0, BUCKET_US * (draw() % (BUCKETS + 2)) + edgeUs);
  }
}

function wanted(draw: () => number): number {
  const kind = draw() % 4;
  return kind < 2 ? LIMIT : kind === 2 ? 1 : 1 + (draw() % LIMIT);
}
