/** The command line of `npm run bench -- file-logger`. */
import { parseArgs } from 'node:util';
import { chosen, RACE_FLAGS, type RaceOptions, raceOptions } from '../options.ts';
import { SERVED, SUBJECT_NAMES } from './subjects.ts';

/** What to measure and how long. */
export interface Options extends Omit<RaceOptions, 'main'> {
  names: Set<string>;
  /** Without it, nobody is killed. */
  losses: boolean;
  /** Without it, no service is asked. */
  served: boolean;
}

const NAMES = [...SUBJECT_NAMES, SERVED];

export const USAGE = `npm run bench -- file-logger [options]
  --quick          one round of 1 s: a first look
  --rounds N       rounds; their median counts (default 5)
  --seconds S      seconds in which a logger is called, in one round (default 2)
  --only LIST      some of ${NAMES.join(', ')}
  --no-losses      only costs: no process is killed
  --json           only one line of JSON on standard output
  --check          end with 1 when a target is missed`;

const SECONDS = '2';

/** @throws UsageFault, or TypeError for an option that does not exist. */
export function readOptions(args: string[]): Options {
  const { main: _, ...flags } = RACE_FLAGS;
  const { values } = parseArgs({ args, options: { ...flags, 'no-losses': { type: 'boolean', default: false } } });
  const { main: __, ...race } = raceOptions({ seconds: values.quick ? '1' : SECONDS, ...values }, '');
  const names = chosen(NAMES, values.only);
  return { ...race, names, losses: !values['no-losses'], served: names.has(SERVED) };
}
