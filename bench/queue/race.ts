/** The race of queues. */
import { raceContests } from '../contest-race.ts';
import type { Progress } from '../program.ts';
import { type Contender, type Contest, cpuMicrosOf, type Lane, type Sample } from './contest.ts';

/**
 * Slots before anything counts. The first finds the pace, so that the others are long enough for what is compiled when it
 * has run often: a call that carries hundreds of jobs has not for a while. Memory is what it is, warm or cold.
 */
const WARM_UPS = { speed: 4, latency: 1, memory: 0 } as const;
/** Below this, asynq's polling, which goes by the second, would be seen by chance only. */
const LATENCY_SECONDS_MIN = 4;

/** Runs all rounds. @throws Error when a job was lost anywhere: nothing of such a run is to be believed. */
export function race(
  contests: readonly Contest[],
  options: { rounds: number; seconds: number },
  progress: Progress,
): Promise<Lane[]> {
  return raceContests<Contest, Contender, Sample>(
    contests,
    options,
    {
      warmUps: ({ measure }) => WARM_UPS[measure],
      slotSeconds: ({ measure }, seconds) => (measure === 'latency' ? Math.max(seconds, LATENCY_SECONDS_MIN) : seconds),
      shortly,
    },
    progress,
  );
}

function shortly({ measure }: Contest, sample: Sample): string {
  if (measure === 'latency') return `p50 ${sample.p50Ms?.toPrecision(3)} ms, p99 ${sample.p99Ms?.toPrecision(3)} ms`;
  if (measure === 'memory') return `${Math.round(sample.bytesPerJob!)} bytes a job`;
  return `${Math.round(sample.perSecond)}/s, ${cpuMicrosOf(sample)?.toPrecision(3) ?? '–'} CPU µs/job`;
}
