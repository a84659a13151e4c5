/** The key-value store's operations. `services/kv/README.md` explains them with examples. */
import { z } from 'zod';
import { eventSubject, type HeaderContract, operationsOf } from './operation.ts';

const operation = operationsOf('kv');

/** Limits that callers meet; the service enforces them, the client and the documents quote them. */
export const LIMITS = {
  keyBytesMax: 1_024,
  valueBytesMax: 1_048_576,
  metadataBytesMax: 1_024,
  contentTypeBytesMax: 255,
  ttlMsMin: 100,
  /** 100 years: beyond it a mistake in the unit is likelier than a wish. */
  ttlMsMax: 100 * 365 * 86_400_000,
  transactionOperationsMax: 1_000,
  transactionBytesMax: 4 * 1_048_576,
  pageEntriesMax: 10_000,
  pageBytesMax: 4 * 1_048_576,
  historyVersionsMax: 64,
  rangeDeleteKeysMax: 100_000,
  bucketsMax: 1_000,
  watchWaitMsMax: 600_000,
} as const;

/** Where a change is announced: a JSON `ChangeNotice`, without values. A gap in `previousRevision` means: ask `changes`. */
export const changesSubject = (bucket: string): string => eventSubject('kv', `changes.${bucket}`);

// ---------------------------------------------------------------- words used more than once

export const BUCKET_NAME = /^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/;
export const bucketName = z.string().regex(BUCKET_NAME, 'a bucket is 1–63 of a–z, 0–9, - and _, not at its ends');

const flag = z.enum(['true', 'false']).transform((word) => word === 'true');
const count = (max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'a whole number')
    .transform(Number)
    .pipe(z.number().int().min(1).max(max));
/** 16 digits: those of cache buckets begin at the microseconds since 1970. */
const revision = z
  .string()
  .regex(/^\d{1,16}$/, 'a revision is a whole number')
  .transform(Number)
  .pipe(z.number().int());

/** `500ms`, `30s`, `5m`, `2h`, `7d`: a number and its unit. */
export const DURATION = /^(\d{1,15})(ms|s|m|h|d)$/;
const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a written duration, or undefined when it is not one. */
export function durationMs(text: string): number | undefined {
  const match = DURATION.exec(text);
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : undefined;
}

const duration = z.string().transform((text, context) => {
  const ms = durationMs(text);
  if (ms !== undefined && Number.isSafeInteger(ms)) return ms;
  context.addIssue({ code: 'custom', message: 'a duration is a number and a unit: 500ms, 30s, 5m, 2h, 7d' });
  return z.NEVER;
});

/** A key in JSON: text, or base64 when its bytes are not UTF-8. */
const keyMembers = { key: z.string().optional(), keyBase64: z.base64().optional() };
const oneKey = (item: { key?: string; keyBase64?: string }) =>
  (item.key === undefined) !== (item.keyBase64 === undefined);
const ONE_KEY = { message: 'exactly one of key and keyBase64', path: ['key'] };
const valueMembers = { value: z.string().optional(), valueBase64: z.base64().optional(), json: z.unknown().optional() };
const metadata = z.record(
  z.string().regex(/^[a-z0-9-]{1,64}$/),
  z
    .string()
    .max(1_024)
    .regex(/^[\x20-\x7e\x80-\xff]*$/, 'metadata travels in headers: characters up to U+00FF, no control characters'),
);
const expiryMembers = { ttl: z.string().optional(), expiresAt: z.string().optional() };
const conditionMembers = { ifMatch: z.string().optional(), ifNoneMatch: z.string().optional() };

// ---------------------------------------------------------------- entries

export const entry = z.object({
  ...keyMembers,
  revision: z.number().int(),
  createRevision: z.number().int(),
  version: z.number().int(),
  sizeBytes: z.number().int(),
  expiresAt: z.string().optional(),
  modifiedAt: z.string().optional(),
  contentType: z.string().optional(),
  metadata: metadata.optional(),
  value: z.string().optional(),
  valueBase64: z.string().optional(),
});
export type Entry = z.output<typeof entry>;

const putOperation = z
  .strictObject({
    op: z.literal('put'),
    ...keyMembers,
    ...valueMembers,
    ...expiryMembers,
    ...conditionMembers,
    contentType: z.string().optional(),
    metadata: metadata.optional(),
  })
  .refine(oneKey, ONE_KEY)
  .refine((item) => [item.value, item.valueBase64, item.json].filter((v) => v !== undefined).length === 1, {
    message: 'exactly one of value, valueBase64 and json',
    path: ['value'],
  });
const deleteOperation = z
  .strictObject({ op: z.literal('delete'), ...keyMembers, ...conditionMembers })
  .refine(oneKey, ONE_KEY);
const getOperation = z.strictObject({ op: z.literal('get'), ...keyMembers }).refine(oneKey, ONE_KEY);
const touchOperation = z
  .strictObject({ op: z.literal('touch'), ...keyMembers, ...expiryMembers, ...conditionMembers })
  .refine(oneKey, ONE_KEY);
export const increment = z.strictObject({
  by: z.number().int().default(1),
  initial: z.number().int().default(0),
  min: z.number().int().optional(),
  max: z.number().int().optional(),
  ...expiryMembers,
});
const incrOperation = z
  .strictObject({ op: z.literal('incr'), ...keyMembers, ...increment.shape, ...conditionMembers })
  .refine(oneKey, ONE_KEY);
const patchOperation = z
  .strictObject({ op: z.literal('patch'), ...keyMembers, patch: z.unknown(), ...expiryMembers, ...conditionMembers })
  .refine(oneKey, ONE_KEY);
const deleteRangeOperation = z.strictObject({
  op: z.literal('deleteRange'),
  prefix: z.string().optional(),
  start: z.string().optional(),
  end: z.string().optional(),
});

export const anyOperation = z.discriminatedUnion('op', [
  putOperation,
  deleteOperation,
  getOperation,
  touchOperation,
  incrOperation,
  patchOperation,
  deleteRangeOperation,
]);
export type AnyOperation = z.output<typeof anyOperation>;

export const check = z
  .strictObject({
    ...keyMembers,
    op: z.enum(['=', '!=', '<', '<=', '>', '>=']).default('='),
    exists: z.boolean().optional(),
    revision: z.number().int().min(0).optional(),
    createRevision: z.number().int().min(0).optional(),
    version: z.number().int().min(0).optional(),
    value: z.string().optional(),
    valueBase64: z.base64().optional(),
  })
  .refine(oneKey, ONE_KEY)
  .refine(
    (c) =>
      [c.exists, c.revision, c.createRevision, c.version, c.value, c.valueBase64].filter((v) => v !== undefined)
        .length === 1,
    { message: 'exactly one of exists, revision, createRevision, version, value and valueBase64' },
  );
export type Check = z.output<typeof check>;

/** What one operation of a batch or transaction came to. */
export const operationResult = z.object({
  status: z.number().int(),
  revision: z.number().int().optional(),
  entry: entry.optional(),
  deleted: z.number().int().optional(),
  value: z.number().optional(),
  problem: z.record(z.string(), z.unknown()).optional(),
});
export type OperationResult = z.output<typeof operationResult>;

const operations = z.array(anyOperation).max(LIMITS.transactionOperationsMax);

// ---------------------------------------------------------------- buckets

export const MODES = ['durable', 'write-back', 'cache', 'read-through'] as const;
export type Mode = (typeof MODES)[number];

export const origin = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).describe('The key, percent-encoded, is put behind it.'),
  ttlMs: z.number().int().min(1).max(LIMITS.ttlMsMax).default(60_000).describe('How long an answer is fresh.'),
  negativeTtlMs: z.number().int().min(0).max(LIMITS.ttlMsMax).default(5_000).describe('How long a 404 is believed.'),
  staleWhileRevalidateMs: z.number().int().min(0).max(LIMITS.ttlMsMax).default(0),
  staleIfErrorMs: z.number().int().min(0).max(LIMITS.ttlMsMax).default(0),
  timeoutMs: z.number().int().min(10).max(60_000).default(5_000),
});
export type Origin = z.output<typeof origin>;

export const bucketSettings = z.strictObject({
  mode: z.enum(MODES).default('durable').describe('How writes are kept. Fixed when the bucket is made.'),
  ttlMs: z
    .number()
    .int()
    .min(LIMITS.ttlMsMin)
    .max(LIMITS.ttlMsMax)
    .optional()
    .describe('Life of entries written without one.'),
  keysMax: z.number().int().min(1).optional().describe('The most live keys; more answer 507 for this bucket only.'),
  bytesMax: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('The most bytes of live keys and values. In `cache` mode the least recently used make room.'),
  valueBytesMax: z.number().int().min(1).max(LIMITS.valueBytesMax).default(LIMITS.valueBytesMax),
  historyCount: z
    .number()
    .int()
    .min(1)
    .max(LIMITS.historyVersionsMax)
    .default(1)
    .describe('Versions of a key kept for good, the present one included.'),
  historyMs: z
    .number()
    .int()
    .min(10_000)
    .max(30 * 86_400_000)
    .default(300_000)
    .describe('How long everything is kept for reads of the past, pages and watches that resume.'),
  historyRevisionsMax: z
    .number()
    .int()
    .min(1_000)
    .max(100_000_000)
    .default(1_000_000)
    .describe('The most revisions kept for that, however young.'),
  flushMs: z
    .number()
    .int()
    .min(10)
    .max(60_000)
    .default(1_000)
    .describe('`write-back` only: the most an answered write may be lost by.'),
  origin: origin.optional().describe('`read-through` only: where missing keys come from.'),
});
export type BucketSettings = z.output<typeof bucketSettings>;

export const bucket = z.object({
  name: z.string(),
  settings: bucketSettings,
  keys: z.number().int(),
  bytes: z.number().int(),
  revision: z.number().int().describe('The last revision that changed this bucket.'),
  compactedRevision: z.number().int().describe('Reads and watches from before it answer 410.'),
  createdAt: z.string(),
});
export type Bucket = z.output<typeof bucket>;

export const snapshot = z.object({
  id: z.string(),
  createdAt: z.string(),
  revision: z.number().int(),
  sizeBytes: z.number().int(),
  madeBy: z.string().optional().describe('The idempotency key it was asked for with.'),
});
export type Snapshot = z.output<typeof snapshot>;

// ---------------------------------------------------------------- headers

const header = (name: string, description: string): HeaderContract => ({ name, description });
const TTL_HEADERS = [
  header('KV-TTL', 'Life from now: a number and its unit, `500ms`, `30s`, `5m`, `2h`, `7d`; at least 100ms.'),
  header('KV-Expires-At', 'End of life, RFC 3339. Not together with KV-TTL.'),
];
const CONDITION_HEADERS = [
  header('If-Match', 'Do it only when the present ETag is one of these; `*`: when the key exists.'),
  header('If-None-Match', '`*`: do it only when the key does not exist.'),
];
const WRITE_HEADERS = [
  header('Idempotency-Key', 'A repeat with the same key and the same request answers what the first one answered.'),
  header('Request-Timeout-Ms', 'Give up when the work has not begun after this many milliseconds.'),
];
const PUT_HEADERS = [
  ...CONDITION_HEADERS,
  ...TTL_HEADERS,
  ...WRITE_HEADERS,
  header('Content-Type', 'Stored with the value and given back with it.'),
  header('KV-Meta-*', 'Metadata, stored with the value and given back with it; 1 KiB in all.'),
];
const ENTRY_HEADERS = [
  header('ETag', 'The revision in quotes: send it as If-Match or If-None-Match.'),
  header('KV-Revision', 'The revision that wrote this value.'),
  header('KV-Create-Revision', 'The revision that made the key.'),
  header('KV-Version', 'How often the key was written since it was made.'),
  header('KV-Expires-At', 'When it expires, RFC 3339.'),
  header('Last-Modified', 'When it was written.'),
];
const WROTE_HEADERS = ENTRY_HEADERS.slice(0, 5);

const KEY_PATH = '/v1/kv/{bucket}/{+key}';
const PAST = {
  rev: revision.optional().describe('As it was at this revision.'),
  at: z.iso.datetime({ offset: true }).optional().describe('As it was at this time, RFC 3339.'),
};
const RANGE = {
  prefix: z.string().optional().describe('Only keys that begin with it.'),
  start: z.string().optional().describe('First key, inclusive.'),
  end: z.string().optional().describe('Bound, exclusive.'),
};
const none = { kind: 'none' } as const;
const noQuery = z.strictObject({});
const READ_PROBLEMS = ['invalid_key', 'bucket_not_found', 'key_not_found', 'revision_compacted'] as const;
const WRITE_PROBLEMS = [
  'invalid_key',
  'bucket_not_found',
  'invalid_precondition',
  'precondition_failed',
  'idempotency_mismatch',
  'quota_exceeded',
  'disk_full',
  'outcome_unknown',
] as const;

// ---------------------------------------------------------------- operations on one key

export const get = operation({
  name: 'get',
  summary: 'Read a value',
  method: 'GET',
  path: KEY_PATH,
  query: z.strictObject({
    ...PAST,
    history: count(LIMITS.historyVersionsMax).optional().describe('Versions, newest first, as JSON.'),
    values: flag.optional().describe('With `history`: with their values.'),
  }),
  headers: [
    header('If-None-Match', 'Answer 304 when the ETag is one of these.'),
    header('If-Match', 'Answer 412 when the ETag is none of these.'),
    header('Range', 'One range of bytes: `bytes=0-99`, `bytes=100-`, `bytes=-100`.'),
    header('If-Range', 'Use Range only when the ETag is this one.'),
    header('Accept', '`application/vnd.plinth.entry+json` answers the entry as JSON.'),
  ],
  body: none,
  replies: [
    { status: 200, description: 'The bytes as they were put.', mediaType: '*/*', headers: ENTRY_HEADERS },
    { status: 206, description: 'The part asked for.', mediaType: '*/*', headers: ENTRY_HEADERS },
    { status: 304, description: 'It has not changed.' },
  ],
  problems: [
    ...READ_PROBLEMS,
    'precondition_failed',
    'invalid_precondition',
    'range_not_satisfiable',
    'upstream_failed',
  ],
  hot: true,
});

export const head = operation({
  ...get,
  name: 'head',
  summary: 'Read what a value is like',
  method: 'HEAD',
  replies: [{ status: 200, description: 'The headers of `get`.', headers: ENTRY_HEADERS }],
});

export const put = operation({
  name: 'put',
  summary: 'Store a value',
  method: 'PUT',
  path: KEY_PATH,
  query: noQuery,
  headers: PUT_HEADERS,
  body: { kind: 'bytes', problem: 'value_too_large', description: 'The value.' },
  replies: [
    { status: 201, description: 'The key was made.', headers: WROTE_HEADERS },
    { status: 204, description: 'The value was replaced.', headers: WROTE_HEADERS },
  ],
  problems: [...WRITE_PROBLEMS, 'invalid_ttl', 'value_too_large', 'conflict'],
  hot: true,
});

export const remove = operation({
  name: 'delete',
  summary: 'Delete a key',
  method: 'DELETE',
  path: KEY_PATH,
  query: noQuery,
  headers: [...CONDITION_HEADERS, ...WRITE_HEADERS],
  body: none,
  replies: [
    { status: 204, description: 'It is gone.', headers: [header('KV-Deleted', '1 when it was there, else 0.')] },
  ],
  problems: [...WRITE_PROBLEMS],
  hot: true,
});

export const patch = operation({
  name: 'patch',
  summary: 'Change a JSON value (RFC 7396)',
  method: 'PATCH',
  path: KEY_PATH,
  query: noQuery,
  headers: [...CONDITION_HEADERS, ...TTL_HEADERS, ...WRITE_HEADERS],
  body: { kind: 'json', schema: z.unknown(), mediaTypes: ['application/merge-patch+json'] },
  replies: [
    { status: 201, description: 'The key was made.', headers: WROTE_HEADERS },
    { status: 204, description: 'The value was changed.', headers: WROTE_HEADERS },
  ],
  problems: [
    ...WRITE_PROBLEMS,
    'invalid_ttl',
    'value_too_large',
    'unsupported_media_type',
    'unprocessable',
    'conflict',
  ],
  // Merging the same patch twice gives the same value.
  idempotent: true,
});

export const incr = operation({
  name: 'incr',
  summary: 'Add to a number, within bounds',
  method: 'POST',
  path: `${KEY_PATH}:incr`,
  query: noQuery,
  headers: [...CONDITION_HEADERS, ...TTL_HEADERS, ...WRITE_HEADERS],
  body: { kind: 'json', schema: increment.default({ by: 1, initial: 0 }) },
  replies: [
    {
      status: 200,
      description: 'The new number.',
      mediaType: 'application/json',
      schema: z.object({ value: z.number().int(), revision: z.number().int() }),
      headers: WROTE_HEADERS,
    },
  ],
  problems: [...WRITE_PROBLEMS, 'invalid_ttl', 'unprocessable', 'out_of_bounds', 'conflict'],
});

export const touch = operation({
  name: 'touch',
  summary: 'Change the life of a key, not its value',
  method: 'POST',
  path: `${KEY_PATH}:touch`,
  query: noQuery,
  headers: [...CONDITION_HEADERS, ...TTL_HEADERS, ...WRITE_HEADERS],
  body: none,
  replies: [
    { status: 204, description: 'Done. With neither TTL header it is kept until deleted.', headers: WROTE_HEADERS },
  ],
  problems: [...WRITE_PROBLEMS, 'key_not_found', 'invalid_ttl', 'conflict'],
  idempotent: true,
});

// ---------------------------------------------------------------- operations on many keys

export const page = z.object({
  items: z.array(entry).optional(),
  prefixes: z.array(z.string()).optional(),
  count: z.number().int().optional(),
  cursor: z.string().optional(),
  revision: z.number().int(),
});
export type Page = z.output<typeof page>;

export const list = operation({
  name: 'list',
  summary: 'Keys in byte order, page by page at one revision',
  method: 'GET',
  path: '/v1/kv/{bucket}',
  query: z.strictObject({
    ...RANGE,
    reverse: flag.optional(),
    limit: count(LIMITS.pageEntriesMax).optional().describe('Entries a page, 100 unless told.'),
    cursor: z.string().optional().describe('Of the page before; the other parameters must be the same.'),
    delimiter: z.string().min(1).optional().describe('Keys that go on behind it are folded into `prefixes`.'),
    values: flag.optional().describe('With values, content types and metadata.'),
    count: flag.optional().describe('Only how many there are.'),
    ...PAST,
  }),
  headers: [header('Accept', '`application/x-ndjson` streams all entries, one a line, without pages.')],
  body: none,
  replies: [
    {
      status: 200,
      description: 'A page. `Link: rel="next"` and `cursor` lead to the next one.',
      mediaType: 'application/json',
      schema: page,
    },
  ],
  problems: ['invalid_key', 'bucket_not_found', 'invalid_cursor', 'revision_compacted'],
});

export const removeRange = operation({
  name: 'deleteRange',
  summary: 'Delete a range of keys in one revision',
  method: 'DELETE',
  path: '/v1/kv/{bucket}',
  query: z.strictObject({ ...RANGE, all: flag.optional().describe('Must be true when no range is given.') }),
  headers: WRITE_HEADERS,
  body: none,
  replies: [
    {
      status: 200,
      description: 'How many were deleted. `more`: the most for one revision is reached, ask again.',
      mediaType: 'application/json',
      schema: z.object({ deleted: z.number().int(), more: z.boolean(), revision: z.number().int() }),
    },
  ],
  problems: [...WRITE_PROBLEMS],
});

export const batch = operation({
  name: 'batch',
  summary: 'Many operations, each for itself',
  method: 'POST',
  path: '/v1/kv/{bucket}:batch',
  query: noQuery,
  headers: WRITE_HEADERS,
  body: { kind: 'json', schema: z.strictObject({ operations }) },
  replies: [
    {
      status: 200,
      description: 'A status for each, in order.',
      mediaType: 'application/json',
      schema: z.object({ results: z.array(operationResult) }),
    },
  ],
  problems: [...WRITE_PROBLEMS, 'invalid_ttl', 'value_too_large', 'unprocessable', 'out_of_bounds'],
});

export const txn = operation({
  name: 'txn',
  summary: 'If all checks hold then …, else …: at once, in one revision',
  method: 'POST',
  path: '/v1/kv/{bucket}:txn',
  query: z.strictObject({ strict: flag.optional().describe('Answer 412 when a check fails.') }),
  headers: WRITE_HEADERS,
  body: {
    kind: 'json',
    schema: z.strictObject({
      if: z.array(check).max(LIMITS.transactionOperationsMax).default([]),
      // biome-ignore lint/suspicious/noThenProperty: the API's word; an array is never taken for a promise.
      then: operations.default([]),
      else: operations.default([]),
    }),
  },
  replies: [
    {
      status: 200,
      description: 'Which branch ran and what each operation came to.',
      mediaType: 'application/json',
      schema: z.object({
        succeeded: z.boolean(),
        revision: z.number().int(),
        failedChecks: z.array(z.number().int()),
        results: z.array(operationResult),
      }),
    },
  ],
  problems: [...WRITE_PROBLEMS, 'invalid_ttl', 'value_too_large', 'unprocessable', 'out_of_bounds', 'key_not_found'],
});

// ---------------------------------------------------------------- changes

export const changeEvent = z.object({
  type: z.enum(['put', 'delete', 'expire']),
  ...entry.partial().shape,
  revision: z.number().int(),
  modifiedAt: z.string(),
  previous: entry.partial().optional(),
  initial: z.literal(true).optional().describe('Part of the present state, not a change.'),
  more: z.literal(true).optional().describe('Further events of the same revision follow: they belong together.'),
});
export type ChangeEvent = z.output<typeof changeEvent>;

const WATCH_QUERY = {
  prefix: RANGE.prefix,
  since: revision.optional().describe('Everything after this revision. Omitted: from now on.'),
  values: flag.optional().describe('With values; true unless told.'),
};

export const watch = operation({
  name: 'watch',
  summary: 'Every change, in order, as it happens',
  method: 'GET',
  path: '/v1/watch/{bucket}',
  query: z.strictObject({
    ...WATCH_QUERY,
    initial: flag.optional().describe('First the present entries as `put` events, then `sync`, then changes.'),
    previous: flag.optional().describe('With the entry that was there before.'),
    wait: duration
      .optional()
      .describe('With `Accept: application/json`, long poll: the longest wait, 30s unless told.'),
  }),
  headers: [
    header('Accept', '`text/event-stream` (SSE), `application/x-ndjson`, or `application/json` for one long poll.'),
    header('Last-Event-ID', 'Resume after this revision; stronger than `since`.'),
  ],
  body: none,
  replies: [
    {
      status: 200,
      description: 'Server-sent events: put, delete, expire, sync, progress, gone.',
      mediaType: 'text/event-stream',
    },
  ],
  problems: ['invalid_key', 'bucket_not_found', 'revision_compacted'],
  streams: true,
});

export const changes = operation({
  name: 'changes',
  summary: 'The changes since a revision, waiting for the first',
  method: 'GET',
  path: '/v1/kv/{bucket}:changes',
  query: z.strictObject({
    ...WATCH_QUERY,
    limit: count(LIMITS.pageEntriesMax).optional(),
    wait: duration.optional().describe('How long to wait for the first change; 0s unless told.'),
  }),
  body: none,
  replies: [
    {
      status: 200,
      description: 'Whole revisions, oldest first; ask again with `since` = `revision`.',
      mediaType: 'application/json',
      schema: z.object({ events: z.array(changeEvent), revision: z.number().int(), more: z.boolean() }),
    },
  ],
  problems: ['invalid_key', 'bucket_not_found', 'revision_compacted'],
});

// ---------------------------------------------------------------- whole buckets

export const listBuckets = operation({
  name: 'listBuckets',
  summary: 'All buckets',
  method: 'GET',
  path: '/v1/buckets',
  query: noQuery,
  body: none,
  replies: [
    {
      status: 200,
      description: 'By name.',
      mediaType: 'application/json',
      schema: z.object({ buckets: z.array(bucket) }),
    },
  ],
});

export const getBucket = operation({
  name: 'getBucket',
  summary: 'One bucket: settings, size, revision',
  method: 'GET',
  path: '/v1/buckets/{bucket}',
  query: noQuery,
  body: none,
  replies: [{ status: 200, description: 'The bucket.', mediaType: 'application/json', schema: bucket }],
  problems: ['bucket_not_found'],
});

export const putBucket = operation({
  name: 'putBucket',
  summary: 'Make a bucket, or change its settings',
  method: 'PUT',
  path: '/v1/buckets/{bucket}',
  query: noQuery,
  body: { kind: 'json', schema: bucketSettings },
  replies: [
    { status: 201, description: 'Made.', mediaType: 'application/json', schema: bucket },
    { status: 200, description: 'Changed.', mediaType: 'application/json', schema: bucket },
  ],
  problems: ['conflict', 'disk_full', 'quota_exceeded', 'outcome_unknown'],
});

export const removeBucket = operation({
  name: 'deleteBucket',
  summary: 'Delete a bucket with everything in it',
  method: 'DELETE',
  path: '/v1/buckets/{bucket}',
  query: noQuery,
  body: none,
  replies: [{ status: 204, description: 'It is gone.' }],
  problems: ['bucket_not_found', 'disk_full', 'outcome_unknown'],
});

export const exportBucket = operation({
  name: 'export',
  summary: 'All entries at one revision as NDJSON that `import` takes',
  method: 'GET',
  path: '/v1/kv/{bucket}:export',
  query: z.strictObject({ prefix: RANGE.prefix }),
  body: none,
  replies: [{ status: 200, description: 'One entry a line.', mediaType: 'application/x-ndjson' }],
  problems: ['bucket_not_found'],
  streams: true,
});

export const importBucket = operation({
  name: 'import',
  summary: 'Entries from NDJSON',
  method: 'POST',
  path: '/v1/kv/{bucket}:import',
  query: noQuery,
  body: { kind: 'stream', mediaType: 'application/x-ndjson', description: 'Lines as `export` writes them.' },
  replies: [
    {
      status: 200,
      description: 'Everything is stored.',
      mediaType: 'application/json',
      schema: z.object({
        imported: z.number().int(),
        expired: z.number().int().describe('Lines whose `expiresAt` has passed: read over.'),
        revision: z.number().int(),
      }),
    },
  ],
  problems: [...WRITE_PROBLEMS, 'invalid_ttl', 'value_too_large', 'unsupported_media_type'],
  streams: true,
  // Putting the same lines twice stores the same entries.
  idempotent: true,
});

export const compact = operation({
  name: 'compact',
  summary: 'Forget the past up to a revision now',
  method: 'POST',
  path: '/v1/kv/{bucket}:compact',
  query: z.strictObject({ rev: revision.optional().describe('Omitted: everything but the present.') }),
  body: none,
  replies: [
    {
      status: 200,
      description: 'Done.',
      mediaType: 'application/json',
      schema: z.object({ compactedRevision: z.number().int(), removed: z.number().int() }),
    },
  ],
  problems: ['bucket_not_found', 'disk_full', 'outcome_unknown'],
  idempotent: true,
});

// ---------------------------------------------------------------- snapshots

export const listSnapshots = operation({
  name: 'listSnapshots',
  summary: 'All snapshots',
  method: 'GET',
  path: '/v1/snapshots',
  query: noQuery,
  body: none,
  replies: [
    {
      status: 200,
      description: 'Newest first.',
      mediaType: 'application/json',
      schema: z.object({ snapshots: z.array(snapshot) }),
    },
  ],
});

export const createSnapshot = operation({
  name: 'createSnapshot',
  summary: 'Copy the state as it is now, while serving',
  method: 'POST',
  path: '/v1/snapshots',
  query: noQuery,
  headers: [header('Idempotency-Key', 'A repeat with the same key answers with the snapshot that the first one made.')],
  body: none,
  replies: [{ status: 201, description: 'The snapshot.', mediaType: 'application/json', schema: snapshot }],
  problems: ['disk_full'],
});

export const removeSnapshot = operation({
  name: 'deleteSnapshot',
  summary: 'Delete a snapshot',
  method: 'DELETE',
  path: '/v1/snapshots/{id}',
  query: noQuery,
  body: none,
  replies: [{ status: 204, description: 'It is gone.' }],
  problems: ['snapshot_not_found'],
});

export const restoreSnapshot = operation({
  name: 'restoreSnapshot',
  summary: 'Go back to a snapshot, while serving',
  method: 'POST',
  path: '/v1/snapshots/{id}:restore',
  query: noQuery,
  body: none,
  replies: [
    {
      status: 200,
      description: 'The state is that of the snapshot; the revision goes on from the highest ever given.',
      mediaType: 'application/json',
      schema: z.object({ revision: z.number().int() }),
    },
  ],
  problems: ['snapshot_not_found', 'disk_full', 'outcome_unknown'],
  idempotent: true,
});

export const OPERATIONS = [
  get,
  head,
  put,
  remove,
  patch,
  incr,
  touch,
  list,
  removeRange,
  batch,
  txn,
  watch,
  changes,
  listBuckets,
  getBucket,
  putBucket,
  removeBucket,
  exportBucket,
  importBucket,
  compact,
  listSnapshots,
  createSnapshot,
  removeSnapshot,
  restoreSnapshot,
] as const;
