/** Who is compared with whom, in which work, and what came of it round by round. */
import { type CpuWindow, withCpu } from '../cpu.ts';
import type { Task } from '../driver.ts';
import { median, medianKnown } from '../median.ts';
import type { Phase, QueueDriver } from './task.ts';

/** What can be asked for with `--only`. */
export const ROWS = ['B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8'] as const;
export type Row = (typeof ROWS)[number];

/** `speed`: jobs a second and CPU of a job; `latency`: from enqueue to start; `memory`: bytes of a job that waits. */
export type Measure = 'speed' | 'latency' | 'memory';

/** What one slot showed. */
export interface Sample extends CpuWindow {
  jobs: number;
  perSecond: number;
  p50Ms?: number | undefined;
  p99Ms?: number | undefined;
  bytesPerJob?: number | undefined;
}

/** One who takes part in a contest. */
export interface Contender {
  name: string;
  /** With version and way in, for tables. */
  title: string;
  /** Whose CPU a job's is: told, because a library works in its user's process and a service in its own. */
  cpuOf: string;
  /** @throws Error when a job was lost or an answer was wrong: then no figure of the run counts. */
  measure(task: Task): Promise<Sample>;
}

/** One kind of work. Ours is `plinth`, or `plinth-…` where it is asked in several ways. */
export interface Contest {
  row: Row;
  /** Unique: targets name it. */
  name: string;
  title: string;
  measure: Measure;
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
  perSecond: number | undefined;
  cpuMicros: number | undefined;
  p50Ms: number | undefined;
  p99Ms: number | undefined;
  bytesPerJob: number | undefined;
  foreignShare: number | undefined;
}

export function figuresOf({ contest, samples }: Lane): LaneFigures {
  return {
    perSecond: contest.measure === 'speed' ? median(samples.map(({ perSecond }) => perSecond)) : undefined,
    cpuMicros: contest.measure === 'memory' ? undefined : medianKnown(samples.map(cpuMicrosOf)),
    p50Ms: medianKnown(samples.map(({ p50Ms }) => p50Ms)),
    p99Ms: medianKnown(samples.map(({ p99Ms }) => p99Ms)),
    bytesPerJob: medianKnown(samples.map(({ bytesPerJob }) => bytesPerJob)),
    foreignShare: medianKnown(samples.map(({ foreignShare }) => foreignShare)),
  };
}

/** CPU of one job in microseconds, of all who are named in `cpuOf`; undefined where the system does not tell. */
export function cpuMicrosOf({ serverMs, jobs }: Sample): number | undefined {
  return serverMs === undefined ? undefined : (serverMs * 1_000) / jobs;
}

/** A slot is sized by the speed of the one before, since what is timed is how long so many jobs take. */
const FIRST_PER_SECOND = 2_000;
const JOBS_MIN = 200;
/** About 150 MB in the dearest store. */
const JOBS_MAX = 200_000;

/** Keeps the pace of one contender in one contest. */
export class Pace {
  #perSecond = FIRST_PER_SECOND;

  jobsIn(seconds: number): number {
    return Math.min(JOBS_MAX, Math.max(JOBS_MIN, Math.ceil(this.#perSecond * seconds)));
  }

  note(perSecond: number): void {
    this.#perSecond = perSecond;
  }
}

/**
 * Measures one phase of a driver's work. What it works on is made before, and forgotten after, at nobody's cost.
 * @param servers - Those that work for it; its own CPU counts as well.
 */
export function workedOff(driver: QueueDriver, servers: readonly number[], phase: Phase): Contender['measure'] {
  const pace = new Pace();
  return async (task) => {
    const jobs = pace.jobsIn(task.seconds);
    if (phase === 'process') await driver.work({ ...task, phase: 'fill', jobs });
    const sample = await withCpu({ servers: [driver.pid, ...servers] }, async () => {
      const { elapsedMs, ...effort } = await driver.work({ ...task, phase, jobs });
      return { ...effort, perSecond: effort.jobs / (elapsedMs / 1_000) };
    });
    pace.note(sample.perSecond);
    await driver.work({ ...task, phase: 'clear', jobs });
    return sample;
  };
}
