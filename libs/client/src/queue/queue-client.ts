/** The task queue: its queues, schedules and workers. */
import type * as contract from '@plinth/contracts/queue';
import type { Caller, CallOptions } from '../caller.ts';
import { queueEndpoints } from './endpoints.ts';
import { Queue } from './queue.ts';
import { callQueue } from './queue-call.ts';

/** What a worker should do: go on, take no new job, or end when those at hand are done. */
export type WorkerOrder = 'run' | 'quiet' | 'terminate';

/** The way in: `queue(name)` for one queue, the rest for what is beside them. */
export class QueueClient {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** What can be done with one queue. Asks nothing: the queue may not be there yet. */
  queue(name: string): Queue {
    return new Queue(this.#caller, name);
  }

  /** All queues, by name. */
  async listQueues(options: CallOptions = {}): Promise<contract.QueueInfo[]> {
    const ask = {};
    return (await callQueue<{ queues: contract.QueueInfo[] }>(this.#caller, queueEndpoints.listQueues, ask, options))
      .queues;
  }

  // ---------------------------------------------------------------- schedules

  /** Enqueues a job by a calendar, at intervals, or once. @throws Problem `invalid_schedule`, which says where. */
  putSchedule(id: string, schedule: contract.ScheduleInput, options: CallOptions = {}): Promise<contract.ScheduleInfo> {
    return callQueue(this.#caller, queueEndpoints.putSchedule, { params: { id }, body: schedule }, options);
  }

  /** @throws Problem `schedule_not_found`. */
  schedule(id: string, options: CallOptions = {}): Promise<contract.ScheduleInfo> {
    return callQueue(this.#caller, queueEndpoints.getSchedule, { params: { id } }, options);
  }

  /** All, or those of one queue, by id. */
  async listSchedules({ queue, ...options }: CallOptions & { queue?: string } = {}): Promise<contract.ScheduleInfo[]> {
    const ask = { query: { queue } };
    const endpoint = queueEndpoints.listSchedules;
    return (await callQueue<{ schedules: contract.ScheduleInfo[] }>(this.#caller, endpoint, ask, options)).schedules;
  }

  /** Ends it; jobs that it made stay. @throws Problem `schedule_not_found`. */
  removeSchedule(id: string, options: CallOptions = {}): Promise<void> {
    return callQueue(this.#caller, queueEndpoints.removeSchedule, { params: { id } }, options);
  }

  /** Enqueues its job now, besides its runs. Not repeated when its answer was lost. */
  runSchedule(id: string, options: CallOptions = {}): Promise<contract.AddedAnswer> {
    return callQueue(this.#caller, queueEndpoints.runSchedule, { params: { id } }, options);
  }

  // ---------------------------------------------------------------- workers

  /** Tells of a worker, and hears what it should do. */
  async beat(worker: string, beat: contract.BeatInput, options: CallOptions = {}): Promise<WorkerOrder> {
    const ask = { params: { worker }, body: beat };
    return (await callQueue<{ state: WorkerOrder }>(this.#caller, queueEndpoints.beat, ask, options)).state;
  }

  /** Those that told of themselves in the last half minute, by name. */
  async listWorkers({ queue, ...options }: CallOptions & { queue?: string } = {}): Promise<contract.WorkerInfo[]> {
    const ask = { query: { queue } };
    const endpoint = queueEndpoints.listWorkers;
    return (await callQueue<{ workers: contract.WorkerInfo[] }>(this.#caller, endpoint, ask, options)).workers;
  }

  /** Has a worker take no new jobs; it hears so with its next beat. @throws Problem `worker_not_found`. */
  quietWorker(worker: string, options: CallOptions = {}): Promise<{ state: WorkerOrder }> {
    return callQueue(this.#caller, queueEndpoints.quietWorker, { params: { worker } }, options);
  }

  /** Has a worker end when its jobs are done; it hears so with its next beat. @throws Problem `worker_not_found`. */
  terminateWorker(worker: string, options: CallOptions = {}): Promise<{ state: WorkerOrder }> {
    return callQueue(this.#caller, queueEndpoints.terminateWorker, { params: { worker } }, options);
  }
}
