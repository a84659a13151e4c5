/** A denial that speaks by its status: 429 with a problem, or 503 when nobody could decide. */
import type { Reply } from '@plinth/contracts';
import type { CheckAnswer, HeaderStyle } from '@plinth/contracts/ratelimit';
import { PROBLEM_MEDIA_TYPE, Problem } from '@plinth/problem';
import { limitHeaders } from '@plinth/rate-limit/headers';
import type { Verdict } from '../core/verdict.ts';

/** Registered by draft-ietf-httpapi-ratelimit-headers, section 6. */
export const QUOTA_EXCEEDED_TYPE = 'https://iana.org/assignments/http-problem-types#quota-exceeded';

/** @throws Problem `unavailable`: a rule that fails closed has not found the caller guilty of anything. */
export function deniedReply(
  answer: CheckAnswer,
  verdict: Verdict,
  options: { style: HeaderStyle; status?: number },
): Reply {
  if (verdict.degraded === 'closed') {
    throw new Problem('unavailable', 'the limits cannot be looked up, and a rule fails closed', {
      retryAfterMs: 1_000,
    });
  }
  const { style, status = 429 } = options;
  const names = answer.violated ?? [];
  const problem = new Problem('rate_limited', `denied by ${names.join(', ') || 'a limit'}`, {
    members: { 'violated-policies': names },
    ...(typeof answer.retryAfterMs === 'number' ? { retryAfterMs: answer.retryAfterMs } : {}),
  });
  const body = { ...problem.toBody(), type: QUOTA_EXCEEDED_TYPE, status };
  const headers = { ...limitHeaders(answer, { style }), ...problem.toHeaders(), 'content-type': PROBLEM_MEDIA_TYPE };
  return { status, headers, body: JSON.stringify(body) };
}
