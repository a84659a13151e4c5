/** What one opponent did in one case, round by round, and the figures that come of it. */
import { median, medianKnown } from '../median.ts';
import type { Opponent, Sample } from './opponent.ts';
import type { Operation } from './workload.ts';

/** One case for all opponents. */
export interface Case {
  operation: Operation;
  connections: number;
}

/** One opponent in one case. */
export interface Lane extends Case {
  opponent: Opponent;
  /** One a round. */
  samples: Sample[];
}

/** Medians over the rounds. */
export interface LaneFigures {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  cpuMicros: number | undefined;
  foreignShare: number | undefined;
}

export function figuresOf({ samples }: Lane): LaneFigures {
  return {
    perSecond: median(samples.map(({ perSecond }) => perSecond)),
    p50Ms: median(samples.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(samples.map(({ p99Ms }) => p99Ms)),
    cpuMicros: medianKnown(samples.map(cpuMicrosPerOperation)),
    foreignShare: foreignShareOf([{ samples }]),
  };
}

/** CPU of the server for each answer, in microseconds; undefined where the system does not tell. */
export function cpuMicrosPerOperation({ serverMs, requests }: Sample): number | undefined {
  return serverMs === undefined ? undefined : (serverMs * 1_000) / requests;
}

/**
 * How far apart the rounds of the echo lie, which does the same work in each: widest to middle, the median of its cases.
 * What a machine takes away from outside, a neighbour on the same host for one, no process of it sees in any other way.
 */
export function unsteadinessOf(lanes: readonly Lane[]): number | undefined {
  const echoes = lanes.filter(({ opponent, samples }) => opponent.name === 'echo' && samples.length > 1);
  return medianKnown(
    echoes.map(({ samples }) => {
      const speeds = samples.map(({ perSecond }) => perSecond);
      return (Math.max(...speeds) - Math.min(...speeds)) / median(speeds);
    }),
  );
}

/** The share of the machine that others took, over all slots: the median. */
export function foreignShareOf(lanes: readonly Pick<Lane, 'samples'>[]): number | undefined {
  return medianKnown(lanes.flatMap(({ samples }) => samples.map(({ foreignShare }) => foreignShare)));
}
