/** The targets, and whether a run reached them. */
import { pairedRatio, type Ratio } from '../median.ts';
import { cpuMicrosOf, type Lane, type Row } from './contest.ts';

/** How ours compares with another: `atLeast` so many times its speed, or `atMost` so many times its time or memory. */
export type Bound = { atLeast: number } | { atMost: number };

export interface Target {
  row: Row;
  contest: string;
  ours: string;
  against: string;
  bound: Bound;
}

const target = (row: Row, contest: string, against: string, bound: Bound, ours = 'plinth'): Target => ({
  row,
  contest,
  ours,
  against,
  bound,
});

export const TARGETS: readonly Target[] = [
  target('B1', 'process', 'bullmq', { atLeast: 5 }),
  target('B1', 'process', 'asynq', { atLeast: 4 }),
  target('B1', 'process', 'bullmq', { atLeast: 5 }, 'plinth-nats'),
  target('B1', 'process', 'asynq', { atLeast: 4 }, 'plinth-nats'),
  target('B2', 'singles', 'bullmq', { atLeast: 1 }),
  target('B3', 'arrays', 'bullmq', { atLeast: 5 }),
  target('B4', 'standard', 'bullmq', { atLeast: 0.9 }),
  target('B5', 'latency', 'bullmq', { atMost: 1.5 }),
  target('B5', 'latency', 'bullmq', { atMost: 1.5 }, 'plinth-nats'),
  target('B6', 'memory', 'bullmq', { atMost: 0.4 }),
  target('B8', 'bare', 'bare', { atLeast: 0.5 }),
];

/** Recovery is no race: it takes a minute, and has a target of its own. */
export const RECOVERY_AT_MOST = 0.6;

/** What decides a race of speed. */
export type Yardstick = 'wall' | 'cpu';

/** Above this the machine is noisy, and the wall clock says as much of the others as of us. */
const FOREIGN_SHARE_MAX = 0.1;

/** An unknown share is that of a machine that tells neither: there, only the wall clock is left. */
export function yardstickFor(foreignShare: number | undefined): Yardstick {
  return foreignShare !== undefined && foreignShare > FOREIGN_SHARE_MAX ? 'cpu' : 'wall';
}

/** How a target came out. */
export interface Outcome {
  target: Target;
  title: string;
  /** Ours to theirs: jobs a second, or the middle of the latencies, or bytes. */
  wall: Ratio | undefined;
  /** Theirs to ours, of a job; of latency and memory there is none. */
  cpu: Ratio | undefined;
  reached: boolean;
}

/** Holds the lanes of a race against the targets. Targets whose contest was not run have no outcome. */
export function outcomesOf(lanes: readonly Lane[], yardstick: Yardstick): Outcome[] {
  return TARGETS.flatMap((one) => {
    const ours = laneOf(lanes, one.contest, one.ours);
    const theirs = laneOf(lanes, one.contest, one.against);
    return ours === undefined || theirs === undefined ? [] : [outcomeOf(one, { ours, theirs }, yardstick)];
  });
}

function outcomeOf(one: Target, { ours, theirs }: { ours: Lane; theirs: Lane }, yardstick: Yardstick): Outcome {
  const { measure, title } = ours.contest;
  const figure = ({ samples }: Lane) =>
    samples.map(
      ({ perSecond, p50Ms, bytesPerJob }) => ({ speed: perSecond, latency: p50Ms, memory: bytesPerJob })[measure],
    );
  const wall = pairedRatio({ of: figure(ours), to: figure(theirs) });
  const cpu =
    measure === 'speed'
      ? pairedRatio({ of: theirs.samples.map(cpuMicrosOf), to: ours.samples.map(cpuMicrosOf) })
      : undefined;
  const decisive = measure === 'speed' && yardstick === 'cpu' ? cpu : wall;
  return { target: one, title, wall, cpu, reached: decisive !== undefined && isWithin(decisive.median, one.bound) };
}

export function isWithin(ratio: number, bound: Bound): boolean {
  return 'atLeast' in bound ? ratio >= bound.atLeast : ratio <= bound.atMost;
}

function laneOf(lanes: readonly Lane[], contest: string, name: string): Lane | undefined {
  return lanes.find((lane) => lane.contest.name === contest && lane.contender.name === name);
}
