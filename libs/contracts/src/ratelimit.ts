/** The rate limiter's operations. `services/ratelimit/README.md` explains them with examples. */
import { z } from 'zod';
import { eventSubject, type HeaderContract, operationsOf } from './operation.ts';

const operation = operationsOf('ratelimit');

/** Limits that callers meet; the service enforces them, the client and the documents quote them. */
export const LIMITS = {
  checksMax: 1_000,
  descriptorsMax: 32,
  entriesMax: 16,
  entryKeyBytesMax: 256,
  entryValueBytesMax: 2_048,
  unitsMax: 1_000_000_000,
  windowMsMax: 366 * 86_400_000,
  waitMsMax: 60_000,
  blockMsMax: 366 * 86_400_000,
  reservationMsMax: 3_600_000,
  rulesMax: 100_000,
  rulesBytesMax: 8 * 1_048_576,
  topMax: 1_000,
} as const;

/** Something happened that pages and operators want to see: a JSON `LimitEvent`. */
export const eventsSubject = (what: string): string => eventSubject('ratelimit', what);

/** The bucket of the key-value store whose keys are domains and whose values are rule documents. */
export const RULES_BUCKET = 'ratelimit-rules';

const units = z.number().int().min(0).max(LIMITS.unitsMax);
const word = z.string().min(1).max(LIMITS.entryValueBytesMax);
export const DOMAIN = /^[\x21-\x7e]{1,256}$/;
export const domain = z.string().regex(DOMAIN, 'a domain is 1–256 visible ASCII characters').default('default');

/** `500ms`, `30s`, `5m`, `2h`, `7d`, or a whole number of milliseconds. */
export const policySpec = z.strictObject({
  algorithm: z.enum(['gcra', 'strict', 'sliding', 'fixed', 'calendar', 'leaky', 'concurrency', 'adaptive']).optional(),
  limit: units,
  windowMs: z.number().int().min(1).max(LIMITS.windowMsMax).optional(),
  burst: z.number().int().min(1).max(LIMITS.unitsMax).optional(),
  period: z.enum(['day', 'week', 'month', 'year']).optional(),
  timeZone: z.string().max(64).optional(),
  holdMs: z.number().int().min(100).max(86_400_000).optional(),
  limitMin: z.number().int().min(1).max(LIMITS.unitsMax).optional(),
  targetMs: z.number().int().min(1).max(600_000).optional(),
  shares: z.record(z.string().min(1).max(64), z.number()).optional(),
});
export type PolicySpec = z.output<typeof policySpec>;

const entries = z
  .array(
    z.strictObject({
      key: z.string().min(1).max(LIMITS.entryKeyBytesMax),
      value: z.string().max(LIMITS.entryValueBytesMax),
    }),
  )
  .min(1)
  .max(LIMITS.entriesMax);

/** Ordered pairs, and what is special about this one. */
const descriptor = z.union([
  z.strictObject({ entries, cost: units.optional(), limit: policySpec.optional() }),
  // {"user": "alice", "path": "/login"}: the same, in the order in which it is written.
  z.record(z.string().min(1).max(LIMITS.entryKeyBytesMax), z.string().max(LIMITS.entryValueBytesMax)),
]);

/** What is asked for: descriptors that rules are looked up by, or one limit by name, or one that is said here. */
export const check = z.strictObject({
  domain,
  descriptors: z.array(descriptor).min(1).max(LIMITS.descriptorsMax).optional(),
  /** A rule by name, or a limit. */
  limit: z.union([word, policySpec]).optional(),
  /** With `limit`: what is limited. */
  key: z.union([word, z.array(word).min(1).max(LIMITS.entriesMax)]).optional(),
  cost: units.default(1),
  /** `leaky`: wait for one's turn, so long at the most. */
  waitMs: z.number().int().min(0).max(LIMITS.waitMsMax).optional(),
  /** `adaptive`: the class of the request. */
  priority: z.string().min(1).max(64).optional(),
  /** Cost is an estimate: `report` settles it with the reservation in the answer. */
  reserveMs: z.number().int().min(100).max(LIMITS.reservationMsMax).optional(),
});
export type CheckRequest = z.input<typeof check>;
export const checks = z.union([check, z.array(check).min(1).max(LIMITS.checksMax)]);

/** Milliseconds rounded up, so that whoever waits so long is not early. */
export const limitAnswer = z.object({
  name: z.string(),
  allowed: z.boolean(),
  algorithm: z.string().optional(),
  /** Missing when unlimited. */
  limit: z.number().optional(),
  windowMs: z.number().optional(),
  remaining: z.number().optional(),
  resetMs: z.number().optional(),
  /** null: never, the cost is larger than the limit. */
  retryAfterMs: z.number().nullable().optional(),
  shadow: z.literal(true).optional(),
  because: z.enum(['blocked', 'allow-list', 'deny-list']).optional(),
});
export const checkAnswer = z.object({
  allowed: z.boolean(),
  /** One per descriptor that a rule matched, in their order. */
  limits: z.array(limitAnswer),
  violated: z.array(z.string()).optional(),
  retryAfterMs: z.number().nullable().optional(),
  delayMs: z.number().optional(),
  degraded: z.enum(['open', 'closed', 'local']).optional(),
  reservation: z.string().optional(),
});
export type CheckAnswer = z.output<typeof checkAnswer>;
export type LimitAnswer = z.output<typeof limitAnswer>;

// ---------------------------------------------------------------- deciding

const noQuery = z.strictObject({});
const flag = z.enum(['true', 'false']).transform((word) => word === 'true');
const header = (name: string, description: string): HeaderContract => ({ name, description });

export const HEADER_STYLES = ['draft-10', 'draft-7', 'draft-6', 'x', 'envoy', 'none'] as const;
export type HeaderStyle = (typeof HEADER_STYLES)[number];

/** How an answer is dressed, for gateways that read status and headers instead of the body. */
const dress = z.strictObject({
  /** Also the status says no: 429. Default 200 for every decision. */
  status: z.enum(['200', '429']).optional(),
  headers: z.enum(HEADER_STYLES).optional(),
});
const LIMIT_HEADERS = [
  header('RateLimit-Policy', 'The limits that hold, as draft-ietf-httpapi-ratelimit-headers-10 has them.'),
  header('RateLimit', 'What is left of them.'),
  header('Retry-After', 'Seconds until the request could be allowed.'),
];
const answers = z.union([checkAnswer, z.array(checkAnswer)]);

export const checkLimits = operation({
  name: 'check',
  summary: 'Decide one request, or up to 1,000: take what they cost if all their limits allow it',
  method: 'POST',
  path: '/v1/limits/check',
  query: dress,
  body: { kind: 'json', schema: checks, isCheckedByHandler: true },
  replies: [
    { status: 200, description: 'Decided.', mediaType: 'application/json', schema: answers, headers: LIMIT_HEADERS },
  ],
  problems: ['rate_limited', 'limit_not_found'],
  hot: true,
});

export const peek = operation({
  name: 'peek',
  summary: 'What a check would say now; nothing is taken',
  method: 'POST',
  path: '/v1/limits/peek',
  query: dress,
  body: { kind: 'json', schema: checks, isCheckedByHandler: true },
  replies: [
    {
      status: 200,
      description: 'What is left.',
      mediaType: 'application/json',
      schema: answers,
      headers: LIMIT_HEADERS,
    },
  ],
  problems: ['rate_limited', 'limit_not_found'],
  idempotent: true,
  readsOnly: true,
  hot: true,
});

const done = z.object({ limits: z.number().int() });
const doneReply = (description: string) => [{ status: 200, description, mediaType: 'application/json', schema: done }];

export const refund = operation({
  name: 'refund',
  summary: 'Give back what a check took',
  method: 'POST',
  path: '/v1/limits/refund',
  query: noQuery,
  body: { kind: 'json', schema: check, isCheckedByHandler: true },
  replies: doneReply('Given back to so many limits.'),
  problems: ['limit_not_found'],
});

export const reset = operation({
  name: 'reset',
  summary: 'Make keys as good as new, blocks included',
  method: 'POST',
  path: '/v1/limits/reset',
  query: noQuery,
  body: { kind: 'json', schema: check, isCheckedByHandler: true },
  replies: doneReply('So many limits were reset.'),
  problems: ['limit_not_found'],
  idempotent: true,
});

export const block = operation({
  name: 'block',
  summary: 'Deny keys for a while, whatever they have left; 0 ends it',
  method: 'POST',
  path: '/v1/limits/block',
  query: noQuery,
  body: {
    kind: 'json',
    schema: check.extend({ forMs: z.number().int().min(0).max(LIMITS.blockMsMax) }),
    isCheckedByHandler: true,
  },
  replies: doneReply('So many limits were blocked.'),
  problems: ['limit_not_found'],
  idempotent: true,
});

export const reportUse = operation({
  name: 'report',
  summary: 'Settle a reservation with what it really cost, or charge what has happened without asking',
  method: 'POST',
  path: '/v1/limits/report',
  query: noQuery,
  body: {
    kind: 'json',
    isCheckedByHandler: true,
    schema: z.union([z.strictObject({ reservation: z.string().min(1).max(65_536), cost: units }), check]),
  },
  replies: [{ status: 200, description: 'Counted.', mediaType: 'application/json', schema: checkAnswer }],
  problems: ['limit_not_found', 'conflict'],
});

export const explain = operation({
  name: 'explain',
  summary: 'Which rules a request meets and why, and what would be decided',
  method: 'POST',
  path: '/v1/limits/explain',
  query: noQuery,
  body: { kind: 'json', schema: check, isCheckedByHandler: true },
  replies: [
    { status: 200, description: 'The way through the rules.', mediaType: 'application/json', schema: z.unknown() },
  ],
  problems: ['limit_not_found'],
  idempotent: true,
  readsOnly: true,
});

// ---------------------------------------------------------------- places and loans

const holdId = z.string().min(1).max(8_192);
export const acquireAnswer = checkAnswer.extend({
  /** Of all places that were taken together. Missing when denied. */
  hold: z.string().optional(),
  expiresInMs: z.number().optional(),
});
export type AcquireAnswer = z.output<typeof acquireAnswer>;

export const acquire = operation({
  name: 'acquire',
  summary: 'Take a place of `concurrency` and `adaptive` limits, and what rate limits of the same request cost',
  method: 'POST',
  path: '/v1/limits/acquire',
  query: noQuery,
  body: { kind: 'json', schema: check, isCheckedByHandler: true },
  replies: [{ status: 200, description: 'Decided.', mediaType: 'application/json', schema: acquireAnswer }],
  problems: ['limit_not_found'],
});

export const heartbeat = operation({
  name: 'heartbeat',
  summary: 'Keep a place for another while',
  method: 'POST',
  path: '/v1/limits/heartbeat',
  query: noQuery,
  body: { kind: 'json', schema: z.strictObject({ hold: holdId }) },
  replies: [
    { status: 200, description: 'Kept.', mediaType: 'application/json', schema: z.object({ expiresInMs: z.number() }) },
  ],
  problems: ['lease_lost'],
  idempotent: true,
});

export const release = operation({
  name: 'release',
  summary: 'Free a place, and say how the work went',
  method: 'POST',
  path: '/v1/limits/release',
  query: noQuery,
  body: {
    kind: 'json',
    schema: z.strictObject({
      hold: holdId,
      latencyMs: z.number().min(0).max(86_400_000).optional(),
      /** The work failed for there was too much to do. */
      overload: z.boolean().optional(),
    }),
  },
  replies: [{ status: 204, description: 'Free.' }],
  problems: ['lease_lost'],
  idempotent: true,
});

const oneLimit = {
  domain,
  descriptors: z.array(descriptor).length(1).optional(),
  limit: check.shape.limit,
  key: check.shape.key,
};
export const leaseAnswer = z.object({
  name: z.string(),
  /** 0: none; ask again after `retryAfterMs`. */
  units: z.number().int(),
  /** From the moment the request was sent. Units that are not used by then are lost. */
  ttlMs: z.number(),
  remaining: z.number(),
  resetMs: z.number(),
  retryAfterMs: z.number().nullable().optional(),
  limit: z.number(),
  windowMs: z.number(),
  algorithm: z.string(),
  degraded: z.enum(['open', 'closed', 'local']).optional(),
});
export type LeaseAnswer = z.output<typeof leaseAnswer>;

export const lease = operation({
  name: 'lease',
  summary: 'Borrow units of one limit, to decide over them where they are needed',
  method: 'POST',
  path: '/v1/limits/lease',
  query: noQuery,
  body: {
    kind: 'json',
    isCheckedByHandler: true,
    schema: z.strictObject({
      ...oneLimit,
      want: units.min(1),
      ttlMs: z.number().int().min(10).max(60_000).default(100),
    }),
  },
  replies: [{ status: 200, description: 'Lent.', mediaType: 'application/json', schema: leaseAnswer }],
  problems: ['limit_not_found'],
  hot: true,
});

export const giveBack = operation({
  name: 'return',
  summary: 'Give borrowed units back before they expire',
  method: 'POST',
  path: '/v1/limits/return',
  query: noQuery,
  body: { kind: 'json', schema: z.strictObject({ ...oneLimit, units: units.min(1) }), isCheckedByHandler: true },
  replies: doneReply('Given back.'),
  problems: ['limit_not_found'],
});

// ---------------------------------------------------------------- gateways and other dialects

export const gate = operation({
  name: 'gate',
  summary: 'A check for gateways that ask by GET: nginx auth_request, Traefik and Caddy forwardAuth',
  method: 'GET',
  path: '/v1/limits/gate',
  query: z.strictObject({
    domain: z.string().regex(DOMAIN).optional(),
    /** `user:header:X-User,path:uri`: where each entry of the one descriptor comes from. */
    by: z.string().min(1).max(1_024).optional(),
    cost: z
      .string()
      .regex(/^\d{1,9}$/)
      .transform(Number)
      .optional(),
    /** nginx knows 401 and 403 alone. */
    deny: z.enum(['429', '403', '401']).default('429'),
    headers: z.enum(HEADER_STYLES).optional(),
  }),
  replies: [
    { status: 204, description: 'Go on.', headers: LIMIT_HEADERS },
    { status: 429, description: 'Denied.', mediaType: 'application/problem+json', headers: LIMIT_HEADERS },
  ],
  body: { kind: 'none' },
  problems: ['rate_limited'],
  hot: true,
});

export const gubernator = operation({
  name: 'getRateLimits',
  summary: "Gubernator's form of a check",
  method: 'POST',
  path: '/v1/GetRateLimits',
  query: noQuery,
  body: { kind: 'json', schema: z.unknown() },
  replies: [{ status: 200, description: 'Decided.', mediaType: 'application/json', schema: z.unknown() }],
});

export const envoyJson = operation({
  name: 'json',
  summary: "Envoy's RateLimitRequest in JSON, as envoyproxy/ratelimit's /json",
  method: 'POST',
  path: '/json',
  query: noQuery,
  body: { kind: 'json', schema: z.unknown() },
  replies: [
    { status: 200, description: 'OK', mediaType: 'application/json', schema: z.unknown() },
    { status: 429, description: 'OVER_LIMIT', mediaType: 'application/json', schema: z.unknown() },
  ],
  problems: ['rate_limited'],
});

// ---------------------------------------------------------------- rules

export const domainInfo = z.object({
  domain: z.string(),
  /** `kv`, `file`: which of them holds; rules in the key-value store go before files. */
  source: z.string(),
  /** Of the key-value store; the ETag of the document. */
  revision: z.number().int().optional(),
  rules: z.number().int(),
  text: z.string().optional(),
});
const RULES_MEDIA_TYPE = 'application/yaml';

export const listRules = operation({
  name: 'listRules',
  summary: 'The domains that have rules, and what was refused',
  method: 'GET',
  path: '/v1/rules',
  query: z.strictObject({ text: flag.optional() }),
  body: { kind: 'none' },
  replies: [
    {
      status: 200,
      description: 'All of them.',
      mediaType: 'application/json',
      schema: z.object({
        version: z.number().int(),
        domains: z.array(domainInfo),
        faults: z.array(
          z.object({
            source: z.string(),
            line: z.number().optional(),
            column: z.number().optional(),
            message: z.string(),
          }),
        ),
      }),
    },
  ],
});

export const getRules = operation({
  name: 'getRules',
  summary: 'The rules of a domain as they were written',
  method: 'GET',
  path: '/v1/rules/{+domain}',
  query: noQuery,
  body: { kind: 'none' },
  replies: [
    {
      status: 200,
      description: 'YAML or JSON.',
      mediaType: RULES_MEDIA_TYPE,
      headers: [header('ETag', 'For If-Match.')],
    },
  ],
  problems: ['rules_not_found'],
});

export const putRules = operation({
  name: 'putRules',
  summary: 'Set the rules of a domain, on all replicas in less than a second',
  method: 'PUT',
  path: '/v1/rules/{+domain}',
  query: noQuery,
  headers: [
    header('If-Match', 'Only if the rules are still those; `*`: only if there are some.'),
    header('If-None-Match', '`*`: only if there are none.'),
  ],
  body: { kind: 'bytes', description: 'YAML or JSON; see the rule language.' },
  replies: [
    { status: 204, description: 'Live here; elsewhere in a moment.', headers: [header('ETag', 'For If-Match.')] },
  ],
  problems: ['precondition_failed', 'invalid_precondition', 'invalid_rules'],
});

export const removeRules = operation({
  name: 'removeRules',
  summary: 'Forget the rules of a domain in the key-value store; those of a file hold again',
  method: 'DELETE',
  path: '/v1/rules/{+domain}',
  query: noQuery,
  headers: [header('If-Match', 'Only if the rules are still those.')],
  body: { kind: 'none' },
  replies: [{ status: 204, description: 'Gone.' }],
  problems: ['rules_not_found', 'precondition_failed', 'invalid_precondition'],
});

export const checkRules = operation({
  name: 'checkRules',
  summary: 'Would these rules be taken? Every fault with its line',
  method: 'POST',
  path: '/v1/rules/validate',
  query: noQuery,
  body: { kind: 'bytes', description: 'YAML or JSON.' },
  replies: [
    {
      status: 200,
      description: 'They are good.',
      mediaType: 'application/json',
      schema: z.object({ domain: z.string(), rules: z.number().int() }),
    },
  ],
  problems: ['invalid_rules'],
  idempotent: true,
  readsOnly: true,
});

// ---------------------------------------------------------------- what happens, and what would

/** Bounds of looking on and of simulations. */
export const WATCH_LIMITS = {
  /** Decisions of one simulation: a second of work, in slices. */
  simulatedMax: 200_000,
  /** Requests that may be given one by one; more are described, or recorded. */
  trafficMax: 10_000,
  simulatedMsMax: 7 * 86_400_000,
} as const;

const count = z.number().int();
/** Values of a key, as they are or as a print of them, by setting. */
const shownEntries = z.array(z.object({ key: z.string(), value: z.string() }));

export const topAnswer = z.object({
  by: z.enum(['denied', 'hits']),
  window: z.enum(['recent', 'start']),
  /** Counted since then, milliseconds since 1970. */
  sinceMs: z.number(),
  total: count,
  /** The most that a key has which is not listed. */
  unlistedMax: count,
  /** The true count is `count`, or up to `error` less. */
  keys: z.array(z.object({ domain: z.string(), rule: z.string(), key: z.array(z.string()), count, error: count })),
});
export type TopAnswer = z.output<typeof topAnswer>;

const topCount = z
  .string()
  .regex(/^\d{1,4}$/, 'a whole number')
  .transform(Number)
  .pipe(z.number().int().min(1).max(LIMITS.topMax));

export const top = operation({
  name: 'top',
  summary: 'The keys that come most often or are denied most often, as this replica has seen them',
  method: 'GET',
  path: '/v1/limits/top',
  query: z.strictObject({
    by: z.enum(['denied', 'hits']).default('denied'),
    window: z.enum(['recent', 'start']).default('recent').describe('The last one to two minutes, or since the start.'),
    limit: topCount.optional().describe('How many, 100 unless told.'),
  }),
  body: { kind: 'none' },
  replies: [{ status: 200, description: 'Most first.', mediaType: 'application/json', schema: topAnswer }],
});

export const ruleCounts = z.object({
  domain: z.string(),
  rule: z.string(),
  allowed: count,
  denied: count,
  shadowDenied: count,
  degraded: count,
  /** Allowed, and less than a fifth was left. */
  nearLimit: count,
});
export type RuleCounts = z.output<typeof ruleCounts>;

/** The `data` of each kind of event of `events`. */
export const events = {
  /** First of all, without an id: everything since the start. */
  totals: z.object({ atMs: z.number(), startedMs: z.number(), requests: z.unknown(), rules: z.array(ruleCounts) }),
  /** Each second: what came in it. `more`: so many rules besides. */
  counts: z.object({
    atMs: z.number(),
    requests: z.object({ allowed: count, denied: count, degraded: count, unmatched: count }),
    rules: z.array(ruleCounts),
    more: count.optional(),
  }),
  /** A denial; at most ten in a second are told. */
  denied: z.object({
    atMs: z.number(),
    domain: z.string(),
    rule: z.string(),
    descriptor: shownEntries,
    retryAfterMs: z.number().nullable(),
    shadow: z.literal(true).optional(),
  }),
  rules: z.object({ atMs: z.number(), version: count, domains: z.array(z.string()) }),
  backend: z.object({ atMs: z.number(), state: z.enum(['away', 'back']) }),
  /** What came before is no longer kept, or was before a restart. */
  gap: z.object({}),
  /** The service stops: come again with the last id. */
  end: z.object({}),
} as const;

export const watchEvents = operation({
  name: 'events',
  summary: 'What is decided here, each second, with some of the denials, as it happens',
  method: 'GET',
  path: '/v1/limits/events',
  query: z.strictObject({ history: flag.optional().describe('First the last minutes, as far as they are kept.') }),
  headers: [header('Last-Event-ID', 'Resume after this event.')],
  body: { kind: 'none' },
  replies: [
    {
      status: 200,
      description: 'Server-sent events: totals, counts, denied, rules, backend, gap, end.',
      mediaType: 'text/event-stream',
    },
  ],
  streams: true,
});

const given = z.strictObject({
  atMs: z.number().min(0).max(8.64e15),
  domain,
  descriptors: check.shape.descriptors.unwrap(),
  cost: units.default(1),
});

/** Traffic that is described: so many requests a second, of so many keys. */
export const syntheticTraffic = z.strictObject({
  domain,
  /** `{n}` in a value stands for the number of the key. */
  descriptors: check.shape.descriptors.unwrap(),
  cost: units.default(1),
  ratePerSecond: z.number().positive().max(1_000_000),
  durationMs: z.number().int().min(1).max(WATCH_LIMITS.simulatedMsMax),
  /** `steady`: evenly; `random`: as independent callers come (Poisson); `bursts`: `burstSize` at once. */
  pattern: z.enum(['steady', 'random', 'bursts']).default('random'),
  burstSize: z.number().int().min(1).max(100_000).default(10),
  keys: z.number().int().min(1).max(1_000_000).default(1),
  /** `even`: all alike; `skewed`: the r-th key comes 1/r as often as the first. */
  distribution: z.enum(['even', 'skewed']).default('even'),
  seed: z.number().int().min(0).max(4_294_967_295).default(1),
});
export type SyntheticTraffic = z.output<typeof syntheticTraffic>;

const traffic = z.union([z.literal('recorded'), z.array(given).min(1).max(WATCH_LIMITS.trafficMax), syntheticTraffic]);
const rulesText = z.string().max(LIMITS.rulesBytesMax);

const simulatedCounts = z.object({ allowed: count, denied: count, shadowDenied: count });
const changed = z.object({ newlyDenied: count, newlyAllowed: count });
const example = z.object({
  atMs: z.number(),
  domain: z.string(),
  descriptors: z.array(shownEntries),
  cost: z.number(),
  allowed: z.boolean(),
  /** The rules that denied it, of those that are asked about or of the present ones. */
  rules: z.array(z.string()),
  retryAfterMs: z.number().nullable().optional(),
  presentAllowed: z.boolean().optional(),
  reallyAllowed: z.boolean().optional(),
});

/**
 * What rules make of traffic. They begin with nothing taken, so what really happened may differ in the beginning;
 * the present rules, where they are compared, begin alike.
 */
export const simulation = z.object({
  traffic: z.object({
    source: z.enum(['recorded', 'given', 'synthetic']),
    requests: count,
    fromMs: z.number(),
    untilMs: z.number(),
  }),
  requests: z.object({
    allowed: count,
    denied: count,
    unmatched: count,
    presentDenied: count.optional(),
    reallyDenied: count.optional(),
  }),
  /** Against the present rules, and against what really happened. */
  difference: z.object({ present: changed.optional(), real: changed.optional() }),
  rules: z.array(
    simulatedCounts.extend({
      domain: z.string(),
      rule: z.string(),
      present: simulatedCounts.optional(),
      reallyDenied: count.optional(),
    }),
  ),
  timeline: z.object({
    bucketMs: z.number(),
    buckets: z.array(
      z.object({
        atMs: z.number(),
        allowed: count,
        denied: count,
        presentDenied: count.optional(),
        reallyDenied: count.optional(),
      }),
    ),
  }),
  /** The first that are denied, and the first that the present rules decide otherwise. */
  examples: z.object({ denied: z.array(example), changed: z.array(example) }),
  /** Limits of places and adaptive ones: how long work takes is not recorded. They allow everything here. */
  notSimulated: z.array(z.string()),
});
export type Simulation = z.output<typeof simulation>;

const simulationReply = {
  status: 200,
  description: 'What they make of it.',
  mediaType: 'application/json',
  schema: simulation,
};

export const simulate = operation({
  name: 'simulate',
  summary: 'What rules make of traffic that was recorded, is given or is described; nothing is taken',
  method: 'POST',
  path: '/v1/limits/simulate',
  query: noQuery,
  body: {
    kind: 'json',
    schema: z.strictObject({
      /** A document of rules instead of the present one of its domain. Omitted: the present rules. */
      rules: rulesText.optional(),
      traffic,
    }),
  },
  replies: [simulationReply],
  problems: ['invalid_rules', 'unprocessable'],
  idempotent: true,
  readsOnly: true,
});

export const dryRun = operation({
  name: 'dryRun',
  summary: 'What a change of rules would have made of the last requests here',
  method: 'POST',
  path: '/v1/rules/dry-run',
  query: noQuery,
  body: { kind: 'json', schema: z.strictObject({ domain: z.string().regex(DOMAIN).optional(), rules: rulesText }) },
  replies: [simulationReply],
  problems: ['invalid_rules', 'unprocessable'],
  idempotent: true,
  readsOnly: true,
});
