/** The other side of `driver.ts`: how a process that makes load is told to, and says what came of it. */
import { createInterface } from 'node:readline';
import type { Task } from './driver.ts';

/**
 * Works off tasks from standard input, one at a time, until it ends. The first line out says that the process is ready.
 * A fault is told to the one who asked and ends nothing.
 */
export async function workOff<T = Task, E = unknown>(work: (task: T) => Promise<E>): Promise<void> {
  console.log(JSON.stringify({ isReady: true }));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(await work(JSON.parse(line) as T).then(JSON.stringify, faultLine));
  }
  process.exit(0);
}

function faultLine(error: Error): string {
  return JSON.stringify({ fault: error.message });
}

/**
 * Keeps so many calls under way for so long.
 * @param call - One call from beginning to end; it gets the number of its lane.
 * @returns Calls that ended within the time, and how long they took.
 */
export async function pressed(
  task: Task & { inFlight: number },
  call: (lane: number) => Promise<unknown>,
): Promise<{ calls: number; elapsedMs: number; p50Ms: number; p99Ms: number }> {
  const tookMs: number[] = [];
  const startedMs = performance.now();
  const endMs = startedMs + task.seconds * 1_000;
  const lane = async (index: number): Promise<void> => {
    for (let nowMs = performance.now(); nowMs < endMs; ) {
      await call(index);
      const answeredMs = performance.now();
      tookMs.push(answeredMs - nowMs);
      nowMs = answeredMs;
    }
  };
  await Promise.all(Array.from({ length: task.inFlight }, (_, index) => lane(index)));
  const elapsedMs = performance.now() - startedMs;
  return { calls: tookMs.length, elapsedMs, ...percentiles(tookMs) };
}

/** The middle and the hundredth from the top. @param tookMs - At least one. */
export function percentiles(tookMs: readonly number[]): { p50Ms: number; p99Ms: number } {
  const sorted = Float64Array.from(tookMs).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
