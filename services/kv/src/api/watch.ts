/**
 * Watching a bucket. A watch is a place in the order of revisions and a reader that moves on from it: it reads what
 * follows from the store, as fast as its reader takes it, and sleeps when there is nothing. So a slow reader costs no
 * memory; one that takes nothing at all is cut off after a while, and resumes with the last id it got.
 *
 * Over SSE the id comes with the last event of a revision only: whoever resumes gets whole revisions, always.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Call, json, kv, type Reply, type Served, serve } from '@plinth/contracts';
import { type ChangeEvent, LIMITS } from '@plinth/contracts/kv';
import { Problem, toProblem } from '@plinth/problem';
import type { Catalog, Handle } from '../core/catalog.ts';
import type { ChangeRecord } from '../core/layout.ts';
import {
  type ChangeRow,
  changesSince,
  type KeyRange,
  readRecord,
  refuseCompacted,
  scan,
  versionAt,
  withinPrefix,
} from '../core/reader.ts';
import { changeJson, entryJson, timeText } from './entry-json.ts';
import { bytesOf } from './key.ts';
import { notFuture } from './keys.ts';
import { NDJSON } from './ranges.ts';
import type { Waker } from './waker.ts';

export interface WatchRooms {
  catalog: Catalog;
  waker: Waker;
  heartbeatMs: number;
  stallMs: number;
}

interface WatchQuery {
  prefix?: string;
  since?: number;
  values?: boolean;
  initial?: boolean;
  previous?: boolean;
  wait?: number;
  limit?: number;
}

interface Watch {
  handle: Handle;
  prefix: string;
  values: boolean;
  previous: boolean;
  /** Everything up to this revision has been told. */
  reached: number;
}

/** What is told besides changes. `progress` is a bookmark: nothing is missing up to that revision. */
type Notice = { type: 'sync' | 'progress' | 'end'; revision: number; reason?: string };
type Initial = ChangeEvent & { initial: true };
/** The watch is over, and why: a problem's body. */
type Gone = { type: 'gone'; problem: Record<string, unknown> };
type Line = ChangeEvent | Initial | Notice | Gone;

const SSE = 'text/event-stream';
const TURN = { limit: 500, bytesMax: 1_048_576 };
const LONG_POLL_MS = 30_000;

export function watchOperations(rooms: WatchRooms): Served[] {
  const { catalog, waker, stallMs } = rooms;
  return [
    serve(kv.watch, (call) => {
      const query = call.query as WatchQuery;
      const accept = call.header('accept') ?? '';
      if (accept.includes('application/json')) return longPoll(rooms, call as Call, { wait: LONG_POLL_MS, ...query });
      const watch = begin(catalog.find(call.params.bucket!), query, call.header('last-event-id'));
      // Refused here, while the answer still has a status.
      waker.admit();
      const write = accept.includes(NDJSON) ? ndjsonLine : sseEvent;
      const contentType = accept.includes(NDJSON) ? NDJSON : SSE;
      const headers = { 'content-type': contentType, 'cache-control': 'no-store', 'kv-revision': watch.reached };
      const resumed = call.header('last-event-id') !== undefined;
      const body = texts(stream(rooms, watch, query.initial === true && !resumed, call.signal), write);
      return { status: 200, headers, body, stallMs };
    }),
    serve(kv.changes, (call) => longPoll(rooms, call as Call, { wait: 0, ...(call.query as WatchQuery) })),
  ];
}

function begin(handle: Handle, { prefix, since, values, previous }: WatchQuery, lastEventId?: string): Watch {
  const present = handle.engine.view().revision;
  const reached = notFuture(lastEventId === undefined ? (since ?? present) : revisionOf(lastEventId), present);
  refuseCompacted(handle.bucket, reached);
  return { handle, prefix: bytesOf(prefix ?? ''), values: values ?? true, previous: previous ?? false, reached };
}

function revisionOf(lastEventId: string): number {
  if (/^\d{1,16}$/.test(lastEventId)) return Number(lastEventId);
  throw new Problem('invalid_request', `Last-Event-ID is ${JSON.stringify(lastEventId)}; it takes the id of an event`, {
    issues: [{ path: '/headers/last-event-id', message: 'expected a revision' }],
  });
}

// ---------------------------------------------------------------- streams

async function* stream(rooms: WatchRooms, watch: Watch, initial: boolean, signal: AbortSignal): AsyncGenerator<Line[]> {
  const waiter = rooms.waker.wait(watch.handle, signal);
  try {
    if (initial) yield* presentState(watch);
    for (;;) {
      const lines = read(rooms.catalog, watch);
      if (lines.length > 0) yield lines;
      if (lines.some(({ type }) => type === 'gone')) return;
      if (isBehind(watch)) await nextTurn();
      else if (waiter.ended) return yield [{ type: 'end', revision: watch.reached, reason: 'stopping' }];
      else if (!(await waiter.woken(rooms.heartbeatMs))) yield [{ type: 'progress', revision: watch.reached }];
      if (signal.aborted) return;
    }
  } finally {
    waiter.stop();
  }
}

const isBehind = ({ handle, reached }: Watch): boolean => reached < handle.bucket.revision;

/** The next changes, or the reason why there are none any more. */
function read(catalog: Catalog, watch: Watch): Line[] {
  try {
    return nextEvents(catalog, watch, TURN).events;
  } catch (error) {
    const problem = toProblem(error);
    return [{ type: 'gone', problem: problem.toBody() }];
  }
}

function nextEvents(catalog: Catalog, watch: Watch, limits: { limit: number; bytesMax: number }) {
  const { handle } = watch;
  refuseReplaced(catalog, watch);
  const { rows, next, more } = changesSince(handle.engine.store, handle.bucket, watch.reached, limits);
  const events = withMore(rows.filter(({ record }) => record.key.startsWith(watch.prefix))).map((row) =>
    eventOf(watch, row),
  );
  watch.reached = next;
  return { events, more };
}

/** @throws Problem when the bucket that is watched is no longer the one of its name. */
function refuseReplaced(catalog: Catalog, { handle, reached }: Watch): void {
  const { name, bucket } = handle;
  const present = catalog.peek(name);
  if (present?.bucket === bucket && !bucket.dropped) return;
  if (present === undefined || present.bucket.id !== bucket.id) {
    throw new Problem('bucket_not_found', `bucket ${name} was deleted`);
  }
  // A snapshot was restored: what went before is another history.
  refuseCompacted(present.bucket, reached);
  throw new Problem('unavailable', `bucket ${name} is being restored`, { retryAfterMs: 1_000 });
}

/** `more` anew, for what the prefix has left of each revision. */
function withMore(rows: ChangeRow[]): ChangeRow[] {
  for (const [at, row] of rows.entries()) row.more = rows[at + 1]?.revision === row.revision;
  return rows;
}

function eventOf(watch: Watch, row: ChangeRow): ChangeEvent {
  const event = changeJson(row, watch.values);
  if (!watch.previous) return event;
  const previous = previousOf(watch, row.record);
  return previous === undefined ? event : { ...event, previous };
}

function previousOf({ handle, values }: Watch, record: ChangeRecord): ChangeEvent['previous'] {
  if (record.previousRevision < handle.bucket.compactedRevision) return undefined;
  const { store } = handle.engine;
  const version = versionAt(store, handle.bucket, record.key, record.previousRevision);
  if (version === undefined || version.deleted) return undefined;
  return entryJson(record.key, version, values ? readRecord(store, handle.bucket.id, version) : undefined);
}

/** Everything there is as of the revision where the watch begins, then `sync`. */
async function* presentState(watch: Watch): AsyncGenerator<Line[]> {
  const { engine, bucket } = watch.handle;
  const view = engine.view();
  watch.reached = view.revision;
  let range: KeyRange | undefined = withinPrefix(watch.prefix, { start: '', end: undefined, reverse: false });
  while (range !== undefined) {
    const step = scan(engine.store, bucket, view, range, { entries: TURN.limit, rows: 5_000 });
    yield step.found.map(({ key, version }) => {
      const record = readRecord(engine.store, bucket.id, version);
      const entry = entryJson(key, version, watch.values ? record : undefined);
      return { type: 'put', initial: true, modifiedAt: timeText(record.timeMs), ...entry } satisfies Initial;
    });
    range = step.next;
  }
  yield [{ type: 'sync', revision: view.revision }];
}

async function* texts(lines: AsyncGenerator<Line[]>, write: (line: Line) => string): AsyncGenerator<string> {
  // Says at once that the watch stands, whatever is between us and the reader.
  yield write === sseEvent ? ': watching\n\n' : '';
  for await (const some of lines) yield some.map(write).join('');
}

const ndjsonLine = (line: Line): string => `${JSON.stringify(line)}\n`;

function sseEvent(line: Line): string {
  // Entries of the initial state have the revisions they were written with: resuming from one would skip the rest.
  const isWhole = !('more' in line) && !('initial' in line) && line.type !== 'gone';
  const id = isWhole ? `id: ${line.revision}\n` : '';
  return `event: ${line.type}\n${id}data: ${JSON.stringify(line)}\n\n`;
}

// ---------------------------------------------------------------- long polls

async function longPoll(rooms: WatchRooms, call: Call, query: WatchQuery): Promise<Reply> {
  const watch = begin(rooms.catalog.find(call.params.bucket!), query, call.header('last-event-id'));
  const limits = { limit: query.limit ?? TURN.limit, bytesMax: LIMITS.pageBytesMax };
  const endMs = performance.now() + Math.min(query.wait ?? 0, LIMITS.watchWaitMsMax);
  const waiter = rooms.waker.wait(watch.handle, call.signal);
  try {
    for (;;) {
      const { events, more } = nextEvents(rooms.catalog, watch, limits);
      const leftMs = endMs - performance.now();
      if (events.length > 0 || more || leftMs <= 0 || waiter.ended || call.signal.aborted) {
        return json(200, { events, revision: watch.reached, more });
      }
      await waiter.woken(leftMs);
    }
  } finally {
    waiter.stop();
  }
}
