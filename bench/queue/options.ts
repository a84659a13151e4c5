/** The command line of `npm run bench -- queue`. */
import { parseArgs } from 'node:util';
import { chosen, RACE_FLAGS, type RaceOptions, raceOptions } from '../options.ts';
import { ROWS, type Row } from './contest.ts';
import { SERVICE_MAIN } from './plinth.ts';

/** What to measure and how long; a slot is so many jobs that they take about the seconds. */
export interface Options extends RaceOptions {
  rows: Set<Row>;
  /** Recovery is measured, with the real defaults, instead of stated. */
  long: boolean;
}

export const USAGE = `npm run bench -- queue [options]
  --quick          one round of 1 s: a first look
  --rounds N       rounds; their median counts (default 5)
  --seconds S      seconds of load per slot (default 3)
  --only LIST      some of ${ROWS.join(', ')}
  --long           measures recovery with everybody's real defaults, two minutes more
  --json           only one line of JSON on standard output
  --check          end with 1 when a target is missed
  --main FILE      another build of the service, to compare`;

/** @throws UsageFault, or TypeError for an option that does not exist. */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({ args, options: { ...RACE_FLAGS, long: { type: 'boolean', default: false } } });
  return { ...raceOptions(values, SERVICE_MAIN), rows: chosen(ROWS, values.only), long: values.long };
}
