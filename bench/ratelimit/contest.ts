/** Who is compared with whom, in which work, and what came of it round by round. */
import { type CpuWindow, withCpu } from '../cpu.ts';
import type { Task } from '../driver.ts';
import { median, medianKnown } from '../median.ts';
import type { LimiterDriver } from './arena.ts';

/** What can be asked for with `--only`. A1 to A13 are acceptance rows; `lines` are distances to physical lines. */
export const ROWS = [
  'A1',
  'A2',
  'A3',
  'A4',
  'A5',
  'A6',
  'A7',
  'A8',
  'A9',
  'A10',
  'A11',
  'A12',
  'A13',
  'lines',
] as const;
export type Row = (typeof ROWS)[number];

/** What nearly all contests compare. */
export const CPU = 'CPU µs/decision' as const;

/** What one slot showed. */
export interface Sample extends CpuWindow {
  decisions: number;
  perSecond: number;
  p50Ms?: number;
  p99Ms?: number;
  bytesPerKey?: number;
}

/** One who takes part in a contest. */
export interface Contender {
  name: string;
  /** With version and way in, for tables. */
  title: string;
  /** @throws Error when one answer was wrong: then no figure of the run counts. */
  measure(task: Task): Promise<Sample>;
}

/** One kind of work. Ours is `plinth`. */
export interface Contest {
  row: Row;
  /** Unique: targets name it. */
  name: string;
  title: string;
  /** What is compared; less is better. */
  cost: 'CPU µs/decision' | 'bytes/key';
  contenders: Contender[];
}

/** One contender in one contest. */
export interface Lane {
  contest: Contest;
  contender: Contender;
  /** One a round. */
  samples: Sample[];
}

/** Medians over the rounds. */
export interface LaneFigures {
  cost: number | undefined;
  perSecond: number | undefined;
  p50Ms: number | undefined;
  p99Ms: number | undefined;
  foreignShare: number | undefined;
}

export function figuresOf({ contest, samples }: Lane): LaneFigures {
  return {
    cost: medianKnown(samples.map((sample) => costOf(contest, sample))),
    perSecond: contest.cost === 'bytes/key' ? undefined : median(samples.map(({ perSecond }) => perSecond)),
    p50Ms: medianKnown(samples.map(({ p50Ms }) => p50Ms)),
    p99Ms: medianKnown(samples.map(({ p99Ms }) => p99Ms)),
    foreignShare: medianKnown(samples.map(({ foreignShare }) => foreignShare)),
  };
}

/** What one decision or one key cost in a slot; undefined where the system does not tell. */
export function costOf({ cost }: Pick<Contest, 'cost'>, sample: Sample): number | undefined {
  if (cost === 'bytes/key') return sample.bytesPerKey;
  return sample.serverMs === undefined ? undefined : (sample.serverMs * 1_000) / sample.decisions;
}

/** Measures a server while a driver loads it. @param servers - Its process and those of its stores. */
export function loadedBy(driver: LimiterDriver, servers: readonly number[]): Contender['measure'] {
  return (task) => withCpu({ servers, clients: [driver.pid] }, () => effortOf(driver, task));
}

/** Measures what works inside the driver itself, such as a library. @param stores - Servers that work for it. */
export function workingIn(driver: LimiterDriver, stores: readonly number[] = []): Contender['measure'] {
  return (task) => withCpu({ servers: [driver.pid, ...stores] }, () => effortOf(driver, task));
}

async function effortOf(driver: LimiterDriver, task: Task) {
  const { elapsedMs, ...effort } = await driver.work(task);
  return { ...effort, perSecond: effort.decisions / (elapsedMs / 1_000) };
}
