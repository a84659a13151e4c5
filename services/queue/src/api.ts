/** The doors of HTTP and the bus: every operation of the contract with its handler. */
import type { Served } from '@plinth/contracts';
import { DataSchemas } from './api/data-schema.ts';
import { enqueueOperations } from './api/enqueue.ts';
import type { EventStreams } from './api/events.ts';
import { jobOperations } from './api/jobs.ts';
import { leaseOperations } from './api/leases.ts';
import { pageOperations } from './api/page.ts';
import { type PushRooms, pushOperations } from './api/push.ts';
import { queueOperations } from './api/queues.ts';
import { type ScheduleBook, scheduleOperations } from './api/schedules.ts';
import { workerOperations } from './api/workers.ts';
import type { Queues } from './core/queues.ts';
import type { Workers } from './core/workers.ts';

export interface Rooms {
  queues: Queues;
  workers: Workers;
  schedules: ScheduleBook;
  /** A webhook as somebody gave it; a missing secret is made. @throws Problem that names what is wrong with it. */
  readTarget: PushRooms['readTarget'];
  /** Also asked when a schedule makes a job. */
  schemas?: DataSchemas | undefined;
  events: EventStreams;
  /** What is wrong with a URL that jobs want to be told at; undefined: nothing. */
  urlFault(url: string): string | undefined;
  /** Where people look at a trace, with `{traceId}` in it. */
  traceUrl?: string | undefined;
  now(): number;
}

/** The longest bodies: those with data or results of many jobs. */
const MANY_BYTES_MAX = 16 * 1_048_576;
const BYTES_MAX = 1_048_576;
const MANY = new Set(['enqueue', 'enqueueFlow', 'next', 'ack']);

/** For `bodyBytesMax` of the service. */
export const bodyBytesMax = ({ name }: { name: string }): number => (MANY.has(name) ? MANY_BYTES_MAX : BYTES_MAX);

export function operations(rooms: Rooms): Served[] {
  const { queues, workers, schedules, readTarget, events, urlFault, now, schemas = new DataSchemas() } = rooms;
  return [
    ...enqueueOperations({ queues, schemas, urlFault, now }),
    ...leaseOperations({ queues, now }),
    ...jobOperations({ queues, now }),
    ...queueOperations({ queues, workers, schemas }),
    ...scheduleOperations({ queues, schedules, schemas, urlFault, now }),
    ...pushOperations({ queues, readTarget }),
    ...workerOperations({ workers }),
    ...events.operations(),
    ...pageOperations(rooms),
  ];
}
