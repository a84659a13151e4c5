/** What somebody is told who is denied: a `Problem`, whose kinds are those of the draft for the headers. */
import type { CheckAnswer } from '@plinth/contracts/ratelimit';
import { Problem } from '@plinth/problem';
import { retryAfterMsOf } from './headers.ts';

/** draft-ietf-httpapi-ratelimit-headers-10 §7 registers them. */
const TYPES = 'https://iana.org/assignments/http-problem-types#';

/**
 * The answer to a denied request: 429 `rate_limited` with the names in `violated-policies`; 503 `unavailable` when the
 * limiter is away and was to deny then, for no limit was reached. Its `toHeaders()` has `Retry-After`.
 */
export function limitProblem(answer: CheckAnswer): Problem {
  const retryAfterMs = retryAfterMsOf(answer);
  if (answer.degraded === 'closed') {
    const members = { type: `${TYPES}temporary-reduced-capacity` };
    return new Problem('unavailable', 'limits cannot be decided now', { members, retryAfterMs });
  }
  const violated = violatedBy(answer);
  const isAbuse = answer.limits.some(({ because }) => because === 'blocked' || because === 'deny-list');
  const members = {
    type: TYPES + (isAbuse ? 'abnormal-usage-detected' : 'quota-exceeded'),
    'violated-policies': violated,
  };
  return new Problem('rate_limited', detailOf(answer, violated), { members, retryAfterMs });
}

function violatedBy({ violated, limits }: CheckAnswer): readonly string[] {
  return violated ?? limits.filter(({ allowed, shadow }) => !allowed && shadow !== true).map(({ name }) => name);
}

function detailOf(answer: CheckAnswer, violated: readonly string[]): string {
  const which = violated.length === 0 ? 'a limit' : violated.map((name) => JSON.stringify(name)).join(', ');
  if (answer.retryAfterMs === null)
    return `denied by ${which}: waiting does not help, for it costs more than the limit holds`;
  return `denied by ${which}; more in ${retryAfterMsOf(answer)} ms`;
}
