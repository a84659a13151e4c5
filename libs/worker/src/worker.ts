/** Workers for the task queue, and a producer for it. README.md shows them at work. */
export { Problem, type ProblemCode } from '@plinth/problem';
export {
  FinalError,
  JobCancelled,
  JobTimeout,
  LeaseLost,
  ProcessorCrash,
  RetryLater,
  WorkerStopping,
} from './errors.ts';
export type { Handler, Job } from './job.ts';
export { type Enqueued, Producer, type ProducerOptions } from './producer.ts';
export { type StopOptions, Worker } from './queue-worker.ts';
export type { Connection, SandboxOptions, WorkerOptions, WorkerSettings } from './settings.ts';
export type { WorkerEvent, WorkerState } from './worker-event.ts';
