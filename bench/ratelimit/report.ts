/** Says what a run found: tables for people, one line of JSON for machines. */
import { jsonLine } from '../json-line.ts';
import { medianKnown } from '../median.ts';
import { type RunFacts, reportHead, runRecord } from '../report-head.ts';
import { type Column, figure, markdownTable, ratioText } from '../table.ts';
import { figuresOf, type Lane } from './contest.ts';
import type { Options } from './options.ts';
import { type CostOutcome, costOutcomesOf, type Outcome, outcomesOf } from './targets.ts';
import type { WindowFinding } from './windows.ts';

/** Everything a run found. */
export interface Findings extends RunFacts {
  options: Options;
  lanes: Lane[];
  windows: WindowFinding[];
}

/** The verdicts of a run. */
export interface Judgement {
  foreignShare: number | undefined;
  outcomes: Outcome[];
  costOutcomes: CostOutcome[];
  isAllReached: boolean;
}

/** Holds the findings against all targets. */
export function judge({ lanes, windows }: Findings): Judgement {
  const outcomes = outcomesOf(lanes);
  const costOutcomes = costOutcomesOf(lanes);
  const isAllReached =
    outcomes.every(({ reached, p99Reached }) => reached && p99Reached) &&
    costOutcomes.every(({ reached }) => reached) &&
    windows.every(isKept);
  const foreignShare = medianKnown(lanes.flatMap(({ samples }) => samples.map((sample) => sample.foreignShare)));
  return { foreignShare, outcomes, costOutcomes, isAllReached };
}

function isKept({ ratio, ratioMax }: WindowFinding): boolean {
  return ratioMax === undefined || ratio <= ratioMax;
}

/** The whole report in markdown. */
export function renderReport(findings: Findings, judgement: Judgement): string {
  const { lanes, windows } = findings;
  const hasTargets = judgement.outcomes.length + judgement.costOutcomes.length > 0;
  return [
    ...reportHead(findings, { service: 'ratelimit', foreignShare: judgement.foreignShare, decides: 'cost decides' }),
    ...(lanes.length > 0 ? [figuresTable(lanes)] : []),
    ...(hasTargets ? [targetsTable(judgement)] : []),
    ...(windows.length > 0 ? [windowsTable(windows)] : []),
  ].join('\n\n');
}

const FIGURE_COLUMNS: Column[] = [
  { head: 'row' },
  { head: 'work' },
  { head: 'limiter' },
  { head: 'cost', align: 'right' },
  { head: 'of' },
  { head: 'decisions/s', align: 'right' },
  { head: 'p50 ms', align: 'right' },
  { head: 'p99 ms', align: 'right' },
  { head: 'others’ CPU %', align: 'right' },
];

function figuresTable(lanes: readonly Lane[]): string {
  return markdownTable(FIGURE_COLUMNS, lanes.map(figuresRow));
}

function figuresRow(lane: Lane): string[] {
  const { contest, contender } = lane;
  const { cost, perSecond, p50Ms, p99Ms, foreignShare } = figuresOf(lane);
  const foreign = foreignShare === undefined ? undefined : Math.round(foreignShare * 100);
  const rest = [perSecond, p50Ms, p99Ms, foreign].map(figure);
  return [contest.row, contest.title, contender.title, figure(cost), contest.cost, ...rest];
}

function targetsTable({ outcomes, costOutcomes }: Judgement): string {
  const columns: Column[] = [
    { head: 'row' },
    { head: 'target' },
    { head: '**by cost**' },
    { head: 'by decisions/s' },
    { head: 'p99, ours to theirs' },
    { head: 'verdict' },
  ];
  return markdownTable(columns, [...outcomes.map(targetRow), ...costOutcomes.map(costRow)]);
}

function targetRow({ target, title, cost, wall, p99, reached, p99Reached }: Outcome): string[] {
  const { row, against, ratioMin } = target;
  const verdict = [reached ? 'reached' : 'MISSED', ...(p99Reached ? [] : ['p99 WORSE'])].join(', ');
  return [row, `${title}: ≥ ${ratioMin} × ${against}`, ...[cost, wall, p99].map(ratioText), verdict];
}

function costRow({ target, title, cost, reached }: CostOutcome): string[] {
  const wanted = `${title}: ≤ ${target.costMax} µs of CPU, nats-server included`;
  return [target.row, wanted, `${figure(cost)} µs`, '–', '–', reached ? 'reached' : 'MISSED'];
}

function windowsTable(windows: readonly WindowFinding[]): string {
  const columns: Column[] = [
    { head: 'limiter' },
    { head: 'found by' },
    { head: 'most in any 1 s', align: 'right' },
    { head: 'of a limit of', align: 'right' },
    { head: 'ratio', align: 'right' },
    { head: 'verdict' },
  ];
  const rows = windows.map((finding) => {
    const { title, how, admittedMax, limit, ratio, ratioMax } = finding;
    const verdict = ratioMax === undefined ? '–' : isKept(finding) ? `kept, ≤ ${ratioMax}` : 'BROKEN';
    return [title, how, figure(admittedMax), figure(limit), `${ratio.toFixed(2)} ×`, verdict];
  });
  return markdownTable(columns, rows);
}

/** The run as one line of JSON. Ratios of cost are theirs to ours, of decisions/s ours to theirs. */
export function renderJson(findings: Findings, judgement: Judgement): string {
  const { lanes, windows } = findings;
  return jsonLine({
    ...runRecord('ratelimit', findings),
    opponents: [...new Set(lanes.map(({ contender }) => contender.title))],
    ...judgement,
    figures: lanes.map((lane) => ({
      row: lane.contest.row,
      work: lane.contest.name,
      limiter: lane.contender.name,
      unit: lane.contest.cost,
      ...figuresOf(lane),
    })),
    windows,
  });
}
