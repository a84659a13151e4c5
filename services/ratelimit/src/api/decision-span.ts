/** A decision in the caller's trace: one small span with rule and verdict. */
import type { Call } from '@plinth/contracts';
import { endSpan, internalSpan } from '@plinth/telemetry';
import type { Check, Verdict } from '../core/verdict.ts';

type Verdicts = Verdict[] | Promise<Verdict[]>;

/** Costs nothing when the request is in no trace that is recorded. */
export function traced(
  call: Pick<Call<never, never>, 'trace'>,
  checks: readonly Check[],
  decide: () => Verdicts,
): Verdicts {
  if (call.trace === undefined) return decide();
  const span = internalSpan(call.trace, 'decide', { 'plinth.ratelimit.domain': checks[0]?.domain ?? '' })?.span;
  if (span === undefined) return decide();
  const end = (verdicts: Verdict[]): Verdict[] => {
    span.setAttributes(attributesOf(verdicts));
    endSpan(span);
    return verdicts;
  };
  try {
    const verdicts = decide();
    return verdicts instanceof Promise ? verdicts.then(end) : end(verdicts);
  } catch (error) {
    endSpan(span, error);
    throw error;
  }
}

function attributesOf(verdicts: readonly Verdict[]): Record<string, string | number> {
  const denied = verdicts.filter(({ isAllowed }) => !isAllowed);
  const limits = verdicts.flatMap(({ limits }) => limits.filter((limit) => limit !== undefined));
  const attributes: Record<string, string | number> = {
    'plinth.ratelimit.rules': [...new Set(limits.map(({ name }) => name))].slice(0, 10).join(','),
    'plinth.ratelimit.verdict': denied.length === 0 ? 'allowed' : 'denied',
  };
  if (verdicts.length > 1) {
    attributes['plinth.ratelimit.checks'] = verdicts.length;
    attributes['plinth.ratelimit.denied'] = denied.length;
  }
  const degraded = verdicts.find((verdict) => verdict.degraded !== undefined)?.degraded;
  if (degraded !== undefined) attributes['plinth.ratelimit.degraded'] = degraded;
  return attributes;
}
