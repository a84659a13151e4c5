/** What the command lines of all benchmarks share. */
import { resolve } from 'node:path';

/** Thrown for a command line nobody can follow; the message says why. */
export class UsageFault extends Error {}

/** What every race can be told. */
export interface RaceOptions {
  rounds: number;
  /** Seconds of load in one slot. */
  seconds: number;
  /** Standard output holds one line of JSON and nothing else. */
  json: boolean;
  /** A missed target ends the process with 1. */
  check: boolean;
  /** The main file of the service: of this work tree, or of another one to compare with. */
  main: string;
}

/** For `parseArgs`, beside what a race has of its own. */
export const RACE_FLAGS = {
  quick: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  only: { type: 'string' },
  json: { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
  main: { type: 'string' },
} as const;

/** @param main - The service of this work tree. @throws UsageFault */
export function raceOptions(
  values: {
    quick: boolean;
    json: boolean;
    check: boolean;
    rounds?: string | undefined;
    seconds?: string | undefined;
    main?: string | undefined;
  },
  main: string,
): RaceOptions {
  const { quick, json, check } = values;
  return {
    rounds: wholeNumber('rounds', values.rounds ?? (quick ? '1' : '5')),
    seconds: wholeNumber('seconds', values.seconds ?? (quick ? '1' : '3')),
    json,
    check,
    main: resolve(values.main ?? main),
  };
}

/** The names in `--only`; all without one. @throws UsageFault for a name that is none. */
export function chosen<Name extends string>(known: readonly Name[], only: string | undefined): Set<Name> {
  const names = (only?.split(',') ?? known) as readonly Name[];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UsageFault(`--only knows ${known.join(', ')}, not "${unknown}"`);
  return new Set(names);
}

/** @throws UsageFault unless the text is a whole number from 1 to 9999. */
export function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw new UsageFault(`--${option} takes whole numbers from 1 to 9999, not "${text}"`);
  return Number(text);
}
