/** Engines on a real Redis, as replicas of one service. */

import { Redis } from 'ioredis';
import { FastLane } from '../store/fast-lane.ts';
import type { Lane } from '../store/lane.ts';
import { RedisRegistry } from '../store/registry.ts';
import type { NewJob } from './job.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { Queues, type QueuesRooms } from './queues.ts';

export interface Replica {
  readonly queues: Queues;
  readonly lane: Lane;
  /** What it could not do and went on without. */
  readonly faults: string[];
  stop(): Promise<void>;
}

/** Ends in `stop`. With `wrap` a test looks at what the lane is asked. */
export async function openReplica(
  url: string,
  { wrap = (lane) => lane, ...rooms }: Partial<QueuesRooms> & { wrap?: (lane: Lane) => Lane } = {},
): Promise<Replica> {
  const fast = await FastLane.open({ url });
  const redis = new Redis(url, { enableOfflineQueue: true, maxRetriesPerRequest: 0 });
  redis.on('error', () => undefined);
  const faults: string[] = [];
  const lane = wrap(fast);
  const queues = new Queues({
    lanes: { fast: lane, standard: lane },
    registry: new RedisRegistry<QueueDefinition>({ redis, prefix: 'plinth:q:', now: () => performance.now() }),
    observer: { failed: (what, queue, error) => faults.push(`${what} of ${queue}: ${String(error)}`) },
    now: Date.now,
    random: Math.random,
    ...rooms,
  });
  queues.start();
  const stop = async () => {
    await queues.stop();
    await fast.stop();
    redis.disconnect();
  };
  return { queues, lane: fast, faults, stop };
}

/** With the defaults of the service, without jitter. */
export function newJob(wish: Partial<NewJob> = {}): NewJob {
  return {
    name: 'test',
    data: '{}',
    runAtMs: 0,
    priority: 0,
    attempts: 5,
    backoff: { type: 'exponential', delayMs: 100, factor: 2, maxMs: 3_600_000, jitter: 0 },
    timeoutMs: 0,
    expiresAtMs: 0,
    dedup: undefined,
    group: '',
    tags: [],
    retain: { count: 1_000, ageMs: 3_600_000 },
    callbackUrl: undefined,
    failureCallbackUrl: undefined,
    resultTo: undefined,
    traceparent: undefined,
    tracestate: undefined,
    ...wish,
  };
}

export const ASK = { max: 1, leaseMs: 30_000, worker: 'test' };

/** Somebody who waits and does not go away. */
export const patient = (waitMs = 20_000, signal = new AbortController().signal) => ({ waitMs, signal });
