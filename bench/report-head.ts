/** How every report of contests begins. */
import type { Absence } from './arena.ts';
import type { Machine } from './machine.ts';
import type { RaceOptions } from './options.ts';

export interface RunFacts {
  machine: Machine;
  commit: string;
  options: Pick<RaceOptions, 'rounds' | 'seconds'>;
  absent: readonly Absence[];
}

/** How people should read the figures of a run. */
export interface HowToRead {
  service: string;
  /** CPU that others took meanwhile, 0 to 1. */
  foreignShare: number | undefined;
  /** What verdicts go by: `cost decides`. */
  decides: string;
  /** More lines. */
  more?: readonly string[];
}

/** Machine, commit and rounds in markdown, and who could not take part: paragraphs. */
export function reportHead({ machine, commit, options, absent }: RunFacts, how: HowToRead): string[] {
  const { cpu, cores, memoryGiB, kernel, node } = machine;
  const others = how.foreignShare === undefined ? 'unknown' : `${Math.round(how.foreignShare * 100)} %`;
  const { rounds, seconds } = options;
  const lines = [
    `${cores} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}`,
    `${rounds} rounds of ${seconds} s, medians; CPU taken by others meanwhile: ${others}; ${how.decides}`,
    ...(how.more ?? []),
  ];
  return [
    `# ${how.service}, commit ${commit}\n\n${lines.map((line) => `- ${line}`).join('\n')}`,
    ...absent.map(({ name, reason }) => `**${name} took no part**: ${reason}`),
  ];
}

/** The same for machines. */
export function runRecord(bench: string, { machine, commit, options, absent }: RunFacts) {
  const { rounds, seconds } = options;
  return { bench, at: new Date().toISOString(), commit, machine, absent, rounds, seconds };
}
