/**
 * The texts that a job is kept as. Scripts read them with `string.find`, Node with `split`, and a plain job takes no
 * more than ten bytes beside its name and its data: at 141 bytes of data it fits into 160, a size of which Redis'
 * allocator wastes nothing.
 *
 * Signs between things: US (0x1F) between fields, RS (0x1E) between groups of fields, FS (0x1C) between whole texts in
 * an answer. Where one of them stands in a text of a user it is written as GS (0x1D) and a letter; data is JSON, which
 * has none of them.
 *
 * - Record (`j`): machine RS people RS data. Machine, of which empty fields at the end are left out: enqueuedAt and dueAt
 *   (milliseconds in base 36; dueAt empty: as enqueuedAt), expiresAt (base 36), group, priority, policy, dedup, parent.
 *   People, likewise: name, tags (with commas between; a comma in one is `GS c`), traceparent, tracestate, callbackUrl,
 *   failureCallbackUrl, resultTo.
 *   Policy (empty: all defaults): attempts,backoff type,delayMs,factor,maxMs,jitter,timeoutMs,retain.count,retain.ageMs.
 *   Dedup: letter of the mode, ttlMs or nothing, colon, dedup id. Parent: `i` or `f` (ignore, fail-parent), its id.
 * - History (`s`): head RS entry RS entry … Head: attempts that count, stalls, dueAt (decimal), finishedAt, reason. Entry:
 *   attempt, worker, startedAt, endedAt, outcome, error's type, message, stack (`-`: none).
 * - Lease (`a`): token (`number:slot`, `lua/batches.ts`), attempt, stalls, startedAt, worker, group, policy, dedup, parent, cancel (`-` and the reason, or
 *   nothing), 1 when it has a history.
 */
import type { Attempt, Backoff, Dedup, JobError, NewJob, Retention } from '../../core/job.ts';

export const US = '\x1f';
export const RS = '\x1e';
export const FS = '\x1c';

const LETTERS: Readonly<Record<string, string>> = { '\x1c': 'e', '\x1d': 'a', '\x1e': 'b', '\x1f': 'd', ',': 'c' };
const SIGNS: Readonly<Record<string, string>> = { a: '\x1d', b: '\x1e', c: ',', d: '\x1f', e: '\x1c' };

// biome-ignore lint/suspicious/noControlCharactersInRegex: these signs are the separators.
const SEPARATORS = /[\x1c-\x1f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
const ALL_SEPARATORS = /[\x1c-\x1f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
const ALL_IN_TAGS = /[\x1c-\x1f,]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
const ALL_ESCAPED = /\x1d([abcde])/g;

/** A text without separators. */
export const escaped = (text: string): string =>
  SEPARATORS.test(text) ? text.replace(ALL_SEPARATORS, (sign) => `\x1d${LETTERS[sign]}`) : text;
export const unescaped = (text: string): string =>
  text.includes('\x1d') ? text.replace(ALL_ESCAPED, (_, letter: string) => SIGNS[letter]!) : text;

export interface Policy {
  readonly attempts: number;
  readonly backoff: Backoff;
  readonly timeoutMs: number;
  readonly retain: Retention;
}

/** What a job without a policy of its own has: nothing is written for it. */
export const DEFAULT_POLICY: Policy = {
  attempts: 5,
  backoff: { type: 'exponential', delayMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: 1 },
  timeoutMs: 0,
  retain: { count: 1_000, ageMs: 3_600_000 },
};

export const policyText = ({ attempts, backoff: b, timeoutMs, retain }: Policy): string =>
  `${attempts},${b.type[0]},${b.delayMs},${b.factor},${b.maxMs},${b.jitter},${timeoutMs},${retain.count},${retain.ageMs}`;

export const DEFAULT_POLICY_TEXT: string = policyText(DEFAULT_POLICY);

export function policyOf(text: string): Policy {
  if (text === '') return DEFAULT_POLICY;
  const [attempts, type, delayMs, factor, maxMs, jitter, timeoutMs, count, ageMs] = text.split(',');
  return {
    attempts: Number(attempts),
    backoff: {
      type: type === 'f' ? 'fixed' : 'exponential',
      delayMs: Number(delayMs),
      factor: Number(factor),
      maxMs: Number(maxMs),
      jitter: Number(jitter),
    },
    timeoutMs: Number(timeoutMs),
    retain: { count: Number(count), ageMs: Number(ageMs) },
  };
}

/** The job above one in a flow. */
export interface ParentLink {
  readonly id: string;
  readonly onFailure: 'fail-parent' | 'ignore';
}

/** A record without its first two fields, which the script writes, for they are Redis' time: begins with US or RS. */
export function recordBody(job: NewJob, parent?: ParentLink): string {
  const { expiresAtMs, group, priority, dedup } = job;
  const policy = policyText(job);
  const machine = joined([
    expiresAtMs === 0 ? '' : Math.ceil(expiresAtMs).toString(36),
    escaped(group),
    priority === 0 ? '' : String(priority),
    policy === DEFAULT_POLICY_TEXT ? '' : policy,
    dedup === undefined ? '' : dedupText(dedup),
    parent === undefined ? '' : (parent.onFailure === 'ignore' ? 'i' : 'f') + parent.id,
  ]);
  const people = joined([
    escaped(job.name),
    job.tags.map((tag) => tag.replace(ALL_IN_TAGS, (sign) => `\x1d${LETTERS[sign]}`)).join(','),
    ...[job.traceparent, job.tracestate, job.callbackUrl, job.failureCallbackUrl, job.resultTo].map((text) =>
      text === undefined ? '' : escaped(text),
    ),
  ]);
  return `${machine === '' ? '' : US + machine}${RS}${people}${RS}${job.data}`;
}

function joined(fields: string[]): string {
  let count = fields.length;
  while (count > 0 && fields[count - 1] === '') count -= 1;
  return fields.slice(0, count).join(US);
}

const MODES: Readonly<Record<string, Dedup['mode']>> = {
  s: 'simple',
  t: 'throttle',
  d: 'debounce',
  k: 'keep-last',
};

const dedupText = ({ mode, ttlMs, id }: Dedup): string => `${mode[0]}${ttlMs ?? ''}:${escaped(id)}`;

function dedupOf(text: string): Dedup | undefined {
  if (text === '') return undefined;
  const colon = text.indexOf(':');
  const ttl = text.slice(1, colon);
  return {
    mode: MODES[text[0]!]!,
    ttlMs: ttl === '' ? undefined : Number(ttl),
    id: unescaped(text.slice(colon + 1)),
  };
}

/** What a job is, as it was enqueued. */
export interface StaticRecord extends Policy, Omit<NewJob, 'runAtMs'> {
  readonly enqueuedAtMs: number;
  readonly dueAtMs: number;
  readonly parent: ParentLink | undefined;
}

export function recordOf(text: string): StaticRecord {
  const machineEnd = text.indexOf(RS);
  const peopleEnd = text.indexOf(RS, machineEnd + 1);
  const [enqueuedAt, dueAt, expiresAt, group, priority, policy, dedup, parent] = text.slice(0, machineEnd).split(US);
  const [name, tags, ...rest] = text.slice(machineEnd + 1, peopleEnd).split(US);
  const [traceparent, tracestate, callbackUrl, failureCallbackUrl, resultTo] = rest.map(optionalText);
  const enqueuedAtMs = Number.parseInt(enqueuedAt!, 36);
  return {
    ...policyOf(policy ?? ''),
    name: unescaped(name!),
    data: text.slice(peopleEnd + 1),
    enqueuedAtMs,
    dueAtMs: dueAt ? Number.parseInt(dueAt, 36) : enqueuedAtMs,
    expiresAtMs: expiresAt ? Number.parseInt(expiresAt, 36) : 0,
    group: unescaped(group ?? ''),
    priority: Number(priority ?? 0),
    dedup: dedupOf(dedup ?? ''),
    parent: parentOf(parent ?? ''),
    tags: tags ? tags.split(',').map(unescaped) : [],
    traceparent,
    tracestate,
    callbackUrl,
    failureCallbackUrl,
    resultTo,
  };
}

const optionalText = (text: string): string | undefined => (text === '' ? undefined : unescaped(text));

const parentOf = (text: string): ParentLink | undefined =>
  text === '' ? undefined : { onFailure: text[0] === 'i' ? 'ignore' : 'fail-parent', id: text.slice(1) };

/** What happened to a job. */
export interface HistoryRecord {
  /** Attempts that count: failed, timed out or completed. */
  readonly attempts: number;
  readonly stalls: number;
  /** Of the latest retry, redrive …; undefined: as the record says. */
  readonly dueAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
  /** Why it is dead or cancelled. */
  readonly reason: string | undefined;
  readonly entries: readonly Attempt[];
}

const NO_HISTORY: HistoryRecord = {
  attempts: 0,
  stalls: 0,
  dueAtMs: undefined,
  finishedAtMs: undefined,
  reason: undefined,
  entries: [],
};

/** @param text - Nothing: it has never been leased. */
export function historyOf(text: string | null | undefined): HistoryRecord {
  if (text === null || text === undefined || text === '') return NO_HISTORY;
  const [head, ...entries] = text.split(RS);
  const [attempts, stalls, dueAt, finishedAt, reason] = head!.split(US);
  return {
    attempts: Number(attempts),
    stalls: Number(stalls),
    dueAtMs: dueAt ? Number(dueAt) : undefined,
    finishedAtMs: finishedAt ? Number(finishedAt) : undefined,
    reason: reason ? unescaped(reason) : undefined,
    entries: entries.map(entryOf),
  };
}

function entryOf(text: string): Attempt {
  const [attempt, worker, startedAt, endedAt, outcome, type, message, stack] = text.split(US);
  return {
    attempt: Number(attempt),
    worker: unescaped(worker!),
    startedAtMs: Number(startedAt),
    endedAtMs: endedAt ? Number(endedAt) : undefined,
    outcome: outcome as Attempt['outcome'],
    error:
      type === undefined ? undefined : { type: unescaped(type), message: unescaped(message!), stack: stackOf(stack) },
  };
}

const stackOf = (text: string | undefined): string | undefined =>
  text === undefined || text === '-' ? undefined : unescaped(text);

/** An error as the end of an entry: type, message, stack. */
export const errorText = ({ type, message, stack }: JobError): string =>
  [escaped(type), escaped(message), stack === undefined ? '-' : escaped(stack)].join(US);

/** A lease that is being worked on. */
export interface LeaseRecord {
  readonly token: string;
  readonly attempt: number;
  readonly stalls: number;
  readonly startedAtMs: number;
  readonly worker: string;
  /** The reason, once it is asked to stop. */
  readonly cancel: string | undefined;
}

export function leaseOf(text: string): LeaseRecord {
  const [token, attempt, stalls, startedAt, worker, , , , , cancel] = text.split(US);
  return {
    token: token!,
    attempt: Number(attempt),
    stalls: Number(stalls),
    startedAtMs: Number(startedAt),
    worker: unescaped(worker!),
    cancel: cancel ? unescaped(cancel.slice(1)) : undefined,
  };
}
