/** Operations on one key. */
import { type Call, json, kv, type Reply, type Served, serve } from '@plinth/contracts';
import { Problem } from '@plinth/problem';
import type { Catalog, Handle } from '../core/catalog.ts';
import type { Done, Operation } from '../core/command.ts';
import { isLive } from '../core/layout.ts';
import { keyNotFound, preconditionFailed } from '../core/operations.ts';
import { type Entry, history, readRecord, versionAt, viewAtRevision, viewAtTime } from '../core/reader.ts';
import type { ByteString } from '../store/store.ts';
import { entryHeaders, entryJson, etagOf } from './entry-json.ts';
import { legalKey } from './key.ts';
import type { ReadThrough } from './read-through.ts';
import { byteRange, conditionOf, contentTypeOf, lifeIn, lifeOf, metadataOf, onceOf } from './request-headers.ts';
import { bucketForWrite, refuseReadThrough, submitOptions, wrote } from './writes.ts';

export interface KeyRooms {
  catalog: Catalog;
  readThrough: ReadThrough;
  now: () => number;
}

type GetCall = Pick<Call<GetQuery>, 'params' | 'query' | 'deadlineMs' | 'header' | 'headersWith'>;
type GetQuery = { rev?: number; at?: string; history?: number; values?: boolean };

export function keyOperations({ catalog, readThrough, now }: KeyRooms): Served[] {
  function get(call: GetCall): Reply | Promise<Reply> {
    const handle = catalog.find(call.params.bucket!);
    const key = legalKey(call.params.key!);
    const { rev, at, history: versions } = call.query;
    if (versions !== undefined) return historyReply(handle, key, versions, call.query.values ?? false);
    if (rev !== undefined || at !== undefined) return entryReply(call, pastEntry(handle, key, rev, at));
    if (handle.mode === 'read-through') {
      return readThrough.get(handle, key, call.deadlineMs).then(({ entry, headers }) => {
        const reply = entryReply(call, entry);
        return { ...reply, headers: { ...reply.headers, ...headers } };
      });
    }
    const entry = handle.engine.read(handle.bucket.id, key);
    if (entry === undefined) throw keyNotFound(key);
    return entryReply(call, entry);
  }

  /** One operation as one command. First what may be refused: a request that is refused makes no bucket. */
  function change(call: Call, operation: Operation, answer: (handle: Handle, done: Done) => Reply): Promise<Reply> {
    const once = onceOf(call, () => fingerprintParts(operation));
    const submit = (handle: Handle): Promise<Reply> => {
      if (operation.op !== 'delete') refuseReadThrough(handle);
      const command = { do: 'operation', bucket: handle.bucket.id, operation, once } as const;
      const bytes = 'value' in operation ? 256 + operation.value.length : 256;
      return handle.engine.submit(command, submitOptions(call, bytes)).then((done) => answer(handle, done));
    };
    const handle = bucketForWrite(catalog, call.params.bucket!);
    return handle instanceof Promise ? handle.then(submit) : submit(handle);
  }

  function put(call: Call<unknown, Uint8Array>): Promise<Reply> {
    const operation: Operation = {
      op: 'put',
      key: legalKey(call.params.key!),
      value: call.body,
      contentType: contentTypeOf(call),
      metadata: metadataOf(call),
      life: lifeOf(call, now()),
      if: conditionOf(call),
    };
    return change(call as Call, operation, (handle, done) => wrote(handle, done, call));
  }

  function remove(call: Call): Promise<Reply> {
    // Deleting from a bucket that is not there deletes nothing, and makes no bucket.
    catalog.find(call.params.bucket!);
    const operation: Operation = { op: 'delete', key: legalKey(call.params.key!), if: conditionOf(call) };
    return change(call, operation, (handle, done) => {
      if (handle.mode === 'read-through') readThrough.forget(handle, call.params.key!);
      const reply = wrote(handle, done);
      return { ...reply, headers: { ...reply.headers, 'kv-deleted': done.results[0]!.deleted ?? 0 } };
    });
  }

  return [
    serve(kv.get, get as never),
    // Ranges are for GET alone (RFC 9110 §14.2): the length that HEAD tells is that of the whole.
    serve(kv.head, ((call: GetCall) => get(withoutRange(call))) as never),
    serve(kv.put, put),
    serve(kv.remove, remove as never),
    serve(kv.patch, (call) => {
      const key = legalKey(call.params.key!);
      const { body: patch } = call;
      const operation: Operation = { op: 'patch', key, patch, life: lifeOf(call, now()), if: conditionOf(call) };
      return change(call as Call, operation, (handle, done) => wrote(handle, done, call));
    }),
    serve(kv.incr, (call) => {
      const { by, initial, min, max } = call.body;
      const key = legalKey(call.params.key!);
      const life = lifeIn(call.body, now()) ?? lifeOf(call, now());
      const operation: Operation = { op: 'incr', key, by, initial, min, max, life, if: conditionOf(call) };
      return change(call as Call, operation, (handle, done) => {
        const reply = wrote(handle, done);
        return json(200, { value: done.results[0]!.number, revision: done.revision }, reply.headers);
      });
    }),
    serve(kv.touch, (call) => {
      const key = legalKey(call.params.key!);
      const operation: Operation = { op: 'touch', key, life: lifeOf(call, now()), if: conditionOf(call) };
      return change(call as Call, operation, wrote);
    }),
  ];
}

const withoutRange = (call: GetCall): GetCall => ({
  params: call.params,
  query: call.query,
  deadlineMs: call.deadlineMs,
  header: (name) => (name === 'range' ? undefined : call.header(name)),
  headersWith: (prefix) => call.headersWith(prefix),
});

/** A relative end is another end a moment later, yet the same request: so the operation is told apart as it was said. */
function fingerprintParts(operation: Operation): readonly unknown[] {
  const { value, ...rest } = operation as Operation & { value?: Uint8Array };
  return value === undefined ? [rest] : [rest, value];
}

// ---------------------------------------------------------------- answers

export const ENTRY_MEDIA_TYPE = 'application/vnd.plinth.entry+json';

/** The entry as the request wants it: whole, in part, as JSON, or not at all because the caller has it. */
function entryReply(call: GetCall, { key, version, record }: Entry): Reply {
  const etag = etagOf(version.revision);
  // In the order of RFC 9110 §13.2.2.
  const { match, noneMatch } = conditionOf(call) ?? {};
  if (match !== undefined && !isAmong(version.revision, match)) {
    throw preconditionFailed(version.revision, 'the key has changed');
  }
  if (noneMatch !== undefined && isAmong(version.revision, noneMatch)) return { status: 304, headers: { etag } };
  if (call.header('accept')?.includes(ENTRY_MEDIA_TYPE)) {
    const headers = { etag, 'content-type': ENTRY_MEDIA_TYPE };
    return { status: 200, headers, body: JSON.stringify(entryJson(key, version, record)) };
  }
  const headers = entryHeaders(version, record);
  headers['accept-ranges'] = 'bytes';
  const range = byteRange(call, record.value.length, etag);
  // The bytes belong to the store and the answer may wait for its socket: copied.
  if (range === undefined) return { status: 200, headers, body: Buffer.from(record.value) };
  headers['content-range'] = `bytes ${range.start}-${range.end - 1}/${record.value.length}`;
  return { status: 206, headers, body: Buffer.from(record.value.subarray(range.start, range.end)) };
}

const isAmong = (revision: number, tags: '*' | readonly number[]): boolean => tags === '*' || tags.includes(revision);

/** @throws Problem `key_not_found`, `revision_compacted`. */
function pastEntry(handle: Handle, key: ByteString, rev: number | undefined, at: string | undefined): Entry {
  if (rev !== undefined && at !== undefined) throw bothPasts();
  const { engine, bucket } = handle;
  const view =
    rev === undefined
      ? viewAtTime(engine.store, bucket, Date.parse(at!), engine.view())
      : viewAtRevision(engine.store, bucket, notFuture(rev, engine.view().revision));
  const version = versionAt(engine.store, bucket, key, view.revision);
  if (version === undefined || !isLive(version, view.timeMs)) throw keyNotFound(key);
  return { key, version, record: readRecord(engine.store, bucket.id, version) };
}

export const bothPasts = (): Problem =>
  new Problem('invalid_request', 'rev and at name two points in time: give one of them', {
    issues: [{ path: '/query/at', message: 'not together with rev' }],
  });

/** @throws Problem `invalid_request` for a revision that was not given yet. */
export function notFuture(revision: number, present: number): number {
  if (revision <= present) return revision;
  throw new Problem('invalid_request', `revision ${revision} is in the future; the present one is ${present}`, {
    issues: [{ path: '/query/rev', message: `at most ${present}` }],
    members: { revision: present },
  });
}

function historyReply({ engine, bucket }: Handle, key: ByteString, limit: number, values: boolean): Reply {
  const versions = history(engine.store, bucket.id, key, limit);
  if (versions.length === 0) throw keyNotFound(key);
  return json(200, { versions: versions.map((entry) => versionJson(entry, values)) });
}

function versionJson({ key, version, record }: Entry, values: boolean) {
  const { type } = record;
  if (type !== 'put') return { type, revision: version.revision, modifiedAt: new Date(record.timeMs).toISOString() };
  const whole = entryJson(key, version, record);
  if (values) return { type, ...whole };
  const { value, valueBase64, ...rest } = whole;
  return { type, ...rest };
}
