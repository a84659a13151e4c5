/** The targets, and whether a run reached them. */
import { pairedRatio, type Ratio } from '../median.ts';
import { costOf, figuresOf, type Lane, type Row } from './contest.ts';

/** What they spend on one decision or key, over what we spend: at least so much. */
export interface RaceTarget {
  row: Row;
  contest: string;
  against: string;
  ratioMin: number;
  /** Our 99th percentile may not be worse than theirs. */
  comparesP99: boolean;
}

const target = (row: Row, contest: string, against: string, ratioMin: number, comparesP99 = false): RaceTarget => ({
  row,
  contest,
  against,
  ratioMin,
  comparesP99,
});

export const RACE_TARGETS: readonly RaceTarget[] = [
  target('A1', 'library', 'rate-limiter-flexible', 5),
  target('A1', 'library', 'express-rate-limit', 3),
  target('A2', 'memory', 'express-rate-limit', 2),
  target('A3', 'resp-16', 'throttlecrab', 2),
  target('A3', 'resp-64', 'throttlecrab', 3),
  target('A4', 'resp-1', 'throttlecrab', 0.8),
  target('A5', 'batch-32', 'gubernator', 5),
  // A JSON request costs Node more than it costs Rust: this is said, not hidden, and batches are for those who mind.
  target('A6', 'http-1', 'throttlecrab', 0.45),
  target('A7', 'rls-1', 'envoy', 2, true),
  target('A8', 'rls-4', 'envoy', 2),
  target('A9', 'grpc-1', 'gubernator', 1.8),
  target('A11', 'redis-exact', 'rate-limiter-flexible', 0.85),
  target('A12', 'redis-leases', 'rate-limiter-flexible', 10),
];

/** Ours alone: at most so much. */
export interface CostTarget {
  row: Row;
  contest: string;
  costMax: number;
}

export const COST_TARGETS: readonly CostTarget[] = [
  { row: 'A10', contest: 'nats-1', costMax: 35 },
  { row: 'A10', contest: 'nats-32', costMax: 5 },
];

/** How a target came out. */
export interface Outcome {
  target: RaceTarget;
  title: string;
  /** Theirs to ours. Undefined where the system does not tell. */
  cost: Ratio | undefined;
  /** Ours to theirs in decisions per second; of memory there is none. */
  wall: Ratio | undefined;
  /** Ours to theirs: 1 or less is no worse. */
  p99: Ratio | undefined;
  reached: boolean;
  p99Reached: boolean;
}

/** How an upper limit of ours came out. */
export interface CostOutcome {
  target: CostTarget;
  title: string;
  cost: number | undefined;
  reached: boolean;
}

/** Holds the lanes of a race against the targets. Targets whose contest was not run have no outcome. */
export function outcomesOf(lanes: readonly Lane[]): Outcome[] {
  return RACE_TARGETS.flatMap((one) => {
    const ours = laneOf(lanes, one.contest, 'plinth');
    const theirs = laneOf(lanes, one.contest, one.against);
    return ours === undefined || theirs === undefined ? [] : [outcomeOf(one, ours, theirs)];
  });
}

function outcomeOf(one: RaceTarget, ours: Lane, theirs: Lane): Outcome {
  const { contest } = ours;
  const cost = pairedRatio({
    of: theirs.samples.map((sample) => costOf(contest, sample)),
    to: ours.samples.map((sample) => costOf(contest, sample)),
  });
  const compare = (figure: 'perSecond' | 'p99Ms') =>
    pairedRatio({
      of: ours.samples.map((sample) => sample[figure]),
      to: theirs.samples.map((sample) => sample[figure]),
    });
  const p99 = compare('p99Ms');
  return {
    target: one,
    title: contest.title,
    cost,
    wall: contest.cost === 'bytes/key' ? undefined : compare('perSecond'),
    p99,
    reached: cost !== undefined && cost.median >= one.ratioMin,
    p99Reached: !one.comparesP99 || (p99 !== undefined && p99.median <= 1),
  };
}

export function costOutcomesOf(lanes: readonly Lane[]): CostOutcome[] {
  return COST_TARGETS.flatMap((one) => {
    const ours = laneOf(lanes, one.contest, 'plinth');
    if (ours === undefined) return [];
    const { cost } = figuresOf(ours);
    return [{ target: one, title: ours.contest.title, cost, reached: cost !== undefined && cost <= one.costMax }];
  });
}

function laneOf(lanes: readonly Lane[], contest: string, name: string): Lane | undefined {
  return lanes.find((lane) => lane.contest.name === contest && lane.contender.name === name);
}
