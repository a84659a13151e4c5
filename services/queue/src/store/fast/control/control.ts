/** What people do to a fast queue. What may touch many jobs is done in batches: other calls come in between. */
import type { JobState } from '../../../core/job.ts';
import type { RedriveFilter } from '../../lane.ts';
import { escaped } from '../record.ts';
import { filterArgs, PAUSED_GROUP, type QueueAt } from '../views/views.ts';
import { CANCEL } from './cancel-script.ts';
import { PAUSE, PAUSE_GROUP } from './pause-scripts.ts';
import { DRAIN_LATER, DRAIN_WAITING, PURGE, REMOVE } from './removal-scripts.ts';
import { PROMOTE, REDRIVE } from './return-scripts.ts';

/** Jobs of one call: together they keep Redis for less than 10 ms. */
const BATCH = 1_000;

export async function cancelAt(
  { run }: QueueAt,
  ids: readonly string[],
  reason: string,
): Promise<(JobState | undefined)[]> {
  const states: (JobState | undefined)[] = [];
  for (let from = 0; from < ids.length; from += BATCH) {
    const reply = (await run(CANCEL, [escaped(reason), ...ids.slice(from, from + BATCH)])) as string[];
    for (const state of reply) states.push(state === '' ? undefined : (state as JobState));
  }
  return states;
}

/** @param group - Undefined: the queue as a whole. */
export async function pauseAt({ run }: QueueAt, isPaused: boolean, group: string | undefined): Promise<void> {
  const flag = isPaused ? '1' : '0';
  if (group === undefined) await run(PAUSE, [flag]);
  else await run(PAUSE_GROUP, [flag, PAUSED_GROUP + escaped(group), escaped(group)]);
}

/** What comes while this runs may be taken away too, or not. @returns How many went. */
export async function drainAt(at: QueueAt, isScheduledToo: boolean): Promise<number> {
  let count = await drainWaiting(at);
  if (isScheduledToo) {
    count += await inBatches((most) => at.run(DRAIN_LATER, ['scheduled', most]));
    count += await inBatches((most) => at.run(DRAIN_LATER, ['retrying', most]));
  }
  return count;
}

/** Group by group. */
async function drainWaiting({ run }: QueueAt): Promise<number> {
  let position = '0';
  for (let count = 0; ; ) {
    const [went, behind] = (await run(DRAIN_WAITING, [position, BATCH])) as [number, string];
    count += went;
    // A full batch has the same position again: more may be left there.
    if (behind === '0' && went < BATCH) return count;
    position = behind;
  }
}

/** Until a batch is not full. */
async function inBatches(run: (most: number) => Promise<unknown>): Promise<number> {
  for (let count = 0; ; ) {
    const went = (await run(BATCH)) as number;
    count += went;
    if (went < BATCH) return count;
  }
}

export async function purgeAt(
  { run }: QueueAt,
  states: readonly ('completed' | 'dead' | 'cancelled')[],
): Promise<number> {
  let count = 0;
  for (const state of states) count += await inBatches((most) => run(PURGE, [state, most]));
  return count;
}

/** @returns False: there are leases, and it is not forced. */
export const removeAt = async ({ run }: QueueAt, isForced: boolean): Promise<boolean> =>
  (await run(REMOVE, [isForced ? '1' : '0'])) === 1;

/** Looks at all that is dead, the oldest first, until it has so many. @returns Their ids. */
export async function redriveAt({ run }: QueueAt, filter: RedriveFilter, max: number): Promise<string[]> {
  const redriven: string[] = [];
  const named = filter.ids ?? [];
  let skip = 0;
  while (redriven.length < max) {
    const want = Math.min(BATCH, max - redriven.length);
    const [looked, ids] = (await run(REDRIVE, [skip, BATCH, want, ...filterArgs(filter), ...named])) as [
      number,
      string[],
    ];
    redriven.push(...ids);
    // What was brought back is not among the dead any more.
    skip += looked - ids.length;
    // Those that were named are looked at in one go.
    if (looked === 0 || named.length > 0) break;
  }
  return redriven;
}

export const promoteAt = async ({ run }: QueueAt, id: string): Promise<boolean> => (await run(PROMOTE, [id])) === 1;
