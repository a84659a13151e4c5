/** Says what a run found: a table for each setting, the verdicts, and one line of JSON. */
import { jsonLine } from '../json-line.ts';
import { median } from '../median.ts';
import { type RunFacts, reportHead, runRecord } from '../report-head.ts';
import { type Column, figure, markdownTable, ratioText } from '../table.ts';
import { type Lane, laneOf, type Outcome, type Sample, SETTINGS, type Setting } from './pool-race.ts';

export interface Findings extends RunFacts {
  foreignShare: number | undefined;
  lanes: Lane[];
  outcomes: Outcome[];
}

/** The whole report in markdown. */
export function renderReport(findings: Findings): string {
  const more = [
    'CPU ns: of all threads, for a buffer taken and given back or forgotten, without the loop’s own',
    'pauses: of the garbage collector, in a million calls, or as many as hand out 2 GiB',
  ];
  return [
    ...reportHead(findings, {
      service: 'buffer-pool',
      foreignShare: findings.foreignShare,
      decides: 'CPU decides',
      more,
    }),
    ...SETTINGS.map((setting) => table(findings.lanes, setting)),
    ...(findings.outcomes.length > 0 ? [targetsTable(findings.outcomes)] : []),
  ].join('\n\n');
}

const number = (head: string): Column => ({ head, align: 'right' });
const middle = ({ samples }: Lane, name: keyof Sample): number => median(samples.map((one) => one[name]));

function table(lanes: readonly Lane[], setting: Setting): string {
  const columns = [
    number('bytes'),
    { head: setting },
    ...['CPU ns', 'GB/s', 'pauses', 'sum ms', 'p99.9 ms', 'max ms', 'RSS MB'].map(number),
  ];
  const rows = lanes.filter((lane) => lane.setting === setting && lane.subject !== 'nothing');
  return markdownTable(
    columns,
    rows.map((lane) => {
      const costNs = costOf(lanes, lane);
      const rest = (['pauses', 'pauseMsSum', 'pauseMsP999', 'pauseMsMax', 'rssMb'] as const).map((name) =>
        figure(middle(lane, name)),
      );
      return [String(lane.bytes), lane.subject, figure(costNs), figure(lane.bytes / costNs), ...rest];
    }),
  );
}

/** A tenth of a nanosecond is what a loop varies by itself. */
function costOf(lanes: readonly Lane[], lane: Lane): number {
  const loop = laneOf(lanes, lane, 'nothing');
  return Math.max(0.1, middle(lane, 'ns') - (loop === undefined ? 0 : middle(loop, 'ns')));
}

function targetsTable(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ title, ratio, reached }) => [title, ratioText(ratio), reached ? 'reached' : 'MISSED']);
  return markdownTable([{ head: 'target' }, { head: 'found' }, { head: 'verdict' }], rows);
}

export function renderJson({ lanes, outcomes, foreignShare, ...facts }: Findings): string {
  return jsonLine({
    ...runRecord('buffer-pool', facts),
    foreignShare,
    isAllReached: outcomes.every(({ reached }) => reached),
    outcomes,
    figures: lanes.map((lane) => ({
      bytes: lane.bytes,
      setting: lane.setting,
      subject: lane.subject,
      nsWithLoop: middle(lane, 'ns'),
      ns: costOf(lanes, lane),
      pauses: middle(lane, 'pauses'),
      pauseMsP999: middle(lane, 'pauseMsP999'),
      rssMb: middle(lane, 'rssMb'),
    })),
  });
}
