/** Lists, pages, counts, folders, and deleting a range. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Call, json, kv, type Reply, type Served, serve } from '@plinth/contracts';
import { type Entry as JsonEntry, LIMITS, type Page } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Catalog, Handle } from '../core/catalog.ts';
import type { Engine } from '../core/engine.ts';
import { nextFolder } from '../core/folders.ts';
import {
  countLive,
  type KeyRange,
  type Listed,
  readRecord,
  type ScanLimits,
  scan,
  type View,
  viewAtRevision,
  viewAtTime,
} from '../core/reader.ts';
import type { ByteString } from '../store/store.ts';
import { decodeCursor, encodeCursor, requestPrint } from './cursor.ts';
import { entryJson } from './entry-json.ts';
import { EntryTexts } from './entry-texts.ts';
import { bytesOf, keyMembers } from './key.ts';
import { bothPasts, notFuture } from './keys.ts';
import { onceOf } from './request-headers.ts';
import { rangeBytes, submitOptions, writeHeaders } from './writes.ts';

export interface ListQuery {
  prefix?: string;
  start?: string;
  end?: string;
  reverse?: boolean;
  limit?: number;
  cursor?: string;
  delimiter?: string;
  values?: boolean;
  count?: boolean;
  rev?: number;
  at?: string;
}

interface Listing {
  handle: Handle;
  view: View;
  range: KeyRange;
  values: boolean;
}

const PAGE_ENTRIES = 100;
/** Rows looked at in one turn: some milliseconds, then others have theirs. */
const TURN_ROWS = 5_000;
/** Entries written out in one turn of a stream. */
const STREAM_ENTRIES = 200;
export const NDJSON = 'application/x-ndjson';

export function rangeOperations({ catalog, cacheBytes }: { catalog: Catalog; cacheBytes: number }): Served[] {
  const textsOf = perEngine(() => new EntryTexts(cacheBytes));
  return [
    serve(kv.list, (call) => {
      const query = call.query as ListQuery;
      const handle = catalog.find(call.params.bucket!);
      if (query.count) return countReply(listingOf(handle, query), query);
      if (call.header('accept')?.includes(NDJSON)) return streamReply(handle, query);
      return pageReply(handle, query, textsOf(handle.engine));
    }),
    serve(kv.removeRange, async (call) => {
      const handle = catalog.find(call.params.bucket!);
      const range = deletableRange(call.query);
      const command = {
        do: 'operation',
        bucket: handle.bucket.id,
        operation: { op: 'deleteRange', ...range },
        once: onceOf(call, () => ['deleteRange', range]),
      } as const;
      const { results, revision, replayed } = await handle.engine.submit(command, submitOptions(call as Call, 256));
      const answer = { deleted: results[0]!.deleted, more: results[0]!.more ?? false, revision };
      return json(200, answer, writeHeaders(handle, replayed));
    }),
  ];
}

/** One of a kind for each engine, as long as that lives: a restore brings others, whose revisions mean other things. */
function perEngine<T>(make: () => T): (engine: Engine) => T {
  const made = new WeakMap<Engine, T>();
  return (engine) => {
    const one = made.get(engine) ?? make();
    made.set(engine, one);
    return one;
  };
}

function deletableRange(query: { prefix?: string; start?: string; end?: string; all?: boolean }) {
  const { prefix, start, end, all } = query;
  if (prefix || start || end || all) return rangeBytes({ prefix, start, end });
  throw new Problem('invalid_request', 'no range is given; all=true deletes every key of the bucket', {
    issues: [{ path: '/query/all', message: 'must be true when there is no prefix, start or end' }],
  });
}

function listingOf(handle: Handle, query: ListQuery): Listing {
  const range = { ...rangeBytes(query), reverse: query.reverse ?? false };
  return { handle, view: viewOf(handle, query), range, values: query.values ?? false };
}

function viewOf({ engine, bucket }: Handle, { rev, at }: ListQuery): View {
  if (rev !== undefined && at !== undefined) throw bothPasts();
  const now = engine.view();
  if (rev !== undefined) return viewAtRevision(engine.store, bucket, notFuture(rev, now.revision));
  return at === undefined ? now : viewAtTime(engine.store, bucket, Date.parse(at), now);
}

// ---------------------------------------------------------------- pages

function pageReply(handle: Handle, query: ListQuery, texts: EntryTexts): Reply | Promise<Reply> {
  const { cursor, limit = PAGE_ENTRIES, delimiter } = query;
  const listing = listingOf(handle, query);
  if (cursor !== undefined) {
    Object.assign(listing, decodeCursor(cursor, handle.bucket.id, printOf(query), query.reverse ?? false));
  }
  const folded = delimiter !== undefined;
  const gathered = folded ? folders(listing, query, limit, texts) : entries(listing, limit, texts);
  if (gathered instanceof Promise) return gathered.then((whole) => pageOf(listing, query, whole));
  return pageOf(listing, query, gathered);
}

function pageOf({ handle, view, values }: Listing, query: ListQuery, { items, prefixes, next }: Gathered): Reply {
  const rest: Omit<Page, 'items'> = { revision: view.revision };
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (prefixes.length > 0) rest.prefixes = prefixes;
  if (next !== undefined) {
    rest.cursor = encodeCursor(handle.bucket.id, printOf(query), { view, range: next });
    headers.link = nextLink(handle.name, query, rest.cursor);
  }
  const list = values ? `[${items.join(',')}]` : JSON.stringify(items);
  return { status: 200, headers, body: `{"items":${list},${JSON.stringify(rest).slice(1)}` };
}

/** What all pages of one list have in common. */
const printOf = ({ cursor, limit, delimiter, ...same }: ListQuery): string => requestPrint({ ...same, delimiter });

function nextLink(bucket: string, query: ListQuery, cursor: string): string {
  const parameters = Object.entries({ ...query, cursor }).map(([name, value]): [string, string] => [
    name,
    String(value),
  ]);
  return `</v1/kv/${bucket}?${new URLSearchParams(parameters)}>; rel="next"`;
}

/** With its value an entry is kept written out; without, a whole page is written out faster than its parts are found. */
type Item = JsonEntry | string;

interface Gathered {
  items: Item[];
  prefixes: string[];
  next: KeyRange | undefined;
}

/** Most pages are gathered in one turn, and then without a promise. */
function entries(listing: Listing, limit: number, texts: EntryTexts): Gathered | Promise<Gathered> {
  const gathered: Gathered = { items: [], prefixes: [], next: listing.range };
  const budget = { bytes: LIMITS.pageBytesMax };
  return gatherTurn(listing, limit, { gathered, budget, texts })
    ? gathered
    : gatherMore(listing, limit, { gathered, budget, texts });
}

interface Gathering {
  gathered: Gathered;
  budget: { bytes: number };
  texts: EntryTexts;
}

async function gatherMore(listing: Listing, limit: number, gathering: Gathering): Promise<Gathered> {
  do await nextTurn();
  while (!gatherTurn(listing, limit, gathering));
  return gathering.gathered;
}

/** Gathers what one turn may. @returns True when the page is full, or the range at its end. */
function gatherTurn(listing: Listing, limit: number, { gathered, budget, texts }: Gathering): boolean {
  const { items } = gathered;
  const step = scanOnce(listing, gathered.next!, { entries: limit - items.length, rows: TURN_ROWS });
  gathered.next = take(listing, step.found, { items, budget, texts }) ?? step.next;
  return gathered.next === undefined || items.length >= limit || budget.bytes <= 0;
}

function scanOnce({ handle, view }: Listing, range: KeyRange, limits: ScanLimits) {
  return scan(handle.engine.store, handle.bucket, view, range, limits);
}

/** @returns Where to go on when the page's bytes were used up in the middle. */
function take(
  listing: Listing,
  found: Listed[],
  { items, budget, texts }: { items: Item[]; budget: { bytes: number }; texts: EntryTexts },
): KeyRange | undefined {
  for (const listed of found) {
    if (budget.bytes <= 0) return rangeFrom(listing.range, listed.key);
    items.push(pageItem(listing, listed, texts));
    budget.bytes -= listed.key.length + 150 + (listing.values ? listed.version.sizeBytes : 0);
  }
  return undefined;
}

const rangeFrom = (range: KeyRange, key: ByteString): KeyRange =>
  range.reverse ? { ...range, end: `${key}\0` } : { ...range, start: key };

function pageItem(listing: Listing, listed: Listed, texts: EntryTexts): Item {
  if (!listing.values) return itemOf(listing, listed);
  return texts.of(listed.version, () => JSON.stringify(itemOf(listing, listed)));
}

function itemOf({ handle, values }: Listing, { key, version }: Listed): JsonEntry {
  return entryJson(key, version, values ? readRecord(handle.engine.store, handle.bucket.id, version) : undefined);
}

/** Keys that go on behind the delimiter become one prefix; the keys in it are skipped, not read. */
async function folders(listing: Listing, query: ListQuery, limit: number, texts: EntryTexts): Promise<Gathered> {
  const { handle, view } = listing;
  const gathered: Gathered = { items: [], prefixes: [], next: listing.range };
  const names = { prefix: bytesOf(query.prefix ?? ''), delimiter: bytesOf(query.delimiter!) };
  while (gathered.next !== undefined && gathered.items.length + gathered.prefixes.length < limit) {
    const found = nextFolder(handle.engine.store, handle.bucket, view, gathered.next, names, TURN_ROWS);
    gathered.next = found.next;
    if (found.folder !== undefined) gathered.prefixes.push(prefixText(found.folder));
    else if (found.listed !== undefined) gathered.items.push(pageItem(listing, found.listed, texts));
    else await nextTurn();
  }
  return gathered;
}

/** A prefix in JSON; one whose bytes are not UTF-8 is shown as well as it can be. */
function prefixText(folder: ByteString): string {
  const members = keyMembers(folder);
  return 'key' in members ? members.key : Buffer.from(folder, 'latin1').toString('utf8');
}

// ---------------------------------------------------------------- streams and counts

function streamReply(handle: Handle, query: ListQuery): Reply {
  const listing = listingOf(handle, query);
  // Refused before the answer begins, while it still has a status.
  scanOnce(listing, listing.range, { entries: 0, rows: 0 });
  const headers = { 'content-type': NDJSON, 'kv-revision': listing.view.revision };
  return { status: 200, headers, body: ndjson(listing, query.limit ?? Infinity) };
}

/** Entries, one a line, some hundred at a time: memory does not grow with the bucket. */
export async function* ndjson(listing: Listing, limit: number): AsyncGenerator<string> {
  let left = limit;
  let range: KeyRange | undefined = listing.range;
  while (range !== undefined && left > 0) {
    const step = scanOnce(listing, range, { entries: Math.min(left, STREAM_ENTRIES), rows: TURN_ROWS });
    range = step.next;
    left -= step.found.length;
    yield* linesOf(listing, step.found);
    await nextTurn();
  }
}

const LINES_BYTES = 256 * 1_024;

function* linesOf(listing: Listing, found: Listed[]): Generator<string> {
  let lines = '';
  for (const listed of found) {
    lines += `${JSON.stringify(itemOf(listing, listed))}\n`;
    if (lines.length < LINES_BYTES) continue;
    yield lines;
    lines = '';
  }
  if (lines !== '') yield lines;
}

async function countReply(listing: Listing, { rev, at, prefix, start, end }: ListQuery): Promise<Reply> {
  const { handle, view } = listing;
  const isWhole = [rev, at, prefix, start, end].every((part) => part === undefined);
  const count = isWhole ? countLive(handle.engine.store, handle.bucket, view.timeMs) : await countRange(listing);
  return json(200, { count, revision: view.revision } satisfies Page);
}

async function countRange(listing: Listing): Promise<number> {
  let count = 0;
  let range: KeyRange | undefined = listing.range;
  while (range !== undefined) {
    const step = scanOnce(listing, range, { entries: TURN_ROWS, rows: TURN_ROWS });
    count += step.found.length;
    range = step.next;
    if (range !== undefined) await nextTurn();
  }
  return count;
}
