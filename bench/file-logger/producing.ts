/** Logs as an application under load does, and takes the time of it. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { OpenLogger } from './loggers.ts';

/** Lines between two turns of the event loop: without turns, no logger could write asynchronously. */
const BATCH = 100;
const WARM_UP_MS = 400;
/** What a warm-up left in buffers is written within this time. */
const REST_MS = 50;
/** About 220 MB, written back to the disk behind everybody's back if it took longer. */
const CALLS_MAX = 1_500_000;
/** The slowest one in ten thousand needs so many to be one of several. */
const SAMPLES_WANTED = 100_000;
const SAMPLE_EVERY_MAX = 16;

/** What the caller's thread saw. */
export interface Production {
  calls: number;
  /** In the loops that call, without the turns between them. */
  loopMs: number;
  /** CPU of this thread, with what the logger did on it between the calls and at its end. */
  threadCpuMs: number;
  /** Some calls, each timed by itself with performance.now(). */
  sampleNs: Float64Array;
}

/** Brings compilers and buffers to their working state. @returns Calls a second. */
export async function warmUp(logger: OpenLogger): Promise<{ calls: number; perSecond: number }> {
  const startMs = performance.now();
  let calls = 0;
  for (; performance.now() - startMs < WARM_UP_MS; calls += BATCH) {
    for (let call = 0; call < BATCH; call++) logger.log(call);
    await turn(logger);
  }
  const perSecond = (calls * 1_000) / (performance.now() - startMs);
  await sleep(REST_MS);
  return { calls, perSecond };
}

/** Logs for so many seconds, or so many lines as a disk takes, and closes the logger. */
export async function produce(logger: OpenLogger, seconds: number, perSecond: number): Promise<Production> {
  const callsWanted = Math.min(CALLS_MAX, perSecond * seconds);
  const every = 2 ** Math.max(0, Math.ceil(Math.log2(Math.min(SAMPLE_EVERY_MAX, callsWanted / SAMPLES_WANTED))));
  const samples = new Float64Array(Math.ceil(CALLS_MAX / every));
  const cpuBefore = process.threadCpuUsage();
  const startMs = performance.now();
  let calls = 0;
  let loopMs = 0;
  while (calls < CALLS_MAX && performance.now() - startMs < seconds * 1_000) {
    const batchMs = performance.now();
    batch(logger, { samples, every, calls });
    loopMs += performance.now() - batchMs;
    calls += BATCH;
    await turn(logger);
  }
  await logger.close();
  const { user, system } = process.threadCpuUsage(cpuBefore);
  return { calls, loopMs, threadCpuMs: (user + system) / 1_000, sampleNs: samples.slice(0, Math.ceil(calls / every)) };
}

/** `calls`: how many there were before this batch. */
function batch(logger: OpenLogger, to: { samples: Float64Array; every: number; calls: number }): void {
  const { samples, every, calls } = to;
  for (let call = calls; call < calls + BATCH; call++) {
    if (call % every !== 0) {
      logger.log(call);
      continue;
    }
    const beforeMs = performance.now();
    logger.log(call);
    samples[call / every] = (performance.now() - beforeMs) * 1e6;
  }
}

/** One turn of the event loop, and more where the logger asks for it. */
export async function turn(logger: OpenLogger): Promise<void> {
  await nextTurn();
  await logger.breath?.();
}
