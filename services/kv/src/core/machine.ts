/**
 * The state machine: the one place where the store changes. `apply(command, timeMs, revision)` depends on nothing but
 * its arguments and the store, so the same commands in the same order give the same state and the same answers
 * wherever the log comes from: a local file today, a replicated stream elsewhere.
 *
 * Time is that of the record, never the machine's clock, and never goes back. An entry is gone exactly at its
 * deadline, for readers by comparing times, for watchers when the next record comes: each record first sweeps what is
 * due (a bounded number), and a command that meets a due entry before the sweep expires it first.
 */
import { LIMITS } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { ByteString, LogPosition, Store } from '../store/store.ts';
import { type BucketState, overQuota } from './bucket.ts';
import { BucketRegistry } from './bucket-registry.ts';
import { ByteReader, ByteWriter, key32, key56 } from './byte-codec.ts';
import { CacheRoom } from './cache-room.ts';
import type {
  Command,
  CommandRecord,
  Done,
  Once,
  Operation,
  OperationResult,
  Outcome,
  ResultEntry,
} from './command.ts';
import { compactBucket, sweepBucket } from './compaction.ts';
import { type Content, Draft, type KeyBounds, type Present } from './draft.ts';
import { EntryWriter, growthOf, type Head } from './entry-writer.ts';
import { forgetDue, nextForgottenMs, recall, remember } from './idempotency.ts';
import {
  type ChangeRecord,
  decodeVersion,
  indexKey,
  isLive,
  parseExpiryKey,
  userKeyOf,
  type Version,
} from './layout.ts';
import { evaluate, holds } from './operations.ts';
import { readRecord } from './reader.ts';
import type { Recency } from './recency.ts';

/** Due rows that one record sweeps: some milliseconds of work. The rest waits for the next record. */
export const SWEEP_ROWS_MAX = 1_000;
const META_KEY = 'machine';

type On<D extends Command['do']> = Command & { do: D };

export class Machine {
  readonly store: Store;
  /** Buckets changed since the engine last looked; it clears them. */
  readonly changed = new Set<number>();
  readonly #head: Head = { revision: 0, timeMs: 0, quietUntilMs: 0 };
  readonly #registry: BucketRegistry;
  readonly #writer: EntryWriter;
  readonly #room: CacheRoom;
  readonly #recency: Recency | undefined;
  readonly #meta = new ByteWriter();
  readonly #present: Present = {
    version: (bucket, key) => this.#writer.version(bucket, key),
    content: (bucket, version) => contentOf(readRecord(this.store, bucket, version)),
    keys: (bucket, range, timeMs, limit) => this.#liveKeys(bucket, range, timeMs, limit),
  };

  /** @param recency - Which entries were used last; only where buckets evict, and they begin empty. */
  constructor(store: Store, recency?: Recency) {
    this.store = store;
    this.#recency = recency;
    this.#registry = new BucketRegistry(store);
    const head = this.#head;
    const touch = (bucket: BucketState) => void this.#registry.touch(bucket);
    const changed = (bucket: BucketState) => {
      touch(bucket);
      this.changed.add(bucket.id);
    };
    this.#writer = new EntryWriter({ store, head, recency, changed });
    this.#room = new CacheRoom({ store, head, recency, touch, writer: this.#writer });
    this.#load();
  }

  /** The highest revision given. */
  get revision(): number {
    return this.#head.revision;
  }

  /** The time of the last record. */
  get timeMs(): number {
    return this.#head.timeMs;
  }

  get buckets(): ReadonlyMap<number, BucketState> {
    return this.#registry.all;
  }

  /** The highest bucket id that was ever given, here or where this machine was told of it. */
  get lastBucketId(): number {
    return this.#registry.nextId - 1;
  }

  bucketNamed(name: string): BucketState | undefined {
    return this.#registry.named(name);
  }

  /** Applies one record of the log as one step of the store. A throw is a bug: no command may cause one. */
  applyRecord(end: LogPosition, { timeMs, commands }: CommandRecord): Outcome[] {
    return this.store.step(end, () => {
      this.#head.timeMs = Math.max(this.timeMs, timeMs);
      this.#room.make();
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
          this.#run(command.bucket, [command.operation], this.#draft(command.bucket, timeMs), revision),
        );
      case 'transaction':
        return this.#once(command.bucket, command.once, timeMs, () => this.#transact(command, timeMs, revision));
      case 'defineBucket':
        return this.#define(command, timeMs);
      case 'dropBucket':
        return this.#drop(command.bucket);
      case 'sweepBucket':
        return this.#sweepDropped(command.bucket, command.limit);
      case 'compact':
        return this.#compact(command.bucket, command.revision, command.limit);
      case 'tick':
        return this.#done();
      case 'reserve':
        return this.#reserve(command);
    }
  }

  /** When there is something to do without a command: the earliest entry or idempotency key is due, a cache is full. */
  nextDueMs(): number {
    return this.#room.isWanted ? this.timeMs : this.#firstDueMs();
  }

  #firstDueMs(): number {
    const [entry] = this.store.range('expiry', {});
    const entryDueMs = entry === undefined ? Infinity : parseExpiryKey(entry.key).timeMs;
    return Math.min(entryDueMs, nextForgottenMs(this.store));
  }

  // ------------------------------------------------------------ commands on entries

  #once(bucket: number, once: Once | undefined, timeMs: number, run: () => Outcome): Outcome {
    if (once === undefined) return run();
    const known = recall(this.store, bucket, once);
    if (known !== undefined) return known;
    const outcome = run();
    // A refusal changed nothing, so a repeat may as well be decided anew.
    if (outcome instanceof Problem) return outcome;
    const dueMs = remember(this.store, bucket, once, outcome, timeMs);
    this.#head.quietUntilMs = Math.min(this.#head.quietUntilMs, dueMs);
    return outcome;
  }

  #transact(command: On<'transaction'>, timeMs: number, revision: number): Outcome {
    const draft = this.#draft(command.bucket, timeMs);
    const failedChecks = command.checks.flatMap((check, at) => (holds(check, draft) ? [] : [at]));
    const succeeded = failedChecks.length === 0;
    const outcome = this.#run(command.bucket, succeeded ? command.onTrue : command.onFalse, draft, revision);
    return outcome instanceof Problem ? outcome : { ...outcome, succeeded, failedChecks };
  }

  #run(id: number, operations: readonly Operation[], draft: Draft, revision: number): Outcome {
    const bucket = this.#registry.find(id);
    if (bucket === undefined) return new Problem('bucket_not_found', 'the bucket was deleted');
    const results = this.#evaluate(operations, draft, bucket);
    if (results instanceof Problem) return results;
    const refused = overQuota(bucket, growthOf(draft));
    if (refused !== undefined) return refused;
    this.#writer.commit(bucket, draft, revision);
    this.#room.look(bucket);
    for (let at = 0; at < results.length; at++) fillIn(results[at]!, operations[at]!, draft);
    return { revision: this.revision, results };
  }

  #evaluate(operations: readonly Operation[], draft: Draft, { settings }: BucketState): OperationResult[] | Problem {
    const results: OperationResult[] = [];
    let readBytes = 0;
    for (let at = 0; at < operations.length; at++) {
      const operation = operations[at]!;
      const verdict = evaluate(operation, { draft, settings });
      if (verdict instanceof Problem) return operations.length === 1 ? verdict : inOperation(verdict, at);
      if (operation.op === 'get') {
        verdict.entry = readDraft(draft, operation.key);
        readBytes += verdict.entry?.sizeBytes ?? 0;
        if (readBytes > LIMITS.transactionBytesMax) return tooMuchRead();
      }
      results.push(verdict);
    }
    return results;
  }

  #draft(bucket: number, timeMs: number): Draft {
    return new Draft(this.#present, bucket, timeMs);
  }

  #liveKeys(bucket: number, { start, end }: KeyBounds, timeMs: number, limit: number): ByteString[] {
    const keys: ByteString[] = [];
    const rows = { start: indexKey(bucket, start), end: end === undefined ? key32(bucket + 1) : indexKey(bucket, end) };
    for (const row of this.store.range('index', rows)) {
      if (isLive(decodeVersion(row.value), timeMs) && keys.push(userKeyOf(row.key)) === limit) break;
    }
    return keys;
  }

  // ------------------------------------------------------------ what goes by itself

  #sweepDue(): void {
    if (this.timeMs < this.#head.quietUntilMs) return;
    const due: ByteString[] = [];
    // Copied out before anything changes: a range lasts only until then.
    for (const { key } of this.store.range('expiry', { end: key56(this.timeMs + 1) })) {
      if (due.push(key) === SWEEP_ROWS_MAX) break;
    }
    for (const row of due) this.#expireRow(row);
    forgetDue(this.store, this.timeMs, SWEEP_ROWS_MAX);
    this.#head.quietUntilMs = this.#firstDueMs();
  }

  #expireRow(row: ByteString): void {
    const { bucket: id, key } = parseExpiryKey(row);
    const bucket = this.#registry.find(id);
    const version = bucket && this.#writer.version(id, key);
    if (version === undefined) this.store.remove('expiry', row);
    else this.#writer.expire(bucket!, key, version, this.revision + 1);
  }

  // ------------------------------------------------------------ buckets and revisions

  #define(command: On<'defineBucket'>, timeMs: number): Outcome {
    const defined = this.#registry.define(command, { timeMs, revision: this.revision });
    if (defined instanceof Problem) return defined;
    this.#room.look(defined.bucket);
    return this.#done({ bucket: defined.bucket.id, created: defined.created });
  }

  #drop(id: number): Outcome {
    const bucket = this.#registry.find(id);
    if (bucket === undefined) return noBucket();
    bucket.dropped = true;
    this.#registry.touch(bucket);
    this.#room.forget(bucket);
    return this.#done({ bucket: id });
  }

  #sweepDropped(id: number, limit: number): Outcome {
    if (!this.buckets.get(id)?.dropped) return this.#done({ removed: 0, more: false });
    const removed = sweepBucket(this.store, id, limit);
    if (removed === 0) {
      this.#registry.remove(id);
      this.#recency?.forgetBucket(id);
    }
    return this.#done({ removed, more: removed > 0 });
  }

  #compact(id: number, revision: number, limit: number): Outcome {
    const bucket = this.#registry.find(id);
    if (bucket === undefined) return noBucket();
    const removed = compactBucket(this.store, bucket, revision, limit);
    this.#registry.touch(bucket);
    return this.#done({ removed, more: bucket.visitedRevision < Math.min(revision, bucket.revision) });
  }

  #reserve({ revision, bucket: id = 0, forgetPast = false }: On<'reserve'>): Outcome {
    this.#head.revision = Math.max(this.revision, revision);
    this.#registry.reserve(id);
    for (const bucket of forgetPast ? this.buckets.values() : []) {
      bucket.compactedRevision = this.revision;
      bucket.compactedTimeMs = this.timeMs;
      this.#registry.touch(bucket);
    }
    return this.#done();
  }

  #done(more: Partial<Done> = {}): Done {
    return { revision: this.revision, results: [], ...more };
  }

  // ------------------------------------------------------------ what is remembered beside the entries

  #save(): void {
    this.#registry.save();
    this.#meta.varint(this.revision).varint(this.timeMs).varint(this.#registry.nextId);
    this.store.put('meta', META_KEY, this.#meta.finish());
  }

  #load(): void {
    const row = this.store.get('meta', META_KEY);
    if (row === undefined) return;
    const reader = new ByteReader(row);
    this.#head.revision = reader.varint();
    this.#head.timeMs = reader.varint();
    this.#registry.nextId = reader.varint();
  }
}

/** Only what a new version may take over from an older one. */
const contentOf = ({ value, contentType, metadata }: ChangeRecord): Content => ({ value, contentType, metadata });

const noBucket = (): Problem => new Problem('bucket_not_found', 'the bucket does not exist');

const tooMuchRead = (): Problem =>
  new Problem('unprocessable', `the values read are more than ${LIMITS.transactionBytesMax} bytes; read in parts`);

function inOperation(problem: Problem, at: number): Problem {
  return new Problem(problem.code, `operation ${at}: ${problem.message}`, {
    members: { ...problem.members, operation: at },
    headers: problem.headers,
  });
}

/** What a write came to is known only when its draft is committed. */
function fillIn(result: OperationResult, operation: Operation, draft: Draft): void {
  if (operation.op === 'get' || operation.op === 'delete' || operation.op === 'deleteRange') return;
  const version = draft.pending.get(operation.key)?.after;
  if (version !== undefined) result.entry = entryOf(operation.key, version);
}

function entryOf(key: ByteString, version: Version): ResultEntry {
  const { revision, createRevision, version: count, expiresAtMs, sizeBytes } = version;
  return { key, revision, createRevision, version: count, expiresAtMs, sizeBytes };
}

const NO_REVISION = { revision: 0, createRevision: 0, version: 0 };

/** A `get` sees the writes before it in its transaction; those have no revision yet. */
function readDraft(draft: Draft, key: ByteString): ResultEntry | undefined {
  const content = draft.content(key);
  if (content === undefined) return undefined;
  const { revision, createRevision, version } = (draft.hasChanged(key) ? undefined : draft.before(key)) ?? NO_REVISION;
  return {
    ...{ key, revision, createRevision, version },
    expiresAtMs: draft.expiresAtMs(key),
    sizeBytes: content.value.length,
    // The bytes belong to the store or to the caller: copied.
    value: Buffer.from(content.value),
    contentType: content.contentType,
    metadata: content.metadata,
  };
}
