/** A machine whose time the test owns, and a recount of everything it keeps counters of. */
import { type BucketSettings, bucketSettings } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import { openMemoryStore } from '../store/memory-store.ts';
import { type Store, TABLES } from '../store/store.ts';
import { type BucketState, decodeBucket } from './bucket.ts';
import { key32, key56 } from './byte-codec.ts';
import type { Command, Done, Once, Operation, OperationResult, Outcome } from './command.ts';
import {
  decodeRecord,
  decodeVersion,
  expiryKey,
  parseIdempotencyDueKey,
  parseRecordKey,
  recordKey,
  userKeyOf,
  type Version,
} from './layout.ts';
import { Machine } from './machine.ts';
import { readEntry } from './reader.ts';
import { Recency } from './recency.ts';

export type SomeSettings = Partial<BucketSettings>;
export const settingsOf = (some: SomeSettings = {}): BucketSettings => bucketSettings.parse(some);
export const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');
export const textOf = (value: Uint8Array | undefined): string | undefined =>
  value && Buffer.from(value).toString('utf8');

/** The start of a manual clock's life: easy to read in failures. */
export const START_MS = 1_000_000;

export interface Found {
  value: string;
  revision: number;
  createRevision: number;
  version: number;
  expiresAtMs: number;
  contentType: string;
  metadata: string;
}

export class TestMachine {
  readonly store: Store;
  machine: Machine;
  timeMs = START_MS;
  /** The bucket that operations go to. */
  bucket = 0;
  /** False where there are so many rows that counting them each time would take long. */
  isRecounted = true;

  constructor(settings: SomeSettings = {}, store: Store = openMemoryStore()) {
    this.store = store;
    const isCache = settings.mode === 'cache' || settings.mode === 'read-through';
    this.machine = new Machine(store, isCache ? new Recency() : undefined);
    this.bucket = this.define('test', settings);
  }

  /** One record at the present time; then everything is counted again. */
  record(...commands: Command[]): Outcome[] {
    const outcomes = this.machine.applyRecord(this.store.position + 1, { timeMs: this.timeMs, commands });
    if (this.isRecounted) assertSound(this.machine);
    return outcomes;
  }

  apply(command: Command): Outcome {
    return this.record(command)[0]!;
  }

  done(command: Command): Done {
    const outcome = this.apply(command);
    if (outcome instanceof Problem) throw outcome;
    return outcome;
  }

  define(name: string, settings: SomeSettings = {}): number {
    return this.done({ do: 'defineBucket', name, settings: settingsOf(settings) }).bucket!;
  }

  /** One operation; throws its refusal. */
  run(operation: Operation, once?: Once): OperationResult {
    return this.done({ do: 'operation', bucket: this.bucket, operation, once }).results[0]!;
  }

  put(key: string, value = 'v', more: Partial<Operation & { op: 'put' }> = {}): OperationResult {
    return this.run({ op: 'put', key, value: bytes(value), ...more });
  }

  delete(key: string): OperationResult {
    return this.run({ op: 'delete', key });
  }

  transact(
    onTrue: Operation[],
    more: Partial<Omit<Command & { do: 'transaction' }, 'do' | 'bucket' | 'onTrue'>> = {},
  ): Outcome {
    return this.apply({ do: 'transaction', bucket: this.bucket, checks: [], onFalse: [], onTrue, ...more });
  }

  get state(): BucketState {
    return this.machine.buckets.get(this.bucket)!;
  }

  get(key: string, timeMs = this.timeMs): Found | undefined {
    const entry = readEntry(this.store, this.bucket, key, timeMs);
    if (entry === undefined) return undefined;
    const { version, record } = entry;
    return {
      value: textOf(record.value)!,
      revision: version.revision,
      createRevision: version.createRevision,
      version: version.version,
      expiresAtMs: version.expiresAtMs,
      contentType: record.contentType,
      metadata: record.metadata,
    };
  }

  /** Every record of the bucket that is kept: `revision type key`. */
  log(bucket = this.bucket): string[] {
    return [...this.store.range('records', { start: key32(bucket), end: key32(bucket + 1) })].map(({ key, value }) => {
      const { type, key: userKey } = decodeRecord(value);
      return `${parseRecordKey(key).revision} ${type} ${userKey}`;
    });
  }

  reload(): void {
    this.machine = new Machine(this.store);
  }
}

/** The code of the problem that `act` throws or gives back. */
export function codeOf(act: (() => unknown) | Outcome): string | undefined {
  try {
    const outcome = typeof act === 'function' ? act() : act;
    return outcome instanceof Problem ? outcome.code : undefined;
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
}

export const doneOf = (outcome: Outcome): Done => {
  if (outcome instanceof Problem) throw outcome;
  return outcome;
};

/** All rows of all tables, for comparing states. */
export function rowsOf(store: Store): string[] {
  return TABLES.flatMap((table) =>
    [...store.range(table, {})].map(({ key, value }) => {
      const row = Buffer.from(value).toString('hex');
      return `${table} ${Buffer.from(key, 'latin1').toString('hex')} ${row}`;
    }),
  );
}

export const rowCount = (store: Store, table: (typeof TABLES)[number]): number => [...store.range(table, {})].length;

// ---------------------------------------------------------------- recounting

/** Counts all rows anew and compares: counters, records without an owner, places in the order of expiry. */
export function assertSound({ store, buckets, revision }: Machine): void {
  const expiry = new Set<string>();
  for (const bucket of buckets.values()) {
    assertEqual(JSON.stringify(decodeBucket(store.get('buckets', key32(bucket.id))!)), JSON.stringify(bucket));
    if (bucket.revision > revision) throw new Error(`bucket ${bucket.id} is ahead of the machine`);
    if (bucket.visitedRevision > Math.min(bucket.revision, bucket.compactedRevision)) throw new Error('visited');
    if (!bucket.dropped) for (const row of recount(store, bucket)) expiry.add(row);
  }
  for (const { key } of store.range('expiry', {})) {
    const isDropped = buckets.get(idIn(key, 7))?.dropped;
    if (!isDropped && !expiry.delete(key)) throw new Error(`an expiry row without an entry: ${JSON.stringify(key)}`);
  }
  if (expiry.size > 0) throw new Error(`${expiry.size} entries lack their expiry row`);
  assertIdempotencyPaired(store, buckets);
}

const idIn = (key: string, at: number): number => Buffer.from(key.slice(at, at + 4), 'latin1').readUInt32BE();

function recount(store: Store, bucket: BucketState): string[] {
  const counted = { keys: 0, bytes: 0, pastVersions: 0, pastBytes: 0 };
  const records = new Set([...store.range('records', ofBucket(bucket.id))].map(({ key }) => key));
  const expiry: string[] = [];
  for (const { key, value } of [...store.range('index', ofBucket(bucket.id))]) {
    const version = decodeVersion(value);
    claim(store, records, bucket.id, userKeyOf(key), version);
    if (version.deleted) continue;
    counted.keys += 1;
    counted.bytes += key.length - 4 + version.sizeBytes;
    if (version.expiresAtMs > 0) expiry.push(expiryKey(version.expiresAtMs, bucket.id, userKeyOf(key)));
  }
  for (const { key, value } of [...store.range('versions', ofBucket(bucket.id))]) {
    const version = decodeVersion(value);
    assertEqual(key.slice(-7), key56(version.revision));
    claim(store, records, bucket.id, key.slice(4, -8), version);
    counted.pastVersions += 1;
    counted.pastBytes += version.sizeBytes;
  }
  const { keys, bytes: live, pastVersions, pastBytes } = bucket;
  assertEqual(JSON.stringify({ keys, bytes: live, pastVersions, pastBytes }), JSON.stringify(counted));
  if (records.size > 0) throw new Error(`${records.size} records belong to no version`);
  return expiry;
}

const ofBucket = (id: number) => ({ start: key32(id), end: key32(id + 1) });

/** The record of a version is there, is of that version, and is nobody else's. */
function claim(store: Store, records: Set<string>, bucket: number, key: string, version: Version): void {
  const row = recordKey(bucket, version.revision, version.sequence);
  if (!records.delete(row)) throw new Error(`version ${version.revision} of ${key} has no record of its own`);
  const record = decodeRecord(store.get('records', row)!);
  assertEqual(
    JSON.stringify([record.key, record.type !== 'put', record.value.length, record.version, record.createRevision]),
    JSON.stringify([key, version.deleted, version.sizeBytes, version.version, version.createRevision]),
  );
}

function assertIdempotencyPaired(store: Store, buckets: ReadonlyMap<number, BucketState>): void {
  const due = [...store.range('idempotency', { start: 't' })].map(({ key }) => parseIdempotencyDueKey(key));
  const present = due.filter(({ bucket }) => buckets.get(bucket)?.dropped === false);
  const known = [...store.range('idempotency', { end: 't' })].filter(({ key }) => {
    return buckets.get(idIn(key, 1))?.dropped === false;
  });
  assertEqual(String(known.length), String(present.length));
}

function assertEqual(given: string, wanted: string): void {
  if (given !== wanted) throw new Error(`${given} is not ${wanted}`);
}
