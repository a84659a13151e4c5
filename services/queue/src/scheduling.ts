/** Schedules on the engine: their store, their jobs, their traces. */
import { endSpan, injectHeaders, serverSpan } from '@plinth/telemetry';
import type { EnqueueRooms } from './api/enqueue.ts';
import { jobFrom } from './api/schedules.ts';
import type { Queues } from './core/queues.ts';
import { Schedules } from './core/schedules.ts';
import { ScheduleStore } from './store/schedule-store.ts';
import type { Stores } from './stores.ts';

export interface SchedulingOptions extends Pick<EnqueueRooms, 'schemas' | 'urlFault' | 'now'> {
  queues: Queues;
  stores: Pick<Stores, 'redis'>;
  /** As `QUEUE_PREFIX`. */
  prefix: string;
  random(): number;
  report(what: string, schedule: string, error: unknown): void;
}

export function openSchedules({ queues, stores, prefix, random, report, ...doors }: SchedulingOptions): Schedules {
  return new Schedules({
    store: new ScheduleStore({ redis: stores.redis, prefix }),
    queues,
    makeJob: ({ job }, definition) => jobFrom(doors, definition, job, '/job'),
    now: doors.now,
    random,
    report,
    trace: traceOfRun,
  });
}

/** A run is asked for by nobody: a trace begins with it, which its job goes on with. */
function traceOfRun({ id, queue }: { id: string; queue: string }): { traceparent: string | undefined; end(): void } {
  const traced = serverSpan({}, `schedule ${queue}`, { 'plinth.queue.schedule': id });
  if (traced === undefined) return { traceparent: undefined, end: () => undefined };
  const headers: Record<string, string> = {};
  injectHeaders(traced.context, headers);
  return { traceparent: headers.traceparent, end: () => endSpan(traced.span) };
}
