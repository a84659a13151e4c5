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
  body: { kind: 'json', schema: checks },
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
  body: { kind: 'json', schema: checks },
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
  body: { kind: 'json', schema: check },
  replies: doneReply('Given back to so many limits.'),
  problems: ['limit_not_found'],
});

export const reset = operation({
  name: 'reset',
  summary: 'Make keys as good as new, blocks included',
  method: 'POST',
  path: '/v1/limits/reset',
  query: noQuery,
  body: { kind: 'json', schema: check },
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
  body: { kind: 'json', schema: check.extend({ forMs: z.number().int().min(0).max(LIMITS.blockMsMax) }) },
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
  body: { kind: 'json', schema: check },
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
  body: { kind: 'json', schema: check },
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
  body: { kind: 'json', schema: z.strictObject({ ...oneLimit, units: units.min(1) }) },
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
