/** The body of an enqueueing call: one job, an array of them, or CloudEvents in each of their modes. */
import type { Call, JsonText } from '@plinth/contracts';
import { LIMITS } from '@plinth/contracts/queue';
import { grouped, Problem } from '@plinth/problem';
import type { NewJob } from '../core/job.ts';
import type { FlowNode } from '../store/lane.ts';
import { type EventMode, eventHeaders, eventMode, readEvent } from './cloud-events.ts';
import { fault, type Members, object, oneOf } from './fault.ts';
import { JsonSpans } from './json-spans.ts';
import { dataText, foundText, type JobSetting, readJob } from './read-job.ts';

/** In the order of the body: a job, or why it is none. */
export interface Batch {
  /** An array is answered as one, also of one job. */
  readonly isArray: boolean;
  readonly items: readonly (NewJob | Problem)[];
}

type Headers = Pick<Call, 'header' | 'headersWith'>;
type ReadOne = (members: Members, data: string, path: string, setting: JobSetting) => NewJob;

/** How many jobs it will be, without a look at them. */
export const sizeOf = ({ value }: JsonText): number => (Array.isArray(value) ? Math.max(1, value.length) : 1);

/** @throws Problem for a single job that is none, and for an array that is empty or too long. */
export function readBatch(call: Headers, body: JsonText, setting: JobSetting): Batch {
  const mode = eventMode(call);
  const spans = new JsonSpans(body.text);
  if (mode === 'binary') return { isArray: false, items: [readBinary(call, body, spans, setting)] };
  const isArray = isList(body, mode);
  const readOne = mode === 'no' ? readJob : readEvent;
  if (isArray) return { isArray, items: readList(body.value as readonly unknown[], spans, readOne, setting) };
  const members = object(body.value, '', mode === 'no' ? 'a job' : 'an event');
  return { isArray, items: [readOne(members, dataText(spans, spans.start, ''), '', setting)] };
}

function isList({ value }: JsonText, mode: EventMode): boolean {
  const isArray = Array.isArray(value);
  if (mode === 'batch' && !isArray) throw fault('', 'a batch of events is a list');
  if (mode === 'structured' && isArray)
    throw fault('', 'several events are of the type application/cloudevents-batch+json');
  return isArray;
}

function readBinary(call: Headers, { value }: JsonText, spans: JsonSpans, setting: JobSetting): NewJob {
  const attributes = eventHeaders(call);
  spans.value(spans.start);
  return readEvent({ ...attributes, data: value }, foundText(spans, ''), '/headers/ce-', setting);
}

function readList(
  list: readonly unknown[],
  spans: JsonSpans,
  readOne: ReadOne,
  setting: JobSetting,
): (NewJob | Problem)[] {
  const { jobsPerCallMax } = LIMITS;
  if (list.length === 0) throw fault('', 'a list of jobs has at least one');
  if (list.length > jobsPerCallMax) {
    throw fault('', `${grouped(list.length)} jobs; the most is ${grouped(jobsPerCallMax)}`);
  }
  const items: (NewJob | Problem)[] = [];
  let from = spans.firstElement(spans.start);
  for (let at = 0; at < list.length; at++) {
    items.push(readItem(list[at], spans, { from, path: `/${at}` }, readOne, setting));
    from = spans.nextElement(spans.end);
  }
  return items;
}

/** `spans.end` is behind the item afterwards, so that a bad one does not hide those behind it. */
function readItem(
  value: unknown,
  spans: JsonSpans,
  { from, path }: { from: number; path: string },
  readOne: ReadOne,
  setting: JobSetting,
): NewJob | Problem {
  try {
    // Also for what is no object: where it ends.
    if (typeof value !== 'object' || value === null || Array.isArray(value)) spans.value(from);
    return readOne(object(value, path, 'a job'), dataText(spans, from, path), path, setting);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

// ---------------------------------------------------------------- flows

const ON_FAILURE = ['fail-parent', 'ignore'] as const;

/** A job and its children. @throws Problem with the place of the first fault. */
export function readFlow({ text, value }: JsonText, setting: JobSetting): FlowNode {
  return new FlowReader(new JsonSpans(text), setting).read(value);
}

class FlowReader {
  readonly #spans: JsonSpans;
  readonly #setting: JobSetting;
  #jobs = 0;

  constructor(spans: JsonSpans, setting: JobSetting) {
    this.#spans = spans;
    this.#setting = setting;
  }

  read(value: unknown): FlowNode {
    const members = object(value, '', 'a job');
    if (members.onFailure !== undefined) throw fault('/onFailure', 'it is of children; this job has no parent');
    return this.#node(members, this.#spans.start, '', 1);
  }

  /** `spans.end` is behind the node afterwards. */
  #node(value: unknown, at: number, path: string, depth: number): FlowNode {
    const members = object(value, path, 'a job');
    const { flowJobsMax, flowDepthMax } = LIMITS;
    if (++this.#jobs > flowJobsMax) throw fault(path, `there are more than ${grouped(flowJobsMax)} jobs in the flow`);
    if (depth > flowDepthMax) throw fault(path, `the flow is more than ${flowDepthMax} jobs deep`);
    const job = readJob(members, dataText(this.#spans, at, path), path, this.#setting, true);
    const { onFailure, children } = members;
    const node = {
      job,
      onFailure: onFailure === undefined ? 'fail-parent' : oneOf(onFailure, `${path}/onFailure`, ON_FAILURE),
      children: children === undefined ? [] : this.#children(children, at, `${path}/children`, depth + 1),
    };
    this.#spans.value(at);
    return node;
  }

  #children(value: unknown, at: number, path: string, depth: number): FlowNode[] {
    if (!Array.isArray(value)) throw fault(path, 'it must be a list');
    this.#spans.member(at, 'children');
    let from = this.#spans.firstElement(this.#spans.from);
    return value.map((child: unknown, index) => {
      const node = this.#node(child, from, `${path}/${index}`, depth);
      from = this.#spans.nextElement(this.#spans.end);
      return node;
    });
  }
}
