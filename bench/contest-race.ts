/** A race of contests: in every round each contender of a contest works once, next to the others of it. */
import type { Task } from './driver.ts';
import type { Progress } from './program.ts';
import { type Heat, turns } from './round.ts';

interface AnyContender<Sample> {
  title: string;
  measure(task: Task): Promise<Sample>;
}

interface AnyContest<Contender> {
  title: string;
  contenders: readonly Contender[];
}

/** One contender in one contest, with one sample a round. */
export interface ContestLane<Contest, Contender, Sample> {
  contest: Contest;
  contender: Contender;
  samples: Sample[];
}

/** What is particular to the contests of one service. */
export interface ContestRules<Contest, Sample> {
  /** How many slots a contender works before anything counts. */
  warmUps(contest: Contest): number;
  /** How long a slot of this contest is, where a run asks for `seconds`. */
  slotSeconds(contest: Contest, seconds: number): number;
  /** A sample in a few words, for whoever looks on. */
  shortly(contest: Contest, sample: Sample): string;
}

const WARM_UP_SECONDS = 2;

/**
 * Runs all rounds.
 * @returns The lanes in the order of the contests.
 * @throws Error when a contender does: nothing of such a run is to be believed.
 */
export async function raceContests<
  Contest extends AnyContest<Contender>,
  Contender extends AnyContender<Sample>,
  Sample,
>(
  contests: readonly (Contest & AnyContest<Contender>)[],
  { rounds, seconds }: { rounds: number; seconds: number },
  rules: ContestRules<Contest, Sample>,
  progress: Progress,
): Promise<ContestLane<Contest, Contender, Sample>[]> {
  const heats = contests.map(
    (contest): Heat<Contest, ContestLane<Contest, Contender, Sample>> => ({
      case: contest,
      opponents: contest.contenders.map((contender) => ({ contest, contender, samples: [] })),
    }),
  );
  const lanes = heats.flatMap(({ opponents }) => opponents);
  progress('warming up');
  // Compilers, connections and the size of the next slot reach their working state before anything counts.
  for (const { contest, contender } of lanes) {
    for (let slot = rules.warmUps(contest); slot > 0; slot--)
      await contender.measure({ seconds: WARM_UP_SECONDS, seed: 0 });
  }
  for (const { round, opponent } of turns(rounds, heats)) {
    const { contest, contender, samples } = opponent;
    const sample = await contender.measure({ seconds: rules.slotSeconds(contest, seconds), seed: round + 1 });
    samples.push(sample);
    const found = `${contest.title}: ${contender.title}: ${rules.shortly(contest, sample)}`;
    progress(`round ${round + 1}/${rounds}: ${found}`);
  }
  return lanes;
}
