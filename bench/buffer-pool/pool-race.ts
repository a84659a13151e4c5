/** The race of allocators: the subjects of the library's own bench, one process each, in turns. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pairedRatio, type Ratio } from '../median.ts';
import type { Progress } from '../program.ts';
import { turns } from '../round.ts';

const run = promisify(execFile);
const BENCH = fileURLToPath(new URL('../../libs/buffer-pool/src/buffer-pool.bench.ts', import.meta.url));
const PATIENCE_MS = 60_000;

/** `nothing` is the loop alone; its cost is taken off the others in tables. */
export const SUBJECTS = ['BlockPool', 'SlabPool', 'allocUnsafe', 'allocUnsafeSlow', 'alloc', 'nothing'] as const;
export type Subject = (typeof SUBJECTS)[number];

/** Each buffer is forgotten at once, or held for a while in a process with many living objects. */
export const SETTINGS = ['alone', 'pressure'] as const;
export type Setting = (typeof SETTINGS)[number];

export const SIZES = ['64', '4096', '65536'] as const;

/** What one process found. */
export interface Sample {
  /** CPU of one buffer, taken and given back, with the loop's own. */
  ns: number;
  pauses: number;
  pauseMsSum: number;
  pauseMsP999: number;
  pauseMsMax: number;
  rssMb: number;
}

export interface Case {
  bytes: number;
  setting: Setting;
}

/** One subject in one case, with one sample a round. */
export interface Lane extends Case {
  subject: Subject;
  samples: Sample[];
}

/** Runs all rounds. */
export async function race(sizes: ReadonlySet<string>, rounds: number, progress: Progress): Promise<Lane[]> {
  const cases = SETTINGS.flatMap((setting) => [...sizes].map((size): Case => ({ bytes: Number(size), setting })));
  const heats = cases.map((one) => ({
    case: one,
    opponents: SUBJECTS.map((subject): Lane => ({ ...one, subject, samples: [] })),
  }));
  for (const { round, case: one, opponent } of turns(rounds, heats)) {
    const sample = await measured(opponent);
    opponent.samples.push(sample);
    const what = `${one.bytes} bytes, ${one.setting}: ${opponent.subject}`;
    progress(`round ${round + 1}/${rounds}: ${what}: ${sample.ns.toPrecision(3)} CPU ns`);
  }
  return heats.flatMap(({ opponents }) => opponents);
}

async function measured({ subject, bytes, setting }: Lane): Promise<Sample> {
  const args = ['--expose-gc', BENCH, '--subject', subject, String(bytes), setting];
  const { stdout } = await run(process.execPath, args, { timeout: PATIENCE_MS });
  return JSON.parse(stdout) as Sample;
}

/** Of CPU for one buffer of so many bytes. */
export const TARGET = { bytes: 4_096, atMost: 0.05 };

/** How a target came out. */
export interface Outcome {
  title: string;
  ratio: Ratio | undefined;
  reached: boolean;
}

/** The loop's own cost counts on both sides, so that a ratio is rather too high than too low. */
export function outcomesOf(lanes: readonly Lane[]): Outcome[] {
  return SETTINGS.flatMap((setting) => {
    const ns = (subject: Subject) =>
      laneOf(lanes, { bytes: TARGET.bytes, setting }, subject)?.samples.map((one) => one.ns);
    const ours = ns('BlockPool');
    const theirs = ns('allocUnsafe');
    if (ours === undefined || theirs === undefined) return [];
    const ratio = pairedRatio({ of: ours, to: theirs });
    const title = `acquire and release of ${TARGET.bytes} bytes, ${setting} ≤ ${TARGET.atMost} × Buffer.allocUnsafe`;
    return [{ title, ratio, reached: ratio !== undefined && ratio.median <= TARGET.atMost }];
  });
}

export function laneOf(lanes: readonly Lane[], { bytes, setting }: Case, subject: Subject): Lane | undefined {
  return lanes.find((lane) => lane.bytes === bytes && lane.setting === setting && lane.subject === subject);
}
