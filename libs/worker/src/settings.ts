/** The options of a worker, checked, with every default filled in. */
import { hostname } from 'node:os';
import type { ResourceLimits } from 'node:worker_threads';
import type { ApiKey, BusLike, Client, ClientOptions, NatsAddress } from '@plinth/client';
import { grouped } from '@plinth/problem';
import type { Handler } from './job.ts';
import type { WorkerEvent } from './worker-event.ts';

/** Where the queue service is. A `client` stays its owner's to close, and only says where: see `heartbeats` in README.md. */
export type Connection = { client: Client; url?: undefined; nats?: undefined } | HttpAddress | NatsPlace;
type HttpAddress = { url: string; apiKey?: ApiKey; nats?: undefined; client?: undefined };
type NatsPlace = { nats: BusLike | NatsAddress; url?: undefined; client?: undefined };

export interface WorkerSettings {
  /** Jobs that run at a time, over all queues. 1 … 1,000; default 10. */
  concurrency: number;
  /** The most jobs held ready beside those that run, a quarter of a second's work. 0 … 2,000; default 8 × `concurrency`. */
  prefetch: number;
  /** How long a job stays this worker's without a renewal. 1,000 … 3,600,000; default 30,000. */
  leaseMs: number;
  /** How long a call may wait for a job. 0 … 60,000; default 20,000, over NATS 2,000. */
  waitMs: number;
  /** How long the main thread may be blocked before its leases are given up. 1,000 … 3,600,000; default 60,000. */
  maxBlockMs: number;
  /** Between two beats. 100 … 60,000; default 5,000. */
  beatMs: number;
  /** Its name in lists; 1 … 128 characters. Default `<host>:<pid>:<four letters>`. */
  worker: string;
}

export interface SandboxOptions {
  /** Milliseconds between the abort of a signal and the end of its thread. Default 1,000. */
  graceMs?: number;
  /** Of each thread: `{ maxOldGenerationSizeMb: 256 }`. */
  resourceLimits?: ResourceLimits;
}

export type WorkerOptions<Data = unknown, Result = unknown> = Connection &
  Partial<WorkerSettings> & {
    /** A function, or the URL of a module that exports one as `handler`, run in a pool of threads. */
    handler: Handler<Data, Result> | URL;
    sandbox?: SandboxOptions;
    /** Is told what happens; for logs and metrics. Called synchronously: be quick. */
    onEvent?: (event: WorkerEvent) => void;
  } & ({ queue: string; queues?: undefined } | { queues: readonly string[]; queue?: undefined });

interface Range {
  min: number;
  max: number;
  or: number;
}

/** @throws TypeError that names the option and its range. */
export function settingsOf(
  options: Partial<WorkerSettings>,
  { isNats, random }: { isNats: boolean; random: () => number },
): WorkerSettings {
  const { worker = nameOf(random) } = options;
  if (typeof worker !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(worker)) {
    throw new TypeError('worker must be a name of 1 to 128 visible ASCII characters');
  }
  const concurrency = whole('concurrency', options.concurrency, { min: 1, max: 1_000, or: 10 });
  return {
    worker,
    concurrency,
    prefetch: whole('prefetch', options.prefetch, { min: 0, max: 2_000, or: Math.min(2_000, 8 * concurrency) }),
    leaseMs: whole('leaseMs', options.leaseMs, { min: 1_000, max: 3_600_000, or: 30_000 }),
    waitMs: whole('waitMs', options.waitMs, { min: 0, max: 60_000, or: isNats ? NATS_WAIT_MS : HTTP_WAIT_MS }),
    maxBlockMs: whole('maxBlockMs', options.maxBlockMs, { min: 1_000, max: 3_600_000, or: 60_000 }),
    beatMs: whole('beatMs', options.beatMs, { min: 100, max: 60_000, or: 5_000 }),
  };
}

const HTTP_WAIT_MS = 20_000;
/** Over NATS nobody tells the service that a caller has gone; a job that it leases to one waits for its lease to end. */
const NATS_WAIT_MS = 2_000;

/** @throws TypeError when there is none, or one is no name. */
export function queuesOf({ queue, queues }: { queue?: string; queues?: readonly string[] }): readonly string[] {
  const names = [...new Set(queues ?? (queue === undefined ? [] : [queue]))];
  if (names.length === 0) throw new TypeError('a worker wants a queue, or queues');
  const wrong = names.find((name) => typeof name !== 'string' || name === '');
  if (wrong !== undefined) throw new TypeError(`${JSON.stringify(wrong)} is not the name of a queue`);
  return names;
}

function whole(name: string, value: number | undefined, { min, max, or }: Range): number {
  const number = value ?? or;
  if (Number.isSafeInteger(number) && number >= min && number <= max) return number;
  throw new TypeError(`${name} must be a whole number from ${grouped(min)} to ${grouped(max)}, not ${number}`);
}

function nameOf(random: () => number): string {
  const letters = Array.from({ length: 4 }, () => String.fromCharCode(97 + Math.floor(random() * 26))).join('');
  return `${hostname().slice(0, 64)}:${process.pid}:${letters}`;
}

/** @throws TypeError when there is not one place, or more. */
export function connectionOf({ client, url, nats, ...rest }: Connection): ClientOptions {
  const given = [client, url, nats].filter((place) => place !== undefined);
  if (given.length !== 1) throw new TypeError('give one of client, url and nats');
  if (client !== undefined) return client.options;
  if (nats !== undefined) return { nats };
  return { url: url!, apiKey: 'apiKey' in rest ? rest.apiKey : undefined };
}

/** @throws TypeError when it is none. */
export function handlerOf(handler: unknown): Handler {
  if (typeof handler === 'function') return handler as Handler;
  throw new TypeError('handler must be a function, or the URL of a module');
}
