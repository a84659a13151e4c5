/** Enqueueing: one job, arrays, CloudEvents, flows. */
import {
  type Call,
  type JsonText,
  json,
  queue as queueContract,
  type Reply,
  type Served,
  serve,
} from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import type { Added, NewJob, OnceCall } from '../core/job.ts';
import type { QueueDefinition } from '../core/queue-definition.ts';
import type { Queues } from '../core/queues.ts';
import { openQueueOf } from './call.ts';
import type { DataSchemas } from './data-schema.ts';
import { sending, type TraceHeaders } from './message-span.ts';
import { idempotencyMismatch, onceCall } from './once.ts';
import { type Batch, readBatch, readFlow, sizeOf } from './read-batch.ts';
import type { JobSetting } from './read-job.ts';

export interface EnqueueRooms {
  queues: Pick<Queues, 'definition' | 'enqueue' | 'flow'>;
  schemas: DataSchemas;
  /** What is wrong with a URL that jobs want to be told at; undefined: nothing. */
  urlFault(url: string): string | undefined;
  now(): number;
}

type EnqueueCall = Pick<Call<unknown, JsonText>, 'params' | 'body' | 'trace' | 'header' | 'headersWith'>;

const JSON_HEADERS = { 'content-type': 'application/json' };
/** A full queue empties at the pace of its workers, which nobody knows. */
const FULL_RETRY_MS = 1_000;
const NO_TRACE: TraceHeaders = { traceparent: undefined, tracestate: undefined };

/** What holds for the jobs of a queue at this moment. */
export function jobSetting(
  { schemas, urlFault, now }: Pick<EnqueueRooms, 'schemas' | 'urlFault' | 'now'>,
  definition: QueueDefinition | undefined,
  { traceparent, tracestate }: TraceHeaders = NO_TRACE,
): JobSetting {
  const { schema, defaults = {} } = definition ?? {};
  const checkData = schema === undefined ? undefined : schemas.checkOf(schema);
  return { nowMs: now(), defaults, checkData, urlFault, traceparent, tracestate };
}

export function enqueueOperations(rooms: EnqueueRooms): Served[] {
  const { queues } = rooms;

  async function enqueue(call: EnqueueCall): Promise<Reply> {
    const queue = openQueueOf(call);
    const once = onceCall(call, call.body.text);
    return sending(call, queue, sizeOf(call.body), async (trace) => {
      const setting = jobSetting(rooms, await queues.definition(queue), trace);
      const batch = readBatch(call, call.body, setting);
      const added = await queues.enqueue(queue, jobsOf(batch, once));
      if (added.some(isOfAnother)) throw idempotencyMismatch(call);
      return batch.isArray ? listReply(queue, batch, added) : singleReply(queue, added[0]!);
    });
  }

  async function flow(call: EnqueueCall): Promise<Reply> {
    const queue = openQueueOf(call);
    return sending(call, queue, 1, async (trace) => {
      const node = readFlow(call.body, jobSetting(rooms, await queues.definition(queue), trace));
      const { id, childIds } = await queues.flow(queue, node);
      return json(201, { id, state: node.children.length > 0 ? 'waiting-children' : 'waiting', childIds });
    });
  }

  return [serve(queueContract.enqueue, enqueue), serve(queueContract.enqueueFlow, flow)];
}

/** Those that are jobs, in their order. */
function jobsOf({ items }: Batch, call: OnceCall | undefined): NewJob[] {
  const jobs: NewJob[] = [];
  for (let at = 0; at < items.length; at++) {
    const item = items[at]!;
    if (!(item instanceof Problem)) jobs.push(call === undefined ? item : { ...item, once: { call, place: at } });
  }
  return jobs;
}

const isOfAnother = (added: Added): boolean => 'refused' in added && added.refused === 'idempotency_mismatch';

function singleReply(queue: string, added: Added): Reply {
  if ('refused' in added) throw queueFull(queue);
  return { status: 201, headers: JSON_HEADERS, body: addedText(added) };
}

function listReply(queue: string, { items }: Batch, added: readonly Added[]): Reply {
  let next = 0;
  const texts = items.map((item) => {
    if (item instanceof Problem) return problemText(item);
    const one = added[next++]!;
    return 'refused' in one ? problemText(queueFull(queue)) : addedText(one);
  });
  return { status: 200, headers: JSON_HEADERS, body: `{"jobs":[${texts.join(',')}]}` };
}

/** An answer to a job that was enqueued. */
export const addedText = ({ id, state, isDuplicate }: Exclude<Added, { refused: unknown }>): string =>
  `{"id":${JSON.stringify(id)},"state":"${state}","duplicate":${isDuplicate}}`;

const problemText = (problem: Problem): string => `{"problem":${JSON.stringify(problem.toBody())}}`;

export const queueFull = (queue: string): Problem =>
  new Problem('queue_full', `the queue ${queue} holds as many unfinished jobs as its jobsMax allows`, {
    retryAfterMs: FULL_RETRY_MS,
  });
