/** What request headers ask for: preconditions, life, metadata, idempotency, a range of bytes. */
import { createHash } from 'node:crypto';
import type { Call } from '@plinth/contracts';
import { durationMs, LIMITS } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import type { Condition, Life, Once } from '../core/command.ts';

type Headers = Pick<Call, 'header' | 'headersWith'>;

// ---------------------------------------------------------------- preconditions

/** @throws Problem `invalid_precondition`. */
export function conditionOf(call: Headers): Condition | undefined {
  const match = call.header('if-match');
  const noneMatch = call.header('if-none-match');
  if (match === undefined && noneMatch === undefined) return undefined;
  return {
    ...(match === undefined ? {} : { match: etags(match, 'If-Match') }),
    ...(noneMatch === undefined ? {} : { noneMatch: etags(noneMatch, 'If-None-Match', { weakly: true }) }),
  };
}

/** The same in JSON bodies. */
export function conditionIn(item: {
  ifMatch?: string | undefined;
  ifNoneMatch?: string | undefined;
}): Condition | undefined {
  return conditionOf({
    header: (name) => (name === 'if-match' ? item.ifMatch : item.ifNoneMatch),
    headersWith: () => [],
  });
}

/**
 * One tag, or several with commas between. An entity tag that is not one of ours is legal and matches nothing.
 *
 * @param weakly - Weak tags are compared too, as RFC 9110 §13.1.2 has it for `If-None-Match`; else they match nothing.
 * @throws Problem `invalid_precondition`.
 */
export function etags(text: string, name: string, { weakly = false } = {}): '*' | number[] {
  const trimmed = text.trim();
  if (trimmed === '*') return '*';
  if (!ENTITY_TAGS.test(trimmed)) {
    throw new Problem(
      'invalid_precondition',
      `${name} is ${JSON.stringify(text)}; it takes * or ETags in quotes: "7"`,
      {
        issues: [{ path: `/headers/${name.toLowerCase()}`, message: 'expected * or entity tags in double quotes' }],
      },
    );
  }
  const tags = trimmed.match(ENTITY_TAG) ?? [];
  return tags.flatMap((tag) => revisionOf(weakly ? tag.replace(/^W\//, '') : tag) ?? []);
}

/** The revision that an ETag of ours names. */
function revisionOf(tag: string): number | undefined {
  const digits = /^"(0|[1-9]\d{0,15})"$/.exec(tag)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

// A tag may hold commas, so a list cannot be cut at them.
const ENTITY_TAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g;
const ENTITY_TAGS = new RegExp(`^${ENTITY_TAG.source}(?:\\s*,\\s*${ENTITY_TAG.source})*$`);

// ---------------------------------------------------------------- life

/** @throws Problem `invalid_ttl`. */
export function lifeOf(call: Headers, nowMs: number): Life | undefined {
  const ttl = call.header('kv-ttl');
  const expiresAt = call.header('kv-expires-at');
  return ttl === undefined && expiresAt === undefined ? undefined : life(ttl, expiresAt, nowMs);
}

/** The same in JSON bodies. */
export const lifeIn = (
  item: { ttl?: string | undefined; expiresAt?: string | undefined },
  nowMs: number,
): Life | undefined => life(item.ttl, item.expiresAt, nowMs);

function life(ttl: string | undefined, expiresAt: string | undefined, nowMs: number): Life | undefined {
  if (ttl !== undefined && expiresAt !== undefined) throw invalidTtl('there is a TTL and an end: give one of them');
  if (ttl !== undefined) return { ttlMs: ttlMs(ttl) };
  return expiresAt === undefined ? undefined : { expiresAtMs: endMs(expiresAt, nowMs) };
}

function ttlMs(text: string): number {
  const ms = durationMs(text.trim());
  if (ms === undefined) {
    throw invalidTtl(`the TTL ${JSON.stringify(text)} is not a number and a unit: 500ms, 30s, 5m, 2h, 7d`);
  }
  if (ms < LIMITS.ttlMsMin) throw invalidTtl(`the TTL ${text} is below the least, ${LIMITS.ttlMsMin}ms`);
  if (ms > LIMITS.ttlMsMax) throw invalidTtl(`the TTL ${text} is above the most, 100 years`);
  return ms;
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** True for a well-formed end of life that lies behind us. */
export const hasPassed = (expiresAt: string | undefined, nowMs: number): boolean =>
  expiresAt !== undefined && timeOf(expiresAt) <= nowMs;

/** NaN when it is no time. */
const timeOf = (text: string): number => (RFC_3339.test(text) ? Date.parse(text) : Number.NaN);

function endMs(text: string, nowMs: number): number {
  const ms = timeOf(text);
  if (Number.isNaN(ms)) throw invalidTtl(`the end ${JSON.stringify(text)} is not an RFC 3339 time with a zone`);
  if (ms <= nowMs) throw invalidTtl(`the end ${text} has passed`);
  if (ms > nowMs + LIMITS.ttlMsMax) throw invalidTtl(`the end ${text} is more than 100 years away`);
  return ms;
}

const invalidTtl = (detail: string): Problem => new Problem('invalid_ttl', detail);

// ---------------------------------------------------------------- what is stored with the value

/** @throws Problem `invalid_request`. */
export function contentTypeOf(call: Headers): string | undefined {
  const type = call.header('content-type');
  // What curl says of any body it is given is not worth keeping.
  if (type === undefined || type === 'application/x-www-form-urlencoded') return undefined;
  return legalContentType(type);
}

export function legalContentType(type: string): string {
  if (type.length <= LIMITS.contentTypeBytesMax && /^[\x20-\x7e]+$/.test(type)) return type;
  throw new Problem('invalid_request', `the content type is not 1–${LIMITS.contentTypeBytesMax} printable characters`);
}

/** `KV-Meta-Owner: ann` → `{"owner":"ann"}`, as a byte string. */
export function metadataOf(call: Headers): string | undefined {
  const pairs = call.headersWith('kv-meta-');
  if (pairs.length === 0) return undefined;
  for (const [name] of pairs) if (!METADATA_NAME.test(name)) throw illegalName(name);
  return encodeMetadata(Object.fromEntries(pairs));
}

/** As in JSON, so that an export can always be imported. */
const METADATA_NAME = /^[a-z0-9-]{1,64}$/;

const illegalName = (name: string): Problem =>
  new Problem('invalid_request', `${JSON.stringify(name)} is no name of metadata: 1–64 of a–z, 0–9 and -`, {
    issues: [{ path: `/headers/kv-meta-${name}`, message: 'expected 1–64 of a–z, 0–9 and - behind KV-Meta-' }],
  });

/** @throws Problem `invalid_request`. */
export function encodeMetadata(metadata: Record<string, string>): string | undefined {
  if (Object.keys(metadata).length === 0) return undefined;
  const bytes = Buffer.from(JSON.stringify(metadata), 'utf8');
  if (bytes.length > LIMITS.metadataBytesMax) {
    throw new Problem(
      'invalid_request',
      `the metadata is ${bytes.length} bytes; the most is ${LIMITS.metadataBytesMax}`,
    );
  }
  return bytes.toString('latin1');
}

export const decodeMetadata = (metadata: string): Record<string, string> =>
  JSON.parse(Buffer.from(metadata, 'latin1').toString('utf8')) as Record<string, string>;

// ---------------------------------------------------------------- idempotency

/** @param parts - Everything that makes this request another request than the next. @throws Problem `invalid_request`. */
export function onceOf(call: Headers, parts: () => readonly unknown[]): Once | undefined {
  const id = call.header('idempotency-key');
  if (id === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(id)) {
    throw new Problem('invalid_request', 'the idempotency key is not 1–255 printable ASCII characters', {
      issues: [{ path: '/headers/idempotency-key', message: 'expected 1–255 printable ASCII characters' }],
    });
  }
  return { id, fingerprint: fingerprintOf(parts()) };
}

function fingerprintOf(parts: readonly unknown[]): string {
  const hash = createHash('sha256');
  try {
    for (const part of parts) {
      hash.update(part instanceof Uint8Array ? part : JSON.stringify(part ?? null)).update('\n');
    }
  } catch (cause) {
    // JSON.parse is not recursive, JSON.stringify is: some thousand levels end its stack.
    throw new Problem('unprocessable', 'the JSON is nested too deep to be told from other requests', { cause });
  }
  return hash.digest('base64url').slice(0, 22);
}

// ---------------------------------------------------------------- ranges

export interface ByteRange {
  start: number;
  /** Exclusive. */
  end: number;
}

/**
 * The part of a value that `Range` asks for; undefined: all of it, also when several parts or another unit than bytes
 * are asked for.
 *
 * @throws Problem `invalid_request` when it is malformed, `range_not_satisfiable` when it lies outside.
 */
export function byteRange(call: Headers, sizeBytes: number, etag: string): ByteRange | undefined {
  const range = call.header('range');
  if (range === undefined) return undefined;
  const condition = call.header('if-range');
  if (condition !== undefined && condition !== etag) return undefined;
  if (/^(?!bytes=)[\w-]+=/i.test(range.trim())) return undefined;
  const match = /^bytes=(\d{0,15})-(\d{0,15})((?:\s*,.*)?)$/i.exec(range.trim());
  if (match === null || (match[1] === '' && match[2] === '')) throw malformedRange(range);
  const [, first = '', last = '', more] = match;
  if (more !== '') return undefined;
  if (first === '') return suffix(Number(last), sizeBytes);
  if (last !== '' && Number(last) < Number(first)) throw malformedRange(range);
  if (Number(first) >= sizeBytes) throw outside(sizeBytes);
  return { start: Number(first), end: last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) };
}

function suffix(length: number, sizeBytes: number): ByteRange {
  if (length === 0 || sizeBytes === 0) throw outside(sizeBytes);
  return { start: Math.max(0, sizeBytes - length), end: sizeBytes };
}

const malformedRange = (range: string): Problem =>
  new Problem('invalid_request', `Range is ${JSON.stringify(range)}; it takes bytes=0-99, bytes=100- or bytes=-100`, {
    issues: [{ path: '/headers/range', message: 'expected one range of bytes' }],
  });

const outside = (sizeBytes: number): Problem =>
  new Problem('range_not_satisfiable', `the value has ${sizeBytes} bytes`, {
    headers: { 'content-range': `bytes */${sizeBytes}` },
    members: { sizeBytes },
  });
