/** Schedules: jobs by a calendar, at intervals, or once. What a calendar means is decided by the schedules themselves. */
import { type Call, queue as contract, json, type Reply, type Served, serve } from '@plinth/contracts';
import { LIMITS, QUEUE, QUEUE_RULE } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { NewJob } from '../core/job.ts';
import type { QueueDefinition } from '../core/queue-definition.ts';
import type { Queues } from '../core/queues.ts';
import { EVERY_MS_MIN, type ScheduleDraft } from '../core/schedule.ts';
import type { Schedules } from '../core/schedules.ts';
import { openQueue, param } from './call.ts';
import { type EnqueueRooms, jobSetting, queueFull } from './enqueue.ts';
import { fault, type Members, matching, moment, object, oneOf, onlyKnown, text, whole } from './fault.ts';
import { JsonSpans } from './json-spans.ts';
import { dataText, readJob } from './read-job.ts';

const CATCH_UPS = ['skip', 'one', 'all'] as const;

/** What a calendar means is decided there. */
export type ScheduleBook = Pick<Schedules, 'put' | 'get' | 'list' | 'remove' | 'run'>;

export interface ScheduleRooms extends Pick<EnqueueRooms, 'schemas' | 'urlFault' | 'now'> {
  queues: Pick<Queues, 'definition'>;
  schedules: ScheduleBook;
}

const MEMBERS = new Set([
  'queue',
  'cron',
  'timeZone',
  'everyMs',
  'at',
  'catchUp',
  'from',
  'until',
  'runsMax',
  'jitterMs',
  'paused',
  'job',
]);
const SCHEDULE_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const ID_RULE = '1–128 of A–Z, a–z, 0–9, -, _ and ., with a letter or digit first';

export function scheduleOperations(rooms: ScheduleRooms): Served[] {
  const { queues, schedules } = rooms;
  return [
    serve(contract.putSchedule, async (call) => {
      const draft = readSchedule(idOf(call), call.body);
      // What a run would be refused for is told now.
      jobFrom(rooms, await queues.definition(openQueue(draft.queue)), draft.job, '/job');
      return json(200, await schedules.put(draft));
    }),
    serve(contract.getSchedule, async (call) => {
      const id = idOf(call);
      const found = await schedules.get(id);
      if (found === undefined) throw unknown(id);
      return json(200, found);
    }),
    serve(contract.listSchedules, async (call) => json(200, { schedules: await schedules.list(call.query.queue) })),
    serve(contract.removeSchedule, async (call): Promise<Reply> => {
      const id = idOf(call);
      if (!(await schedules.remove(id))) throw unknown(id);
      return { status: 204 };
    }),
    serve(contract.runSchedule, async (call) => {
      const id = idOf(call);
      const added = await schedules.run(id);
      if (added === undefined) throw unknown(id);
      if ('refused' in added) throw queueFull(`of the schedule ${id}`);
      return json(201, { id: added.id, state: added.state, duplicate: added.isDuplicate });
    }),
  ];
}

const idOf = (call: Pick<Call, 'params'>): string => param(call, 'id', SCHEDULE_ID, ID_RULE);

const unknown = (id: string): Problem => new Problem('schedule_not_found', `there is no schedule ${id}`);

/**
 * A job for a run, with the defaults that its queue has now.
 *
 * @throws Problem as enqueueing does, also when the schema of the queue has changed since the schedule was made.
 */
export function jobFrom(
  rooms: Pick<EnqueueRooms, 'schemas' | 'urlFault' | 'now'>,
  definition: QueueDefinition | undefined,
  job: unknown,
  path = '',
): NewJob {
  const members = object(job, path, 'a job');
  const { delayMs, runAt } = members;
  if (delayMs !== undefined || runAt !== undefined) {
    throw fault(`${path}/${delayMs === undefined ? 'runAt' : 'delayMs'}`, 'the schedule says when');
  }
  const spans = new JsonSpans(written(job, path));
  return readJob(members, dataText(spans, 0, path), path, jobSetting(rooms, definition));
}

/** JSON.parse is not recursive, JSON.stringify is: some thousand levels end its stack. */
function written(job: unknown, path: string): string {
  try {
    return JSON.stringify(job);
  } catch (error) {
    if (error instanceof RangeError) throw fault(`${path}/data`, `it is nested deeper than ${LIMITS.depthMax}`);
    throw error;
  }
}

function readSchedule(id: string, body: unknown): ScheduleDraft {
  const members = object(body, '', 'a schedule');
  onlyKnown(members, MEMBERS, '');
  const { cron, everyMs, at, timeZone, catchUp, runsMax, jitterMs, paused = false } = members;
  const kinds = [cron, everyMs, at].filter((kind) => kind !== undefined).length;
  if (kinds !== 1)
    throw fault('', `cron, everyMs and at: one of them is wanted, there ${kinds === 0 ? 'is none' : `are ${kinds}`}`);
  if (timeZone !== undefined && cron === undefined) throw fault('/timeZone', 'it is for cron');
  if (typeof paused !== 'boolean') throw fault('/paused', 'it takes true or false');
  return {
    id,
    queue: matching(members.queue, '/queue', QUEUE, QUEUE_RULE),
    cron: cron === undefined ? undefined : text(cron, '/cron', 1, 256),
    timeZone: timeZone === undefined ? undefined : text(timeZone, '/timeZone', 1, 64),
    everyMs: everyMs === undefined ? undefined : whole(everyMs, '/everyMs', EVERY_MS_MIN, LIMITS.delayMsMax),
    atMs: maybeMoment(members, 'at'),
    catchUp: catchUp === undefined ? 'one' : oneOf(catchUp, '/catchUp', CATCH_UPS),
    fromMs: maybeMoment(members, 'from'),
    untilMs: maybeMoment(members, 'until'),
    runsMax: runsMax === undefined ? undefined : whole(runsMax, '/runsMax', 1, 1_000_000_000),
    jitterMs: jitterMs === undefined ? undefined : whole(jitterMs, '/jitterMs', 0, LIMITS.scheduleJitterMsMax),
    paused,
    job: members.job,
  };
}

const maybeMoment = (members: Members, name: string): number | undefined =>
  members[name] === undefined ? undefined : moment(members[name], `/${name}`);
