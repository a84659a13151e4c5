/** Says what a run found: tables for people, one line of JSON for machines. */
import { jsonLine } from '../json-line.ts';
import { medianKnown } from '../median.ts';
import { type RunFacts, reportHead, runRecord } from '../report-head.ts';
import { type Column, figure, markdownTable, ratioText } from '../table.ts';
import { figuresOf, type Lane } from './contest.ts';
import type { Options } from './options.ts';
import type { RecoveryFinding } from './recovery.ts';
import { APPEND_FSYNC } from './redis.ts';
import { type Bound, type Outcome, outcomesOf, RECOVERY_AT_MOST, type Yardstick, yardstickFor } from './targets.ts';
import { PAYLOAD_BYTES } from './workload.ts';

/** Everything a run found. */
export interface Findings extends RunFacts {
  options: Options;
  lanes: Lane[];
  recovery: RecoveryFinding | undefined;
}

/** The verdicts of a run. */
export interface Judgement {
  foreignShare: number | undefined;
  yardstick: Yardstick;
  outcomes: Outcome[];
  isAllReached: boolean;
}

/** Holds the findings against all targets. */
export function judge({ lanes, recovery }: Findings): Judgement {
  const foreignShare = medianKnown(lanes.flatMap(({ samples }) => samples.map((sample) => sample.foreignShare)));
  const yardstick = yardstickFor(foreignShare);
  const outcomes = outcomesOf(lanes, yardstick);
  const isAllReached = outcomes.every(({ reached }) => reached) && (recovery?.reached ?? true);
  return { foreignShare, yardstick, outcomes, isAllReached };
}

/** The whole report in markdown. */
export function renderReport(findings: Findings, judgement: Judgement): string {
  const { lanes, recovery } = findings;
  const { foreignShare, yardstick } = judgement;
  const decides = yardstick === 'cpu' ? 'noisy machine: CPU per job decides' : 'wall-clock time decides';
  const more = [`payload of ${PAYLOAD_BYTES} bytes; each has a Redis of its own with \`appendfsync ${APPEND_FSYNC}\``];
  return [
    ...reportHead(findings, { service: 'queue', foreignShare, decides, more }),
    ...(lanes.length > 0 ? [figuresTable(lanes)] : []),
    ...(judgement.outcomes.length > 0 ? [targetsTable(judgement)] : []),
    ...(recovery === undefined ? [] : [recoveryTable(recovery)]),
  ].join('\n\n');
}

const FIGURE_COLUMNS: Column[] = [
  { head: 'row' },
  { head: 'work' },
  { head: 'queue' },
  { head: 'jobs/s', align: 'right' },
  { head: 'CPU µs/job', align: 'right' },
  { head: 'CPU of' },
  { head: 'p50 ms', align: 'right' },
  { head: 'p99 ms', align: 'right' },
  { head: 'bytes/job', align: 'right' },
  { head: 'others’ CPU %', align: 'right' },
];

function figuresTable(lanes: readonly Lane[]): string {
  return markdownTable(FIGURE_COLUMNS, lanes.map(figuresRow));
}

function figuresRow(lane: Lane): string[] {
  const { contest, contender } = lane;
  const { perSecond, cpuMicros, p50Ms, p99Ms, bytesPerJob, foreignShare } = figuresOf(lane);
  const foreign = foreignShare === undefined ? undefined : Math.round(foreignShare * 100);
  return [
    contest.row,
    contest.title,
    contender.title,
    figure(perSecond),
    figure(cpuMicros),
    cpuMicros === undefined ? '–' : contender.cpuOf,
    ...[p50Ms, p99Ms, bytesPerJob, foreign].map(figure),
  ];
}

function targetsTable({ outcomes, yardstick }: Judgement): string {
  const columns: Column[] = [
    { head: 'row' },
    { head: 'target' },
    { head: yardstick === 'wall' ? '**by jobs/s**' : 'by jobs/s, ms or bytes' },
    { head: yardstick === 'cpu' ? '**by CPU/job**' : 'by CPU/job' },
    { head: 'verdict' },
  ];
  const rows = outcomes.map(({ target, title, wall, cpu, reached }) => {
    const { row, ours, against, bound } = target;
    const wanted = `${title}: ${ours} ${boundText(bound)} ${against}`;
    return [row, wanted, ratioText(wall), ratioText(cpu), verdict(reached)];
  });
  return markdownTable(columns, rows);
}

function boundText(bound: Bound): string {
  return 'atLeast' in bound ? `≥ ${bound.atLeast} ×` : `≤ ${bound.atMost} ×`;
}

function verdict(reached: boolean): string {
  return reached ? 'reached' : 'MISSED';
}

function recoveryTable({ recoveries, ratio, isMeasured, reached }: RecoveryFinding): string {
  const columns: Column[] = [
    { head: 'recovery after SIGKILL of a worker, defaults' },
    { head: 'at the most, by configuration', align: 'right' },
    { head: 'measured' },
  ];
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  const rows = recoveries.map(({ title, boundMs, tookMs }) => {
    const measured = tookMs.toSorted((a, b) => a - b).map(seconds);
    return [title, seconds(boundMs), measured.length === 0 ? 'with --long' : measured.join(', ')];
  });
  const of = isMeasured ? 'medians' : 'configured bounds';
  const said = `B7: plinth ≤ ${RECOVERY_AT_MOST} × bullmq, by ${of}: ${figure(ratio)} ×: ${verdict(reached)}`;
  return `${markdownTable(columns, rows)}\n\n${said}`;
}

/** The run as one line of JSON. Ratios by CPU are theirs to ours, all others ours to theirs. */
export function renderJson(findings: Findings, judgement: Judgement): string {
  const { lanes, recovery } = findings;
  return jsonLine({
    ...runRecord('queue', findings),
    appendFsync: APPEND_FSYNC,
    opponents: [...new Set(lanes.map(({ contender }) => contender.title))],
    ...judgement,
    figures: lanes.map((lane) => ({
      row: lane.contest.row,
      work: lane.contest.name,
      queue: lane.contender.name,
      cpuOf: lane.contender.cpuOf,
      ...figuresOf(lane),
    })),
    recovery,
  });
}
