/** What people see of a fast queue: one job, lists, figures. Nothing here changes anything. */
import { JOB_STATES, type JobState, type JobView } from '../../../core/job.ts';
import type { JobFilter, JobPage, QueueStats } from '../../lane.ts';
import { escaped, unescaped } from '../record.ts';
import type { Reply, Script } from '../scripts.ts';
import { cursorOf, placeOf } from './cursor.ts';
import { FIGURES } from './figures-script.ts';
import { FIND } from './find-script.ts';
import { type Looked, viewOf } from './job-view.ts';
import { LOOK } from './look-script.ts';

/** The jobs that are looked at for one page: a filter that means few of many gives short pages, not slow ones. */
export const LOOKED_AT_MAX = 1_000;
/** Fields of `m` that say that a group is paused begin so. */
export const PAUSED_GROUP = 'paused:';

/** A queue, and who runs scripts on its keys. */
export interface QueueAt {
  readonly queue: string;
  run(script: Script, args: readonly (string | number)[]): Promise<Reply>;
}

export async function jobAt({ queue, run }: QueueAt, id: string): Promise<JobView | undefined> {
  const [looked] = (await run(LOOK, [id])) as Reply[][];
  return isThere(looked!) ? viewOf(queue, id, looked) : undefined;
}

const isThere = (looked: Reply[]): looked is Reply[] & Looked => looked.length > 0;

/**
 * State after state, in the order of `JOB_STATES`, each from its newest on: waiting jobs by when they were enqueued,
 * the others by the time that they wait for, were to be done by, or are kept until.
 *
 * @throws RangeError when the cursor is none that such a list gave.
 */
export async function listAt(
  at: QueueAt,
  filter: JobFilter,
  page: { limit: number; cursor?: string | undefined },
): Promise<JobPage> {
  const states = JOB_STATES.filter((state) => filter.states.includes(state));
  const start = page.cursor === undefined ? undefined : placeOf(page.cursor, states);
  let position = start?.position ?? '';
  let budget = LOOKED_AT_MAX;
  const jobs: JobView[] = [];
  for (let n = start === undefined ? 0 : states.indexOf(start.state); n < states.length; n++) {
    const state = states[n]!;
    const found = await find(at, { state, position, budget, want: page.limit - jobs.length }, filter);
    jobs.push(...(await jobsAt(at, found.ids, state)));
    if (found.behind !== '') return { jobs, cursor: cursorOf({ state, position: found.behind }) };
    budget -= found.looked;
    position = '';
    const next = states[n + 1];
    if ((jobs.length >= page.limit || budget <= 0) && next !== undefined) {
      return { jobs, cursor: cursorOf({ state: next, position }) };
    }
  }
  return { jobs, cursor: undefined };
}

interface Search {
  readonly state: JobState;
  readonly position: string;
  readonly budget: number;
  readonly want: number;
}

/** A filter as scripts read it. */
export function filterArgs({ name, group, tag, fromMs, untilMs }: Omit<JobFilter, 'states'>): string[] {
  const given = (value: string | number | undefined) => (value === undefined ? '' : `=${value}`);
  const text = (value: string | undefined) => given(value === undefined ? undefined : escaped(value));
  // A comma stands between tags.
  return [text(name), text(group), text(tag).replaceAll(',', '\x1dc'), given(fromMs), given(untilMs)];
}

async function find({ run }: QueueAt, search: Search, filter: JobFilter) {
  const { state, position, budget, want } = search;
  const reply = await run(FIND, [state, position, budget, want, ...filterArgs(filter)]);
  const [looked, behind, ids] = reply as [number, string, string[]];
  return { looked, behind, ids };
}

/** Those that are still in this state: what has moved since it was found is met in another one. */
async function jobsAt({ queue, run }: QueueAt, ids: readonly string[], state: JobState): Promise<JobView[]> {
  if (ids.length === 0) return [];
  const looked = (await run(LOOK, ids)) as Reply[][];
  return ids.flatMap((id, n) => {
    const one = looked[n]!;
    return isThere(one) && one[1] === state ? [viewOf(queue, id, one)] : [];
  });
}

const TOTALS = ['enqueued', 'completed', 'failed', 'retried', 'dead', 'stalled', 'cancelled', 'expired'] as const;

export async function statsAt({ run }: QueueAt): Promise<QueueStats> {
  const [flat, scheduled, retrying, leased, parents, completed, dead, cancelled, oldestMs, bytes, nowMs] = (await run(
    FIGURES,
    [],
  )) as [string[], ...number[]];
  const meta = new Map<string, string>();
  for (let n = 0; n < flat.length; n += 2) meta.set(flat[n]!, flat[n + 1]!);
  const ofMeta = (field: string) => Number(meta.get(field) ?? 0);
  return {
    counts: {
      ...{ waiting: ofMeta('waiting'), scheduled: scheduled!, retrying: retrying!, leased: leased! },
      ...{ 'waiting-children': parents!, completed: completed!, dead: dead!, cancelled: cancelled! },
    },
    oldestWaitingMs: oldestMs === 0 ? 0 : Math.max(0, nowMs! - oldestMs!),
    isPaused: meta.get('paused') === '1',
    pausedGroups: [...meta.keys()]
      .filter((field) => field.startsWith(PAUSED_GROUP))
      .map((field) => unescaped(field.slice(PAUSED_GROUP.length))),
    totals: Object.fromEntries(TOTALS.map((name) => [name, ofMeta(name)])) as QueueStats['totals'],
    bytes: bytes!,
  };
}
