/** Entries and changes as callers see them: in headers and in JSON. */
import { isUtf8 } from 'node:buffer';
import type { ChangeEvent, Entry as JsonEntry, OperationResult as JsonResult } from '@plinth/contracts/kv';
import type { Problem } from '@plinth/problem';
import type { Done, OperationResult, ResultEntry } from '../core/command.ts';
import type { ChangeRecord, Version } from '../core/layout.ts';
import type { ByteString } from '../store/store.ts';
import { keyMembers } from './key.ts';
import { decodeMetadata } from './request-headers.ts';

type ReplyHeaders = Record<string, string | number>;

export const timeText = (timeMs: number): string => new Date(timeMs).toISOString();

export const etagOf = (revision: number): string => `"${revision}"`;

/** The headers that go with every version of an entry. */
export function versionHeaders(
  version: Pick<Version, 'revision' | 'createRevision' | 'version' | 'expiresAtMs'>,
): ReplyHeaders {
  const headers: ReplyHeaders = {
    etag: etagOf(version.revision),
    'kv-revision': version.revision,
    'kv-create-revision': version.createRevision,
    'kv-version': version.version,
  };
  if (version.expiresAtMs > 0) headers['kv-expires-at'] = timeText(version.expiresAtMs);
  return headers;
}

/** And those of an entry that is read. */
export function entryHeaders(version: Version, record: ChangeRecord): ReplyHeaders {
  const headers = versionHeaders(version);
  headers['last-modified'] = new Date(record.timeMs).toUTCString();
  headers['content-type'] = record.contentType || 'application/octet-stream';
  if (record.metadata !== '') {
    for (const [name, value] of Object.entries(decodeMetadata(record.metadata))) headers[`kv-meta-${name}`] = value;
  }
  return headers;
}

/** @param record - Given: with value, type and metadata. */
export function entryJson(key: ByteString, version: Version, record?: ChangeRecord): JsonEntry {
  const json: JsonEntry = {
    ...keyMembers(key),
    revision: version.revision,
    createRevision: version.createRevision,
    version: version.version,
    sizeBytes: version.sizeBytes,
  };
  if (version.expiresAtMs > 0) json.expiresAt = timeText(version.expiresAtMs);
  return record === undefined
    ? json
    : Object.assign(json, { modifiedAt: timeText(record.timeMs) }, contentMembers(record));
}

type Content = { value: Uint8Array; contentType: string; metadata: string };

function contentMembers({ value, contentType, metadata }: Content): Partial<JsonEntry> {
  const members: Partial<JsonEntry> = valueMembers(value);
  if (contentType !== '') members.contentType = contentType;
  if (metadata !== '') members.metadata = decodeMetadata(metadata);
  return members;
}

/** As text when the bytes are UTF-8, which gives the same bytes back; else in base64. */
function valueMembers(value: Uint8Array): { value: string } | { valueBase64: string } {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return isUtf8(bytes) ? { value: bytes.toString('utf8') } : { valueBase64: bytes.toString('base64') };
}

/** One change, for watchers. */
export function changeJson(
  { revision, record, more }: { revision: number; record: ChangeRecord; more: boolean },
  values: boolean,
): ChangeEvent {
  const event: ChangeEvent = {
    type: record.type,
    ...keyMembers(record.key),
    revision,
    modifiedAt: timeText(record.timeMs),
  };
  if (record.type === 'put') {
    Object.assign(event, {
      createRevision: record.createRevision,
      version: record.version,
      sizeBytes: record.value.length,
      ...(record.expiresAtMs > 0 ? { expiresAt: timeText(record.expiresAtMs) } : {}),
      ...(values ? contentMembers(record) : {}),
    });
  }
  if (more) event.more = true;
  return event;
}

/** What one operation of a batch or transaction came to. */
export function resultJson(result: OperationResult, revision: number): JsonResult {
  const { status, entry, number, deleted } = result;
  return {
    status,
    revision,
    ...(number === undefined ? {} : { value: number }),
    ...(deleted === undefined ? {} : { deleted }),
    ...(entry === undefined ? {} : { entry: resultEntryJson(entry) }),
  };
}

export const doneJson = ({ revision, results }: Done): JsonResult[] =>
  results.map((result) => resultJson(result, revision));

export const problemJson = (problem: Problem): JsonResult => ({ status: problem.status, problem: problem.toBody() });

function resultEntryJson({ value, contentType = '', metadata = '', ...version }: ResultEntry): JsonEntry {
  const json = entryJson(version.key, { ...version, sequence: 0, deleted: false });
  return value === undefined ? json : Object.assign(json, contentMembers({ value, contentType, metadata }));
}
