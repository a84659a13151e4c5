/** What the queue's operations speak of: jobs, leases, settlements, settings. Bounds are in `LIMITS`. */
import { z } from 'zod';

const DAY_MS = 86_400_000;

/** Limits that callers meet; the service enforces them, the client and the documents quote them. */
export const LIMITS = {
  jobsPerCallMax: 1_000,
  /** Of UTF-8, as it is written in the body. */
  dataBytesMax: 262_144,
  resultBytesMax: 65_536,
  progressBytesMax: 8_192,
  depthMax: 64,
  nameCharsMax: 128,
  idCharsMax: 128,
  groupCharsMax: 256,
  dedupIdCharsMax: 512,
  tagsMax: 16,
  tagCharsMax: 64,
  urlCharsMax: 2_048,
  priorityMax: 2_097_151,
  attemptsMax: 1_000,
  factorMax: 100,
  /** A delay, a time to live, a backoff, a dedup window, retention by age: the longest. */
  delayMsMax: 366 * DAY_MS,
  timeoutMsMax: 7 * DAY_MS,
  leaseMsMin: 1_000,
  leaseMsMax: 3_600_000,
  waitMsMax: 60_000,
  leasesPerCallMax: 1_000,
  errorTypeCharsMax: 128,
  errorMessageCharsMax: 4_096,
  errorStackCharsMax: 16_384,
  reasonCharsMax: 1_024,
  logLinesPerCallMax: 100,
  logLineBytesMax: 1_024,
  retainCountMax: 1_000_000,
  jobsMaxMax: 1_000_000_000,
  concurrencyMax: 1_000_000,
  ratePerSecondMax: 10_000_000,
  maxStallsMax: 1_000,
  weightMax: 1_000,
  schemaBytesMax: 65_536,
  flowJobsMax: 1_000,
  flowDepthMax: 16,
  listMax: 1_000,
  idsPerCallMax: 1_000,
  redriveMax: 10_000,
  workersPerBeatQueuesMax: 100,
  slotsMax: 100_000,
  scheduleJitterMsMax: DAY_MS,
} as const;

/** What holds where neither the job nor its queue says otherwise. */
export const DEFAULTS = {
  attempts: 5,
  backoff: { type: 'exponential', delayMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: 1 },
  /** No end but the lease's. */
  timeoutMs: 0,
  /** It never expires. */
  ttlMs: 0,
  retain: { count: 1_000, ageMs: 3_600_000 },
  leaseMs: 30_000,
  /** 0: no limit. */
  limits: { jobsMax: 0, concurrency: 0, ratePerSecond: 0, burst: 0, maxStalls: 5 },
  groups: { weight: 1, concurrency: 0, ratePerSecond: 0, burst: 0 },
} as const;

export const QUEUE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
export const QUEUE_RULE = '1–64 of A–Z, a–z, 0–9, - and _, with a letter or digit first';
/** Letters, digits and what names are made of in the field: `mail.send`, `com.example/order:paid`. */
export const JOB_NAME = /^[\x21-\x7e]{1,128}$/;
export const JOB_ID = /^[A-Za-z0-9_.:-]{1,128}$/;
export const TOKEN = /^\d{1,20}$/;
export const WORKER = /^[\x21-\x7e]{1,128}$/;
/** No line breaks and other control characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
export const NO_CONTROLS = /^[^\u0000-\u001f\u007f]*$/;
export const RESULT_TO = /^kv:\/\/[a-z0-9_-]{1,63}\/[\x21-\x7e]{1,1024}$/;

export const LANES = ['fast', 'standard'] as const;
export type LaneName = (typeof LANES)[number];

export const STATES = [
  'waiting',
  'scheduled',
  'retrying',
  'leased',
  'waiting-children',
  'completed',
  'dead',
  'cancelled',
] as const;
export type State = (typeof STATES)[number];
export const ENDED_STATES = ['completed', 'dead', 'cancelled'] as const;

export const DEDUP_MODES = ['simple', 'throttle', 'debounce', 'keep-last'] as const;

const whole = (min: number, max: number) => z.number().int().min(min).max(max);
const state = z.enum(STATES);
const count = z.number().int();
/** Milliseconds since 1970. */
const time = z.number().int();
const id = z.string().regex(JOB_ID, 'the id of a job');
const token = z.string().regex(TOKEN, 'the token of a lease: decimal digits');
export const queueName = z.string().regex(QUEUE, `a queue’s name is ${QUEUE_RULE}`);
const name = z.string().regex(JOB_NAME, 'a name is 1–128 visible ASCII characters');
const group = z.string().max(LIMITS.groupCharsMax).regex(NO_CONTROLS);
const tag = z.string().min(1).max(LIMITS.tagCharsMax).regex(NO_CONTROLS);
const worker = z.string().regex(WORKER, 'a worker’s name is 1–128 visible ASCII characters');
const url = z
  .string()
  .max(LIMITS.urlCharsMax)
  .regex(/^https?:\/\//i, 'an http or https URL')
  .refine((given) => URL.canParse(given), 'an http or https URL');

// ---------------------------------------------------------------- jobs that are enqueued

/** Members that are not given are the queue's, or else the house's (`DEFAULTS`). */
export const backoff = z.strictObject({
  type: z.enum(['fixed', 'exponential']).optional(),
  delayMs: whole(0, LIMITS.delayMsMax).optional(),
  factor: z.number().min(1).max(LIMITS.factorMax).optional(),
  maxMs: whole(0, LIMITS.delayMsMax).optional(),
  /** The part of each delay that is drawn at random: 1 is full jitter. */
  jitter: z.number().min(0).max(1).optional(),
});

export const dedup = z.strictObject({
  id: z.string().min(1).max(LIMITS.dedupIdCharsMax).regex(NO_CONTROLS),
  /**
   * `simple` (default): while a job of this id is not finished, and `ttlMs` after it was enqueued. `throttle`: for
   * `ttlMs`. `debounce`: the latest data, `ttlMs` after the latest. `keep-last`: one runs, the latest waits behind it.
   */
  mode: z.enum(DEDUP_MODES).optional(),
  /** `throttle` and `debounce` need it. */
  ttlMs: whole(1, LIMITS.delayMsMax).optional(),
});

export const retain = z.strictObject({
  count: whole(0, LIMITS.retainCountMax).optional(),
  ageMs: whole(0, LIMITS.delayMsMax).optional(),
});

export const job = z.strictObject({
  name,
  /** Any JSON; handed to the worker as it came. Omitted: null. */
  data: z.unknown().optional(),
  delayMs: whole(0, LIMITS.delayMsMax).optional(),
  /** Instead of `delayMs`: RFC 3339 with a zone, or milliseconds since 1970. A time that has passed is now. */
  runAt: z.union([z.string(), z.number().int()]).optional(),
  /** The lower the sooner; 0 is the default and the first. */
  priority: whole(0, LIMITS.priorityMax).optional(),
  attempts: whole(1, LIMITS.attemptsMax).optional(),
  backoff: backoff.optional(),
  /** The longest that one attempt may run; 0: no end but the lease's. */
  timeoutMs: whole(0, LIMITS.timeoutMsMax).optional(),
  /** Dead, with the reason `expired`, when no worker has begun it by then; 0: never. Counts from when it is due. */
  ttlMs: whole(0, LIMITS.delayMsMax).optional(),
  dedup: dedup.optional(),
  /** The tenant, for fairness and limits. */
  group: group.optional(),
  tags: z.array(tag).max(LIMITS.tagsMax).optional(),
  retain: retain.optional(),
  /** Told by POST when the job is completed. */
  callbackUrl: url.optional(),
  /** Told when it is dead or cancelled; without it `callbackUrl` is. */
  failureCallbackUrl: url.optional(),
  /** `kv://bucket/key`: where the result is written. */
  resultTo: z.string().regex(RESULT_TO, 'kv://bucket/key').optional(),
});
export type JobInput = z.input<typeof job>;

/** CloudEvents 1.0, structured: `type` is the name, `partitionkey` the group, `source` and `id` the dedup id. */
export const cloudEvent = z.looseObject({
  specversion: z.literal('1.0'),
  type: name,
  source: z.string().min(1),
  id: z.string().min(1),
  data: z.unknown().optional(),
  datacontenttype: z.string().optional(),
  partitionkey: z.string().optional(),
  expirytime: z.string().optional(),
  traceparent: z.string().optional(),
  tracestate: z.string().optional(),
});

export const problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
  detail: z.string(),
});

export const added = z.object({
  id: z.string(),
  state,
  /** True: there was one by its dedup id or idempotency key, and this is its id. */
  duplicate: z.boolean(),
});
export type AddedAnswer = z.output<typeof added>;
/** In the order of the jobs. */
export const addedList = z.object({ jobs: z.array(z.union([added, z.object({ problem })])) });

interface FlowShape extends JobInput {
  onFailure?: 'fail-parent' | 'ignore' | undefined;
  children?: FlowShape[] | undefined;
}
/** A job, and those that have to be done before it. */
export const flow: z.ZodType<FlowShape> = job
  .extend({
    /** Of a child: what it does to its parent when it is dead or cancelled. Default `fail-parent`. */
    onFailure: z.enum(['fail-parent', 'ignore']).optional(),
    children: z.lazy(() => z.array(flow).max(LIMITS.flowJobsMax)).optional(),
  })
  .meta({ id: 'QueueFlow' });
export type FlowInput = FlowShape;
/** `childIds`: in the order in which the children are written, each before its own children. */
export const flowAdded = z.object({ id: z.string(), state, childIds: z.array(z.string()) });

// ---------------------------------------------------------------- leases

const leaseMembers = {
  /** Default 1. */
  max: whole(1, LIMITS.leasesPerCallMax).optional(),
  leaseMs: whole(LIMITS.leaseMsMin, LIMITS.leaseMsMax).optional(),
  /** Who asks; for people. */
  worker: worker.optional(),
  /** How long to wait for the first job. Default 0. */
  waitMs: whole(0, LIMITS.waitMsMax).optional(),
  /**
   * True: of most jobs `group`, `tags`, `stalls`, `dueAtMs`, `deadlineMs`, `leaseMs` and `timeoutMs` are left out: of
   * those with no group, no tags, no stalls, no `timeoutMs`, due as they came, and leased for as long as was asked for.
   */
  brief: z.boolean().optional(),
};
export const leaseAsk = z.strictObject(leaseMembers);
export type LeaseInput = z.input<typeof leaseAsk>;

export const leasedJob = z.object({
  id: z.string(),
  /** The fencing token: of two leases of one job the later one's is the greater number. */
  token: z.string(),
  name: z.string(),
  data: z.unknown(),
  group: z.string(),
  tags: z.array(z.string()),
  /** 1 for the first. A crash does not add to it. */
  attempt: count,
  attempts: count,
  /** Leases that ended without a word. */
  stalls: count,
  enqueuedAtMs: time,
  /** When it could first have been leased. */
  dueAtMs: time,
  /** The end of the lease; by the store's clock. */
  deadlineMs: time,
  /** What is left of the lease as this is written: for workers whose clock is another. */
  leaseMs: count,
  /** The longest that the attempt may run; 0: no end but the lease's. */
  timeoutMs: count,
  traceparent: z.string().optional(),
  tracestate: z.string().optional(),
});
export type LeasedAnswer = z.output<typeof leasedJob>;
/** A job in the answer to a `brief` ask. */
export type BriefAnswer = Omit<LeasedAnswer, BriefMember> & Partial<Pick<LeasedAnswer, BriefMember>>;
type BriefMember = 'group' | 'tags' | 'stalls' | 'dueAtMs' | 'deadlineMs' | 'leaseMs' | 'timeoutMs';
export const leasedJobs = z.object({ jobs: z.array(leasedJob) });

export const jobError = z.strictObject({
  type: z.string().max(LIMITS.errorTypeCharsMax).optional(),
  message: z.string(),
  stack: z.string().optional(),
});

export const ackItem = z.strictObject({ id, token, result: z.unknown().optional() });
export const failItem = z.strictObject({
  id,
  token,
  /** Longer messages and stacks are cut, not refused. */
  error: jobError,
  /** Instead of the backoff. */
  retryAfterMs: whole(0, LIMITS.delayMsMax).optional(),
  /** True: dead at once, whatever attempts are left. */
  final: z.boolean().optional(),
});
export const releaseItem = z.strictObject({ id, token });
/** Ids and tokens with one space between them. */
const DONE = new RegExp(`^${JOB_ID.source.slice(1, -1)} \\d{1,20}(?: ${JOB_ID.source.slice(1, -1)} \\d{1,20})*$`);
const settleMembers = {
  /** Acks without a result, in short: `id token id token …`. Of these the answer lists only those that did not complete. */
  done: z.string().regex(DONE, 'ids and tokens of leases, one space between them').optional(),
  acks: z.array(ackItem).max(LIMITS.leasesPerCallMax).optional(),
  fails: z.array(failItem).max(LIMITS.leasesPerCallMax).optional(),
  /** Given back, to be leased again at once; no attempt is counted. */
  releases: z.array(releaseItem).max(LIMITS.leasesPerCallMax).optional(),
};
export const settleAsk = z.strictObject(settleMembers);
export type SettleInput = z.input<typeof settleAsk>;
export const nextAsk = z.strictObject({ ...settleMembers, ...leaseMembers });
export type NextInput = z.input<typeof nextAsk>;

/** `retryAtMs`: of a job that will be tried again, when. */
const settledItem = z.union([
  z.object({ id: z.string(), state, retryAtMs: time.optional() }),
  z.object({ id: z.string(), problem }),
]);
/** Of `done` those that did not complete, then the acks, then the fails, then the releases, each in its order. */
export const settled = z.object({ settled: z.array(settledItem) });
export const nextAnswer = settled.extend(leasedJobs.shape);
export type NextAnswer = z.output<typeof nextAnswer>;

export const renewal = z.strictObject({
  id,
  token,
  /** From now. Default: the queue's. */
  leaseMs: whole(LIMITS.leaseMsMin, LIMITS.leaseMsMax).optional(),
  progress: z.unknown().optional(),
  /** Lines for the log of the job; longer ones are cut, the last 100 are kept. */
  log: z.array(z.string()).max(LIMITS.logLinesPerCallMax).optional(),
});
export const renewAsk = z.strictObject({ leases: z.array(renewal).min(1).max(LIMITS.leasesPerCallMax) });
export type RenewInput = z.input<typeof renewAsk>;
export const renewed = z.object({
  renewed: z.array(
    z.union([
      /** `cancel`: somebody wants the work to stop, and why. */
      z.object({ id: z.string(), deadlineMs: time, leaseMs: count, cancel: z.string().optional() }),
      z.object({ id: z.string(), problem }),
    ]),
  ),
});
export type RenewAnswer = z.output<typeof renewed>;

// ---------------------------------------------------------------- jobs that are looked at

const errorView = z.object({ type: z.string(), message: z.string(), stack: z.string().optional() });
export const attempt = z.object({
  attempt: count,
  worker: z.string(),
  startedAtMs: time,
  endedAtMs: time.optional(),
  outcome: z.enum(['completed', 'failed', 'stalled', 'released', 'timed-out', 'cancelled', 'running']),
  error: errorView.optional(),
});
export const jobView = z.object({
  id: z.string(),
  queue: z.string(),
  state,
  name: z.string(),
  data: z.unknown(),
  group: z.string(),
  tags: z.array(z.string()),
  priority: count,
  attempt: count,
  attempts: count,
  stalls: count,
  enqueuedAtMs: time,
  dueAtMs: time.optional(),
  startedAtMs: time.optional(),
  finishedAtMs: time.optional(),
  deadlineMs: time.optional(),
  worker: z.string().optional(),
  progress: z.unknown().optional(),
  result: z.unknown().optional(),
  log: z.array(z.string()),
  error: errorView.optional(),
  /** Why it is dead or cancelled. */
  reason: z.string().optional(),
  history: z.array(attempt),
  traceparent: z.string().optional(),
  parentId: z.string().optional(),
  pendingChildren: count,
  callbackUrl: z.string().optional(),
  failureCallbackUrl: z.string().optional(),
  resultTo: z.string().optional(),
});
export type JobAnswer = z.output<typeof jobView>;
/** `cursor`: for the next page; missing on the last one. A page may be short, or empty, before the last. */
export const jobPage = z.object({ jobs: z.array(jobView), cursor: z.string().optional() });

// ---------------------------------------------------------------- queues

export const limits = z.strictObject({
  /** The most jobs that are not finished; 0: as many as there is memory for. */
  jobsMax: whole(0, LIMITS.jobsMaxMax).optional(),
  /** The most leases at a time; 0: no limit. */
  concurrency: whole(0, LIMITS.concurrencyMax).optional(),
  /** Leases a second; 0: no limit. */
  ratePerSecond: z.number().min(0).max(LIMITS.ratePerSecondMax).optional(),
  /** How many at once after a rest. Default: a second's worth. */
  burst: whole(0, LIMITS.ratePerSecondMax).optional(),
  /** Leases that may end without a word before the job is dead. */
  maxStalls: whole(0, LIMITS.maxStallsMax).optional(),
});
export const groupLimits = z.strictObject({
  /** Its share, relative to other groups. */
  weight: whole(1, LIMITS.weightMax).optional(),
  concurrency: whole(0, LIMITS.concurrencyMax).optional(),
  ratePerSecond: z.number().min(0).max(LIMITS.ratePerSecondMax).optional(),
  burst: whole(0, LIMITS.ratePerSecondMax).optional(),
});
export const queueDefaults = z.strictObject({
  attempts: job.shape.attempts,
  backoff: job.shape.backoff,
  timeoutMs: job.shape.timeoutMs,
  ttlMs: job.shape.ttlMs,
  retain: job.shape.retain,
  leaseMs: leaseMembers.leaseMs,
});
export const queueAsk = z.strictObject({
  /** Of a queue that is there, its own or nothing: it never changes. Default: the service's, `fast`. */
  lane: z.enum(LANES).optional(),
  limits: limits.optional(),
  /** Of each group that has no settings of its own. */
  groups: groupLimits.optional(),
  /** JSON Schema (draft 07) that the data of every job meets from now on. */
  schema: z.union([z.record(z.string(), z.unknown()), z.boolean()]).optional(),
  defaults: queueDefaults.optional(),
});
export type QueueInput = z.input<typeof queueAsk>;

const full = <Shape extends z.ZodRawShape>(schema: z.ZodObject<Shape>) => schema.required();
/** With every default filled in. */
export const queueInfo = z.object({
  queue: z.string(),
  lane: z.enum(LANES),
  limits: full(limits),
  groups: full(groupLimits),
  schema: z.unknown().optional(),
  defaults: z.object({
    attempts: count,
    backoff: full(backoff),
    timeoutMs: count,
    ttlMs: count,
    retain: full(retain),
    leaseMs: count,
  }),
  /** Whether jobs are sent to a webhook. */
  push: z.boolean(),
});
export type QueueInfo = z.output<typeof queueInfo>;

const rate = z.number();
/** As this replica has seen them since its start; percentiles to the bounds of a histogram. */
const times = z.object({ count, meanMs: z.number(), p50Ms: z.number(), p99Ms: z.number() });
/** Every number is always there: scalers read them by their path. */
export const queueStats = z.object({
  queue: z.string(),
  /** Missing: there is no such queue. */
  lane: z.enum(LANES).optional(),
  counts: z.object({
    waiting: count,
    scheduled: count,
    retrying: count,
    leased: count,
    'waiting-children': count,
    completed: count,
    dead: count,
    cancelled: count,
  }),
  /** Jobs that a worker could have now. */
  lag: count,
  /** Jobs that a worker could have or has now: what to scale workers by, so that none is stopped at its work. */
  load: count,
  oldestWaitingMs: z.number(),
  /** Jobs wait and no worker has asked this replica for so long; 0: all is well. */
  unfetchedMs: z.number(),
  paused: z.boolean(),
  pausedGroups: z.array(z.string()),
  /** Of the workers that told of themselves in the last minute. */
  workers: z.object({ count, used: count, total: count }),
  /** Since the queue is there; they only grow. */
  totals: z.object({
    enqueued: count,
    completed: count,
    failed: count,
    retried: count,
    dead: count,
    stalled: count,
    cancelled: count,
    expired: count,
  }),
  /** A second, over the last minute, as this replica has seen it. */
  rates: z.object({ enqueued: rate, leased: rate, completed: rate, failed: rate }),
  /** From when a job could first have been leased until it was. */
  waitMs: times,
  /** From a lease to its settlement. */
  processMs: times,
  /** How late jobs with a time of their own were made ready. */
  latenessMs: times,
  bytes: z.number(),
});
export type StatsAnswer = z.output<typeof queueStats>;

// ---------------------------------------------------------------- schedules, push, workers

const cron = z.string().min(1).max(256);
/** `cron`, `everyMs` or `at`: one of them. */
export const scheduleAsk = z.strictObject({
  queue: queueName,
  /** Five or six fields (seconds first), or `@hourly` and its like. */
  cron: cron.optional(),
  /** Of `cron`: an IANA name. Default `UTC`. */
  timeZone: z.string().min(1).max(64).optional(),
  everyMs: whole(100, LIMITS.delayMsMax).optional(),
  /** Once: RFC 3339 with a zone, or milliseconds since 1970. */
  at: z.union([z.string(), z.number().int()]).optional(),
  /** After a time in which nobody could run it: none of the missed runs, the last one, or all (at the most 1,000). */
  catchUp: z.enum(['skip', 'one', 'all']).optional(),
  /** Runs are not made before or after. */
  from: z.union([z.string(), z.number().int()]).optional(),
  until: z.union([z.string(), z.number().int()]).optional(),
  /** So many runs in all. */
  runsMax: whole(1, 1_000_000_000).optional(),
  /** Each job comes up to so much later than its time, by chance. */
  jitterMs: whole(0, LIMITS.scheduleJitterMsMax).optional(),
  paused: z.boolean().optional(),
  job: job.omit({ delayMs: true, runAt: true }),
});
export type ScheduleInput = z.input<typeof scheduleAsk>;
export const scheduleInfo = z.object({
  id: z.string(),
  queue: z.string(),
  cron: z.string().optional(),
  timeZone: z.string().optional(),
  everyMs: z.number().optional(),
  /** Milliseconds since 1970, as `from` and `until`. */
  at: time.optional(),
  catchUp: z.enum(['skip', 'one', 'all']),
  from: time.optional(),
  until: time.optional(),
  runsMax: count.optional(),
  jitterMs: count.optional(),
  paused: z.boolean(),
  /** As it was sent. */
  job: z.unknown(),
  /** Missing: it will not run any more, or is paused. */
  nextRunAtMs: time.optional(),
  lastRunAtMs: time.optional(),
  lastJobId: z.string().optional(),
  /** Why a run that is due could not be made; it is tried again. */
  lastError: z.string().optional(),
  runs: count,
  /** Runs that nobody was there to make, and that `catchUp` left out. */
  missed: count,
});
export type ScheduleInfo = z.output<typeof scheduleInfo>;

export const pushAsk = z.strictObject({
  url,
  /** `whsec_` and base64, as the Standard Webhooks have it. Omitted: one is made, and told in this answer alone. */
  secret: z.string().min(1).optional(),
  /** Deliveries at a time, of each replica. Default 10. */
  concurrency: whole(1, 1_000).optional(),
  /** Deliveries a second, of each replica; 0 (default): no limit. */
  ratePerSecond: z.number().min(0).max(100_000).optional(),
  /** For one delivery. Default 30,000. */
  timeoutMs: whole(100, 900_000).optional(),
  /** Sent with each delivery. */
  headers: z.record(z.string(), z.string()).optional(),
});
export type PushInput = z.input<typeof pushAsk>;
export const pushInfo = z.object({
  url: z.string(),
  /** Only in the answer to the request that made it. */
  secret: z.string().optional(),
  concurrency: count,
  ratePerSecond: z.number(),
  timeoutMs: count,
  /** Their names. */
  headers: z.array(z.string()).optional(),
  /** Why nothing is sent any more: `410` was answered. PUT it again to go on. */
  disabled: z.string().optional(),
});
export type PushInfo = z.output<typeof pushInfo>;

const beatQueues = z.array(queueName).min(1).max(LIMITS.workersPerBeatQueuesMax);
export const beatAsk = z.strictObject({
  queues: beatQueues,
  /** Jobs that it may have at a time, and has. */
  slots: whole(0, LIMITS.slotsMax),
  used: whole(0, LIMITS.slotsMax),
  rssBytes: z.number().min(0).optional(),
  host: z.string().max(256).optional(),
});
export type BeatInput = z.input<typeof beatAsk>;
/** `quiet`: take no new job; `terminate`: also end when those at hand are done. */
export const workerOrder = z.enum(['run', 'quiet', 'terminate']);
export const workerInfo = z.object({
  worker: z.string(),
  queues: z.array(z.string()),
  slots: count,
  used: count,
  rssBytes: z.number().optional(),
  host: z.string().optional(),
  state: workerOrder,
  firstSeenAtMs: time,
  lastSeenAtMs: time,
});
export type WorkerInfo = z.output<typeof workerInfo>;
