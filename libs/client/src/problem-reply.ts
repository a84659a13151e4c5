/** What an answer that is no success means, and what it means when there is none. */
import { PROBLEM_KINDS, PROBLEM_MEDIA_TYPE, Problem, type ProblemBody, type ProblemCode } from '@plinth/problem';
import { type Endpoint, isRead } from './endpoint.ts';
import type { TransportReply } from './transport.ts';

/** The problem that an answer carries, or the one its status speaks of when something between us and the service gave it. */
export function problemOfReply(reply: TransportReply, endpoint: Endpoint): Problem {
  const body = problemBodyOf(reply) ?? bodyOfStranger(reply, endpoint);
  return Problem.fromBody({ retryAfterMs: retryAfterMsOf(reply.headers['retry-after']), ...body });
}

/**
 * The connection, or its deadline, ended before an answer came.
 *
 * @param wasSent - The request may have reached the service.
 */
export function noAnswer(
  endpoint: Endpoint,
  { code, detail, wasSent, cause }: { code: ProblemCode; detail: string; wasSent: boolean; cause?: unknown },
): Problem {
  const isUnknown = wasSent && !isRead(endpoint);
  return new Problem(isUnknown ? 'outcome_unknown' : code, detail, { cause });
}

function problemBodyOf({ headers, body }: TransportReply): Partial<ProblemBody> | undefined {
  // HEAD answers have the type but no body.
  if (body.byteLength === 0 || !headers['content-type']?.startsWith(PROBLEM_MEDIA_TYPE)) return undefined;
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  } catch {
    return undefined;
  }
}

function bodyOfStranger({ status }: TransportReply, endpoint: Endpoint): Partial<ProblemBody> {
  return { code: codeOfStatus(status, endpoint), detail: `${endpoint.name} was answered ${status} without a reason` };
}

/** A gateway's 502, 503 or 504 does not say whether the service behind it got the request. */
function codeOfStatus(status: number, endpoint: Endpoint): ProblemCode {
  if (status === 429) return 'overloaded';
  if (status >= 502 && status <= 504) return isRead(endpoint) ? 'unavailable' : 'outcome_unknown';
  const codes = Object.keys(PROBLEM_KINDS) as ProblemCode[];
  return codes.find((code) => PROBLEM_KINDS[code].status === status) ?? (status < 500 ? 'invalid_request' : 'internal');
}

/** `Retry-After` in milliseconds: seconds or an HTTP date (RFC 9110 §10.2.3). */
export function retryAfterMsOf(text: string | undefined, nowMs = Date.now()): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}
