/** Turning requests into commands, and what the engine says into answers: shared by all operations that write. */
import type { Call, Reply } from '@plinth/contracts';
import { type AnyOperation, LIMITS } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Catalog, Handle } from '../core/catalog.ts';
import type { Command, Done, Operation } from '../core/command.ts';
import type { SubmitOptions } from '../core/commit-queue.ts';
import { valueTooLarge } from '../core/operations.ts';
import { withinPrefix } from '../core/reader.ts';
import { versionHeaders } from './entry-json.ts';
import { bytesOf, keyInUrl, keyOf, legalBucket } from './key.ts';
import { conditionIn, encodeMetadata, legalContentType, lifeIn } from './request-headers.ts';

/** A bucket for a write; made if it is missing and the service is set so. */
export function bucketForWrite(catalog: Catalog, name: string): Handle | Promise<Handle> {
  return catalog.peek(name) ?? catalog.forWrite(legalBucket(name));
}

/** Buckets that are filled from an origin take no values from callers: the origin would not know of them. */
export function refuseReadThrough({ name, mode }: Handle): void {
  if (mode !== 'read-through') return;
  throw new Problem('conflict', `bucket ${name} is filled from its origin; keys can be deleted, not written`);
}

export const submitOptions = (call: Call, bytes: number): SubmitOptions => ({
  bytes,
  deadlineMs: call.deadlineMs,
  context: call.trace,
});

/** How safe an answered write is, where that is less than `durable`. */
export function durabilityHeaders({ mode, bucket }: Handle): Record<string, string> {
  if (mode === 'durable') return {};
  return { 'kv-durability': mode === 'write-back' ? `write-back; flushMs=${bucket.settings.flushMs}` : 'memory' };
}

/** What goes with the answer to any write: how safe it is, and whether it is a repeat's. */
export const writeHeaders = (handle: Handle, replayed: boolean | undefined): Record<string, string> => ({
  ...durabilityHeaders(handle),
  ...(replayed ? { 'idempotency-replayed': 'true' } : {}),
});

/** The answer to a write of one key. @param call - Given: when the key was made, the answer says where it is. */
export function wrote(handle: Handle, done: Done, call?: Pick<Call, 'params'>): Reply {
  const { status, entry } = done.results[0]!;
  const headers = entry === undefined ? { 'kv-revision': done.revision } : versionHeaders(entry);
  if (handle.mode !== 'durable') Object.assign(headers, durabilityHeaders(handle));
  if (status === 201 && call !== undefined) headers.location = locationOf(call);
  if (done.replayed) headers['idempotency-replayed'] = 'true';
  return { status, headers };
}

const locationOf = ({ params }: Pick<Call, 'params'>): string => `/v1/kv/${params.bucket}/${keyInUrl(params.key!)}`;

/** An operation in JSON, as a command of the machine understands it. */
export function operationOf(item: AnyOperation, nowMs: number): Operation {
  if (item.op === 'deleteRange') return { op: 'deleteRange', ...rangeBytes(item) };
  const key = keyOf(item);
  if (item.op === 'get') return { op: 'get', key };
  const condition = { if: conditionIn(item) };
  if (item.op === 'delete') return { op: 'delete', key, ...condition };
  const life = lifeIn(item, nowMs);
  switch (item.op) {
    case 'put':
      return { op: 'put', key, ...contentIn(item), life, ...condition };
    case 'touch':
      return { op: 'touch', key, life, ...condition };
    case 'patch':
      return { op: 'patch', key, patch: item.patch, life, ...condition };
    case 'incr': {
      const { by, initial, min, max } = item;
      return { op: 'incr', key, by, initial, min, max, life, ...condition };
    }
  }
}

type PutItem = AnyOperation & { op: 'put' };
type ContentItem = Pick<PutItem, 'value' | 'valueBase64' | 'json' | 'contentType' | 'metadata'>;

/** @throws Problem `value_too_large`. */
export function contentIn({ value, valueBase64, json, contentType, metadata }: ContentItem) {
  const bytes = valueBytes(value, valueBase64, json);
  if (bytes.length > LIMITS.valueBytesMax) throw valueTooLarge(bytes.length, LIMITS.valueBytesMax);
  const type = contentType ?? (json === undefined ? undefined : 'application/json');
  return {
    value: bytes,
    contentType: type === undefined ? undefined : legalContentType(type),
    metadata: metadata === undefined ? undefined : encodeMetadata(metadata),
  };
}

function valueBytes(value: string | undefined, valueBase64: string | undefined, json: unknown): Buffer {
  if (value !== undefined) return Buffer.from(value, 'utf8');
  if (valueBase64 !== undefined) return Buffer.from(valueBase64, 'base64');
  return Buffer.from(JSON.stringify(json), 'utf8');
}

interface TextRange {
  prefix?: string | undefined;
  start?: string | undefined;
  end?: string | undefined;
}

/** A range in texts as a range of bytes: the part of start–end that begins with the prefix. */
export function rangeBytes({ prefix, start, end }: TextRange): { start: string; end: string | undefined } {
  const { start: from, end: to } = withinPrefix(bytesOf(prefix ?? ''), {
    start: bytesOf(start ?? ''),
    end: end === undefined ? undefined : bytesOf(end),
    reverse: false,
  });
  return { start: from, end: to };
}

/** Rough size of a command, for the bounds of what waits. */
export const bytesOfCommand = (command: Command): number => {
  if (command.do !== 'operation') return 256;
  return command.operation.op === 'put' ? 256 + command.operation.value.length : 256;
};
