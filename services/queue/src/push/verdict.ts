/** What an answer to a call means for the job and for the target. Pure: `nowMs` only reads dates in `Retry-After`. */
import type { JobError } from '../core/job.ts';
import { REPLY_BYTES_MAX, type WebhookFailure, type WebhookReply } from './webhook-client.ts';

/** A target that asks for more is asked again after this. */
const RETRY_AFTER_MS_MAX = 3_600_000;
const LATER_LEASE_MS_DEFAULT = 300_000;
const LEASE_MS_MIN = 1_000;
const LEASE_MS_MAX = 3_600_000;
const QUOTED_CHARS_MAX = 300;

/** How the whole target is slowed: for a time that it named, or for one that grows as long as it fails. */
export type Throttle = { readonly forMs: number } | 'growing' | undefined;

export type Verdict =
  /** `result`: JSON text. */
  | { readonly kind: 'ack'; readonly result: string | undefined }
  /** The target has the job and settles it by its token; until then it keeps the lease for so long. */
  | { readonly kind: 'later'; readonly leaseMs: number }
  /** Nobody is there and nobody will be. */
  | { readonly kind: 'gone'; readonly reason: string }
  | {
      readonly kind: 'fail';
      readonly error: JobError;
      readonly isFinal: boolean;
      readonly retryAfterMs: number | undefined;
      readonly throttle: Throttle;
    };

/** The meaning of an answer. */
export function verdictOf(reply: WebhookReply, nowMs: number): Verdict {
  const { status, headers } = reply;
  if (status === 202 && isSaid(headers['plinth-ack'], 'later')) {
    return { kind: 'later', leaseMs: laterLeaseMs(headers['plinth-lease-ms']) };
  }
  if (status >= 200 && status < 300) return { kind: 'ack', result: resultOf(reply) };
  if (status === 410) return { kind: 'gone', reason: 'the target answered 410 Gone' };
  const isFinal = status === 489 || isSaid(headers['plinth-no-retry'], 'true');
  const retryAfterMs = status === 429 || status === 503 ? retryAfterMsOf(headers['retry-after'], nowMs) : undefined;
  return { kind: 'fail', error: errorOf(reply), isFinal, retryAfterMs, throttle: throttleOf(status, retryAfterMs) };
}

/** The meaning of no answer. `aborted` is not asked: whoever gave up the call knows why. */
export function verdictOfFailure(failure: WebhookFailure): Verdict {
  const type = { connection: 'connection', forbidden: 'forbidden_address', timeout: 'timeout', aborted: 'aborted' };
  const error = { type: type[failure.kind], message: failure.message, stack: undefined };
  // A call that took too long says nothing of the others; a server that cannot be reached will not be by them either.
  const throttle = failure.kind === 'timeout' || failure.kind === 'aborted' ? undefined : 'growing';
  return { kind: 'fail', error, isFinal: false, retryAfterMs: undefined, throttle };
}

/**
 * `Retry-After` in milliseconds: seconds, or a date.
 *
 * @returns Undefined when it is missing or says neither. At most an hour.
 */
export function retryAfterMsOf(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text) * 1_000, RETRY_AFTER_MS_MAX);
  // Only the three forms that RFC 9110 knows, all of which begin with a day's name: `Date.parse` reads anything.
  const atMs = /^(mon|tue|wed|thu|fri|sat|sun)/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.min(Math.max(atMs - nowMs, 0), RETRY_AFTER_MS_MAX);
}

function throttleOf(status: number, retryAfterMs: number | undefined): Throttle {
  if (retryAfterMs !== undefined) return { forMs: retryAfterMs };
  return status === 429 || (status >= 502 && status <= 504) ? 'growing' : undefined;
}

const isSaid = (header: string | string[] | undefined, word: string): boolean =>
  typeof header === 'string' && header.trim().toLowerCase() === word;

function laterLeaseMs(header: string | string[] | undefined): number {
  const asked = typeof header === 'string' && /^\d{1,9}$/.test(header) ? Number(header) : LATER_LEASE_MS_DEFAULT;
  return Math.min(Math.max(asked, LEASE_MS_MIN), LEASE_MS_MAX);
}

/** The answer, if it is JSON and whole. A page of HTML is no result, and no reason to do the job again either. */
function resultOf({ body, isCut }: WebhookReply): string | undefined {
  // Bytes that are no UTF-8 have become longer in reading.
  if (isCut || body === '' || Buffer.byteLength(body) > REPLY_BYTES_MAX) return undefined;
  try {
    JSON.parse(body);
    return body;
  } catch {
    return undefined;
  }
}

function errorOf({ status, headers, body }: WebhookReply): JobError {
  const where = status >= 300 && status < 400 && headers.location !== undefined ? '; redirects are not followed' : '';
  const quoted = body.trim().slice(0, QUOTED_CHARS_MAX);
  const message = `the target answered ${status}${where}${quoted === '' ? '' : `: ${quoted}`}`;
  return { type: `http_${status}`, message, stack: undefined };
}
