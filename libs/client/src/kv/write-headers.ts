/** What the options of a write are in request headers, and in the items of a batch or transaction. */
import type { WriteOptions } from '../caller.ts';

/** The write happens only when this holds; else Problem `precondition_failed`, with the present `revision` as member. */
export interface Conditions {
  /** The entry still has this revision: nobody else has written it. */
  ifRevision?: number;
  /** The key does not exist. */
  ifAbsent?: boolean;
  /** The key exists, in whatever revision. */
  ifExists?: boolean;
}

/** When the entry ends. One of the three; none: as the bucket's settings say, for good by default. */
export interface Life {
  /** Milliseconds from now, at least 100. */
  ttlMs?: number;
  /** A number and its unit: `500ms`, `30s`, `5m`, `2h`, `7d`. */
  ttl?: string;
  /** A point in time; as text in RFC 3339. */
  expiresAt?: Date | string;
}

/** Kept with the value and given back with it. */
export interface Description {
  contentType?: string;
  /** Names of a–z, 0–9 and `-`, values of Latin-1 characters as HTTP headers have them; 1 KiB in all. */
  metadata?: Readonly<Record<string, string>>;
}

export interface ConditionalOptions extends WriteOptions, Conditions {}
export interface PutOptions extends ConditionalOptions, Life, Description {}

export function writeHeaders(options: Conditions & Life & Description): Record<string, string> {
  const { ifMatch, ifNoneMatch } = conditionMembers(options);
  const { ttl, expiresAt } = lifeMembers(options);
  const headers: Record<string, string> = {};
  if (ifMatch !== undefined) headers['if-match'] = ifMatch;
  if (ifNoneMatch !== undefined) headers['if-none-match'] = ifNoneMatch;
  if (ttl !== undefined) headers['kv-ttl'] = ttl;
  if (expiresAt !== undefined) headers['kv-expires-at'] = expiresAt;
  if (options.contentType !== undefined) headers['content-type'] = options.contentType;
  for (const name in options.metadata) headers[`kv-meta-${name.toLowerCase()}`] = options.metadata[name]!;
  return headers;
}

/** Entity tags, as HTTP has them (RFC 9110 §13.1). Members that are undefined do not reach JSON. */
export function conditionMembers({ ifRevision, ifAbsent, ifExists }: Conditions) {
  if (ifRevision !== undefined && ifExists) throw new TypeError('ifExists says nothing beside ifRevision');
  return {
    ifMatch: ifRevision === undefined ? (ifExists ? '*' : undefined) : `"${ifRevision}"`,
    ifNoneMatch: ifAbsent ? '*' : undefined,
  };
}

/** @throws TypeError when the life is given twice. */
export function lifeMembers({ ttlMs, ttl, expiresAt }: Life) {
  if ([ttlMs, ttl, expiresAt].filter((end) => end !== undefined).length > 1) {
    throw new TypeError('give one of ttlMs, ttl and expiresAt');
  }
  return {
    ttl: ttlMs === undefined ? ttl : `${ttlMs}ms`,
    expiresAt: expiresAt instanceof Date ? expiresAt.toISOString() : expiresAt,
  };
}
