/**
 * How jobs come in: turns between groups, room, dedup, flows.
 *
 * Turns are start-time fair queueing (Goyal, Vin and Cheng 1996) mapped onto BullMQ's priority: a job's tag is the
 * greater of the queue's and its group's virtual time, plus 1/weight; the tag is its priority. The queue's virtual time
 * is the tag of what was leased last. A queue on which no group was ever named knows no turns: its jobs have the
 * priority that was asked for, and those without one take BullMQ's cheapest way, the list.
 */
import { randomUUID } from 'node:crypto';
import type { JobJson } from 'bullmq';
import type { Added, NewJob } from '../../core/job.ts';
import type { FlowNode } from '../lane.ts';
import { addMany, isCommon } from './batch-add.ts';
import { notedCall } from './calls.ts';
import { jobJson } from './job-options.ts';
import { run } from './own-scripts.ts';
import { groupField, type QueueHandle, type Settings } from './queue-handle.ts';

/** Steps of BullMQ's priority for a turn of weight 1; what is left of a turn at weight 16 is still one step. */
export const TURN_UNIT = 16;
export const PRIORITY_MAX = 2_097_151;
/** Before every priority but 0 there is room for so many turns, and as many more for each doubling. */
const PRIORITY_TURNS = 16;

/**
 * How many turns later a job of less urgency comes. BullMQ has one order for all, which here is that of the turns: so
 * on a queue with groups a priority is an advantage of so many turns and not an absolute one.
 */
export const priorityTurns = (priority: number): number =>
  priority === 0 ? 0 : PRIORITY_TURNS * (1 + Math.log2(priority));

/** Dedup ids are remembered so long at least, to go when their queue goes. */
const DEDUP_MS = 24 * 3_600_000;

export class QueueFull extends Error {
  override readonly name = 'QueueFull';

  constructor(queue: string, jobsMax: number) {
    super(`the queue ${queue} is full: it may hold ${jobsMax} jobs that are not finished`);
  }
}

interface Before {
  /** Jobs that may still come in. */
  readonly room: number;
  /** Ids that dedup ids stand for now. */
  readonly heldBy: ReadonlyMap<string, string>;
}

export async function addJobs(handle: QueueHandle, jobs: readonly NewJob[]): Promise<Added[]> {
  const added: Added[] = [];
  for (const { isCommon: isTogether, some } of runsOf(jobs)) {
    added.push(...(await (isTogether ? addTogether(handle, some) : addDeduplicated(handle, some))));
  }
  return added;
}

/** Neighbours that go the same way, so that all are added in their order. */
function runsOf(jobs: readonly NewJob[]): { readonly isCommon: boolean; readonly some: NewJob[] }[] {
  const runs: { readonly isCommon: boolean; readonly some: NewJob[] }[] = [];
  for (const job of jobs) {
    const common = isCommon(job);
    const last = runs.at(-1);
    if (last?.isCommon === common) last.some.push(job);
    else runs.push({ isCommon: common, some: [job] });
  }
  return runs;
}

async function addTogether(handle: QueueHandle, jobs: readonly NewJob[]): Promise<Added[]> {
  const settings = await handle.settings();
  const nowMs = Date.now();
  const wishes = jobs.map((job) => wishOf(job, nowMs));
  const priorities = await prioritiesOf(handle, settings, wishes);
  const placed = jobs.map((job, at) => ({ job, priority: priorities[at]! }));
  const added = await addMany(handle, placed, settings.limits.jobsMax);
  const expiries = jobs.flatMap(({ expiresAtMs }, at) => {
    const one = added[at]!;
    return expiresAtMs === 0 || 'refused' in one || one.isDuplicate ? [] : [expiresAtMs, one.id];
  });
  if (expiries.length > 0) await handle.redis.zadd(handle.place.own.expiries, ...expiries);
  return added;
}

/** By BullMQ's scripts: what becomes of a dedup id is their business. */
async function addDeduplicated(handle: QueueHandle, jobs: readonly NewJob[]): Promise<Added[]> {
  const settings = await handle.settings();
  const before = await whatIsThere(handle, settings, jobs);
  const { answers, admitted } = admit(jobs, before);
  const nowMs = Date.now();
  const priorities = await prioritiesOf(
    handle,
    settings,
    admitted.map(({ job }) => wishOf(job, nowMs)),
  );
  const entries = admitted.map(({ job }, at) => {
    const nonce = job.dedup === undefined ? undefined : randomUUID();
    return { nonce, job: jobJson(job, { nowMs, priority: priorities[at]!, nonce }), jobId: undefined as never };
  });
  const ids = entries.length === 0 ? [] : await handle.backend().addJobs(entries);
  const taken = await whoIsNew(
    handle,
    ids.map((id, at) => ({ id: `${id}`, nonce: entries[at]!.nonce })),
  );
  for (const [at, { place, job }] of admitted.entries()) {
    const isDuplicate = !taken[at] || isDebouncedAgain(job, before);
    answers[place] = { id: `${ids[at]}`, state: entries[at]!.job.opts.delay ? 'scheduled' : 'waiting', isDuplicate };
  }
  await note(handle, admitted, answers);
  return answers;
}

const wishOf = ({ group, priority, runAtMs, dedup }: NewJob, nowMs: number) => ({
  ...{ group, priority },
  isLater: runAtMs > nowMs || dedup?.mode === 'debounce',
});

/** Debounce makes a new job in the old one's stead, so the nonce tells nothing. */
const isDebouncedAgain = ({ dedup }: NewJob, { heldBy }: Before): boolean =>
  dedup?.mode === 'debounce' && heldBy.has(dedup.id);

async function whatIsThere(handle: QueueHandle, settings: Settings, jobs: readonly NewJob[]): Promise<Before> {
  const { jobsMax } = settings.limits;
  const dedupIds = [...new Set(jobs.flatMap(({ dedup }) => (dedup === undefined ? [] : [dedup.id])))];
  const [room, holders] = await Promise.all([
    jobsMax === 0 ? Number.POSITIVE_INFINITY : roomOf(handle, jobsMax),
    dedupIds.length === 0 ? [] : handle.redis.mget(dedupIds.map((id) => `${handle.place.keys.de}:${id}`)),
  ]);
  const pairs = dedupIds.map((id, at) => [id, holders[at]] as const);
  return { room, heldBy: new Map(pairs.filter((pair): pair is [string, string] => typeof pair[1] === 'string')) };
}

/** Replicas that enqueue at the same moment may each see the same room: the limit holds to within their batches. */
async function roomOf({ redis, place: { keys } }: QueueHandle, jobsMax: number): Promise<number> {
  const pipeline = redis.pipeline().llen(keys.wait!).llen(keys.active!);
  for (const key of ['prioritized', 'delayed', 'waiting-children']) pipeline.zcard(keys[key]!);
  const counted = (await pipeline.exec()) ?? [];
  return Math.max(0, jobsMax - counted.reduce((sum, [, count]) => sum + Number(count), 0));
}

/** Duplicates need no room. */
function admit(jobs: readonly NewJob[], { room, heldBy }: Before) {
  const answers: Added[] = new Array(jobs.length);
  const admitted: { readonly place: number; readonly job: NewJob }[] = [];
  let left = room;
  for (const [place, job] of jobs.entries()) {
    const holder = job.dedup && heldBy.get(job.dedup.id);
    if (holder === undefined && left < 1) answers[place] = { refused: 'queue_full' };
    else {
      if (holder === undefined) left -= 1;
      admitted.push({ place, job });
    }
  }
  return { answers, admitted };
}

/** Of jobs that are due now they take the turn; of others they only tell one, in case BullMQ promotes them itself. */
export async function prioritiesOf(
  handle: QueueHandle,
  settings: Settings,
  jobs: readonly (Pick<NewJob, 'group' | 'priority'> & { readonly isLater: boolean })[],
): Promise<readonly number[]> {
  const isFair = settings.isFair || jobs.some(({ group }) => group !== '');
  if (!isFair) return jobs.map(({ priority }) => priority);
  if (!settings.isFair) {
    await handle.redis.hset(handle.place.own.settings, 'fair', '1');
    handle.forgetSettings();
  }
  const { keys, own } = handle.place;
  return run<number[]>(
    handle.redis,
    'TURNS',
    [own.virtual, keys.prioritized!, keys.delayed!, keys.active!, keys.wait!],
    [
      ...[TURN_UNIT, PRIORITY_MAX],
      ...jobs.flatMap(({ group, priority, isLater }) => {
        const { weight } = settings.groups.get(group) ?? settings.groupDefault;
        return [groupField(group), weight, priorityTurns(priority), isLater ? 1 : 0];
      }),
    ],
  );
}

/** Of those with a nonce: is the job of that id the one that was enqueued here? */
async function whoIsNew(
  handle: QueueHandle,
  jobs: readonly { id: string; nonce: string | undefined }[],
): Promise<boolean[]> {
  if (jobs.every(({ nonce }) => nonce === undefined)) return jobs.map(() => true);
  const pipeline = handle.redis.pipeline();
  for (const { id } of jobs) pipeline.hget(handle.jobKey(id), 'opts');
  const read = (await pipeline.exec()) ?? [];
  return jobs.map(({ nonce }, at) => nonce === undefined || `${read[at]?.[1]}`.includes(nonce));
}

async function note(
  { redis, place: { own } }: QueueHandle,
  admitted: readonly { readonly place: number; readonly job: NewJob }[],
  answers: readonly Added[],
): Promise<void> {
  const pipeline = redis.pipeline();
  let discarded = 0;
  const nowMs = Date.now();
  for (const { place, job } of admitted) {
    const added = answers[place]!;
    if ('refused' in added) continue;
    if (added.isDuplicate) discarded += 1;
    if (job.dedup !== undefined)
      pipeline.zadd(own.dedups, nowMs + Math.max(job.dedup.ttlMs ?? 0, DEDUP_MS), job.dedup.id);
    if (job.expiresAtMs > 0 && (!added.isDuplicate || job.dedup?.mode === 'debounce')) {
      pipeline.zadd(own.expiries, job.expiresAtMs, added.id);
    }
  }
  // BullMQ's counter of ids counts every enqueue; those that made no job are taken off again.
  if (discarded > 0) pipeline.hincrby(own.totals, 'discarded', discarded);
  if (pipeline.length > 0) await pipeline.exec();
}

/** What is kept of the places of these calls is not needed after a time. @param calls - By key. */
export async function letGoCalls(
  { redis, place: { own } }: QueueHandle,
  calls: readonly { readonly key: string; readonly afterMs: number }[],
): Promise<void> {
  const pipeline = redis.pipeline();
  const nowMs = Date.now();
  for (const { key, afterMs } of calls) {
    pipeline.pexpire(own.callOf(key), afterMs);
    pipeline.zadd(own.dedups, nowMs + afterMs, notedCall(own.callOf(key)));
  }
  if (calls.length > 0) await pipeline.exec();
}

type FlowEntry = Parameters<ReturnType<QueueHandle['backend']>['addFlow']>[0][number];

/** All of it or nothing. @returns Ids, of the children only those of the root. @throws {QueueFull} */
export async function addFlow(
  handle: QueueHandle,
  flow: FlowNode,
  prefix: string,
): Promise<{ id: string; childIds: readonly string[] }> {
  const count = countOf(flow);
  const last = await handle.redis.hincrby(handle.place.own.totals, 'flowJobs', count);
  const nodes = flatten(flow, numbersFrom(last - count + 1));
  const settings = await handle.settings();
  const { jobsMax } = settings.limits;
  if (jobsMax > 0 && (await roomOf(handle, jobsMax)) < nodes.length) throw new QueueFull(handle.place.queue, jobsMax);
  const nowMs = Date.now();
  const priorities = await prioritiesOf(
    handle,
    settings,
    nodes.map(({ node }) => wishOf(node.job, nowMs)),
  );
  const entries = nodes.map((each, at) => {
    const json = jobJson(each.node.job, { nowMs, priority: priorities[at]!, nonce: undefined });
    return flowEntry(handle, prefix, each, json);
  });
  const results = await handle.backend().addFlow(entries);
  for (const [error, id] of results) {
    if (error !== null) throw error;
    if (typeof id === 'number' && id < 0) throw new Error(`BullMQ refused a job of the flow: code ${id}`);
  }
  await note(
    handle,
    nodes.map(({ node }, place) => ({ place, job: node.job })),
    nodes.map(({ id }) => ({ id, state: 'waiting', isDuplicate: false })),
  );
  const root = nodes[0]!;
  return { id: root.id, childIds: nodes.filter(({ parentId }) => parentId === root.id).map(({ id }) => id) };
}

interface FlatNode {
  readonly id: string;
  readonly node: FlowNode;
  readonly parentId: string | undefined;
}

/** Parents before their children, as BullMQ wants them. */
function flatten(node: FlowNode, ids: Iterator<string, never>, parentId?: string): FlatNode[] {
  const id = ids.next().value;
  return [{ id, node, parentId }, ...node.children.flatMap((child) => flatten(child, ids, id))];
}

const countOf = ({ children }: FlowNode): number => children.reduce((sum, child) => sum + countOf(child), 1);

/** BullMQ wants the ids of a flow beforehand, and keeps numbers for itself. */
function* numbersFrom(first: number): Generator<string, never> {
  for (let number = first; ; number++) yield `flow${number.toString(36)}`;
}

function flowEntry(handle: QueueHandle, prefix: string, { id, node, parentId }: FlatNode, json: JobJson): FlowEntry {
  const { name, base } = handle.place;
  const place = { prefix, queueName: name, jobId: id };
  const addToWaitingChildren = node.children.length > 0 ? { addToWaitingChildren: true } : {};
  const { deduplication: _without, ...opts } = json.opts;
  if (parentId === undefined) return { ...place, jobData: { ...json, id, opts }, parentKeyOpts: addToWaitingChildren };
  const policy = node.onFailure === 'ignore' ? 'ignoreDependencyOnFailure' : 'failParentOnFailure';
  const queueKey = base.slice(0, -1);
  const parent = { id: parentId, queueKey, ...(node.onFailure === 'ignore' ? { idof: true } : { fpof: true }) };
  const parentKey = base + parentId;
  return {
    ...place,
    jobData: { ...json, id, parent, parentKey, opts: { ...opts, [policy]: true } },
    parentKeyOpts: { ...addToWaitingChildren, parentKey, parentDependenciesKey: `${parentKey}:dependencies` },
  };
}
