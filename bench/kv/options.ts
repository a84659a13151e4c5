/** The command line of `npm run bench -- kv`. */
import { parseArgs } from 'node:util';
import { chosen, RACE_FLAGS, type RaceOptions, raceOptions, wholeNumber } from '../options.ts';
import { SERVICE_MAIN } from './plinth.ts';
import { OPERATIONS, type Operation } from './workload.ts';

/** Everything that can be measured: the operations of the race, and two measurements of memory. */
export const SUBJECTS = [...OPERATIONS, 'idle', 'list-memory'] as const;
export type Subject = (typeof SUBJECTS)[number];

/** What to measure and how long. */
export interface Options extends RaceOptions {
  connections: number[];
  subjects: Set<Subject>;
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
  const options = { ...RACE_FLAGS, connections: { type: 'string', default: '1,64,256' } } as const;
  const { values } = parseArgs({ args, options });
  const subjects = chosen(SUBJECTS, values.only);
  if (values.quick && values.only === undefined) subjects.delete('list-memory');
  const connections = values.connections.split(',').map((count) => wholeNumber('connections', count));
  return { ...raceOptions(values, SERVICE_MAIN), connections, subjects };
}

/** The operations among the subjects, in the order of the race. */
export function operationsOf({ subjects }: Options): Operation[] {
  return OPERATIONS.filter((operation) => subjects.has(operation));
}
