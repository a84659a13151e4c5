/** The command line of `npm run bench -- ratelimit`. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { UsageFault, wholeNumber } from '../options.ts';
import { ROWS, type Row } from './contest.ts';
import { SERVICE_MAIN } from './plinth.ts';

/** What to measure and how long. */
export interface Options {
  rounds: number;
  /** Seconds of load in one slot. */
  seconds: number;
  rows: Set<Row>;
  /** Random schedules in which the oracle looks for too many admissions. */
  schedules: number;
  /** Standard output holds one line of JSON and nothing else. */
  json: boolean;
  /** A missed target ends the process with 1. */
  check: boolean;
  /** The main file of the service: of this work tree, or of another one to compare with. */
  main: string;
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
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      main: { type: 'string', default: SERVICE_MAIN },
    },
  });
  const { quick, json, check } = values;
  return {
    rounds: wholeNumber('rounds', values.rounds ?? (quick ? '1' : '5')),
    seconds: wholeNumber('seconds', values.seconds ?? (quick ? '1' : '3')),
    rows: rowsOf(values.only),
    schedules: quick ? SCHEDULES_QUICK : SCHEDULES,
    json,
    check,
    main: resolve(values.main),
  };
}

function rowsOf(only: string | undefined): Set<Row> {
  if (only === undefined) return new Set(ROWS);
  const names = only.split(',');
  const unknown = names.find((name) => !ROWS.includes(name as Row));
  if (unknown !== undefined) throw new UsageFault(`--only knows ${ROWS.join(', ')}, not "${unknown}"`);
  return new Set(names as Row[]);
}
