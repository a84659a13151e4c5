/** The race: in every round each contender of a contest works once, next to the others of it. */
import type { Progress } from '../program.ts';
import { type Heat, turns } from '../round.ts';
import { type Contest, costOf, type Lane } from './contest.ts';

const WARM_UP_SECONDS = 2;
/** A line no target speaks of only has to show where it lies. */
const LINE_SECONDS = 1;

/**
 * Runs all rounds.
 * @returns The lanes in the order of the contests.
 * @throws Error when an answer was wrong anywhere: nothing of such a run is to be believed.
 */
export async function race(
  contests: readonly Contest[],
  { rounds, seconds }: { rounds: number; seconds: number },
  progress: Progress,
): Promise<Lane[]> {
  const heats: Heat<Contest, Lane>[] = contests.map((contest) => ({
    case: contest,
    opponents: contest.contenders.map((contender) => ({ contest, contender, samples: [] })),
  }));
  const lanes = heats.flatMap(({ opponents }) => opponents);
  await warmUp(lanes, progress);
  for (const { round, opponent: lane } of turns(rounds, heats)) {
    const { contest, contender, samples } = lane;
    const slotSeconds = contest.row === 'lines' ? Math.min(seconds, LINE_SECONDS) : seconds;
    const sample = await contender.measure({ seconds: slotSeconds, seed: round + 1 });
    samples.push(sample);
    const cost = costOf(contest, sample)?.toPrecision(3) ?? '–';
    progress(`round ${round + 1}/${rounds}: ${contest.title}: ${contender.title}: ${cost} ${contest.cost}`);
  }
  return lanes;
}

/** Compilers, connections and the size of the next slot reach their working state before anything counts. */
async function warmUp(lanes: readonly Lane[], progress: Progress): Promise<void> {
  progress('warming up');
  for (const { contest, contender } of lanes) {
    // Memory is measured in a fresh process each time: there is nothing to warm.
    if (contest.cost !== 'bytes/key') await contender.measure({ seconds: WARM_UP_SECONDS, seed: 0 });
  }
}
