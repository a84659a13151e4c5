/** The targets, and whether a run reached them. */
import { median, pairedRatio, type Ratio } from '../median.ts';
import { ENDINGS } from './losing.ts';
import type { Lane } from './race.ts';
import { PINO_MODES } from './subjects.ts';

/** Of pino's CPU, by the same lines. */
export const COST_AT_MOST = 0.4;
export const THREADS_COST_AT_MOST = 0.35;

/** How a target came out. */
export interface Outcome {
  title: string;
  /** Ours to theirs, CPU of a line. */
  ratio?: Ratio | undefined;
  lost?: number;
  reached: boolean;
}

/** Holds the lanes of a race against the targets. Those whose loggers did not run have no outcome. */
export function outcomesOf(lanes: readonly Lane[]): Outcome[] {
  const fastest = cheapest(lanes.filter(({ subject }) => PINO_MODES.includes(subject.name)));
  return [
    ...costOutcome(lanes, 'plinth', fastest, COST_AT_MOST),
    ...costOutcome(lanes, 'plinth-threads', laneOf(lanes, 'pino-transports'), THREADS_COST_AT_MOST),
    ...lossOutcome(lanes),
  ];
}

const cpuNs = ({ costs }: Lane): number[] => costs.map((cost) => cost.cpuNs);

/** The lane with the least CPU of a line. */
export function cheapest(lanes: readonly Lane[]): Lane | undefined {
  const ran = lanes.filter(({ costs }) => costs.length > 0);
  return ran.toSorted((a, b) => median(cpuNs(a)) - median(cpuNs(b)))[0];
}

function laneOf(lanes: readonly Lane[], name: string): Lane | undefined {
  return lanes.find(({ subject, costs }) => subject.name === name && costs.length > 0);
}

function costOutcome(lanes: readonly Lane[], name: string, theirs: Lane | undefined, atMost: number): Outcome[] {
  const ours = laneOf(lanes, name);
  if (ours === undefined || theirs === undefined) return [];
  const ratio = pairedRatio({ of: cpuNs(ours), to: cpuNs(theirs) });
  const title = `CPU of a line: ${titleOf(ours)} ≤ ${atMost} × ${titleOf(theirs)}`;
  return [{ title, ratio, reached: ratio !== undefined && ratio.median <= atMost }];
}

/** The name of a lane, with its producers where there are several. */
export function titleOf({ subject: { title, producers } }: Lane): string {
  return producers > 0 ? `${title}, ${producers} threads` : title;
}

function lossOutcome(lanes: readonly Lane[]): Outcome[] {
  return ENDINGS.filter((ending) => ending !== 'SIGKILL').flatMap((ending) => {
    const samples = lanes.filter(({ subject }) => subject.isOurs).flatMap(({ losses }) => losses[ending]);
    if (samples.length === 0) return [];
    const lost = samples.reduce((sum, sample) => sum + sample.lost, 0);
    const strange = samples.filter(({ endedRightly }) => !endedRightly).length;
    const title = `no line of ours lost at ${ending}, in ${samples.length} ends${strange > 0 ? `; ${strange} ended otherwise` : ''}`;
    return [{ title, lost, reached: lost === 0 && strange === 0 }];
  });
}
