/** What a job is: the words that both lanes, all doors and the page speak. */

/** Where a job is. Exactly one of these at any time. */
export const JOB_STATES = [
  /** May be leased now, or when its group or queue is allowed to. */
  'waiting',
  /** Waits for its time: `delayMs`, `runAt`, debounce. */
  'scheduled',
  /** As `scheduled`, after a failed attempt. */
  'retrying',
  /** A worker has it. */
  'leased',
  /** Waits for its children (flows). */
  'waiting-children',
  'completed',
  /** Dead letter: attempts, stalls or time to live used up, or failed for good. */
  'dead',
  'cancelled',
] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface Backoff {
  readonly type: 'fixed' | 'exponential';
  /** Before the first retry. */
  readonly delayMs: number;
  /** Of `exponential`: each next delay is so many times as long. */
  readonly factor: number;
  readonly maxMs: number;
  /** 0 … 1: the part of each delay that is drawn at random; 1 is full jitter. */
  readonly jitter: number;
}

export interface Dedup {
  readonly id: string;
  /**
   * `simple`: while a job of this id is not finished, and `ttlMs` after it was enqueued. `throttle`: for `ttlMs` after
   * the first one, whatever became of it. `debounce`: the latest data, `ttlMs` after the latest enqueue. `keep-last`:
   * while one is leased, the latest of those that come is kept and runs behind it.
   */
  readonly mode: 'simple' | 'throttle' | 'debounce' | 'keep-last';
  readonly ttlMs: number | undefined;
}

/** How long what has ended is kept: so many, and so long. Both 0: not at all. */
export interface Retention {
  readonly count: number;
  readonly ageMs: number;
}

/** A call that is to be done once: whoever repeats it gets the ids that the first one gave. */
export interface OnceCall {
  /** A print of its idempotency key: 16 characters of base64url. */
  readonly key: string;
  /** A print of what it asks for, as long: another call under the same key is refused. */
  readonly print: string;
  readonly ttlMs: number;
}

/** A job as it is enqueued, checked and with every default filled in. */
export interface NewJob {
  readonly name: string;
  /** JSON text, as it came. At most 256 KiB of UTF-8. */
  readonly data: string;
  /** Milliseconds since 1970; 0: now. */
  readonly runAtMs: number;
  /** 0 … 2,097,151: the lower the sooner; 0 is the default and the first. */
  readonly priority: number;
  readonly attempts: number;
  readonly backoff: Backoff;
  /** The longest that one attempt may run; 0: no end but the lease's. */
  readonly timeoutMs: number;
  /** Dropped to `dead` when it has not been started by then (ms since 1970); 0: never. */
  readonly expiresAtMs: number;
  readonly dedup: Dedup | undefined;
  /** The call that it is part of, and its place there, from 0 up. The jobs of a call stand behind one another. */
  readonly once?: { readonly call: OnceCall; readonly place: number } | undefined;
  /** The tenant; '' is a group too. */
  readonly group: string;
  readonly tags: readonly string[];
  readonly retain: Retention;
  readonly callbackUrl: string | undefined;
  readonly failureCallbackUrl: string | undefined;
  /** `kv://bucket/key`: where the result is written. */
  readonly resultTo: string | undefined;
  /** W3C, of whoever enqueued it. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

/** What became of one enqueued job. */
export type Added =
  | { readonly id: string; readonly state: JobState; readonly isDuplicate: boolean }
  /** `queue_full`: the queue holds the most it may. `idempotency_mismatch`: the key is that of another call. */
  | { readonly refused: 'queue_full' | 'idempotency_mismatch' };

/** A job in a worker's hands. */
export interface LeasedJob {
  readonly id: string;
  readonly name: string;
  readonly data: string;
  readonly group: string;
  readonly tags: readonly string[];
  /** The fencing token: of two leases of one job the later one's is greater. In JSON a string of decimal digits. */
  readonly token: string;
  /** 1 for the first. A crash does not add to it. */
  readonly attempt: number;
  readonly attempts: number;
  /** Leases that ended without a word. */
  readonly stalls: number;
  readonly enqueuedAtMs: number;
  /** When it could first have been leased. */
  readonly dueAtMs: number;
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

export interface JobError {
  readonly type: string;
  readonly message: string;
  readonly stack: string | undefined;
}

/** What a worker says of a job that it has, at its end. */
export type Settlement = { readonly id: string; readonly token: string } & (
  | { readonly kind: 'ack'; readonly result: string | undefined }
  /** `retryAfterMs` instead of the backoff; `isFinal`: no attempt is left. */
  | {
      readonly kind: 'fail';
      readonly error: JobError;
      readonly retryAfterMs: number | undefined;
      readonly isFinal: boolean;
    }
  /** Given back, to be leased again at once; no attempt is counted. */
  | { readonly kind: 'release' }
);

/** `lost`: the lease is not (any more) of this token; nothing was changed. `unknown`: there is no such job. */
export type Settled =
  | {
      readonly id: string;
      readonly state: JobState;
      readonly dueAtMs: number | undefined;
      /** How long its lease lasted; undefined where the lane does not tell. */
      readonly tookMs?: number | undefined;
      /** False: behind the call no job waited, so its end has freed none. Undefined: the lane does not tell. */
      readonly othersWait?: boolean | undefined;
    }
  | { readonly id: string; readonly refused: 'lost' | 'unknown' };

export interface Renewal {
  readonly id: string;
  readonly token: string;
  readonly leaseMs: number;
  /** JSON text. */
  readonly progress: string | undefined;
  readonly log: readonly string[];
}

/** `cancel`: still leased, but whoever works on it is asked to stop. */
export type Renewed =
  | { readonly id: string; readonly deadlineMs: number; readonly cancel: string | undefined }
  | { readonly id: string; readonly refused: 'lost' | 'unknown' };

/** One attempt, for the timeline. */
export interface Attempt {
  /** 1 for the first; stalls carry the number of the attempt that they interrupted. */
  readonly attempt: number;
  readonly worker: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  readonly outcome: 'completed' | 'failed' | 'stalled' | 'released' | 'timed-out' | 'cancelled' | 'running';
  readonly error: JobError | undefined;
}

/** All that is known of a job. */
export interface JobView {
  readonly id: string;
  readonly queue: string;
  readonly state: JobState;
  readonly name: string;
  readonly data: string;
  readonly group: string;
  readonly tags: readonly string[];
  readonly priority: number;
  readonly attempt: number;
  readonly attempts: number;
  readonly stalls: number;
  readonly enqueuedAtMs: number;
  readonly dueAtMs: number | undefined;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
  readonly deadlineMs: number | undefined;
  readonly worker: string | undefined;
  /** JSON text. */
  readonly progress: string | undefined;
  readonly result: string | undefined;
  readonly log: readonly string[];
  readonly error: JobError | undefined;
  /** Why it is dead or cancelled. */
  readonly reason: string | undefined;
  readonly history: readonly Attempt[];
  readonly traceparent: string | undefined;
  readonly tracestate?: string | undefined;
  readonly parentId: string | undefined;
  readonly pendingChildren: number;
  readonly callbackUrl?: string | undefined;
  readonly failureCallbackUrl?: string | undefined;
  readonly resultTo?: string | undefined;
}
