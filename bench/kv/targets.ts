/** The owner's targets, and whether a run reached them. */
import { pairedRatio, type Ratio } from '../median.ts';
import { cpuMicrosPerOperation, type Lane } from './lane.ts';
import type { Sample } from './opponent.ts';
import type { Operation } from './workload.ts';

/** Operations per second of ours against theirs: at least `ratioMin` times as many. */
export interface RaceTarget {
  operation: Operation;
  /** All connection counts when omitted. */
  connections?: number[];
  against: string;
  ratioMin: number;
  /** What we would like. */
  aim?: number;
  /** Our 99th percentile may not be worse than theirs. */
  comparesP99: boolean;
}

export const RACE_TARGETS: readonly RaceTarget[] = [
  { operation: 'put', connections: [1], against: 'etcd', ratioMin: 1.5, comparesP99: true },
  { operation: 'put', connections: [64, 256], against: 'etcd', ratioMin: 3, aim: 5, comparesP99: true },
  { operation: 'get', against: 'etcd', ratioMin: 5, comparesP99: true },
  { operation: 'page', against: 'etcd', ratioMin: 5, comparesP99: true },
  { operation: 'page-keys', against: 'etcd', ratioMin: 5, comparesP99: true },
  { operation: 'get', against: 'echo', ratioMin: 0.6, comparesP99: false },
];

/** Megabytes are 1,000,000 bytes here: the strict reading. */
export const LIMITS = { idleRssBytesMax: 90e6, listGrowthBytesMax: 64e6 } as const;

/** Others' share of the machine above which CPU per operation is the figure that counts, not wall-clock time. */
const QUIET_SHARE_MAX = 0.1;
/** The same for how far apart the rounds of the echo lie. */
const STEADY_SPREAD_MAX = 0.2;

/** How a target came out at one connection count. */
export interface Outcome {
  target: RaceTarget;
  connections: number;
  /** Ours to theirs in operations per second. */
  wall: Ratio;
  /** Theirs to ours in CPU per operation: how many of our operations one of theirs pays for. */
  cpu: Ratio | undefined;
  /** Ours to theirs: 1 or less is no worse. */
  p99: Ratio;
  reached: boolean;
  p99Reached: boolean;
}

/** Which of the two ratios decides. */
export type Yardstick = 'wall' | 'cpu';

/** What the machine did besides: others' share of it, and how far apart the rounds of the echo lie. */
export interface Noise {
  foreignShare: number | undefined;
  unsteadiness: number | undefined;
}

/** CPU per operation where the machine is noisy, wall-clock time where it is quiet. */
export function yardstickFor({ foreignShare = 0, unsteadiness = 0 }: Noise): Yardstick {
  return foreignShare > QUIET_SHARE_MAX || unsteadiness > STEADY_SPREAD_MAX ? 'cpu' : 'wall';
}

/** True for a lane that is shown and compared with nothing. */
export function isReference({ opponent, operation }: Lane): boolean {
  if (opponent.name === 'plinth') return false;
  return !RACE_TARGETS.some((target) => target.against === opponent.name && target.operation === operation);
}

/** Holds the lanes of a race against the targets. Targets whose opponent did not run have no outcome. */
export function outcomesOf(lanes: readonly Lane[], yardstick: Yardstick): Outcome[] {
  return lanes
    .filter(({ opponent }) => opponent.name === 'plinth')
    .flatMap((ours) => RACE_TARGETS.flatMap((target) => outcome({ ours, target, lanes, yardstick }) ?? []));
}

function outcome(match: {
  ours: Lane;
  target: RaceTarget;
  lanes: readonly Lane[];
  yardstick: Yardstick;
}): Outcome | undefined {
  const { ours, target, lanes, yardstick } = match;
  const { operation, connections } = ours;
  if (target.operation !== operation || !(target.connections?.includes(connections) ?? true)) return undefined;
  const theirs = lanes.find(
    (lane) => lane.opponent.name === target.against && lane.operation === operation && lane.connections === connections,
  );
  if (theirs === undefined) return undefined;
  const wall = compare({ of: ours, to: theirs }, ({ perSecond }) => perSecond)!;
  const cpu = compare({ of: theirs, to: ours }, cpuMicrosPerOperation);
  const p99 = compare({ of: ours, to: theirs }, ({ p99Ms }) => p99Ms)!;
  const decisive = yardstick === 'cpu' && cpu !== undefined ? cpu : wall;
  const reached = decisive.median >= target.ratioMin;
  return { target, connections, wall, cpu, p99, reached, p99Reached: !target.comparesP99 || p99.median <= 1 };
}

function compare(pair: { of: Lane; to: Lane }, figureOf: (sample: Sample) => number | undefined): Ratio | undefined {
  return pairedRatio({ of: pair.of.samples.map(figureOf), to: pair.to.samples.map(figureOf) });
}
