/** The race of loggers. */
import type { Progress } from '../program.ts';
import { turns } from '../round.ts';
import { ENDINGS, type Ending } from './losing.ts';
import type { Options } from './options.ts';
import { type CostSample, type LossSample, measureCost, measureLoss } from './processes.ts';
import { SUBJECTS, type Subject } from './subjects.ts';

/** One logger, with one sample a round. */
export interface Lane {
  subject: Subject;
  costs: CostSample[];
  losses: Record<Ending, LossSample[]>;
}

/** Runs all rounds. @throws Error when a line is missing after a good end: nothing of such a run is to be believed. */
export async function race(options: Options, dir: string, progress: Progress): Promise<Lane[]> {
  const lanes = SUBJECTS.filter(({ name }) => options.names.has(name)).map(
    (subject): Lane => ({ subject, costs: [], losses: { SIGKILL: [], exit: [], throw: [], SIGTERM: [] } }),
  );
  const cases = options.losses ? (['cost', ...ENDINGS] as const) : (['cost'] as const);
  const heats = cases.map((one) => ({ case: one, opponents: lanes }));
  for (const { round, case: one, opponent } of turns(options.rounds, heats)) {
    const said = one === 'cost' ? await cost(opponent, dir, options.seconds) : await loss(opponent, dir, one);
    progress(`round ${round + 1}/${options.rounds}: ${opponent.subject.name}: ${said}`);
  }
  return lanes;
}

async function cost({ subject, costs }: Lane, dir: string, seconds: number): Promise<string> {
  const sample = await measureCost(subject, dir, seconds);
  costs.push(sample);
  return `${Math.round(sample.cpuNs)} CPU ns a line, ${Math.round(sample.perSecond)} lines/s`;
}

async function loss({ subject, losses }: Lane, dir: string, ending: Ending): Promise<string> {
  const sample = await measureLoss(subject, dir, ending, Math.random);
  losses[ending].push(sample);
  const end = sample.endedRightly ? ending : `${ending}, but it ended otherwise`;
  return `${sample.lost} of ${sample.called} lines lost at ${end}`;
}
