/**
 * How the state lies in the store. etcd's idea: values by revision, keys as an index onto them. So a value is written
 * once, however many versions follow; listing keys reads the small index only; and a watch that resumes is a scan of
 * consecutive rows.
 *
 *   records   bucket · revision · sequence        → what happened to a key at that revision, with the value
 *   index     bucket · key                        → the present version: revision, sequence, expiry … (`Version`)
 *   versions  bucket · key · 0 · revision         → a superseded `Version`
 *   expiry    time · bucket · key                 → nothing: the order in which keys are due
 *   idempotency  "k" · bucket · id → outcome, and "t" · time · bucket · id → nothing: the order in which they are due
 *   buckets   bucket → settings and counters      meta  → revision, time, next bucket id
 *
 * A deleted key keeps its row in `index`, marked as deleted, until compaction has passed the deletion. So the page of
 * a list that belongs to an older revision finds every key that lived then by walking `index` alone.
 * User keys hold no NUL byte, which is what lets 0 separate a key from a revision without disturbing the order.
 */
import type { ByteString } from '../store/store.ts';
import { ByteReader, type ByteWriter, key32, key56, readKey32, readKey56 } from './byte-codec.ts';

export const BUCKET_BYTES = 4;
const REVISION_BYTES = 7;

export const indexKey = (bucket: number, key: ByteString): ByteString => key32(bucket) + key;

export const userKeyOf = (row: ByteString): ByteString => row.slice(BUCKET_BYTES);

export const recordKey = (bucket: number, revision: number, sequence: number): ByteString =>
  key32(bucket) + key56(revision) + key32(sequence);

/** Where the records of a revision begin. */
export const recordsFrom = (bucket: number, revision: number): ByteString => key32(bucket) + key56(revision);

export function parseRecordKey(row: ByteString): { revision: number; sequence: number } {
  return {
    revision: readKey56(row, BUCKET_BYTES),
    sequence: readKey32(row, BUCKET_BYTES + REVISION_BYTES),
  };
}

export const versionKey = (bucket: number, key: ByteString, revision: number): ByteString =>
  `${key32(bucket)}${key}\0${key56(revision)}`;

export const expiryKey = (timeMs: number, bucket: number, key: ByteString): ByteString =>
  key56(timeMs) + key32(bucket) + key;

export function parseExpiryKey(row: ByteString): { timeMs: number; bucket: number; key: ByteString } {
  return {
    timeMs: readKey56(row, 0),
    bucket: readKey32(row, REVISION_BYTES),
    key: row.slice(REVISION_BYTES + BUCKET_BYTES),
  };
}

export const idempotencyKey = (bucket: number, id: string): ByteString => `k${key32(bucket)}${id}`;
export const idempotencyDueKey = (timeMs: number, bucket: number, id: string): ByteString =>
  `t${key56(timeMs)}${key32(bucket)}${id}`;

export function parseIdempotencyDueKey(row: ByteString): { timeMs: number; bucket: number; id: string } {
  return {
    timeMs: readKey56(row, 1),
    bucket: readKey32(row, 1 + REVISION_BYTES),
    id: row.slice(1 + REVISION_BYTES + BUCKET_BYTES),
  };
}

/** One version of a key, without its value. */
export interface Version {
  revision: number;
  /** Place among the changes of one revision. */
  sequence: number;
  createRevision: number;
  /** 1 when the key was made, one more with each write. */
  version: number;
  /** Milliseconds since 1970; 0: never. */
  expiresAtMs: number;
  /** Bytes of the value. */
  sizeBytes: number;
  deleted: boolean;
}

const DELETED = 1;
const EXPIRES = 2;
const CREATED = 4;

/** About 10 bytes: a million keys of 16 bytes are listed by reading some 40 MB. */
export function encodeVersion(writer: ByteWriter, version: Version): Uint8Array {
  const created = version.revision === version.createRevision && version.version === 1;
  writer.byte((version.deleted ? DELETED : 0) | (version.expiresAtMs > 0 ? EXPIRES : 0) | (created ? CREATED : 0));
  writer.varint(version.revision).varint(version.sequence).varint(version.sizeBytes);
  if (!created) writer.varint(version.revision - version.createRevision).varint(version.version);
  if (version.expiresAtMs > 0) writer.varint(version.expiresAtMs);
  return writer.finish();
}

export function decodeVersion(bytes: Uint8Array): Version {
  const reader = new ByteReader(bytes);
  const flags = reader.byte();
  const revision = reader.varint();
  const sequence = reader.varint();
  const sizeBytes = reader.varint();
  const createRevision = flags & CREATED ? revision : revision - reader.varint();
  const version = flags & CREATED ? 1 : reader.varint();
  const expiresAtMs = flags & EXPIRES ? reader.varint() : 0;
  return { revision, sequence, createRevision, version, expiresAtMs, sizeBytes, deleted: (flags & DELETED) !== 0 };
}

/** Visible to a reader at that time: an entry is gone exactly at its deadline, swept or not. */
export const isLive = (version: Version, timeMs: number): boolean =>
  !version.deleted && (version.expiresAtMs === 0 || version.expiresAtMs > timeMs);

export const CHANGE_TYPES = ['put', 'delete', 'expire'] as const;
export type ChangeType = (typeof CHANGE_TYPES)[number];

/** What happened to one key at one revision. */
export interface ChangeRecord {
  type: ChangeType;
  key: ByteString;
  timeMs: number;
  createRevision: number;
  version: number;
  expiresAtMs: number;
  /** The version before this one, kept or not; revision 0 when there was none. */
  previousRevision: number;
  previousSequence: number;
  /** Empty: none was given. */
  contentType: string;
  /** JSON of the metadata as a byte string; empty: none. */
  metadata: string;
  value: Uint8Array;
}

export function encodeRecord(writer: ByteWriter, record: ChangeRecord): Uint8Array {
  return writer
    .byte(CHANGE_TYPES.indexOf(record.type))
    .varint(record.timeMs)
    .varint(record.createRevision)
    .varint(record.version)
    .varint(record.expiresAtMs)
    .varint(record.previousRevision)
    .varint(record.previousSequence)
    .text(record.key)
    .text(record.contentType)
    .text(record.metadata)
    .rest(record.value)
    .finish();
}

/** The value is a view into `bytes`. @param key - When it is known already, it is not read again. */
export function decodeRecord(bytes: Uint8Array, key?: ByteString): ChangeRecord {
  const reader = new ByteReader(bytes);
  return {
    type: CHANGE_TYPES[reader.byte()]!,
    timeMs: reader.varint(),
    createRevision: reader.varint(),
    version: reader.varint(),
    expiresAtMs: reader.varint(),
    previousRevision: reader.varint(),
    previousSequence: reader.varint(),
    key: key === undefined ? reader.text() : reader.known(key),
    contentType: reader.text(),
    metadata: reader.text(),
    value: reader.rest(),
  };
}
