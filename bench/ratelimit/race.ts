/** The race of limiters. */
import { raceContests } from '../contest-race.ts';
import type { Progress } from '../program.ts';
import { type Contender, type Contest, costOf, type Lane, type Sample } from './contest.ts';

/** A line no target speaks of only has to show where it lies. */
const LINE_SECONDS = 1;

/** Runs all rounds. @throws Error when an answer was wrong anywhere: nothing of such a run is to be believed. */
export function race(
  contests: readonly Contest[],
  options: { rounds: number; seconds: number },
  progress: Progress,
): Promise<Lane[]> {
  return raceContests<Contest, Contender, Sample>(
    contests,
    options,
    {
      // Memory is measured in a fresh process each time: there is nothing to warm.
      warmUps: ({ cost }) => (cost === 'bytes/key' ? 0 : 1),
      slotSeconds: ({ row }, seconds) => (row === 'lines' ? Math.min(seconds, LINE_SECONDS) : seconds),
      shortly: (contest, sample) => `${costOf(contest, sample)?.toPrecision(3) ?? '–'} ${contest.cost}`,
    },
    progress,
  );
}
