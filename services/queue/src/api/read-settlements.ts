/**
 * What workers say of their jobs, from JSON to what the engine takes. Written by hand, for it is as hot as enqueueing
 * and because one bad item must not keep the others from being settled: its fault is its own answer.
 */
import { DEFAULTS, JOB_ID, LIMITS, TOKEN, WORKER } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { JobError, Renewal, Settlement } from '../core/job.ts';
import type { LeaseAsk } from '../store/lane.ts';
import { fault, list, type Members, matching, object, onlyKnown, text, whole } from './fault.ts';
import { JsonSpans } from './json-spans.ts';
import { checkSize } from './read-job.ts';

/** An item that is right, or why it is not; in the order of the body. */
export type Item<Good> = Good | { readonly id: string; readonly problem: Problem };

export interface LeaseWish {
  readonly ask: LeaseAsk;
  readonly waitMs: number;
  readonly isBrief: boolean;
}

const LEASE_MEMBERS = ['max', 'leaseMs', 'worker', 'waitMs', 'brief'] as const;
const SETTLE_MEMBERS = ['done', 'acks', 'fails', 'releases'] as const;
const LEASE = new Set<string>(LEASE_MEMBERS);
const SETTLE = new Set<string>(SETTLE_MEMBERS);
const NEXT = new Set<string>([...SETTLE_MEMBERS, ...LEASE_MEMBERS]);
const ACK = new Set(['id', 'token', 'result']);
const FAIL = new Set(['id', 'token', 'error', 'retryAfterMs', 'final']);
const RELEASE = new Set(['id', 'token']);
const RENEWAL = new Set(['id', 'token', 'leaseMs', 'progress', 'log']);
const RENEW = new Set(['leases']);
const ERROR = new Set(['type', 'message', 'stack']);
const { leaseMsMin, leaseMsMax, leasesPerCallMax } = LIMITS;

// ---------------------------------------------------------------- leases

/** @param leaseMs - Of the queue, unless the body says another. @throws Problem `invalid_request`. */
export function readLease(body: unknown, leaseMs: number | undefined): LeaseWish {
  const members = object(body ?? {}, '', 'the body');
  onlyKnown(members, LEASE, '');
  return leaseWish(members, leaseMs);
}

function leaseWish(members: Members, leaseMs: number = DEFAULTS.leaseMs): LeaseWish {
  const { max, worker, waitMs, brief } = members;
  if (brief !== undefined && typeof brief !== 'boolean') throw fault('/brief', 'it takes true or false');
  return {
    ask: {
      max: max === undefined ? 1 : whole(max, '/max', 1, leasesPerCallMax),
      leaseMs: members.leaseMs === undefined ? leaseMs : whole(members.leaseMs, '/leaseMs', leaseMsMin, leaseMsMax),
      worker: worker === undefined ? '' : matching(worker, '/worker', WORKER, '1–128 visible ASCII characters'),
    },
    waitMs: waitMs === undefined ? 0 : whole(waitMs, '/waitMs', 0, LIMITS.waitMsMax),
    isBrief: brief === true,
  };
}

// ---------------------------------------------------------------- settlements

export interface Settlements {
  /** In the order done, acks, fails, releases. */
  readonly items: Item<Settlement>[];
  /** How many of them came as `done`: their answer is short too. */
  readonly doneCount: number;
}

/** Settlements and a lease. @throws Problem `invalid_request` when nothing of it can be read. */
export function readNext(body: unknown, leaseMs: number | undefined): LeaseWish & Settlements {
  const members = object(body ?? {}, '', 'the body');
  onlyKnown(members, NEXT, '');
  return { ...leaseWish(members, leaseMs), ...settlements(members) };
}

/** @throws Problem `invalid_request` when nothing of it can be read, or there is nothing. */
export function readSettle(body: unknown): Settlements {
  const members = object(body, '', 'the body');
  onlyKnown(members, SETTLE, '');
  const read = settlements(members);
  if (read.items.length === 0) throw fault('', 'done, acks, fails, releases: there is none of them');
  return read;
}

function settlements(members: Members): Settlements {
  const items: Item<Settlement>[] = readDone(members.done);
  const doneCount = items.length;
  read(members.acks, '/acks', items, readAck);
  read(members.fails, '/fails', items, readFail);
  read(members.releases, '/releases', items, readRelease);
  if (items.length > leasesPerCallMax) throw fault('', `${items.length} items; the most is ${leasesPerCallMax}`);
  return { items, doneCount };
}

/** A pattern that each character fits in one way only: as long as the text, at the most. */
const DONE = /^[A-Za-z0-9_.:-]{1,128} \d{1,20}(?: [A-Za-z0-9_.:-]{1,128} \d{1,20})*$/;

/** Without an object an item: what is said of nearly all jobs should cost next to nothing. */
function readDone(text: unknown): Item<Settlement>[] {
  if (text === undefined) return [];
  if (typeof text !== 'string' || !DONE.test(text))
    throw fault('/done', 'it takes ids and tokens of leases, `id token id token …`, with one space between them');
  const words = text.split(' ');
  const items: Settlement[] = [];
  for (let at = 0; at < words.length; at += 2)
    items.push({ id: words[at]!, token: words[at + 1]!, kind: 'ack', result: undefined });
  return items;
}

function read<Good>(
  given: unknown,
  path: string,
  items: Item<Good>[],
  one: (members: Members, path: string) => Good,
): void {
  if (given === undefined) return;
  const all = list(given, path, leasesPerCallMax);
  for (let at = 0; at < all.length; at++) {
    const item = all[at];
    try {
      const place = `${path}/${at}`;
      items.push(one(object(item, place, 'an item'), place));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const id = (item as Members | null)?.id;
      items.push({ id: typeof id === 'string' ? id.slice(0, LIMITS.idCharsMax) : '', problem: error });
    }
  }
}

function readAck(members: Members, path: string): Settlement {
  const { result } = members;
  onlyKnown(members, ACK, path);
  const kept = result === undefined ? undefined : jsonText(result, `${path}/result`, RESULT);
  return { ...leaseOf(members, path), kind: 'ack', result: kept };
}

function readFail(members: Members, path: string): Settlement {
  const { error, retryAfterMs, final } = members;
  onlyKnown(members, FAIL, path);
  if (final !== undefined && typeof final !== 'boolean') throw fault(`${path}/final`, 'it takes true or false');
  return {
    ...leaseOf(members, path),
    kind: 'fail',
    error: readError(error, `${path}/error`),
    retryAfterMs:
      retryAfterMs === undefined ? undefined : whole(retryAfterMs, `${path}/retryAfterMs`, 0, LIMITS.delayMsMax),
    isFinal: final === true,
  };
}

function readRelease(members: Members, path: string): Settlement {
  onlyKnown(members, RELEASE, path);
  return { ...leaseOf(members, path), kind: 'release' };
}

function leaseOf({ id, token }: Members, path: string): { id: string; token: string } {
  return {
    id: matching(id, `${path}/id`, JOB_ID, 'the id of a job'),
    token: matching(token, `${path}/token`, TOKEN, 'the token of the lease, decimal digits in a text'),
  };
}

/** Long messages and stacks are cut: that a job failed is to be known even if it failed with many words. */
function readError(value: unknown, path: string): JobError {
  const members = object(value, path, 'an error');
  onlyKnown(members, ERROR, path);
  const { type, message, stack } = members;
  return {
    type: type === undefined ? 'Error' : text(type, `${path}/type`, 0, LIMITS.errorTypeCharsMax),
    message: text(message, `${path}/message`, 0, Number.MAX_SAFE_INTEGER).slice(0, LIMITS.errorMessageCharsMax),
    stack:
      stack === undefined
        ? undefined
        : text(stack, `${path}/stack`, 0, Number.MAX_SAFE_INTEGER).slice(0, LIMITS.errorStackCharsMax),
  };
}

// ---------------------------------------------------------------- renewals

/** @throws Problem `invalid_request` when nothing of it can be read. */
export function readRenew(body: unknown, leaseMs: number = DEFAULTS.leaseMs): Item<Renewal>[] {
  const members = object(body, '', 'the body');
  onlyKnown(members, RENEW, '');
  const items: Item<Renewal>[] = [];
  read(members.leases, '/leases', items, (renewal, path) => readRenewal(renewal, path, leaseMs));
  if (items.length === 0) throw fault('/leases', 'there is none');
  return items;
}

function readRenewal(members: Members, path: string, leaseMs: number): Renewal {
  const { progress, log } = members;
  onlyKnown(members, RENEWAL, path);
  return {
    ...leaseOf(members, path),
    leaseMs:
      members.leaseMs === undefined ? leaseMs : whole(members.leaseMs, `${path}/leaseMs`, leaseMsMin, leaseMsMax),
    progress: progress === undefined ? undefined : jsonText(progress, `${path}/progress`, PROGRESS),
    log: log === undefined ? NO_LINES : readLog(log, `${path}/log`),
  };
}

const NO_LINES: readonly string[] = [];

function readLog(value: unknown, path: string): readonly string[] {
  return list(value, path, LIMITS.logLinesPerCallMax).map((line, at) =>
    cutToBytes(text(line, `${path}/${at}`, 0, Number.MAX_SAFE_INTEGER), LIMITS.logLineBytesMax),
  );
}

/** Never in the middle of a character. */
function cutToBytes(line: string, bytesMax: number): string {
  if (line.length * 3 <= bytesMax) return line;
  const bytes = Buffer.from(line);
  if (bytes.length <= bytesMax) return line;
  let end = bytesMax;
  // Bytes that go on with a character begin with the bits 10.
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

// ---------------------------------------------------------------- JSON that is kept

const RESULT = { what: 'the result of a job', bytesMax: LIMITS.resultBytesMax };
const PROGRESS = { what: 'the progress of a job', bytesMax: LIMITS.progressBytesMax };

function jsonText(value: unknown, path: string, size: { what: string; bytesMax: number }): string {
  const written = stringified(value, path);
  checkSize(written, path, size);
  if (typeof value !== 'object' || value === null) return written;
  const spans = new JsonSpans(written);
  spans.value(0);
  if (spans.depth > LIMITS.depthMax) throw tooDeep(path);
  return written;
}

/** JSON.parse is not recursive, JSON.stringify is: some thousand levels end its stack. */
function stringified(value: unknown, path: string): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) throw tooDeep(path);
    throw error;
  }
}

const tooDeep = (path: string): Problem => fault(path, `it is nested deeper than ${LIMITS.depthMax}`);
