/** Callers that ask a backend all the time, and what they were told. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Charge } from '@plinth/limiter';
import { type Backend, BackendAway } from '../../src/store/backend.ts';

export interface Load {
  allowed: number;
  denied: number;
  /** Told `BackendAway`. */
  away: number;
  /** Of those away, what was sent: whether it was counted is not known. */
  unknown: number;
  /** The reasons they were told, with how often. */
  readonly reasons: Map<string, number>;
  /** How long each answer took, whatever it was. */
  readonly tookMs: number[];
  /** When the last request was allowed or denied, in milliseconds of `performance.now`. */
  decidedAtMs: number;
  stop(): Promise<void>;
}

/** Starts callers that each ask, wait for the answer, and pause. */
export function startLoad(
  backend: Backend,
  options: { charges: () => Charge[]; callers: number; pauseMs: number },
): Load {
  const { charges, callers, pauseMs } = options;
  let isOver = false;
  const load: Load = {
    allowed: 0,
    denied: 0,
    away: 0,
    unknown: 0,
    reasons: new Map(),
    tookMs: [],
    decidedAtMs: 0,
    async stop() {
      isOver = true;
      await running;
    },
  };
  const caller = async () => {
    while (!isOver) {
      await ask(backend, charges(), load);
      await sleep(pauseMs);
    }
  };
  const running = Promise.all(Array.from({ length: callers }, caller));
  return load;
}

async function ask(backend: Backend, charges: Charge[], load: Load): Promise<void> {
  const startedMs = performance.now();
  try {
    const [decision] = await backend.decide([{ charges, mode: 'take' }]);
    if (decision!.isAllowed) load.allowed++;
    else load.denied++;
    load.decidedAtMs = performance.now();
  } catch (error) {
    if (!(error instanceof BackendAway)) throw error;
    load.away++;
    if (!/^Redis (is|owes)/.test(error.message)) load.unknown++;
    load.reasons.set(error.message, (load.reasons.get(error.message) ?? 0) + 1);
  }
  load.tookMs.push(performance.now() - startedMs);
}

/** The share of numbers that is at most so large. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Straight to the stream: jest's console would add a stack trace. */
export function tell(what: string, { allowed, denied, away, unknown, tookMs }: Load): void {
  const p99 = quantile(tookMs, 0.99).toFixed(1);
  process.stderr.write(
    `${what}: ${allowed} allowed, ${denied} denied, ${away} away (${unknown} sent), p99 ${p99} ms\n`,
  );
}
