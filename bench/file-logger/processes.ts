/** Runs the processes of a race, one at a time, on a fresh file each. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cost, CostTask } from './cost-main.ts';
import type { Ending } from './losing.ts';
import type { LossTask } from './loss-main.ts';
import type { Subject } from './subjects.ts';
import { readBack } from './written-file.ts';

const PATIENCE_MS = 60_000;
/** A kill comes this long after the first line of the flight. */
const KILL_MS = { least: 20, most: 200 };
/** With 149 bytes a line some of these fill a buffer of 64 KiB and some do not. */
const CALLS = { least: 1, most: 1_000 };
const EXIT_CODE = 3;

/** A round of one logger, with the file it left. */
export interface CostSample extends Cost {
  bytesPerLine: number;
}

/** What was missing after an end. */
export interface LossSample {
  called: number;
  lost: number;
  /** The process ended as it was told to, by its code or its signal. */
  endedRightly: boolean;
}

/** Runs what costs. @throws Error when the process failed, or when its file has not all of its lines: nothing of such a run counts. */
export async function measureCost(subject: Subject, dir: string, seconds: number): Promise<CostSample> {
  const path = join(dir, `${subject.name}.log`);
  const task: CostTask = { name: subject.name, path, seconds };
  const child = start('cost-main.ts', task);
  let output = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const { code } = await endOf(child);
  if (code !== 0) throw new Error(`${subject.name} ended with ${code}`);
  const cost = JSON.parse(output) as Cost;
  const { lines, bytes } = readBack(path);
  rmSync(path);
  const logged = cost.calls + cost.warmUpCalls;
  if (lines !== logged) throw new Error(`${subject.name}: ${logged} lines were logged, ${lines} are in the file`);
  return { ...cost, bytesPerLine: bytes / lines };
}

/** Lets a process end badly. @param random - 0 to 1: for when, and after how many lines. */
export async function measureLoss(
  subject: Subject,
  dir: string,
  ending: Ending,
  random: () => number,
): Promise<LossSample> {
  const path = join(dir, `${subject.name}-${ending}.log`);
  const counterPath = join(dir, 'called');
  const calls = between(CALLS, random);
  const task: LossTask = { name: subject.name, path, ending, calls, counterPath };
  const child = start('loss-main.ts', task);
  const ended = endOf(child);
  const killMs = between(KILL_MS, random);
  for await (const _ of createInterface({ input: child.stdout! })) {
    if (ending !== 'SIGKILL') continue;
    await sleep(killMs);
    child.kill('SIGKILL');
  }
  const { code, signal } = await ended;
  const producers = Math.max(1, subject.producers);
  // One line of each producer came before all others.
  const called = producers + (ending === 'SIGKILL' ? countedCalls(counterPath, subject) : calls * producers);
  const { lines } = readBack(path);
  rmSync(path, { force: true });
  const right = { SIGKILL: 'SIGKILL', SIGTERM: 'SIGTERM', exit: EXIT_CODE, throw: 1 }[ending];
  return { called, lost: Math.max(0, called - lines), endedRightly: (signal ?? code) === right };
}

function countedCalls(counterPath: string, { producers }: Subject): number {
  const paths = producers === 0 ? [counterPath] : Array.from({ length: producers }, (_, at) => `${counterPath}-${at}`);
  let sum = 0;
  for (const path of paths) {
    const cell = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
    if (cell.length === 8) sum += cell.readDoubleLE(0);
    rmSync(path, { force: true });
  }
  return sum;
}

const between = ({ least, most }: { least: number; most: number }, random: () => number): number =>
  least + Math.floor(random() * (most - least));

function start(file: string, task: object): ChildProcess {
  const args = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, file), JSON.stringify(task)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', file === 'cost-main.ts' ? 'inherit' : 'ignore'] });
}

/** Waits for the end, but not for ever. Ours too must not outlive us. */
async function endOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  const abandon = () => child.kill('SIGKILL');
  process.on('exit', abandon);
  const patience = setTimeout(abandon, PATIENCE_MS);
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(patience);
  process.off('exit', abandon);
  return { code, signal };
}
