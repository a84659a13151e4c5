/** The task queue's operations. `services/queue/README.md` explains them with examples. */
import { z } from 'zod';
import { eventSubject, type HeaderContract, operationsOf } from './operation.ts';
import * as words from './queue-words.ts';
import { ENDED_STATES, LIMITS, STATES } from './queue-words.ts';

export * from './queue-words.ts';

const operation = operationsOf('queue');

/** A CloudEvent for each change of a job: `plinth.queue.v1.events.mail.completed`. */
export const eventsSubject = (queue: string, state: string): string => eventSubject('queue', `${queue}.${state}`);

const JSON_TYPE = 'application/json';
const CLOUD_EVENT = 'application/cloudevents+json';
const CLOUD_EVENTS = 'application/cloudevents-batch+json';

const noQuery = z.strictObject({});
const none = { kind: 'none' } as const;
const header = (name: string, description: string): HeaderContract => ({ name, description });
const answer = (status: number, description: string, schema: z.ZodType) => ({
  status,
  description,
  mediaType: JSON_TYPE,
  schema,
});
const gone = [{ status: 204, description: 'It is gone.' }];
const count = z.number().int();

const digits = (max: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, 'a whole number')
    .transform(Number)
    .pipe(z.number().int().min(0).max(most))
    .describe(`0 to ${max}`);
const wait = digits(LIMITS.waitMsMax, LIMITS.waitMsMax);
/** Milliseconds since 1970, or RFC 3339. */
const moment = z.string().min(1).max(40);
const oneOrMoreStates = z.string().regex(new RegExp(`^(${STATES.join('|')})(,(${STATES.join('|')}))*$`), {
  error: `states with commas between: ${STATES.join(', ')}`,
});

// ---------------------------------------------------------------- queues

export const putQueue = operation({
  name: 'putQueue',
  summary: 'Make a queue, or set its limits, schema and defaults; what is left out is the default',
  method: 'PUT',
  path: '/v1/queues/{queue}',
  query: noQuery,
  body: { kind: 'json', schema: words.queueAsk.default({}) },
  replies: [answer(200, 'As it is now, on all replicas in a second.', words.queueInfo)],
  problems: ['conflict', 'invalid_schema'],
});

export const listQueues = operation({
  name: 'listQueues',
  summary: 'All queues, by name',
  method: 'GET',
  path: '/v1/queues',
  query: noQuery,
  body: none,
  replies: [answer(200, 'All of them.', z.object({ queues: z.array(words.queueInfo) }))],
});

export const getQueue = operation({
  name: 'getQueue',
  summary: 'The settings of a queue',
  method: 'GET',
  path: '/v1/queues/{queue}',
  query: noQuery,
  body: none,
  replies: [answer(200, 'With every default filled in.', words.queueInfo)],
  problems: ['queue_not_found'],
});

export const removeQueue = operation({
  name: 'removeQueue',
  summary: 'Remove a queue with all its jobs; with leases out only if `force=true`',
  method: 'DELETE',
  path: '/v1/queues/{queue}',
  query: z.strictObject({ force: z.enum(['true', 'false']).optional() }),
  body: none,
  replies: gone,
  problems: ['queue_not_found', 'conflict'],
});

export const putGroup = operation({
  name: 'putGroup',
  summary: 'Set the share and the limits of one group; what is left out is the queue’s',
  method: 'PUT',
  path: '/v1/queues/{queue}/groups/{group}',
  query: noQuery,
  body: { kind: 'json', schema: words.groupLimits },
  replies: [answer(200, 'As it is now.', words.groupLimits.required())],
});

export const removeGroup = operation({
  name: 'removeGroup',
  summary: 'Back to the queue’s limits for groups',
  method: 'DELETE',
  path: '/v1/queues/{queue}/groups/{group}',
  query: noQuery,
  body: none,
  replies: [{ status: 204, description: 'The queue’s limits hold.' }],
  problems: ['queue_not_found'],
});

export const stats = operation({
  name: 'stats',
  summary: 'How many jobs are in which state, how old the oldest is, how fast they go',
  method: 'GET',
  path: '/v1/queues/{queue}/stats',
  query: noQuery,
  body: none,
  replies: [answer(200, 'Every number is there, also of a queue that is not: for scalers.', words.queueStats)],
});

// ---------------------------------------------------------------- enqueueing

export const enqueue = operation({
  name: 'enqueue',
  summary: 'Enqueue one job, or up to 1,000',
  method: 'POST',
  path: '/v1/queues/{queue}/jobs',
  query: noQuery,
  headers: [
    header('Idempotency-Key', 'A repeat within a day answers with the first ids and enqueues nothing.'),
    header('Idempotency-Key-TTL', 'For how many seconds the key is known: 1 to 86,400, a day unless told.'),
    header('ce-specversion', '`1.0`: the body is the data of a CloudEvent whose attributes are in headers `ce-…`.'),
  ],
  body: {
    kind: 'json',
    schema: z.union([
      words.job,
      z.array(words.job).min(1).max(LIMITS.jobsPerCallMax),
      words.cloudEvent,
      z.array(words.cloudEvent).min(1).max(LIMITS.jobsPerCallMax),
    ]),
    mediaTypes: [CLOUD_EVENT, CLOUD_EVENTS],
    isCheckedByHandler: true,
    keepsText: true,
  },
  replies: [
    answer(200, 'Of an array: what became of each, in order; one bad job harms no other.', words.addedList),
    answer(201, 'Of one job: kept as safely as the store keeps anything, see `/readyz`.', words.added),
  ],
  problems: ['payload_too_large', 'schema_mismatch', 'queue_full', 'idempotency_mismatch'],
  hot: true,
});

export const enqueueFlow = operation({
  name: 'enqueueFlow',
  summary: 'Enqueue a job with those that have to be done before it: all of them or none',
  method: 'POST',
  path: '/v1/queues/{queue}/flows',
  query: noQuery,
  body: { kind: 'json', schema: words.flow, isCheckedByHandler: true, keepsText: true },
  replies: [answer(201, 'All are enqueued.', words.flowAdded)],
  problems: ['payload_too_large', 'schema_mismatch', 'queue_full', 'unprocessable'],
});

// ---------------------------------------------------------------- workers' calls

export const lease = operation({
  name: 'lease',
  summary: 'Take jobs to work on, waiting for the first if there is none',
  method: 'POST',
  path: '/v1/queues/{queue}:lease',
  query: noQuery,
  body: { kind: 'json', schema: words.leaseAsk.default({}), isCheckedByHandler: true },
  replies: [answer(200, 'Up to `max`; empty when none came within `waitMs`.', words.leasedJobs)],
  hot: true,
});

export const next = operation({
  name: 'next',
  summary: 'Say how jobs went and take the next ones, in one call',
  method: 'POST',
  path: '/v1/queues/{queue}:next',
  query: noQuery,
  body: { kind: 'json', schema: words.nextAsk.default({}), isCheckedByHandler: true },
  replies: [answer(200, 'A lost lease is a problem of its item; the others are settled.', words.nextAnswer)],
  problems: ['payload_too_large'],
  hot: true,
});

export const ack = operation({
  name: 'ack',
  summary: 'Say how jobs went: done, failed, or given back',
  method: 'POST',
  path: '/v1/queues/{queue}:ack',
  query: noQuery,
  body: { kind: 'json', schema: words.settleAsk, isCheckedByHandler: true },
  replies: [answer(200, 'A lost lease is a problem of its item; of a single item it is the answer.', words.settled)],
  problems: ['lease_lost', 'job_not_found', 'payload_too_large'],
  idempotent: true,
  hot: true,
});

export const renew = operation({
  name: 'renew',
  summary: 'Keep jobs for longer, tell of progress, and hear whether to stop',
  method: 'POST',
  path: '/v1/queues/{queue}:renew',
  query: noQuery,
  body: { kind: 'json', schema: words.renewAsk, isCheckedByHandler: true },
  replies: [answer(200, 'A lost lease is a problem of its item.', words.renewed)],
  problems: ['lease_lost', 'job_not_found', 'payload_too_large'],
  hot: true,
});

// ---------------------------------------------------------------- looking at jobs

export const listJobs = operation({
  name: 'listJobs',
  summary: 'Jobs by state, name, group, tag and time, newest first',
  method: 'GET',
  path: '/v1/queues/{queue}/jobs',
  query: z.strictObject({
    state: oneOrMoreStates.optional(),
    name: z.string().min(1).max(LIMITS.nameCharsMax).optional(),
    tag: z.string().min(1).max(LIMITS.tagCharsMax).optional(),
    group: z.string().max(LIMITS.groupCharsMax).optional(),
    from: moment.optional().describe('Enqueued then or later.'),
    until: moment.optional().describe('Enqueued before.'),
    limit: digits(LIMITS.listMax, LIMITS.listMax).optional().describe('How many, 100 unless told.'),
    cursor: z.string().min(1).max(1_024).optional(),
  }),
  body: none,
  replies: [answer(200, 'A page.', words.jobPage)],
  problems: ['queue_not_found', 'invalid_cursor'],
});

export const getJob = operation({
  name: 'getJob',
  summary: 'All that is known of a job; with `waitMs` when it has ended',
  method: 'GET',
  path: '/v1/queues/{queue}/jobs/{id}',
  query: z.strictObject({ waitMs: wait.optional().describe('Wait so long for its end: up to 60000.') }),
  body: none,
  replies: [answer(200, 'As it is; when `waitMs` passed first, not ended.', words.jobView)],
  problems: ['job_not_found'],
});

const reasonBody = z.strictObject({ reason: z.string().max(LIMITS.reasonCharsMax).optional() });
export const cancelJob = operation({
  name: 'cancelJob',
  summary: 'Cancel a job: at once when nobody has it, else its worker is asked to stop',
  method: 'POST',
  path: '/v1/queues/{queue}/jobs/{id}:cancel',
  query: noQuery,
  body: { kind: 'json', schema: reasonBody.default({}) },
  replies: [answer(200, '`leased`: its worker hears of it.', z.object({ id: z.string(), state: z.enum(STATES) }))],
  problems: ['job_not_found'],
  idempotent: true,
});

export const promoteJob = operation({
  name: 'promoteJob',
  summary: 'Make a scheduled or retrying job due now',
  method: 'POST',
  path: '/v1/queues/{queue}/jobs/{id}:promote',
  query: noQuery,
  body: none,
  replies: [answer(200, 'It waits for a worker.', z.object({ id: z.string(), state: z.enum(STATES) }))],
  problems: ['job_not_found', 'conflict'],
});

// ---------------------------------------------------------------- operators' calls

const groupBody = z.strictObject({ group: z.string().max(LIMITS.groupCharsMax).optional() });
const pausedReply = [
  answer(200, 'So it is now.', z.object({ paused: z.boolean(), pausedGroups: z.array(z.string()) })),
];
export const pause = operation({
  name: 'pause',
  summary: 'Give jobs of a queue or of one group to nobody; enqueueing goes on',
  method: 'POST',
  path: '/v1/queues/{queue}:pause',
  query: noQuery,
  body: { kind: 'json', schema: groupBody.default({}) },
  replies: pausedReply,
  problems: ['queue_not_found'],
  idempotent: true,
});

export const resume = operation({
  name: 'resume',
  summary: 'End a pause',
  method: 'POST',
  path: '/v1/queues/{queue}:resume',
  query: noQuery,
  body: { kind: 'json', schema: groupBody.default({}) },
  replies: pausedReply,
  problems: ['queue_not_found'],
  idempotent: true,
});

export const drain = operation({
  name: 'drain',
  summary: 'Remove what waits; with `scheduled` also what is scheduled or retrying',
  method: 'POST',
  path: '/v1/queues/{queue}:drain',
  query: noQuery,
  body: { kind: 'json', schema: z.strictObject({ scheduled: z.boolean().optional() }).default({}) },
  replies: [answer(200, 'So many are gone.', z.object({ removed: count }))],
  problems: ['queue_not_found'],
  idempotent: true,
});

export const purge = operation({
  name: 'purge',
  summary: 'Forget what has ended in these states',
  method: 'POST',
  path: '/v1/queues/{queue}:purge',
  query: noQuery,
  body: { kind: 'json', schema: z.strictObject({ states: z.array(z.enum(ENDED_STATES)).min(1).max(3) }) },
  replies: [answer(200, 'So many are gone.', z.object({ removed: count }))],
  problems: ['queue_not_found'],
  idempotent: true,
});

export const redrive = operation({
  name: 'redrive',
  summary: 'Give dead jobs all their attempts anew, oldest first',
  method: 'POST',
  path: '/v1/queues/{queue}:redrive',
  query: noQuery,
  body: {
    kind: 'json',
    schema: z
      .strictObject({
        name: z.string().min(1).max(LIMITS.nameCharsMax).optional(),
        group: z.string().max(LIMITS.groupCharsMax).optional(),
        tag: z.string().min(1).max(LIMITS.tagCharsMax).optional(),
        /** Enqueued then or later, and before: RFC 3339 or milliseconds since 1970. */
        from: z.union([moment, count]).optional(),
        until: z.union([moment, count]).optional(),
        /** Of these alone, as far as they are dead and meet the rest. */
        ids: z.array(z.string().regex(words.JOB_ID, 'the id of a job')).min(1).max(LIMITS.idsPerCallMax).optional(),
        /** Default 1,000. */
        max: z.number().int().min(1).max(LIMITS.redriveMax).optional(),
        /** So many a second: the call lasts as long as that takes, up to a minute, and ends with its caller. */
        ratePerSecond: z.number().positive().max(LIMITS.redriveMax).optional(),
      })
      .default({}),
  },
  replies: [
    answer(
      200,
      '`more`: there may be others.',
      z.object({ redriven: count, ids: z.array(z.string()), more: z.boolean() }),
    ),
  ],
  problems: ['queue_not_found'],
});

export const cancelJobs = operation({
  name: 'cancelJobs',
  summary: 'Cancel up to 1,000 jobs by their ids',
  method: 'POST',
  path: '/v1/queues/{queue}:cancel',
  query: noQuery,
  body: {
    kind: 'json',
    schema: reasonBody.extend({
      ids: z.array(z.string().regex(words.JOB_ID, 'the id of a job')).min(1).max(LIMITS.idsPerCallMax),
    }),
  },
  replies: [
    answer(
      200,
      'In the order of the ids.',
      z.object({
        jobs: z.array(
          z.union([
            z.object({ id: z.string(), state: z.enum(STATES) }),
            z.object({ id: z.string(), problem: words.problem }),
          ]),
        ),
      }),
    ),
  ],
  problems: ['queue_not_found'],
  idempotent: true,
});

// ---------------------------------------------------------------- schedules

export const putSchedule = operation({
  name: 'putSchedule',
  summary: 'Enqueue a job by a calendar, at intervals, or once',
  method: 'PUT',
  path: '/v1/schedules/{id}',
  query: noQuery,
  body: { kind: 'json', schema: words.scheduleAsk, isCheckedByHandler: true },
  replies: [answer(200, 'With its next run.', words.scheduleInfo)],
  problems: ['invalid_schedule', 'payload_too_large', 'schema_mismatch'],
});

export const getSchedule = operation({
  name: 'getSchedule',
  summary: 'A schedule, with its next and last run',
  method: 'GET',
  path: '/v1/schedules/{id}',
  query: noQuery,
  body: none,
  replies: [answer(200, 'As it is.', words.scheduleInfo)],
  problems: ['schedule_not_found'],
});

export const listSchedules = operation({
  name: 'listSchedules',
  summary: 'All schedules, by id, or those of one queue',
  method: 'GET',
  path: '/v1/schedules',
  query: z.strictObject({ queue: z.string().min(1).max(64).optional() }),
  body: none,
  replies: [answer(200, 'All of them.', z.object({ schedules: z.array(words.scheduleInfo) }))],
});

export const removeSchedule = operation({
  name: 'removeSchedule',
  summary: 'End a schedule; jobs that it made stay',
  method: 'DELETE',
  path: '/v1/schedules/{id}',
  query: noQuery,
  body: none,
  replies: gone,
  problems: ['schedule_not_found'],
});

export const runSchedule = operation({
  name: 'runSchedule',
  summary: 'Enqueue the job of a schedule now, besides its runs',
  method: 'POST',
  path: '/v1/schedules/{id}:run',
  query: noQuery,
  body: none,
  replies: [answer(201, 'It is enqueued.', words.added)],
  problems: ['schedule_not_found', 'queue_full'],
});

// ---------------------------------------------------------------- push

export const putPush = operation({
  name: 'putPush',
  summary: 'Send the jobs of a queue to a webhook, signed by the Standard Webhooks specification',
  method: 'PUT',
  path: '/v1/queues/{queue}/push',
  query: noQuery,
  body: { kind: 'json', schema: words.pushAsk, isCheckedByHandler: true },
  replies: [answer(200, 'As it is now.', words.pushInfo)],
});

export const getPush = operation({
  name: 'getPush',
  summary: 'Where the jobs of a queue are sent',
  method: 'GET',
  path: '/v1/queues/{queue}/push',
  query: noQuery,
  body: none,
  replies: [answer(200, 'Without its secret.', words.pushInfo)],
  problems: ['push_not_found'],
});

export const removePush = operation({
  name: 'removePush',
  summary: 'Send the jobs of a queue nowhere; they wait for workers',
  method: 'DELETE',
  path: '/v1/queues/{queue}/push',
  query: noQuery,
  body: none,
  replies: gone,
  problems: ['push_not_found'],
});

// ---------------------------------------------------------------- workers

const orderAnswer = z.object({ state: words.workerOrder });
export const beat = operation({
  name: 'beat',
  summary: 'A worker tells of itself, every ten seconds or so, and hears what it should do',
  method: 'POST',
  path: '/v1/workers/{worker}:beat',
  query: noQuery,
  body: { kind: 'json', schema: words.beatAsk },
  replies: [answer(200, 'What it should do.', orderAnswer)],
  idempotent: true,
});

export const listWorkers = operation({
  name: 'listWorkers',
  summary: 'The workers that told of themselves in the last minute',
  method: 'GET',
  path: '/v1/workers',
  query: z.strictObject({ queue: z.string().min(1).max(64).optional() }),
  body: none,
  replies: [answer(200, 'By name.', z.object({ workers: z.array(words.workerInfo) }))],
});

export const quietWorker = operation({
  name: 'quietWorker',
  summary: 'Have a worker take no new jobs',
  method: 'POST',
  path: '/v1/workers/{worker}:quiet',
  query: noQuery,
  body: none,
  replies: [answer(200, 'It hears so with its next beat.', orderAnswer)],
  problems: ['worker_not_found'],
  idempotent: true,
});

export const terminateWorker = operation({
  name: 'terminateWorker',
  summary: 'Have a worker end when the jobs that it has are done',
  method: 'POST',
  path: '/v1/workers/{worker}:terminate',
  query: noQuery,
  body: none,
  replies: [answer(200, 'It hears so with its next beat.', orderAnswer)],
  problems: ['worker_not_found'],
  idempotent: true,
});

// ---------------------------------------------------------------- what happens

/** The `data` of each kind of event of `watchEvents`; the kinds are those of the subjects on NATS. */
export const EVENT_KINDS = [
  'enqueued',
  'leased',
  'completed',
  'failed',
  'dead',
  'cancelled',
  'stalled',
  'released',
  'promoted',
] as const;

export const watchEvents = operation({
  name: 'events',
  summary: 'What becomes of jobs, as this replica sees it happen',
  method: 'GET',
  path: '/v1/events',
  query: z.strictObject({ queue: z.string().min(1).max(64).optional() }),
  body: none,
  replies: [
    {
      status: 200,
      description:
        'Server-sent events: one for each change; `gap` when some were left out; `end` when the service stops.',
      mediaType: 'text/event-stream',
    },
  ],
  streams: true,
});

export const OPERATIONS = [
  putQueue,
  listQueues,
  getQueue,
  removeQueue,
  putGroup,
  removeGroup,
  stats,
  enqueue,
  enqueueFlow,
  lease,
  next,
  ack,
  renew,
  listJobs,
  getJob,
  cancelJob,
  promoteJob,
  pause,
  resume,
  drain,
  purge,
  redrive,
  cancelJobs,
  putSchedule,
  getSchedule,
  listSchedules,
  removeSchedule,
  runSchedule,
  putPush,
  getPush,
  removePush,
  beat,
  listWorkers,
  quietWorker,
  terminateWorker,
  watchEvents,
] as const;
