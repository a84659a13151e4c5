/** Says what a run found: tables for people, one line of JSON for machines. */
import { jsonLine } from '../json-line.ts';
import { median, medianKnown } from '../median.ts';
import { type RunFacts, reportHead, runRecord } from '../report-head.ts';
import { type Column, figure, markdownTable, ratioText } from '../table.ts';
import { ENDINGS } from './losing.ts';
import type { Options } from './options.ts';
import type { CostSample, LossSample } from './processes.ts';
import type { Lane } from './race.ts';
import { cpuNsOf, type ServedLane } from './served.ts';
import type { Outcome } from './targets.ts';

/** Everything a run found. */
export interface Findings extends RunFacts {
  options: Options;
  lanes: Lane[];
  served: ServedLane[];
  /** Of the opponents, for whoever reads the line of JSON later. */
  versions: Record<string, string>;
}

/** The whole report in markdown. */
export function renderReport(findings: Findings, outcomes: readonly Outcome[]): string {
  const { lanes, served, versions } = findings;
  const samples = [...lanes.flatMap(({ costs }) => costs), ...served.flatMap((lane) => lane.samples)];
  const foreignShare = medianKnown(samples.map((sample) => sample.foreignShare));
  const bytes = medianKnown(lanes.flatMap(({ costs }) => costs.map((cost) => cost.bytesPerLine)));
  const peers = Object.entries(versions).map((one) => one.join(' '));
  const more = [`${figure(bytes)} bytes a line to a file on the same disk; ${peers.join(', ')}`];
  return [
    ...reportHead(findings, { service: 'file-logger', foreignShare, decides: 'CPU of a line decides', more }),
    ...(lanes.length > 0 ? [costTable(lanes)] : []),
    ...(served.length > 0 ? [servedTable(served)] : []),
    ...(lanes.some(({ losses }) => losses.SIGKILL.length > 0) ? [lossTable(lanes)] : []),
    ...(outcomes.length > 0 ? [targetsTable(outcomes)] : []),
  ].join('\n\n');
}

const number = (head: string): Column => ({ head, align: 'right' });

const WHO: Column[] = [{ head: 'logger' }, { head: 'logging threads' }, { head: 'writing threads' }];

const who = ({ subject: { title, producers, writer } }: Lane): string[] => [
  title,
  producers === 0 ? 'main' : String(producers),
  writer === 'none' ? '–' : writer,
];

/** What is told of costs, by its name in JSON and its head in the table. */
const COSTS: [name: keyof CostSample, head: string, scale: number][] = [
  ['cpuNs', 'CPU ns/line', 1],
  ['callNs', 'ns/call', 1],
  ['callerCpuNs', 'caller’s CPU ns/call', 1],
  ['perSecond', 'lines/s', 1],
  ['p50Ns', 'p50 µs', 1e-3],
  ['p99Ns', 'p99 µs', 1e-3],
  ['p9999Ns', 'p99.99 µs', 1e-3],
  ['rssBytes', 'peak RSS MB', 1e-6],
];

function costTable(lanes: readonly Lane[]): string {
  const rows = lanes.map((lane) => [
    ...who(lane),
    ...COSTS.map(([name, , scale]) => figure(median(lane.costs.map((cost) => cost[name]!)) * scale)),
  ]);
  return markdownTable([...WHO, ...COSTS.map(([, head]) => number(head))], rows);
}

/** A service's `get` by 64 connections; what the log adds is taken round by round. */
function servedTable(served: readonly ServedLane[]): string {
  const columns = [
    { head: 'log of a service' },
    number('requests/s'),
    number('CPU ns/request'),
    number('CPU ns of it for the log'),
    number('p99 ms'),
  ];
  const rows = served.map((lane) => [
    lane.subject.title,
    figure(median(lane.samples.map(({ perSecond }) => perSecond))),
    figure(medianKnown(lane.samples.map(cpuNsOf))),
    lane === served[0] ? '–' : figure(medianKnown(logNsOf(lane, served[0]!))),
    figure(median(lane.samples.map(({ p99Ms }) => p99Ms))),
  ]);
  return markdownTable(columns, rows);
}

/** What a request of it costs more than one of the service that logs nothing. */
function logNsOf(lane: ServedLane, quiet: ServedLane): (number | undefined)[] {
  return lane.samples.map((sample, round) => {
    const [loud, silent] = [cpuNsOf(sample), cpuNsOf(quiet.samples[round]!)];
    return loud === undefined || silent === undefined ? undefined : loud - silent;
  });
}

/** The middle, the worst, and how many lines there had been. */
function lossText(samples: readonly LossSample[]): string {
  if (samples.length === 0) return '–';
  const lost = samples.map((sample) => sample.lost);
  const most = Math.max(...lost);
  const strange = samples.some(({ endedRightly }) => !endedRightly) ? ' *' : '';
  const called = figure(median(samples.map((sample) => sample.called)));
  return `${most === 0 ? '0' : `${figure(median(lost))}, at most ${figure(most)},`} of ${called}${strange}`;
}

function lossTable(lanes: readonly Lane[]): string {
  const columns = [...WHO, ...ENDINGS.map((ending) => number(`lost at ${ending}`))];
  const table = markdownTable(
    columns,
    lanes.map((lane) => [...who(lane), ...ENDINGS.map((ending) => lossText(lane.losses[ending]))]),
  );
  const isStrange = lanes.some(({ losses }) =>
    Object.values(losses).some((all) => all.some((one) => !one.endedRightly)),
  );
  return isStrange ? `${table}\n\n\\* the process did not end with the code or the signal that it was told to` : table;
}

function targetsTable(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ title, ratio, lost, reached }) => [
    title,
    lost === undefined ? ratioText(ratio) : figure(lost),
    reached ? 'reached' : 'MISSED',
  ]);
  return markdownTable([{ head: 'target' }, { head: 'found' }, { head: 'verdict' }], rows);
}

/** The run as one line of JSON: medians of costs, sums of losses. */
export function renderJson(findings: Findings, outcomes: readonly Outcome[]): string {
  const { lanes, served, versions } = findings;
  const sumOf = (samples: readonly LossSample[]) => ({
    called: samples.reduce((sum, { called }) => sum + called, 0),
    lost: samples.reduce((sum, { lost }) => sum + lost, 0),
    most: Math.max(0, ...samples.map(({ lost }) => lost)),
  });
  return jsonLine({
    ...runRecord('file-logger', findings),
    opponents: versions,
    isAllReached: outcomes.every(({ reached }) => reached),
    outcomes,
    served: served.map((lane) => ({
      name: lane.subject.name,
      perSecond: median(lane.samples.map(({ perSecond }) => perSecond)),
      cpuNs: medianKnown(lane.samples.map(cpuNsOf)),
      logNs: medianKnown(logNsOf(lane, served[0]!)),
    })),
    figures: lanes.map(({ subject, costs, losses }) => ({
      name: subject.name,
      producers: subject.producers,
      ...Object.fromEntries(COSTS.map(([name]) => [name, medianKnown(costs.map((cost) => cost[name]))])),
      losses: Object.fromEntries(ENDINGS.map((ending) => [ending, sumOf(losses[ending])])),
    })),
  });
}
