/** What a schedule is, when it is due, and which of its runs are made after a time in which nobody could make them. */
import { Problem } from '@plinth/problem';
import { CronPlan } from './schedule-cron.ts';

/** After a time in which nobody could make them: no missed run, one for all of them, or all, the latest 1,000. */
export type CatchUp = 'skip' | 'one' | 'all';

/** A schedule as somebody wants it. Of `cron`, `everyMs` and `atMs` it has one. */
export interface ScheduleDraft {
  readonly id: string;
  readonly queue: string;
  readonly cron: string | undefined;
  /** Of `cron`; UTC unless told. */
  readonly timeZone: string | undefined;
  /** At `fromMs` and each so many milliseconds after; without it at multiples since 1970, whoever put it whenever. */
  readonly everyMs: number | undefined;
  readonly atMs: number | undefined;
  readonly catchUp: CatchUp;
  /** No run is before or after these. */
  readonly fromMs: number | undefined;
  readonly untilMs: number | undefined;
  /** So many runs in all. */
  readonly runsMax: number | undefined;
  /** Each job comes up to so much later than its time, by chance. */
  readonly jitterMs?: number | undefined;
  readonly paused: boolean;
  /** As it was sent. */
  readonly job: unknown;
}

/** How far a schedule has come. Times in milliseconds since 1970. */
export interface ScheduleProgress {
  /** Undefined: it will not run any more, or is paused. */
  readonly nextMs?: number | undefined;
  /** The time that the last run was for. */
  readonly lastMs?: number | undefined;
  readonly lastJobId?: string | undefined;
  readonly runs: number;
  /** Runs that were not made. Of a schedule that many thousand runs are missed of, about. */
  readonly missed: number;
  /** Why a run that is due could not be made. */
  readonly lastError?: string | undefined;
}

export interface Schedule {
  readonly draft: ScheduleDraft;
  readonly progress: ScheduleProgress;
}

export const EVERY_MS_MIN = 100;
const CATCH_UP_MAX = 1_000;
/** A run that is made so much too late is not one that was missed: a restart takes as long. */
export const GRACE_MS = 10_000;
/** Missed runs of a calendar are counted one by one up to here. */
const COUNTED_MAX = 10_000;

/** When a schedule is due. */
export interface Plan {
  /** The first time after a moment; undefined: there is none. */
  after(afterMs: number): number | undefined;
}

/** @throws Problem `invalid_schedule` that says what is wrong and where. */
export function planOf(draft: ScheduleDraft): Plan {
  const { cron, timeZone = 'UTC', everyMs, atMs, fromMs, untilMs } = draft;
  if ((fromMs ?? 0) > (untilMs ?? Number.POSITIVE_INFINITY)) throw faultAt('/until', 'it is before `from`');
  const whole = cron === undefined ? simplePlan(everyMs, atMs, fromMs) : new CronPlan(cron, timeZone);
  return {
    after(afterMs) {
      const dueMs = whole.after(fromMs === undefined ? afterMs : Math.max(afterMs, fromMs - 1));
      return dueMs === undefined || dueMs > (untilMs ?? Number.POSITIVE_INFINITY) ? undefined : dueMs;
    },
  };
}

function simplePlan(everyMs: number | undefined, atMs: number | undefined, fromMs = 0): Plan {
  if (atMs !== undefined) return { after: (afterMs) => (atMs > afterMs ? atMs : undefined) };
  if (everyMs === undefined) throw faultAt('', 'cron, everyMs and at: one of them is wanted');
  if (!Number.isInteger(everyMs) || everyMs < EVERY_MS_MIN) {
    throw faultAt('/everyMs', `${everyMs} is not a whole number from ${EVERY_MS_MIN}`);
  }
  return { after: (afterMs) => Math.max(fromMs, fromMs + (Math.floor((afterMs - fromMs) / everyMs) + 1) * everyMs) };
}

export function faultAt(path: string, message: string): Problem {
  const issues = [{ path, message }];
  return new Problem('invalid_schedule', path === '' ? message : `${path.slice(1)}: ${message}`, { issues });
}

/** Do two drafts name the same times? */
export function isSameCalendar(one: ScheduleDraft, other: ScheduleDraft): boolean {
  const members = ['cron', 'timeZone', 'everyMs', 'atMs', 'fromMs', 'untilMs'] as const;
  return members.every((member) => one[member] === other[member]);
}

/**
 * Where a schedule stands that is put, over an earlier one of its id if there is one. One that names the times of
 * before goes on where it was, so that putting it at each start of an application harms nothing.
 *
 * @throws Problem `invalid_schedule` also for one that will never run.
 */
export function begin(draft: ScheduleDraft, earlier: Schedule | undefined, nowMs: number): ScheduleProgress {
  const plan = planOf(draft);
  const { lastMs, lastJobId, runs = 0, missed = 0, nextMs } = earlier?.progress ?? {};
  const kept = { lastMs, lastJobId, runs, missed };
  if (draft.paused || runs >= (draft.runsMax ?? Number.POSITIVE_INFINITY)) return kept;
  const isSame = earlier !== undefined && isSameCalendar(draft, earlier.draft);
  if (isSame && nextMs !== undefined) return { ...kept, nextMs };
  // A time that has passed already is due, once.
  const onceMs = isSame ? (lastMs ?? Number.NEGATIVE_INFINITY) : Number.NEGATIVE_INFINITY;
  const sinceMs = draft.atMs === undefined ? Math.max(nowMs, lastMs ?? 0) : onceMs;
  const firstMs = plan.after(sinceMs);
  if (firstMs === undefined && earlier === undefined) throw faultAt(memberOf(draft), 'it is never due');
  return { ...kept, nextMs: firstMs };
}

const memberOf = ({ cron, everyMs }: ScheduleDraft): string =>
  cron !== undefined ? '/cron' : everyMs !== undefined ? '/everyMs' : '/at';

/** What is to be done now. */
export interface DueRuns {
  /** In order. */
  readonly times: readonly number[];
  readonly missed: number;
  /** After all of these. */
  readonly nextMs: number | undefined;
}

/** Which runs are to be made of those that are due at `nowMs`. */
export function dueRuns({ draft, progress }: Schedule, plan: Plan, nowMs: number): DueRuns {
  if (progress.nextMs === undefined || progress.nextMs > nowMs)
    return { times: [], missed: 0, nextMs: progress.nextMs };
  const { times, count, nextMs } = dueTimes(draft, plan, progress.nextMs, nowMs);
  const left = (draft.runsMax ?? Number.POSITIVE_INFINITY) - progress.runs;
  const chosen = chosenOf(draft.catchUp, times, nowMs);
  const missed = count - chosen.length;
  return { times: chosen.slice(0, left), missed, nextMs: chosen.length >= left ? undefined : nextMs };
}

function chosenOf(catchUp: CatchUp, times: readonly number[], nowMs: number): readonly number[] {
  if (catchUp === 'all') return times;
  const timely = times.filter((atMs) => nowMs - atMs <= GRACE_MS);
  return timely.length === 0 && catchUp === 'one' ? times.slice(-1) : timely;
}

/** The last 1,000 times from `firstMs` until now, how many there are in all, and the one after. */
function dueTimes(
  draft: ScheduleDraft,
  plan: Plan,
  firstMs: number,
  nowMs: number,
): { times: number[]; count: number; nextMs: number | undefined } {
  let [times, count]: [number[], number] = [[], 0];
  let atMs: number | undefined = firstMs;
  while (atMs !== undefined && atMs <= nowMs) {
    times.push(atMs);
    count += 1;
    if (times.length >= 2 * CATCH_UP_MAX) times = times.slice(-CATCH_UP_MAX);
    if (count === COUNTED_MAX || (count === 1 && draft.everyMs !== undefined)) {
      const leapt: Leap = leap(plan, { firstMs, atMs, count, nowMs, everyMs: draft.everyMs });
      [atMs, count] = [leapt.atMs, count + leapt.count];
    } else atMs = plan.after(atMs);
  }
  return { times: times.slice(-CATCH_UP_MAX), count, nextMs: atMs };
}

interface Leap {
  readonly atMs: number | undefined;
  /** Left out. */
  readonly count: number;
}

/** Over those that are too many to look at: exact for intervals, about for calendars. */
function leap(
  plan: Plan,
  from: { firstMs: number; atMs: number; count: number; nowMs: number; everyMs: number | undefined },
): Leap {
  const { firstMs, atMs, count, nowMs, everyMs } = from;
  const stepMs = everyMs ?? (atMs - firstMs) / (count - 1);
  const left = Math.floor((nowMs - atMs) / stepMs) - CATCH_UP_MAX;
  if (left <= 0) return { atMs: plan.after(atMs), count: 0 };
  return { atMs: plan.after(atMs + left * stepMs), count: left };
}
