/**
 * The state machine: the one place where the store changes. `apply(command, timeMs, revision)` depends on nothing but
 * its arguments and the store, so the same commands in the same order give the same state and the same answers
 * wherever the log comes from: a local file today, a replicated stream elsewhere.
 *
 * Time is that of the record, never the machine's clock, and never goes back. An entry is gone exactly at its
 * deadline, for readers by comparing times, for watchers when the next record comes: each record first sweeps what is
 * due (a bounded number), and a command that meets a due entry before the sweep expires it first.
 */
import type { BucketSettings } from '@plinth/contracts/kv';
import { LIMITS } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { ByteString, LogPosition, Store } from '../store/store.ts';
import { type BucketState, decodeBucket, encodeBucket, isCrowded, liveBytes, newBucket, overQuota } from './bucket.ts';
import { ByteReader, ByteWriter, key32, key56 } from './byte-codec.ts';
import {
  type Command,
  type CommandRecord,
  type Done,
  decodeStored,
  encodeStored,
  type Once,
  type Operation,
  type OperationResult,
  type Outcome,
  type ResultEntry,
} from './command.ts';
import { compactBucket, sweepBucket } from './compaction.ts';
import { type Change, type Content, Draft, type Pending } from './draft.ts';
import {
  type ChangeType,
  decodeRecord,
  decodeVersion,
  encodeRecord,
  encodeVersion,
  expiryKey,
  idempotencyDueKey,
  idempotencyKey,
  indexKey,
  isLive,
  parseExpiryKey,
  parseIdempotencyDueKey,
  recordKey,
  userKeyOf,
  type Version,
  versionKey,
} from './layout.ts';
import { evaluate, holds } from './operations.ts';
import type { Recency } from './recency.ts';

/** Due rows that one record sweeps: some milliseconds of work. The rest waits for the next record. */
const SWEEP_ROWS_MAX = 1_000;
/** How long an idempotency key is remembered. */
export const IDEMPOTENCY_MS = 24 * 3_600_000;
const META_KEY = 'machine';

export class Machine {
  readonly store: Store;
  /** The highest revision given. */
  revision = 0;
  /** The time of the last record. */
  timeMs = 0;
  readonly buckets = new Map<number, BucketState>();
  /** Buckets changed since the engine last looked; it clears them. */
  readonly changed = new Set<number>();
  readonly #writer = new ByteWriter();
  readonly #recency: Recency | undefined;
  readonly #touched = new Set<BucketState>();
  readonly #crowded = new Set<BucketState>();
  #nextBucket = 1;

  /** @param recency - Which entries were used last; only where buckets evict. */
  constructor(store: Store, recency?: Recency) {
    this.store = store;
    this.#recency = recency;
    this.#load();
  }

  /** Applies one record of the log as one step of the store. A throw is a bug: no command may cause one. */
  applyRecord(end: LogPosition, { timeMs, commands }: CommandRecord): Outcome[] {
    return this.store.step(end, () => {
      this.timeMs = Math.max(this.timeMs, timeMs);
      this.#makeRoom();
      this.#sweepDue();
      const outcomes = commands.map((command) => this.apply(command, this.timeMs, this.revision + 1));
      this.#save();
      return outcomes;
    });
  }

  /**
   * Applies one command, inside a step.
   *
   * @param revision - The one to give when the command changes something.
   */
  apply(command: Command, timeMs: number, revision: number): Outcome {
    switch (command.do) {
      case 'operation':
        return this.#once(command.bucket, command.once, timeMs, () =>
          this.#run(command.bucket, [command.operation], timeMs, revision),
        );
      case 'transaction':
        return this.#once(command.bucket, command.once, timeMs, () => this.#transact(command, timeMs, revision));
      case 'defineBucket':
        return this.#define(command.name, command.settings, command.id, timeMs);
      case 'dropBucket':
        return this.#drop(command.bucket);
      case 'sweepBucket':
        return this.#sweepDropped(command.bucket, command.limit);
      case 'compact':
        return this.#compact(command.bucket, command.revision, command.limit);
      case 'tick':
        return this.#done();
      case 'reserve':
        return this.#reserve(command.revision, command.forgetPast ?? false);
    }
  }

  bucketNamed(name: string): BucketState | undefined {
    for (const bucket of this.buckets.values()) if (bucket.name === name && !bucket.dropped) return bucket;
    return undefined;
  }

  version(bucket: number, key: ByteString): Version | undefined {
    const row = this.store.get('index', indexKey(bucket, key));
    return row && decodeVersion(row);
  }

  /** When the earliest entry or idempotency key is due; Infinity when none is. */
  nextDueMs(): number {
    const [entry] = this.store.range('expiry', {});
    const [id] = this.store.range('idempotency', { start: 't' });
    return Math.min(
      entry === undefined ? Infinity : parseExpiryKey(entry.key).timeMs,
      id === undefined ? Infinity : parseIdempotencyDueKey(id.key).timeMs,
    );
  }

  #reserve(revision: number, forgetPast: boolean): Outcome {
    this.revision = Math.max(this.revision, revision);
    for (const bucket of forgetPast ? this.buckets.values() : []) {
      bucket.compactedRevision = this.revision;
      bucket.compactedTimeMs = this.timeMs;
      this.#touched.add(bucket);
    }
    return this.#done();
  }

  // ------------------------------------------------------------ commands on entries

  #once(bucket: number, once: Once | undefined, timeMs: number, run: () => Outcome): Outcome {
    if (once === undefined) return run();
    const row = this.store.get('idempotency', idempotencyKey(bucket, once.id));
    if (row !== undefined) return replay(decodeStored(row) as Remembered, once);
    const outcome = run();
    // A refusal changed nothing, so a repeat may as well be decided anew.
    if (!(outcome instanceof Problem)) this.#remember(bucket, once, outcome, timeMs + IDEMPOTENCY_MS);
    return outcome;
  }

  #remember(bucket: number, { id, fingerprint }: Once, outcome: Done, dueMs: number): void {
    this.store.put('idempotency', idempotencyKey(bucket, id), encodeStored({ fingerprint, outcome }));
    this.store.put('idempotency', idempotencyDueKey(dueMs, bucket, id), EMPTY);
  }

  #transact(command: Command & { do: 'transaction' }, timeMs: number, revision: number): Outcome {
    const draft = this.#draft(command.bucket, timeMs);
    const failedChecks = command.checks.flatMap((check, at) => (holds(check, draft) ? [] : [at]));
    const succeeded = failedChecks.length === 0;
    const outcome = this.#run(command.bucket, succeeded ? command.onTrue : command.onFalse, timeMs, revision, draft);
    return outcome instanceof Problem ? outcome : { ...outcome, succeeded, failedChecks };
  }

  #run(
    bucketId: number,
    operations: readonly Operation[],
    timeMs: number,
    revision: number,
    draft = this.#draft(bucketId, timeMs),
  ): Outcome {
    const bucket = this.buckets.get(bucketId);
    if (bucket === undefined || bucket.dropped) return new Problem('bucket_not_found', 'the bucket was deleted');
    const rules = { draft, settings: bucket.settings };
    const results: OperationResult[] = [];
    let readBytes = 0;
    for (const [at, operation] of operations.entries()) {
      const verdict = evaluate(operation, rules);
      if (verdict instanceof Problem) return operations.length === 1 ? verdict : inOperation(verdict, at);
      if (operation.op === 'get') {
        verdict.entry = this.#read(draft, operation.key);
        readBytes += verdict.entry?.sizeBytes ?? 0;
        if (readBytes > LIMITS.transactionBytesMax) return tooMuchRead();
      }
      results.push(verdict);
    }
    const refused = overQuota(bucket, growthOf(draft));
    if (refused !== undefined) return refused;
    this.#commit(bucket, draft, revision);
    for (const [at, result] of results.entries()) this.#fillIn(bucketId, operations[at]!, result);
    return { revision: this.revision, results };
  }

  #draft(bucket: number, timeMs: number): Draft {
    return new Draft(
      {
        version: (key) => this.version(bucket, key),
        content: (_key, version) => this.content(bucket, version),
        keys: (start, end, limit) => this.#liveKeys(bucket, start, end, timeMs, limit),
      },
      timeMs,
    );
  }

  /** The value is a view into the store: copy it to keep it beyond this turn. */
  content(bucket: number, { revision, sequence }: Version): Content {
    const row = this.store.get('records', recordKey(bucket, revision, sequence));
    if (row === undefined) throw new Error(`no record at revision ${revision}.${sequence} of bucket ${bucket}`);
    return decodeRecord(row);
  }

  #liveKeys(bucket: number, start: ByteString, end: ByteString | undefined, timeMs: number, limit: number) {
    const keys: ByteString[] = [];
    const rows = { start: indexKey(bucket, start), end: end === undefined ? key32(bucket + 1) : indexKey(bucket, end) };
    for (const row of this.store.range('index', rows)) {
      if (isLive(decodeVersion(row.value), timeMs) && keys.push(userKeyOf(row.key)) === limit) break;
    }
    return keys;
  }

  /** A `get` sees the writes before it in its transaction; those have no revision yet. */
  #read(draft: Draft, key: ByteString): ResultEntry | undefined {
    const content = draft.content(key);
    if (content === undefined) return undefined;
    const before = draft.before(key);
    return {
      key,
      revision: before?.revision ?? 0,
      createRevision: before?.createRevision ?? 0,
      version: before?.version ?? 0,
      expiresAtMs: draft.expiresAtMs(key),
      sizeBytes: content.value.length,
      value: Buffer.from(content.value),
      contentType: content.contentType,
      metadata: content.metadata,
    };
  }

  #fillIn(bucket: number, operation: Operation, result: OperationResult): void {
    if (operation.op === 'get' || operation.op === 'delete' || operation.op === 'deleteRange') return;
    const version = this.version(bucket, operation.key);
    if (version === undefined || version.deleted) return;
    const { revision, createRevision, version: count, expiresAtMs, sizeBytes } = version;
    result.entry = { key: operation.key, revision, createRevision, version: count, expiresAtMs, sizeBytes };
  }

  // ------------------------------------------------------------ committing a draft

  #commit(bucket: BucketState, draft: Draft, revision: number): void {
    let next = revision;
    for (const [key, pending] of draft.pending) {
      if (pending.change !== undefined && isDue(pending.before, draft.timeMs)) {
        this.#expire(bucket, key, pending.before!, next++);
        pending.before = this.version(bucket.id, key);
      }
    }
    const changes = [...draft.pending].filter(([, { before, change }]) => isChange(before, change));
    for (const [sequence, [key, { before, change }]] of changes.entries()) {
      const at = { revision: next, sequence };
      if (change!.type === 'put') this.#put(bucket, key, before, change!, at);
      else this.#bury(bucket, key, before!, 'delete', at);
      this.#changed(bucket, next);
    }
    if (isCrowded(bucket)) this.#crowded.add(bucket);
  }

  #put(bucket: BucketState, key: ByteString, before: Version | undefined, change: Change & { type: 'put' }, at: At) {
    const { content, expiresAtMs } = change;
    const replaces = before !== undefined && !before.deleted;
    const version: Version = {
      ...at,
      createRevision: replaces ? before.createRevision : at.revision,
      version: replaces ? before.version + 1 : 1,
      expiresAtMs,
      sizeBytes: content.value.length,
      deleted: false,
    };
    this.#writeVersion(bucket, key, before, version, 'put', content);
    if (replaces) this.#forget(bucket, key, before);
    if (expiresAtMs > 0) this.store.put('expiry', expiryKey(expiresAtMs, bucket.id, key), EMPTY);
    bucket.keys += 1;
    bucket.bytes += key.length + version.sizeBytes;
    this.#recency?.use(bucket.id, key);
  }

  #bury(bucket: BucketState, key: ByteString, before: Version, type: 'delete' | 'expire', at: At): void {
    const grave: Version = { ...before, ...at, expiresAtMs: 0, sizeBytes: 0, deleted: true };
    this.#writeVersion(bucket, key, before, grave, type, NOTHING);
    this.#forget(bucket, key, before);
    this.#recency?.forget(bucket.id, key);
  }

  #writeVersion(
    bucket: BucketState,
    key: ByteString,
    before: Version | undefined,
    version: Version,
    type: ChangeType,
    content: Content,
  ): void {
    const { revision, sequence, createRevision, expiresAtMs } = version;
    const record = encodeRecord(this.#writer, {
      type,
      key,
      timeMs: this.timeMs,
      createRevision,
      version: version.version,
      expiresAtMs,
      previousRevision: before?.revision ?? 0,
      previousSequence: before?.sequence ?? 0,
      ...content,
    });
    this.store.put('records', recordKey(bucket.id, revision, sequence), record);
    if (before !== undefined) {
      this.store.put('versions', versionKey(bucket.id, key, before.revision), encodeVersion(this.#writer, before));
      bucket.pastVersions += 1;
      bucket.pastBytes += before.sizeBytes;
    }
    this.store.put('index', indexKey(bucket.id, key), encodeVersion(this.#writer, version));
  }

  /** Takes a version that was live out of the counters and the order of expiry. */
  #forget(bucket: BucketState, key: ByteString, before: Version): void {
    bucket.keys -= 1;
    bucket.bytes -= key.length + before.sizeBytes;
    if (before.expiresAtMs > 0) this.store.remove('expiry', expiryKey(before.expiresAtMs, bucket.id, key));
  }

  #changed(bucket: BucketState, revision: number): void {
    this.revision = revision;
    bucket.revision = revision;
    this.#touched.add(bucket);
    this.changed.add(bucket.id);
  }

  // ------------------------------------------------------------ what goes by itself

  #sweepDue(): void {
    const bounds = { end: key56(this.timeMs + 1) };
    for (const key of firstKeys(this.store.range('expiry', bounds), SWEEP_ROWS_MAX)) {
      const due = parseExpiryKey(key);
      const bucket = this.buckets.get(due.bucket);
      const version = bucket && !bucket.dropped ? this.version(due.bucket, due.key) : undefined;
      if (version !== undefined) this.#expire(bucket!, due.key, version, this.revision + 1);
      else this.store.remove('expiry', key);
    }
    const ids = { start: 't', end: `t${key56(this.timeMs + 1)}` };
    for (const key of firstKeys(this.store.range('idempotency', ids), SWEEP_ROWS_MAX)) {
      const due = parseIdempotencyDueKey(key);
      this.store.remove('idempotency', idempotencyKey(due.bucket, due.id));
      this.store.remove('idempotency', key);
    }
  }

  #expire(bucket: BucketState, key: ByteString, before: Version, revision: number): void {
    this.#bury(bucket, key, before, 'expire', { revision, sequence: 0 });
    this.#changed(bucket, revision);
  }

  /**
   * In buckets that evict: first the past goes, then the least recently used, until everything fits. Done when the
   * next record begins, so that watchers had their turn to see what is now forgotten; a bucket may pass its bound by
   * what one record writes.
   */
  #makeRoom(): void {
    for (const bucket of this.#crowded) {
      while (isCrowded(bucket) && bucket.compactedRevision < bucket.revision) {
        compactBucket(this, bucket, bucket.revision, SWEEP_ROWS_MAX);
      }
      while (liveBytes(bucket) > bucket.settings.bytesMax! && this.#evictOldest(bucket));
      this.#touched.add(bucket);
      if (!isCrowded(bucket)) this.#crowded.delete(bucket);
    }
  }

  #evictOldest(bucket: BucketState): boolean {
    const key = this.#recency?.oldest(bucket.id);
    const version = key === undefined ? undefined : this.version(bucket.id, key);
    if (key === undefined || version === undefined) return false;
    this.#expire(bucket, key, version, this.revision + 1);
    return true;
  }

  // ------------------------------------------------------------ buckets

  #define(name: string, settings: BucketSettings, id: number | undefined, timeMs: number): Outcome {
    const known = id === undefined ? this.bucketNamed(name) : this.buckets.get(id);
    if (known !== undefined) {
      if (known.settings.mode !== settings.mode) {
        return new Problem('conflict', `bucket ${name} is ${known.settings.mode}; the mode is fixed when it is made`);
      }
      known.settings = settings;
      this.#touched.add(known);
      return this.#done({ bucket: known.id, created: false });
    }
    if (this.buckets.size >= LIMITS.bucketsMax) {
      return new Problem('quota_exceeded', `there are ${LIMITS.bucketsMax} buckets; that is the most`);
    }
    const bucket = newBucket(id ?? this.#nextBucket, name, settings, timeMs);
    this.#nextBucket = Math.max(this.#nextBucket, bucket.id + 1);
    this.buckets.set(bucket.id, bucket);
    this.#touched.add(bucket);
    return this.#done({ bucket: bucket.id, created: true });
  }

  #drop(id: number): Outcome {
    const bucket = this.buckets.get(id);
    if (bucket === undefined || bucket.dropped) return new Problem('bucket_not_found', 'the bucket does not exist');
    bucket.dropped = true;
    this.#touched.add(bucket);
    return this.#done({ bucket: id });
  }

  #sweepDropped(id: number, limit: number): Outcome {
    const bucket = this.buckets.get(id);
    if (!bucket?.dropped) return this.#done({ removed: 0, more: false });
    const removed = sweepBucket(this.store, id, limit);
    if (removed === 0) {
      this.buckets.delete(id);
      this.store.remove('buckets', key32(id));
      this.#recency?.forgetBucket(id);
    }
    return this.#done({ removed, more: removed > 0 });
  }

  #compact(id: number, revision: number, limit: number): Outcome {
    const bucket = this.buckets.get(id);
    if (bucket === undefined || bucket.dropped) return new Problem('bucket_not_found', 'the bucket does not exist');
    const removed = compactBucket(this, bucket, Math.min(revision, this.revision), limit);
    this.#touched.add(bucket);
    return this.#done({ removed, more: bucket.compactedRevision < Math.min(revision, bucket.revision) });
  }

  #done(more: Partial<Done> = {}): Done {
    return { revision: this.revision, results: [], ...more };
  }

  // ------------------------------------------------------------ what is remembered beside the entries

  #save(): void {
    for (const bucket of this.#touched) {
      if (this.buckets.has(bucket.id)) this.store.put('buckets', key32(bucket.id), encodeBucket(bucket));
    }
    this.#touched.clear();
    const { revision, timeMs } = this;
    this.#writer.varint(revision).varint(timeMs).varint(this.#nextBucket);
    this.store.put('meta', META_KEY, this.#writer.finish());
  }

  #load(): void {
    const row = this.store.get('meta', META_KEY);
    if (row !== undefined) {
      const reader = new ByteReader(row);
      this.revision = reader.varint();
      this.timeMs = reader.varint();
      this.#nextBucket = reader.varint();
    }
    for (const { value } of this.store.range('buckets', {})) {
      const bucket = decodeBucket(value);
      this.buckets.set(bucket.id, bucket);
    }
  }
}

interface At {
  revision: number;
  sequence: number;
}

interface Remembered {
  fingerprint: string;
  outcome: Done;
}

const EMPTY = new Uint8Array(0);
const NOTHING: Content = { value: EMPTY, contentType: '', metadata: '' };

function replay({ fingerprint, outcome }: Remembered, once: Once): Outcome {
  if (fingerprint === once.fingerprint) return { ...outcome, replayed: true };
  return new Problem('idempotency_mismatch', `the idempotency key ${once.id} belongs to another request`);
}

const tooMuchRead = (): Problem =>
  new Problem('unprocessable', `the values read are more than ${LIMITS.transactionBytesMax} bytes; read in parts`);

function inOperation(problem: Problem, at: number): Problem {
  return new Problem(problem.code, `operation ${at}: ${problem.message}`, {
    members: { ...problem.members, operation: at },
    headers: problem.headers,
  });
}

const isDue = (version: Version | undefined, timeMs: number): boolean =>
  version !== undefined && !version.deleted && !isLive(version, timeMs);

/** Deleting what is not there changes nothing. */
const isChange = (before: Version | undefined, change: Pending['change']): boolean =>
  change !== undefined && (change.type === 'put' || (before !== undefined && !before.deleted));

function growthOf(draft: Draft): { keys: number; bytes: number } {
  const growth = { keys: 0, bytes: 0 };
  for (const [key, { before, change }] of draft.pending) {
    if (change === undefined) continue;
    if (before !== undefined && !before.deleted) {
      growth.keys -= 1;
      growth.bytes -= key.length + before.sizeBytes;
    }
    if (change.type === 'put') {
      growth.keys += 1;
      growth.bytes += key.length + change.content.value.length;
    }
  }
  return growth;
}

/** Copied out before anything changes: a range lasts only until then. */
function firstKeys(rows: Iterable<{ key: ByteString }>, limit: number): ByteString[] {
  const keys: ByteString[] = [];
  for (const { key } of rows) if (keys.push(key) === limit) break;
  return keys;
}
