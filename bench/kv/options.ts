/** The command line of `npm run bench -- kv`. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { UsageFault, wholeNumber } from '../options.ts';
import { SERVICE_MAIN } from './plinth.ts';
import { OPERATIONS, type Operation } from './workload.ts';

/** Everything that can be measured: the operations of the race, and two measurements of memory. */
export const SUBJECTS = [...OPERATIONS, 'idle', 'list-memory'] as const;
export type Subject = (typeof SUBJECTS)[number];

/** What to measure and how long. */
export interface Options {
  rounds: number;
  /** Seconds of load in one slot. */
  seconds: number;
  connections: number[];
  subjects: Set<Subject>;
  /** Standard output holds one line of JSON and nothing else. */
  json: boolean;
  /** A missed target ends the process with 1. */
  check: boolean;
  /** The main file of the service: of this work tree, or of another one to compare with. */
  main: string;
}

export const USAGE = `npm run bench -- kv [options]
  --quick              one round of 1 s, without list-memory: about a minute, a first look
  --rounds N           rounds; their median counts (default 5)
  --seconds S          seconds of load per slot (default 3)
  --connections LIST   connection counts (default 1,64,256)
  --only LIST          some of ${SUBJECTS.join(', ')}
  --json               only one line of JSON on standard output
  --check              end with 1 when a target is missed
  --main FILE          another build of the service, to compare`;

/** @throws UsageFault, or TypeError for an option that does not exist. */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      connections: { type: 'string', default: '1,64,256' },
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
    connections: values.connections.split(',').map((count) => wholeNumber('connections', count)),
    subjects: subjectsOf(values.only, quick),
    json,
    check,
    main: resolve(values.main),
  };
}

function subjectsOf(only: string | undefined, quick: boolean): Set<Subject> {
  if (only === undefined) return new Set(SUBJECTS.filter((subject) => !quick || subject !== 'list-memory'));
  const names = only.split(',');
  const unknown = names.find((name) => !SUBJECTS.includes(name as Subject));
  if (unknown !== undefined) throw new UsageFault(`--only knows ${SUBJECTS.join(', ')}, not "${unknown}"`);
  return new Set(names as Subject[]);
}

/** The operations among the subjects, in the order of the race. */
export function operationsOf({ subjects }: Options): Operation[] {
  return OPERATIONS.filter((operation) => subjects.has(operation));
}
