/** Queues and groups: their settings, their figures, and what operators do with them. */
import { queue as contract, json, type Served, serve } from '@plinth/contracts';
import { DEFAULTS, type QueueInfo, type QueueInput, STATES, type StatsAnswer } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { QueueChange, QueueDefinition } from '../core/queue-definition.ts';
import type { QueueState, Queues } from '../core/queues.ts';
import type { Workers } from '../core/workers.ts';
import type { GroupLimits, QueueLimits } from '../store/lane.ts';
import { groupOf, openQueueOf, queueOf } from './call.ts';
import type { DataSchemas } from './data-schema.ts';
import { readBackoff, readRetain } from './read-job.ts';

export interface QueueRooms {
  queues: Pick<
    Queues,
    'define' | 'definition' | 'list' | 'remove' | 'configureGroup' | 'stats' | 'pause' | 'resume' | 'drain' | 'purge'
  >;
  workers: Pick<Workers, 'slots'>;
  schemas: DataSchemas;
}

export function queueOperations({ queues, workers, schemas }: QueueRooms): Served[] {
  /** As it is now, said with the queue's pauses. */
  const pauses = async (queue: string) => {
    const { isPaused, pausedGroups } = await queues.stats(queue);
    return json(200, { paused: isPaused, pausedGroups });
  };
  return [
    serve(contract.putQueue, async (call) => {
      const queue = openQueueOf(call);
      if (call.body.schema !== undefined) schemas.checkOf(call.body.schema);
      return json(200, info(await queues.define(queue, changeOf(call.body))));
    }),
    serve(contract.listQueues, async () => {
      const all = await queues.list();
      return json(200, { queues: all.map(info).sort((one, other) => (one.queue < other.queue ? -1 : 1)) });
    }),
    serve(contract.getQueue, async (call) => json(200, info(await known(queues, queueOf(call))))),
    serve(contract.removeQueue, async (call) => {
      await queues.remove(openQueueOf(call), call.query.force === 'true');
      return { status: 204 };
    }),
    serve(contract.putGroup, async (call) => {
      const queue = queueOf(call);
      const { groups } = (await queues.definition(queue)) ?? { groups: DEFAULTS.groups };
      const limits = groupLimits(call.body, groups);
      await queues.configureGroup(queue, groupOf(call), limits);
      return json(200, limits);
    }),
    serve(contract.removeGroup, async (call) => {
      const { queue } = await known(queues, queueOf(call));
      await queues.configureGroup(queue, groupOf(call), undefined);
      return { status: 204 };
    }),
    serve(contract.stats, async (call) => {
      const queue = queueOf(call);
      return json(200, statsAnswer(queue, await statsOf(queues, queue), workers.slots(queue)));
    }),
    serve(contract.pause, async (call) => {
      const queue = queueOf(call);
      await queues.pause(queue, call.body.group);
      return pauses(queue);
    }),
    serve(contract.resume, async (call) => {
      const queue = queueOf(call);
      await queues.resume(queue, call.body.group);
      return pauses(queue);
    }),
    serve(contract.drain, async (call) =>
      json(200, { removed: await queues.drain(queueOf(call), call.body.scheduled === true) }),
    ),
    serve(contract.purge, async (call) => json(200, { removed: await queues.purge(queueOf(call), call.body.states) })),
  ];
}

async function known(queues: Pick<Queues, 'definition'>, queue: string): Promise<QueueDefinition> {
  const definition = await queues.definition(queue);
  if (definition === undefined) throw new Problem('queue_not_found', `there is no queue ${queue}`);
  return definition;
}

// ---------------------------------------------------------------- settings

/** What is left out is the default; the lane of a queue that is there stays. Groups and push have their own calls. */
function changeOf({ lane, limits = {}, groups = {}, schema, defaults = {} }: QueueInput): QueueChange {
  const { attempts, backoff, timeoutMs, ttlMs, retain, leaseMs } = defaults;
  return {
    ...(lane === undefined ? {} : { lane }),
    limits: queueLimits(limits),
    groups: groupLimits(groups, DEFAULTS.groups),
    schema,
    defaults: {
      attempts,
      backoff: backoff === undefined ? undefined : readBackoff(backoff, '/defaults/backoff'),
      timeoutMs,
      ttlMs,
      retain: retain === undefined ? undefined : readRetain(retain, '/defaults/retain'),
      leaseMs,
    },
  };
}

function queueLimits(given: NonNullable<QueueInput['limits']>): QueueLimits {
  const { limits } = DEFAULTS;
  return { ...limits, ...given, ...burstOf(given, limits.burst) };
}

function groupLimits(given: NonNullable<QueueInput['groups']>, base: GroupLimits): GroupLimits {
  return { ...base, ...given, ...burstOf(given, base.burst) };
}

/** A rate without a burst has a second's worth, and one at the least. */
function burstOf(
  { ratePerSecond, burst }: { ratePerSecond?: number | undefined; burst?: number | undefined },
  otherwise: number,
): { burst: number } {
  if (burst !== undefined) return { burst };
  return { burst: ratePerSecond === undefined ? otherwise : Math.ceil(ratePerSecond) };
}

function info({ queue, lane, limits, groups, schema, defaults, push }: QueueDefinition): QueueInfo {
  return {
    queue,
    lane,
    limits,
    groups,
    ...(schema === undefined ? {} : { schema }),
    defaults: {
      attempts: defaults.attempts ?? DEFAULTS.attempts,
      backoff: defaults.backoff ?? DEFAULTS.backoff,
      timeoutMs: defaults.timeoutMs ?? DEFAULTS.timeoutMs,
      ttlMs: defaults.ttlMs ?? DEFAULTS.ttlMs,
      retain: defaults.retain ?? DEFAULTS.retain,
      leaseMs: defaults.leaseMs ?? DEFAULTS.leaseMs,
    },
    push: push !== undefined,
  };
}

// ---------------------------------------------------------------- figures

/** Undefined: there is no such queue, and a scaler sees a queue of nothing. */
async function statsOf(queues: Pick<Queues, 'stats'>, queue: string): Promise<QueueState | undefined> {
  try {
    return await queues.stats(queue);
  } catch (error) {
    if (error instanceof Problem && error.code === 'queue_not_found') return undefined;
    throw error;
  }
}

const NO_COUNTS = Object.fromEntries(STATES.map((state) => [state, 0])) as StatsAnswer['counts'];
const NO_TOTALS: StatsAnswer['totals'] = {
  enqueued: 0,
  completed: 0,
  failed: 0,
  retried: 0,
  dead: 0,
  stalled: 0,
  cancelled: 0,
  expired: 0,
};
const NO_RATES: StatsAnswer['rates'] = { enqueued: 0, leased: 0, completed: 0, failed: 0 };
const NO_TIMES: StatsAnswer['waitMs'] = { count: 0, meanMs: 0, p50Ms: 0, p99Ms: 0 };

function statsAnswer(queue: string, state: QueueState | undefined, workers: StatsAnswer['workers']): StatsAnswer {
  const counts = { ...NO_COUNTS, ...state?.counts };
  // Of a paused queue no worker could have any.
  const lag = state?.isPaused ? 0 : counts.waiting;
  return {
    queue,
    ...(state === undefined ? {} : { lane: state.lane }),
    counts,
    lag,
    load: lag + counts.leased,
    oldestWaitingMs: state?.oldestWaitingMs ?? 0,
    unfetchedMs: state?.unfetchedMs ?? 0,
    paused: state?.isPaused ?? false,
    pausedGroups: [...(state?.pausedGroups ?? [])],
    workers,
    totals: state?.totals ?? NO_TOTALS,
    rates: state?.figures.rates ?? NO_RATES,
    waitMs: state?.figures.waitMs ?? NO_TIMES,
    processMs: state?.figures.processMs ?? NO_TIMES,
    latenessMs: state?.figures.latenessMs ?? NO_TIMES,
    bytes: state?.bytes ?? 0,
  };
}
