/** A denial that speaks by its status: 429 with a problem, or 503 when nobody could decide. */
import type { Reply } from '@plinth/contracts';
import type { CheckAnswer, HeaderStyle } from '@plinth/contracts/ratelimit';
import { PROBLEM_MEDIA_TYPE } from '@plinth/problem';
import { limitHeaders } from '@plinth/rate-limit/headers';
import { limitProblem } from '@plinth/rate-limit/limit-problem';

/**
 * @param status - Instead of 429, for gateways that know only some.
 * @throws Problem `unavailable`: a rule that fails closed has not found the caller guilty of anything.
 */
export function deniedReply(answer: CheckAnswer, { style, status }: { style: HeaderStyle; status?: number }): Reply {
  const problem = limitProblem(answer);
  if (problem.code !== 'rate_limited') throw problem;
  const told = status ?? problem.status;
  const headers = { ...limitHeaders(answer, { style }), ...problem.toHeaders(), 'content-type': PROBLEM_MEDIA_TYPE };
  return { status: told, headers, body: JSON.stringify({ ...problem.toBody(), status: told }) };
}
