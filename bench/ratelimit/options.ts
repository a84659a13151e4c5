/** The command line of `npm run bench -- ratelimit`. */
import { parseArgs } from 'node:util';
import { chosen, RACE_FLAGS, type RaceOptions, raceOptions } from '../options.ts';
import { ROWS, type Row } from './contest.ts';
import { SERVICE_MAIN } from './plinth.ts';

/** What to measure and how long. */
export interface Options extends RaceOptions {
  rows: Set<Row>;
  /** Random schedules in which the oracle looks for too many admissions. */
  schedules: number;
}

export const USAGE = `npm run bench -- ratelimit [options]
  --quick          one round of 1 s and fewer schedules: a first look
  --rounds N       rounds; their median counts (default 5)
  --seconds S      seconds of load per slot (default 3)
  --only LIST      some of ${ROWS.join(', ')}
  --json           only one line of JSON on standard output
  --check          end with 1 when a target is missed
  --main FILE      another build of the service, to compare`;

const SCHEDULES = 1_000_000;
const SCHEDULES_QUICK = 20_000;

/** @throws UsageFault, or TypeError for an option that does not exist. */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({ args, options: RACE_FLAGS });
  const schedules = values.quick ? SCHEDULES_QUICK : SCHEDULES;
  return { ...raceOptions(values, SERVICE_MAIN), rows: chosen(ROWS, values.only), schedules };
}
