/**
 * `envoy.service.rate_limit_quota.v3`: reports from bytes, assignments to bytes. Numbers of fields are those of
 * envoy/service/rate_limit_quota/v3/rlqs.proto, envoy/type/v3/ratelimit_strategy.proto and token_bucket.proto.
 */
import { DOMAIN, LIMITS } from '@plinth/contracts/ratelimit';
import { stateKey } from '@plinth/limiter';
import type { Entry } from '../../core/rule.ts';
import { FRAME_HEAD_BYTES, frame } from '../grpc/call.ts';
import { LENGTH, Malformed, VARINT, WireReader, WireWriter } from '../grpc/wire.ts';

/** What a client says of one bucket. */
export interface Usage {
  readonly bucket: BucketId;
  /** Since its last report; 0 when it did not say. */
  readonly elapsedMs: number;
  readonly allowed: number;
  readonly denied: number;
}

/** A bucket's name: a map, which has no order; here by its keys. */
export interface BucketId {
  readonly entries: readonly Entry[];
  /** Equal for equal maps, and for no others. */
  readonly key: string;
}

export interface Reports {
  /** Empty when it is not said: all but the first message of a stream. */
  readonly domain: string;
  readonly usages: readonly Usage[];
}

/** How a client is to limit a bucket. */
export type Strategy =
  | { readonly kind: 'allow' | 'deny' }
  /** A bucket of `burst` tokens that comes back at `perS` in a second. */
  | { readonly kind: 'rate'; readonly perS: number; readonly burst: number };

export interface Action {
  readonly bucket: BucketId;
  /** Undefined: the bucket is abandoned. */
  readonly strategy: Strategy | undefined;
}

const { entriesMax, entryKeyBytesMax, entryValueBytesMax, unitsMax } = LIMITS;

/** @throws Malformed that says what is wrong, before anything was counted. */
export function decodeReports(message: Buffer, usagesMax: number): Reports {
  const reader = new WireReader().open(message);
  const usages: Usage[] = [];
  let domain = '';
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === 1 * 8 + LENGTH) domain = reader.string('domain', 256);
    else if (tag === 2 * 8 + LENGTH) {
      if (usages.length === usagesMax) throw new Malformed(`a report has more than ${usagesMax} buckets`);
      usages.push(usageIn(reader));
    } else reader.skip(tag);
  }
  if (domain !== '' && !DOMAIN.test(domain)) throw new Malformed('domain has other than visible ASCII characters');
  return { domain, usages };
}

function usageIn(reader: WireReader): Usage {
  let entries = new Map<string, string>();
  let elapsedMs = 0;
  let allowed = 0;
  let denied = 0;
  const outerEnd = reader.enter();
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === 1 * 8 + LENGTH) entries = bucketIn(reader, entries);
    else if (tag === 2 * 8 + LENGTH) elapsedMs = durationIn(reader);
    else if (tag === 3 * 8 + VARINT) allowed = reader.uint64();
    else if (tag === 4 * 8 + VARINT) denied = reader.uint64();
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  if (entries.size === 0) throw new Malformed('a bucket_id is empty');
  // More than can be debited is as good as all that can: the bucket is in debt for years.
  return {
    bucket: bucketId(entries),
    elapsedMs,
    allowed: Math.min(unitsMax, allowed),
    denied: Math.min(unitsMax, denied),
  };
}

function bucketIn(reader: WireReader, entries: Map<string, string>): Map<string, string> {
  const outerEnd = reader.enter();
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag !== 1 * 8 + LENGTH) reader.skip(tag);
    else {
      const { key, value } = entryIn(reader);
      entries.set(key, value);
      if (entries.size > entriesMax) throw new Malformed(`a bucket_id has more than ${entriesMax} keys`);
    }
  }
  reader.leave(outerEnd);
  return entries;
}

function entryIn(reader: WireReader): Entry {
  let key = '';
  let value = '';
  const outerEnd = reader.enter();
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === 1 * 8 + LENGTH) key = reader.string('a key', entryKeyBytesMax);
    else if (tag === 2 * 8 + LENGTH) value = reader.string('a value', entryValueBytesMax);
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  if (key === '') throw new Malformed('a key of a bucket_id is empty');
  return { key, value };
}

function durationIn(reader: WireReader): number {
  let seconds = 0;
  let nanos = 0;
  const outerEnd = reader.enter();
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === 1 * 8 + VARINT) seconds = reader.int64();
    else if (tag === 2 * 8 + VARINT) nanos = reader.int64();
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  return Math.max(0, seconds * 1_000 + nanos / 1e6);
}

function bucketId(map: ReadonlyMap<string, string>): BucketId {
  const entries = [...map].map(([key, value]) => ({ key, value })).sort((one, other) => (one.key < other.key ? -1 : 1));
  return { entries, key: stateKey(entries.flatMap(({ key, value }) => [key, value])) };
}

/** A frame ready to be sent. Actions are applied in their order. */
export function encodeActions(actions: readonly Action[], ttlMs: number): Buffer {
  const writer = new WireWriter();
  writer.begin();
  for (const { bucket, strategy } of actions.toReversed()) {
    const action = writer.size;
    if (strategy === undefined) writer.bytes(3, Buffer.alloc(0));
    else writeAssignment(writer, strategy, ttlMs);
    writeBucket(writer, bucket);
    writer.message(1, action);
  }
  return frame(writer.take(FRAME_HEAD_BYTES));
}

function writeAssignment(writer: WireWriter, strategy: Strategy, ttlMs: number): void {
  const assignment = writer.size;
  writeStrategy(writer, strategy);
  writer.message(3, assignment);
  writeDuration(writer, 2, ttlMs);
  writer.message(2, assignment);
}

function writeStrategy(writer: WireWriter, strategy: Strategy): void {
  if (strategy.kind !== 'rate') {
    // Written also when it is 0, ALLOW_ALL: that one of the three is set tells which.
    writer.varint(strategy.kind === 'deny' ? 1 : 0);
    writer.varint(1 * 8 + VARINT);
    return;
  }
  const { tokens, intervalS } = fillOf(strategy.perS);
  const bucket = writer.size;
  // Envoy tells two token buckets apart by their tokens and the nanoseconds of their intervals, not by the seconds
  // (`protoTokenBucketsEq` there): as many nanoseconds as seconds make every interval another.
  writeDuration(writer, 3, intervalS * 1_000 + (intervalS > 1 ? (intervalS % 1e9) / 1e6 : 0));
  const perFill = writer.size;
  writer.number(1, tokens);
  writer.message(2, perFill);
  writer.number(1, strategy.burst);
  writer.message(3, bucket);
}

/** What a rate may lose by being told in whole tokens and whole seconds. */
const LOSS = 0.01;
/** A billionth, or a share that rounding made a trifle less than 100 would be 99. */
const ROUNDING = 1e-9;

/**
 * A rate as tokens in an interval: never more than the rate, and at most 1 % less.
 *
 * In whole seconds, because Envoy (1.40) takes an interval's seconds alone, and fills without end when these are 0:
 * `createTokenBucketFromAction` in source/extensions/filters/http/rate_limit_quota/global_client_impl.cc. It spreads
 * the tokens over the interval, so a long one is as smooth as a short one.
 */
export function fillOf(perS: number): { tokens: number; intervalS: number } {
  for (let tokens = Math.max(1, Math.floor(perS * (1 + ROUNDING))); ; tokens++) {
    const intervalS = Math.ceil((tokens / perS) * (1 - ROUNDING));
    if (tokens >= perS * intervalS * (1 - LOSS)) return { tokens, intervalS };
  }
}

function writeDuration(writer: WireWriter, field: number, ms: number): void {
  const before = writer.size;
  writer.number(2, Math.round((ms % 1_000) * 1e6));
  writer.number(1, Math.floor(ms / 1_000));
  writer.message(field, before);
}

function writeBucket(writer: WireWriter, { entries }: BucketId): void {
  const bucket = writer.size;
  for (const { key, value } of entries.toReversed()) {
    const entry = writer.size;
    writer.entry(2, value);
    writer.entry(1, key);
    writer.message(1, entry);
  }
  writer.message(1, bucket);
}
