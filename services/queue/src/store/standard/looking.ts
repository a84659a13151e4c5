/** What people see: one job, lists, figures. */
import { JOB_STATES, type JobState, type JobView } from '../../core/job.ts';
import type { JobFilter, JobPage, QueueStats } from '../lane.ts';
import { isRetrying, type JobHash, type JobRecord, OWN_FIELDS, recordFromHash, timeline } from './job-record.ts';
import { leaseRecord } from './lease-record.ts';
import { run } from './own-scripts.ts';
import type { QueueHandle } from './queue-handle.ts';
import { PARKED_SCORE } from './queue-place.ts';

/** Jobs that one page looks at. */
const LOOK_MAX = 1_000;
const CHUNK = 100;
/** Jobs whose size is measured; the others are taken to be alike. */
const SIZED_MAX = 20;

export async function view(handle: QueueHandle, id: string): Promise<JobView | undefined> {
  const { redis, place } = handle;
  const [hash, state] = await Promise.all([redis.hgetall(handle.jobKey(id)), handle.backend().getState(id)]);
  if (hash.name === undefined || state === 'unknown') return undefined;
  const key = handle.jobKey(id);
  const [log, pending, deadline, delayed, lease] = await Promise.all([
    redis.lrange(`${key}:logs`, 0, -1),
    redis.scard(`${key}:dependencies`),
    redis.zscore(place.own.deadlines, id),
    redis.zscore(place.keys.delayed!, id),
    redis.hget(place.own.lease, id),
  ]);
  const ours = stateOf(state, hash, delayed);
  const shown = jobView(handle, recordFromHash(id, hash), ours);
  const worker = ours === 'leased' && lease !== null ? leaseRecord(lease).worker : shown.worker;
  const deadlineMs = ours === 'leased' && deadline !== null ? Number(deadline) : undefined;
  return { ...shown, log, pendingChildren: pending, deadlineMs, worker: worker === '' ? shown.worker : worker };
}

/** BullMQ's word for where a job is, in ours. */
function stateOf(state: string, hash: JobHash, delayedScore: string | null): JobState {
  if (state === 'active') return 'leased';
  if (state === 'failed') return hash[OWN_FIELDS.cancelled] === undefined ? 'dead' : 'cancelled';
  if (state === 'completed' || state === 'waiting-children') return state;
  if (state !== 'delayed') return 'waiting';
  if (Number(delayedScore) >= Number(PARKED_SCORE)) return 'waiting';
  return isRetrying(hash.atm, hash[OWN_FIELDS.stalls]) ? 'retrying' : 'scheduled';
}

function jobView(handle: QueueHandle, record: JobRecord, state: JobState): JobView {
  const { said } = record;
  const isOver = state === 'completed' || state === 'dead' || state === 'cancelled';
  const isLater = state === 'scheduled' || state === 'retrying';
  return {
    ...{ id: record.id, queue: handle.place.queue, state, name: record.name, data: record.data },
    ...{ callbackUrl: said.callbackUrl, failureCallbackUrl: said.failureCallbackUrl, resultTo: said.resultTo },
    ...{ group: said.group, tags: said.tags, priority: said.priority, attempts: said.attempts },
    attempt: state === 'leased' ? record.attemptsMade + 1 : record.attemptsMade,
    stalls: record.stalls,
    enqueuedAtMs: record.enqueuedAtMs,
    dueAtMs: isLater ? record.dueAtMs : undefined,
    startedAtMs: record.startedAtMs,
    finishedAtMs: isOver ? record.finishedAtMs : undefined,
    deadlineMs: undefined,
    worker: state === 'leased' ? record.worker : undefined,
    progress: record.progress,
    result: state === 'completed' ? record.result : undefined,
    log: [],
    error: record.error,
    reason: state === 'dead' || state === 'cancelled' ? (record.reason ?? record.error?.message) : undefined,
    history: timeline(record, state),
    traceparent: said.traceparent,
    tracestate: said.tracestate,
    parentId: record.parentKey?.split(':').at(-1),
    pendingChildren: 0,
  };
}

/** Where jobs of a state are, each place with its newest first. */
interface Source {
  readonly state: JobState;
  readonly key: string;
  readonly kind: 'list' | 'zset';
  readonly least?: string;
  readonly most?: string;
}

function sourcesOf({ place: { keys } }: QueueHandle, state: JobState): Source[] {
  const zset = (key: string, range: Partial<Source> = {}): Source => ({ state, key, kind: 'zset', ...range });
  const list = (key: string): Source => ({ state, key, kind: 'list' });
  switch (state) {
    case 'waiting':
      return [list(keys.wait!), zset(keys.prioritized!), zset(keys.delayed!, { least: PARKED_SCORE })];
    case 'scheduled':
    case 'retrying':
      return [zset(keys.delayed!, { most: `(${PARKED_SCORE}` })];
    case 'leased':
      return [list(keys.active!)];
    case 'dead':
    case 'cancelled':
      return [zset(keys.failed!)];
    default:
      return [zset(keys[state]!)];
  }
}

/** Where a page ended: in which source, behind which job. */
interface Cursor {
  readonly source: number;
  readonly after: { readonly id: string; readonly at: number } | undefined;
}

export async function list(
  handle: QueueHandle,
  filter: JobFilter,
  page: { limit: number; cursor?: string | undefined },
): Promise<JobPage> {
  const states = JOB_STATES.filter((state) => filter.states.includes(state));
  const sources = states.flatMap((state) => sourcesOf(handle, state));
  const jobs: JobView[] = [];
  let cursor = page.cursor === undefined ? { source: 0, after: undefined } : parsed(page.cursor, sources.length);
  let looked = 0;
  while (cursor.source < sources.length) {
    const source = sources[cursor.source]!;
    const found = await chunk(handle, source, cursor.after);
    for (const { id, at, hash } of found) {
      cursor = { source: cursor.source, after: { id, at } };
      looked += 1;
      const job = matching(handle, { id, hash }, source, filter);
      if (job !== undefined) jobs.push(job);
      if (jobs.length === page.limit || looked === LOOK_MAX)
        return { jobs, cursor: await rest(handle, sources, cursor) };
    }
    if (found.length < CHUNK) cursor = { source: cursor.source + 1, after: undefined };
  }
  return { jobs, cursor: undefined };
}

/** Undefined when nothing is left to look at. */
async function rest(handle: QueueHandle, sources: readonly Source[], cursor: Cursor): Promise<string | undefined> {
  for (let source = cursor.source; source < sources.length; source++) {
    const after = source === cursor.source ? cursor.after : undefined;
    if ((await chunk(handle, sources[source]!, after)).length === 0) continue;
    return Buffer.from(JSON.stringify([source, after?.id, after?.at])).toString('base64url');
  }
  return undefined;
}

function parsed(text: string, sources: number): Cursor {
  try {
    const [source, id, at] = JSON.parse(Buffer.from(text, 'base64url').toString()) as unknown[];
    const isSource = Number.isInteger(source) && (source as number) >= 0 && (source as number) < Math.max(1, sources);
    if (isSource && typeof id === 'string' && typeof at === 'number')
      return { source: source as number, after: { id, at } };
    if (isSource && (id === undefined || id === null)) return { source: source as number, after: undefined };
  } catch {
    // Said below.
  }
  throw new RangeError(`the cursor '${text}' is of no list`);
}

type Spot = { readonly id: string; readonly at: number };

async function chunk(
  handle: QueueHandle,
  source: Source,
  after: Spot | undefined,
): Promise<(Spot & { hash: JobHash })[]> {
  const spots =
    source.kind === 'list' ? await listChunk(handle, source, after) : await zsetChunk(handle, source, after);
  const pipeline = handle.redis.pipeline();
  for (const { id } of spots) pipeline.hgetall(handle.jobKey(id));
  const read = spots.length === 0 ? [] : ((await pipeline.exec()) ?? []);
  return spots.map((spot, at) => ({ ...spot, hash: (read[at]?.[1] ?? {}) as JobHash }));
}

/** Behind the job where the last page ended, wherever that is now; if it is gone, where it was. */
async function listChunk({ redis }: QueueHandle, { key }: Source, after: Spot | undefined): Promise<Spot[]> {
  const found = after === undefined ? null : await redis.lpos(key, after.id);
  const from = after === undefined ? 0 : found === null ? after.at : found + 1;
  const ids = await redis.lrange(key, from, from + CHUNK - 1);
  return ids.map((id, at) => ({ id, at: from + at }));
}

async function zsetChunk({ redis }: QueueHandle, source: Source, after: Spot | undefined): Promise<Spot[]> {
  const { key, least = '-inf', most = '+inf' } = source;
  const spots: Spot[] = [];
  // Several may have one score: those that the last page has shown are passed over.
  for (let skip = 0; spots.length < CHUNK; skip += CHUNK) {
    const from = after === undefined ? most : after.at;
    const read = await redis.zrevrangebyscore(key, from, least, 'WITHSCORES', 'LIMIT', skip, CHUNK);
    for (let at = 0; at < read.length; at += 2) {
      const spot = { id: read[at]!, at: Number(read[at + 1]) };
      if (after === undefined || spot.at < after.at || spot.id < after.id) spots.push(spot);
    }
    if (read.length < 2 * CHUNK) break;
  }
  return spots.slice(0, CHUNK);
}

function matching(
  handle: QueueHandle,
  { id, hash }: { id: string; hash: JobHash },
  source: Source,
  filter: JobFilter,
): JobView | undefined {
  if (hash.name === undefined) return undefined;
  const isRetry = isRetrying(hash.atm, hash[OWN_FIELDS.stalls]);
  if (source.state === 'retrying' && !isRetry) return undefined;
  if (source.state === 'scheduled' && isRetry) return undefined;
  const isCancelled = hash[OWN_FIELDS.cancelled] !== undefined;
  if (source.state === 'dead' && isCancelled) return undefined;
  if (source.state === 'cancelled' && !isCancelled) return undefined;
  const record = recordFromHash(id, hash);
  return fits(record, filter) ? jobView(handle, record, source.state) : undefined;
}

export function fits(record: JobRecord, filter: Omit<JobFilter, 'states'>): boolean {
  const { name, group, tag, fromMs, untilMs } = filter;
  return (
    (name === undefined || record.name === name) &&
    (group === undefined || record.said.group === group) &&
    (tag === undefined || record.said.tags.includes(tag)) &&
    (fromMs === undefined || record.enqueuedAtMs >= fromMs) &&
    (untilMs === undefined || record.enqueuedAtMs < untilMs)
  );
}

type Figures = [...number[], string[], string[]];

export async function stats(handle: QueueHandle): Promise<QueueStats> {
  const { keys, own } = handle.place;
  const names = ['meta', 'wait', 'prioritized', 'delayed', 'active', 'waiting-children', 'completed', 'failed', 'id'];
  const figures = await run<Figures>(
    handle.redis,
    'FIGURES',
    [...names.map((name) => keys[name]!), own.retrying, own.cancelled, own.totals, own.paused],
    [],
  );
  const [
    nowMs,
    wait,
    prioritized,
    delayed,
    parked,
    retrying,
    active,
    parents,
    completed,
    failed,
    cancelled,
    paused,
    added,
  ] = figures as number[];
  const [pausedGroups, pairs] = figures.slice(-2) as [string[], string[]];
  const totals = new Map(pairs.flatMap((field, at) => (at % 2 === 0 ? [[field, Number(pairs[at + 1])] as const] : [])));
  const total = (name: string) => totals.get(name) ?? 0;
  const counts = {
    ...{ waiting: wait! + prioritized! + parked!, scheduled: delayed! - parked! - retrying!, retrying: retrying! },
    ...{ leased: active!, completed: completed!, dead: failed! - cancelled!, cancelled: cancelled! },
    'waiting-children': parents!,
  };
  const jobs = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const [oldestWaitingMs, bytes] = await Promise.all([
    counts.waiting === 0 ? 0 : oldest(handle, nowMs!),
    jobs === 0 ? 0 : bytesOf(handle, jobs),
  ]);
  return {
    ...{ counts, oldestWaitingMs, bytes, isPaused: paused === 1, pausedGroups },
    totals: {
      enqueued: added! - total('discarded'),
      ...{ completed: total('completed'), failed: total('failed'), retried: total('retried'), dead: total('dead') },
      ...{ stalled: total('stalled'), cancelled: total('cancelled'), expired: total('expired') },
    },
  };
}

async function oldest(handle: QueueHandle, nowMs: number): Promise<number> {
  const { keys, own } = handle.place;
  const groups = await handle.redis.smembers(own.parked);
  const [firsts, ...parked] = await Promise.all([
    run<string[]>(handle.redis, 'FIRSTS', [keys.wait!, keys.prioritized!], []),
    ...groups.slice(0, 64).map((group) => handle.redis.zrange(own.parkedOf(group), 0, '0')),
  ]);
  const ids = [...firsts!, ...parked.flat()].filter((id) => typeof id === 'string');
  const records = await Promise.all(ids.map((id) => handle.redis.hgetall(handle.jobKey(id))));
  const dues = records.filter((hash) => hash.name !== undefined).map((hash) => recordFromHash('', hash).dueAtMs);
  return Math.max(0, nowMs - Math.min(nowMs, ...dues));
}

/** About: what a few jobs take, times their number. */
async function bytesOf({ redis, place: { keys, base } }: QueueHandle, jobs: number): Promise<number> {
  const half = SIZED_MAX / 2;
  const ids = await Promise.all([
    ...[
      redis.lrange(keys.wait!, 0, half - 1),
      redis.lrange(keys.wait!, -half, -1),
      redis.lrange(keys.active!, 0, half - 1),
    ],
    ...['prioritized', 'delayed', 'completed', 'failed'].map((name) => redis.zrange(keys[name]!, 0, `${half - 1}`)),
  ]);
  const some = [...new Set(ids.flat())].slice(0, 3 * SIZED_MAX);
  if (some.length === 0) return 0;
  const sizes = await Promise.all(some.map((id) => redis.memory('USAGE', base + id, 'SAMPLES', 0)));
  const mean = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) / some.length;
  const events = (await redis.memory('USAGE', keys.events!)) ?? 0;
  return Math.round(mean * jobs + events);
}
