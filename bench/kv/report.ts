/** Says what a run found: tables for people, one line of JSON for machines. */
import { jsonLine } from '../json-line.ts';
import type { Machine } from '../machine.ts';
import { type Column, figure, markdownTable, ratioText } from '../table.ts';
import type { Idle } from './idle.ts';
import { figuresOf, foreignShareOf, type Lane, unsteadinessOf } from './lane.ts';
import type { ListMemory } from './list-memory.ts';
import type { Options } from './options.ts';
import { LIMITS, type Noise, type Outcome, outcomesOf, type Yardstick, yardstickFor } from './targets.ts';
import { OPERATION_TEXT } from './workload.ts';

/** Everything a run found. */
export interface Findings {
  machine: Machine;
  commit: string;
  options: Options;
  lanes: Lane[];
  idle: Idle | undefined;
  listMemory: ListMemory | undefined;
  /** Opponents that could not take part, and why. */
  absent: { name: string; reason: string }[];
}

/** A measured figure with an upper limit. */
interface MemoryVerdict {
  what: string;
  limitBytes: number;
  bytes: number;
  detail: string;
}

/** The verdicts of a run. */
export interface Judgement extends Noise {
  yardstick: Yardstick;
  outcomes: Outcome[];
  memory: MemoryVerdict[];
  isAllReached: boolean;
}

/** Holds the findings against all targets. */
export function judge({ lanes, idle, listMemory }: Findings): Judgement {
  const noise = { foreignShare: foreignShareOf(lanes), unsteadiness: unsteadinessOf(lanes) };
  const yardstick = yardstickFor(noise);
  const outcomes = outcomesOf(lanes, yardstick);
  const memory = [...idleVerdict(idle), ...listVerdict(listMemory)];
  const isAllReached =
    outcomes.every(({ reached, p99Reached }) => reached && p99Reached) &&
    memory.every(({ bytes, limitBytes }) => bytes <= limitBytes);
  return { yardstick, ...noise, outcomes, memory, isAllReached };
}

function idleVerdict(idle: Idle | undefined): MemoryVerdict[] {
  if (idle?.memory === undefined) return [];
  const { rssBytes, anonBytes, fileBytes } = idle.memory;
  const detail = `anonymous ${megabytes(anonBytes)}, files ${megabytes(fileBytes)}; starts in ${figure(idle.startupMs)} ms`;
  return [{ what: 'RSS of the idle service', limitBytes: LIMITS.idleRssBytesMax, bytes: rssBytes, detail }];
}

function listVerdict(list: ListMemory | undefined): MemoryVerdict[] {
  if (list?.baseline === undefined || list.peak === undefined) return [];
  const { baseline, peak } = list;
  const grown = (part: keyof typeof peak) => peak[part] - baseline[part];
  const parts = `anonymous ${megabytes(grown('anonBytes'))}, files ${megabytes(grown('fileBytes'))}`;
  const detail = `${parts}; over ${megabytes(baseline.rssBytes)}; ${figure(list.keysPerSecond)} keys/s`;
  const what = 'growth of RSS while listing 1 M keys';
  return [{ what, limitBytes: LIMITS.listGrowthBytesMax, bytes: grown('rssBytes'), detail }];
}

/** The whole report in markdown. */
export function renderReport(findings: Findings, judgement: Judgement): string {
  const { lanes, absent } = findings;
  return [
    head(findings, judgement),
    ...absent.map(({ name, reason }) => `**${name} took no part**: ${reason}`),
    ...(lanes.length > 0 ? [figuresTable(lanes)] : []),
    ...(judgement.outcomes.length > 0 ? [targetsTable(judgement)] : []),
    ...(judgement.memory.length > 0 ? [memoryTable(judgement.memory)] : []),
  ].join('\n\n');
}

function head({ machine, commit, options }: Findings, { yardstick, foreignShare, unsteadiness }: Judgement): string {
  const { cpu, cores, memoryGiB, kernel, node, fdatasyncMs, isOnDisk } = machine;
  const decides = yardstick === 'cpu' ? 'noisy machine: CPU per operation decides' : 'wall-clock time decides';
  const percent = (share: number | undefined) => (share === undefined ? 'unknown' : `${Math.round(share * 100)} %`);
  return [
    `# kv, commit ${commit}`,
    '',
    `- ${cores} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}; fdatasync ${figure(fdatasyncMs)} ms`,
    `- ${options.rounds} rounds of ${options.seconds} s, medians; CPU taken by others meanwhile: ${percent(foreignShare)}, the echo's rounds apart by ${percent(unsteadiness)}; ${decides}`,
    ...(isOnDisk ? [] : ['- **the data folder is in memory: fsync was free and puts mean nothing**']),
  ].join('\n');
}

const FIGURE_COLUMNS: Column[] = [
  { head: 'operation' },
  { head: 'connections', align: 'right' },
  { head: 'server' },
  { head: 'promise' },
  { head: 'ops/s', align: 'right' },
  { head: 'p50 ms', align: 'right' },
  { head: 'p99 ms', align: 'right' },
  { head: 'CPU µs/op', align: 'right' },
  { head: 'others’ CPU %', align: 'right' },
];

function figuresTable(lanes: readonly Lane[]): string {
  return markdownTable(FIGURE_COLUMNS, lanes.map(figuresRow));
}

function figuresRow(lane: Lane): string[] {
  const { opponent, operation, connections } = lane;
  const { perSecond, p50Ms, p99Ms, cpuMicros, foreignShare } = figuresOf(lane);
  const foreign = foreignShare === undefined ? undefined : Math.round(foreignShare * 100);
  return [
    OPERATION_TEXT[operation],
    String(connections),
    opponent.title,
    opponent.promise(operation),
    ...[perSecond, p50Ms, p99Ms, cpuMicros, foreign].map(figure),
  ];
}

function targetsTable({ outcomes, yardstick }: Judgement): string {
  const columns: Column[] = [
    { head: 'target' },
    { head: 'connections', align: 'right' },
    { head: yardstick === 'wall' ? '**by ops/s**' : 'by ops/s' },
    { head: yardstick === 'cpu' ? '**by CPU/op**' : 'by CPU/op' },
    { head: 'p99, ours to theirs' },
    { head: 'verdict' },
  ];
  return markdownTable(columns, outcomes.map(targetRow));
}

function targetRow({ target, connections, wall, cpu, p99, reached, p99Reached }: Outcome): string[] {
  const { operation, against, ratioMin, aim, comparesP99 } = target;
  const aimed = aim === undefined ? '' : ` (aim ${aim})`;
  const verdict = [reached ? 'reached' : 'MISSED', ...(p99Reached ? [] : ['p99 WORSE'])].join(', ');
  return [
    `${operation} ≥ ${ratioMin} × ${against}${aimed}`,
    String(connections),
    ratioText(wall),
    ratioText(cpu),
    comparesP99 ? ratioText(p99) : '–',
    verdict,
  ];
}

function memoryTable(verdicts: readonly MemoryVerdict[]): string {
  const columns: Column[] = [
    { head: 'memory' },
    { head: 'target' },
    { head: 'measured', align: 'right' },
    { head: 'of it' },
    { head: 'verdict' },
  ];
  const rows = verdicts.map(({ what, limitBytes, bytes, detail }) => {
    const verdict = bytes <= limitBytes ? 'reached' : 'MISSED';
    return [what, `≤ ${megabytes(limitBytes)}`, megabytes(bytes), detail, verdict];
  });
  return markdownTable(columns, rows);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The run as one line of JSON. Ratios are ours to theirs by ops/s, theirs to ours by CPU, each with its extremes. */
export function renderJson(findings: Findings, judgement: Judgement): string {
  const { machine, commit, options, lanes, idle, listMemory, absent } = findings;
  const { rounds, seconds } = options;
  return jsonLine({
    bench: 'kv',
    at: new Date().toISOString(),
    commit,
    machine,
    opponents: [...new Set(lanes.map(({ opponent }) => opponent.title))],
    absent,
    rounds,
    seconds,
    ...judgement,
    figures: lanes.map((lane) => ({
      operation: lane.operation,
      connections: lane.connections,
      server: lane.opponent.name,
      promise: lane.opponent.promise(lane.operation),
      ...figuresOf(lane),
    })),
    idle,
    listMemory,
  });
}
