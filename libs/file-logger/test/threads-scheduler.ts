/** Runs threads of a ring one atomic operation at a time, in an order that a seed decides. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { LineRing } from '../src/threads/ring.ts';
import { type RingOptions, SLOT, TOTAL } from '../src/threads/ring-layout.ts';

/** As in `threads-scheduled-thread.ts`, which cannot be imported by a thread that is none of its. */
const TURN = { state: 0, acknowledged: 1, thread: 2, isDead: 3, steps: 4 };
const STATE = { starting: 0, waits: 1, runs: 2, done: 3 };

/** Numbers from 0 to below 1 that a seed decides: mulberry32. */
export function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Schedule {
  seed: number;
  ring: RingOptions;
  /** Lines of each producer. */
  lines: string[][];
  /** By producer: the number of atomic operations after which it gets no turn any more. */
  deaths?: Map<number, number>;
  /** Chance of another thread's turn after each operation; low ones make long runs of one thread. Default 1. */
  switching?: number;
  /** The first producer has the first so many turns for itself. Default 0. */
  undisturbed?: number;
  /** How much rarer than a producer's the consumer's turns are. Default 1. */
  consumerWeight?: number;
}

export interface Outcome {
  taken: string[];
  acknowledged: number[];
  torn: number;
  droppedOldest: number;
  droppedNewest: number;
  died: number[];
  steps: number;
}

export async function runSchedule(schedule: Schedule): Promise<Outcome> {
  const { lines, deaths = new Map() } = schedule;
  const threads = lines.length + 1;
  const ring = LineRing.create(schedule.ring);
  const table = new Int32Array(new SharedArrayBuffer(threads * 32));
  const workers = Array.from({ length: threads }, (_, index) => {
    const workerData = { table: table.buffer, index, threads, ring: ring.handle, lines: lines[index] };
    return new Worker(new URL('./threads-scheduled-thread.ts', import.meta.url), { workerData, execArgv: [] });
  });
  const taken = once(workers.at(-1)!, 'message') as Promise<[string[]]>;
  for (let index = 0; index < threads; index++) await untilReady(table, index);
  const steps = giveTurns(schedule, table, threads, deaths);
  const [result] = await taken;
  await Promise.all(workers.map((worker) => worker.terminate()));
  return {
    taken: result,
    acknowledged: lines.map((_, index) => Atomics.load(table, index * 8 + TURN.acknowledged)),
    torn: Number(Atomics.load(ring.totals, TOTAL.torn)),
    droppedOldest: ring.count(SLOT.droppedOldest),
    droppedNewest: ring.count(SLOT.droppedNewest),
    died: lines.map((_, index) => index).filter((index) => Atomics.load(table, index * 8 + TURN.isDead) === 1),
    steps,
  };
}

async function untilReady(table: Int32Array, index: number): Promise<void> {
  const at = index * 8 + TURN.state;
  while (Atomics.load(table, at) === STATE.starting) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** @returns The number of turns. @throws Error when it never ends: the ring stalls. */
function giveTurns(schedule: Schedule, table: Int32Array, threads: number, deaths: Map<number, number>): number {
  const random = randomOf(schedule.seed);
  const { switching = 1, consumerWeight = 1, undisturbed = 0 } = schedule;
  const alive = Array.from({ length: threads }, (_, index) => index);
  let current = alive[0]!;
  for (let step = 0; step < 400_000; step++) {
    if (alive.length === 0) return step;
    const isDisturbed = step >= undisturbed && random() < switching;
    if (!alive.includes(current) || isDisturbed) current = alive[Math.floor(random() * alive.length)]!;
    if (current === threads - 1 && alive.length > 1 && random() * consumerWeight > 1) continue;
    const base = current * 8;
    const isDead = deaths.has(current) && Atomics.load(table, base + TURN.steps) >= deaths.get(current)!;
    if (isDead) Atomics.store(table, base + TURN.isDead, 1);
    if (isDead || !turn(table, base + TURN.state)) alive.splice(alive.indexOf(current), 1);
  }
  throw new Error(`seed ${schedule.seed}: the ring stalls`);
}

/** @returns false: the thread has nothing left to do. */
function turn(table: Int32Array, at: number): boolean {
  if (Atomics.load(table, at) === STATE.done) return false;
  Atomics.store(table, at, STATE.runs);
  Atomics.notify(table, at);
  while (Atomics.load(table, at) === STATE.runs) Atomics.wait(table, at, STATE.runs, 1_000);
  return Atomics.load(table, at) !== STATE.done;
}
