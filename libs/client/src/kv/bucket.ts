/** One bucket, and everything that can be done in it. */
import type * as kv from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import { byteStringOf, type Key } from '../byte-string.ts';
import type { Ask, Caller, CallOptions, WriteOptions } from '../caller.ts';
import { replyJson } from '../reply-json.ts';
import type { TransportReply } from '../transport.ts';
import { kvEndpoints } from './endpoints.ts';
import { dateOf, type Entry, entryOfHeaders, versionOfHeaders } from './entry.ts';
import { Listing, type ListOptions, type Past, timeText } from './listing.ts';
import {
  type Check,
  checkJson,
  type Increment,
  type Operation,
  type OperationResult,
  operationJson,
  type Range,
  resultOfJson,
} from './operations.ts';
import { exportEntries, type ImportItem, importLines } from './transfer.ts';
import { type KeyVersion, versionOfJson } from './version.ts';
import { Watch, type WatchOptions } from './watch.ts';
import { PollSource } from './watch-poll.ts';
import { streamSource } from './watch-stream.ts';
import { type ConditionalOptions, type Life, lifeMembers, type PutOptions, writeHeaders } from './write-headers.ts';

/** What a write came to. */
export interface Written {
  /** Of this write; greater than any earlier one in the bucket. */
  revision: number;
  createRevision: number;
  version: number;
  /** The key was not there before. */
  created: boolean;
  expiresAt: Date | undefined;
}

export interface Transaction {
  /** All must hold; none: holds. */
  if?: readonly Check[];
  then?: readonly Operation[];
  else?: readonly Operation[];
}

/**
 * Every call takes `signal` and `timeoutMs`, every write an `idempotencyKey`; see `CallOptions` and `WriteOptions`.
 * Every call may throw Problem `invalid_key`, `bucket_not_found`, and those of the service's state: `overloaded`,
 * `unavailable`, `deadline_exceeded`, and for writes `outcome_unknown`. The first write makes a bucket that is missing.
 */
export class KvBucket {
  readonly name: string;
  readonly #caller: Caller;

  constructor(caller: Caller, name: string) {
    this.#caller = caller;
    this.name = name;
  }

  // ---------------------------------------------------------------- one key

  /** The entry with its value, or undefined when there is none. */
  get(key: Key, options: CallOptions = {}): Promise<Entry | undefined> {
    return this.#read(key, { endpoint: kvEndpoints.get }, options);
  }

  /** As `get`, from the past. @throws Problem `revision_compacted` when that is no longer kept. */
  getAt(key: Key, { rev, at }: Past, options: CallOptions = {}): Promise<Entry | undefined> {
    return this.#read(key, { endpoint: kvEndpoints.get, query: { rev, at: timeText(at) } }, options);
  }

  /** The entry without its value, or undefined when there is none, or no such bucket: HEAD does not tell which. */
  head(key: Key, options: CallOptions = {}): Promise<Entry | undefined> {
    return this.#read(key, { endpoint: kvEndpoints.head }, options);
  }

  /**
   * The versions of a key that are kept, newest first, deletions among them; as many as the bucket's `historyCount`
   * and `historyMs` leave. Empty when there are none.
   *
   * @param limit - 1 to 64, which it is unless told.
   */
  async history(
    key: Key,
    { limit = 64, values, ...options }: CallOptions & { limit?: number; values?: boolean } = {},
  ): Promise<KeyVersion[]> {
    const ask = { endpoint: kvEndpoints.get, query: { history: limit, values } };
    const reply = await whatIsThere(this.#onKey(key, ask, options));
    if (reply === undefined) return [];
    return replyJson<{ versions: kv.ChangeEvent[] }>(reply).versions.map(versionOfJson);
  }

  /**
   * Stores a value.
   *
   * @throws Problem `precondition_failed`, `value_too_large`, `invalid_ttl`, `quota_exceeded`.
   * When its answer was lost it is sent again; without a condition that may write twice, with another's write between.
   * Where that matters give a condition or an `idempotencyKey`.
   */
  async put(key: Key, value: string | Uint8Array, options: PutOptions = {}): Promise<Written> {
    return writtenOf(await this.#write(key, { endpoint: kvEndpoints.put, body: value }, options));
  }

  /** As `put`, with JSON of the value and `application/json`. */
  putJson(key: Key, value: unknown, options: PutOptions = {}): Promise<Written> {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON`);
    return this.put(key, text, { contentType: 'application/json', ...options });
  }

  /** @returns False when it was not there; also when only the repeat of a call with a lost answer was answered. */
  async delete(key: Key, options: ConditionalOptions = {}): Promise<boolean> {
    const { headers } = await this.#write(key, { endpoint: kvEndpoints.delete }, options);
    return headers['kv-deleted'] !== '0';
  }

  /**
   * Merges a change into a JSON value by RFC 7396: members that are null are taken away, others set. Makes the key.
   *
   * @throws Problem `unprocessable` when the value is no JSON; `precondition_failed`.
   */
  async patch(key: Key, change: unknown, options: ConditionalOptions & Life = {}): Promise<Written> {
    const body = JSON.stringify(change);
    const headers = { 'content-type': 'application/merge-patch+json' };
    return writtenOf(await this.#write(key, { endpoint: kvEndpoints.patch, body, headers }, options));
  }

  /**
   * Adds to a whole number. A repeat after a lost answer adds once: the call carries an idempotency key.
   *
   * @throws Problem `out_of_bounds`, with the present `value` as member; `unprocessable` when it is no whole number.
   */
  async incr(
    key: Key,
    options: ConditionalOptions & Increment & Life = {},
  ): Promise<{ value: number; revision: number }> {
    const { by, initial, min, max, ttlMs, ttl, expiresAt, ...rest } = options;
    const body = JSON.stringify({ by, initial, min, max, ...lifeMembers({ ttlMs, ttl, expiresAt }) });
    const headers = { 'content-type': 'application/json' };
    return replyJson(await this.#write(key, { endpoint: kvEndpoints.incr, body, headers }, rest));
  }

  /** Changes when the entry ends, not its value; without a life in `options` it stays for good. @throws Problem `key_not_found`. */
  async touch(key: Key, options: ConditionalOptions & Life = {}): Promise<Written> {
    return writtenOf(await this.#write(key, { endpoint: kvEndpoints.touch }, options));
  }

  // ---------------------------------------------------------------- many keys

  /** Keys in the order of their bytes: `for await (const page of list)`, `list.entries()`, `list.page(cursor)`. */
  list(options: ListOptions = {}): Listing {
    return new Listing(this.#caller, this.name, options);
  }

  /** How many keys there are in a range. Cost: grows with the range, except for the whole bucket. */
  async count(options: CallOptions & Range & Past = {}): Promise<number> {
    const { signal, timeoutMs, at, ...range } = options;
    const query = { ...range, at: timeText(at), count: true };
    const reply = await this.#onBucket({ endpoint: kvEndpoints.list, query }, { signal, timeoutMs });
    return replyJson<{ count: number }>(reply).count;
  }

  /**
   * Deletes a range in one revision.
   *
   * @param all - Must be true when no range is given.
   * @returns `more`: the most for one revision, 100,000, is reached; ask again.
   */
  async deleteRange(
    options: WriteOptions & Range & { all?: boolean },
  ): Promise<{ deleted: number; more: boolean; revision: number }> {
    const { signal, timeoutMs, idempotencyKey, ...query } = options;
    const ask = { endpoint: kvEndpoints.deleteRange, query };
    return replyJson(await this.#onBucket(ask, { signal, timeoutMs, idempotencyKey }));
  }

  /** Up to 1,000 operations in one request, each for itself: one that is refused has a `problem` in its result. */
  async batch(operations: readonly Operation[], options: WriteOptions = {}): Promise<OperationResult[]> {
    const body = { operations: operations.map(operationJson) };
    const reply = await this.#onBucket(jsonAsk(kvEndpoints.batch, body), options);
    return replyJson<{ results: kv.OperationResult[] }>(reply).results.map(resultOfJson);
  }

  /**
   * If all checks hold `then`, otherwise `else`: all of it or nothing, in one revision.
   *
   * @param strict - Checks that do not hold are thrown as Problem `precondition_failed`.
   * @returns `failedChecks`: positions in `if`.
   */
  async txn(
    transaction: Transaction,
    { strict, ...options }: WriteOptions & { strict?: boolean } = {},
  ): Promise<{ succeeded: boolean; revision: number; failedChecks: number[]; results: OperationResult[] }> {
    const ask = { ...jsonAsk(kvEndpoints.txn, transactionJson(transaction)), query: { strict } };
    const { results, ...outcome } = replyJson<TransactionJson>(await this.#onBucket(ask, options));
    return { ...outcome, results: results.map(resultOfJson) };
  }

  // ---------------------------------------------------------------- streams

  /** What happens, as it happens, whole revisions in order and across lost connections; see `Watch`. */
  watch(options: WatchOptions = {}): Watch {
    const isStreaming = this.#caller.transport.openStream !== undefined;
    const source = isStreaming
      ? streamSource(this.#caller, this.name, options)
      : new PollSource(this.#caller, this.name, options);
    return new Watch(source, options);
  }

  /**
   * All entries at one revision, with values, in order. HTTP only.
   *
   * @throws Problem `unavailable` when the stream breaks off: an export without a throw is complete.
   */
  export(options: CallOptions & { prefix?: string } = {}): AsyncGenerator<Entry> {
    return exportEntries(this.#caller, this.name, options);
  }

  /**
   * Stores entries as they come, some hundred in one revision: of `export`, or made by hand. HTTP only.
   *
   * @throws Problem with `line` and `imported` as members when an entry is refused: those before it are stored. Never
   * repeated by itself, since what was read from `items` is gone; importing the same entries again does no harm.
   * Without a deadline unless `timeoutMs` is given.
   */
  import(
    items: Iterable<ImportItem> | AsyncIterable<ImportItem>,
    options: CallOptions = {},
  ): Promise<{ imported: number; revision: number }> {
    return importLines(this.#caller, this.name, items, options);
  }

  // ---------------------------------------------------------------- the bucket itself

  /** Settings, size, revision. */
  async info(options: CallOptions = {}): Promise<kv.Bucket> {
    return replyJson(await this.#onBucket({ endpoint: kvEndpoints.getBucket }, options));
  }

  /** Forgets the past up to a revision; all of it but the present unless told. */
  async compact({ rev, ...options }: CallOptions & { rev?: number } = {}): Promise<{
    compactedRevision: number;
    removed: number;
  }> {
    return replyJson(await this.#onBucket({ endpoint: kvEndpoints.compact, query: { rev } }, options));
  }

  // ---------------------------------------------------------------- how it is asked

  async #read(key: Key, ask: Ask, options: CallOptions): Promise<Entry | undefined> {
    const reply = await whatIsThere(this.#onKey(key, ask, options));
    return reply && entryOfHeaders(key, reply, ask.endpoint.method === 'HEAD');
  }

  #write(key: Key, ask: Ask, options: PutOptions): Promise<TransportReply> {
    return this.#onKey(key, { ...ask, headers: { ...ask.headers, ...writeHeaders(options) } }, options);
  }

  async #onKey(key: Key, ask: Ask, options: WriteOptions): Promise<TransportReply> {
    return this.#caller.call({ ...ask, params: { bucket: this.name, key: byteStringOf(key) } }, options);
  }

  #onBucket(ask: Ask, options: WriteOptions): Promise<TransportReply> {
    return this.#caller.call({ ...ask, params: { bucket: this.name } }, options);
  }
}

interface TransactionJson {
  succeeded: boolean;
  revision: number;
  failedChecks: number[];
  results: kv.OperationResult[];
}

function transactionJson({ if: checks = [], then: onTrue = [], else: onFalse = [] }: Transaction) {
  return {
    if: checks.map(checkJson),
    // biome-ignore lint/suspicious/noThenProperty: the API's word; an array is never taken for a promise.
    then: onTrue.map(operationJson),
    else: onFalse.map(operationJson),
  };
}

function jsonAsk(endpoint: Ask['endpoint'], body: unknown): Ask {
  return { endpoint, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
}

/** Undefined for a key that is not there; HEAD has no body that could tell it from a missing bucket. */
async function whatIsThere(reply: Promise<TransportReply>): Promise<TransportReply | undefined> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof Problem && (error.code === 'key_not_found' || error.code === 'not_found')) return undefined;
    throw error;
  }
}

function writtenOf({ status, headers }: TransportReply): Written {
  const version = versionOfHeaders(headers);
  return { ...version, created: status === 201, expiresAt: dateOf(version.expiresAt) };
}
