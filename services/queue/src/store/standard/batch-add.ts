/** Many jobs in one call of the lane's own script (`ADD`): those without a dedup id of their own. */
import type { Added, NewJob } from '../../core/job.ts';
import { type CallPlace, callPlaceOf } from './calls.ts';
import { jobJson, type StoredOptions } from './job-options.ts';
import { run } from './own-scripts.ts';
import type { QueueHandle } from './queue-handle.ts';

/** In one call: they keep Redis for some milliseconds. */
const BATCH_MAX = 250;

/** A job with the priority that BullMQ is told. */
export interface Placed {
  readonly job: NewJob;
  readonly priority: number;
}

/** BullMQ has a say in what a dedup id means; idempotent calls are the lane's own. */
export const isCommon = (job: NewJob): boolean => job.dedup === undefined || callPlaceOf(job) !== undefined;

/** @param jobsMax - The most unfinished jobs of the queue; 0: any. @returns In their order. */
export async function addMany(handle: QueueHandle, jobs: readonly Placed[], jobsMax: number): Promise<Added[]> {
  const added: Added[] = [];
  for (let from = 0; from < jobs.length; from += BATCH_MAX)
    added.push(...(await addBatch(handle, jobs.slice(from, from + BATCH_MAX), jobsMax)));
  return added;
}

async function addBatch(handle: QueueHandle, jobs: readonly Placed[], jobsMax: number): Promise<Added[]> {
  const { base, keys, own } = handle.place;
  const nowMs = Date.now();
  const shapes = new Shapes(nowMs);
  const calls = new Map<string, { readonly number: number; readonly ttlMs: number }>();
  const words: (string | number)[] = [];
  for (const placed of jobs) {
    const { job } = placed;
    words.push(job.name, job.data, shapes.numberOf(placed), callWord(calls, callPlaceOf(job)));
  }
  const names = [
    'wait',
    'active',
    'prioritized',
    'delayed',
    'waiting-children',
    'id',
    'pc',
    'events',
    'meta',
    'marker',
  ];
  const answers = await run<string[]>(
    handle.redis,
    'ADD',
    [...names.map((name) => keys[name]!), own.dedups, ...[...calls.keys()].map(own.callOf)],
    [base, nowMs, jobsMax, shapes.count, ...shapes.words, ...[...calls.values()].map(({ ttlMs }) => ttlMs), ...words],
  );
  return answers.map((answer, at): Added => {
    if (answer === '') return { refused: 'queue_full' };
    const isDuplicate = answer.startsWith('=');
    const state = jobs[at]!.job.runAtMs > nowMs ? 'scheduled' : 'waiting';
    return { id: isDuplicate ? answer.slice(1) : answer, state, isDuplicate };
  });
}

function callWord(
  calls: Map<string, { readonly number: number; readonly ttlMs: number }>,
  at: CallPlace | undefined,
): string {
  if (at === undefined) return '';
  let call = calls.get(at.call);
  if (call === undefined) {
    call = { number: calls.size + 1, ttlMs: at.ttlMs };
    calls.set(at.call, call);
  }
  return `${call.number}:${at.place}`;
}

/** What jobs of one call have in common is said once: options, delay, priority. */
class Shapes {
  /** Of each shape three. */
  readonly words: (string | number)[] = [];
  readonly #nowMs: number;
  readonly #numbers = new Map<string, number>();
  #last: { readonly placed: Placed; readonly number: number } | undefined;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#numbers.size;
  }

  /** From 1. */
  numberOf(placed: Placed): number {
    if (this.#last !== undefined && isAlike(this.#last.placed, placed)) return this.#last.number;
    const { opts } = jobJson({ ...placed.job, dedup: undefined }, { ...placed, nowMs: this.#nowMs, nonce: undefined });
    const text = optionsText(opts);
    const number = this.#numbers.get(text) ?? this.count + 1;
    if (number > this.count) {
      this.#numbers.set(text, number);
      this.words.push(text, opts.delay ?? 0, opts.priority ?? 0);
    }
    this.#last = { placed, number };
    return number;
  }
}

/** Their options are the same; of some that are, it need not be seen. */
function isAlike(one: Placed, other: Placed): boolean {
  const [a, b] = [one.job, other.job];
  return (
    one.priority === other.priority &&
    a.priority === b.priority &&
    a.runAtMs === b.runAtMs &&
    a.attempts === b.attempts &&
    a.backoff === b.backoff &&
    a.retain === b.retain &&
    a.timeoutMs === b.timeoutMs &&
    a.expiresAtMs === b.expiresAtMs &&
    a.group === b.group &&
    (a.tags === b.tags || (a.tags.length === 0 && b.tags.length === 0)) &&
    a.callbackUrl === b.callbackUrl &&
    a.failureCallbackUrl === b.failureCallbackUrl &&
    a.resultTo === b.resultTo &&
    a.traceparent === b.traceparent &&
    a.tracestate === b.tracestate
  );
}

/** As BullMQ stores them: of those that the lane uses it has a short name for one. */
function optionsText({ telemetry, ...opts }: StoredOptions): string {
  return JSON.stringify(telemetry?.metadata === undefined ? opts : { ...opts, tm: telemetry.metadata });
}
