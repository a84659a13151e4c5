/** The operations of the task queue, as a caller needs them. */
import { endpointsOf } from '../endpoint.ts';

const endpoint = endpointsOf('queue');

const QUEUE = '/v1/queues/{queue}';
const GROUP = `${QUEUE}/groups/{group}`;
const JOB = `${QUEUE}/jobs/{id}`;
const PUSH = `${QUEUE}/push`;
const SCHEDULE = '/v1/schedules/{id}';
const WORKER = '/v1/workers/{worker}';
const AGAIN = { idempotent: true };

export const queueEndpoints = {
  putQueue: endpoint('putQueue', `PUT ${QUEUE}`),
  listQueues: endpoint('listQueues', 'GET /v1/queues'),
  getQueue: endpoint('getQueue', `GET ${QUEUE}`),
  removeQueue: endpoint('removeQueue', `DELETE ${QUEUE}`),
  putGroup: endpoint('putGroup', `PUT ${GROUP}`),
  removeGroup: endpoint('removeGroup', `DELETE ${GROUP}`),
  stats: endpoint('stats', `GET ${QUEUE}/stats`),
  enqueue: endpoint('enqueue', `POST ${QUEUE}/jobs`, { isKeyed: true }),
  enqueueFlow: endpoint('enqueueFlow', `POST ${QUEUE}/flows`),
  lease: endpoint('lease', `POST ${QUEUE}:lease`),
  next: endpoint('next', `POST ${QUEUE}:next`),
  ack: endpoint('ack', `POST ${QUEUE}:ack`, AGAIN),
  renew: endpoint('renew', `POST ${QUEUE}:renew`),
  listJobs: endpoint('listJobs', `GET ${QUEUE}/jobs`),
  getJob: endpoint('getJob', `GET ${JOB}`),
  cancelJob: endpoint('cancelJob', `POST ${JOB}:cancel`, AGAIN),
  promoteJob: endpoint('promoteJob', `POST ${JOB}:promote`),
  pause: endpoint('pause', `POST ${QUEUE}:pause`, AGAIN),
  resume: endpoint('resume', `POST ${QUEUE}:resume`, AGAIN),
  drain: endpoint('drain', `POST ${QUEUE}:drain`, AGAIN),
  purge: endpoint('purge', `POST ${QUEUE}:purge`, AGAIN),
  redrive: endpoint('redrive', `POST ${QUEUE}:redrive`),
  cancelJobs: endpoint('cancelJobs', `POST ${QUEUE}:cancel`, AGAIN),
  putSchedule: endpoint('putSchedule', `PUT ${SCHEDULE}`),
  getSchedule: endpoint('getSchedule', `GET ${SCHEDULE}`),
  listSchedules: endpoint('listSchedules', 'GET /v1/schedules'),
  removeSchedule: endpoint('removeSchedule', `DELETE ${SCHEDULE}`),
  runSchedule: endpoint('runSchedule', `POST ${SCHEDULE}:run`),
  putPush: endpoint('putPush', `PUT ${PUSH}`),
  getPush: endpoint('getPush', `GET ${PUSH}`),
  removePush: endpoint('removePush', `DELETE ${PUSH}`),
  beat: endpoint('beat', `POST ${WORKER}:beat`, AGAIN),
  listWorkers: endpoint('listWorkers', 'GET /v1/workers'),
  quietWorker: endpoint('quietWorker', `POST ${WORKER}:quiet`, AGAIN),
  terminateWorker: endpoint('terminateWorker', `POST ${WORKER}:terminate`, AGAIN),
  events: endpoint('events', 'GET /v1/events', { streams: true }),
} as const;
