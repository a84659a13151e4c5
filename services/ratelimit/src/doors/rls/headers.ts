/**
 * Headers that Envoy is to put on the response to its caller, made of a verdict. `ietf`: RateLimit and RateLimit-Policy
 * of draft-ietf-httpapi-ratelimit-headers-10; `draft-03`: the three X-RateLimit headers that Envoy itself knows.
 */
import type { Policy } from '@plinth/limiter';
import type { Limit, Verdict } from '../../core/verdict.ts';
import { ceilSeconds } from '../../core/whole-times.ts';

export const HEADER_STYLES = ['none', 'ietf', 'draft-03'] as const;
export type HeaderStyle = (typeof HEADER_STYLES)[number];

type Limited = Limit & { policy: Policy };

/** Nothing when nothing is limited. A rule that only watches is not spoken of. */
export function headersOf(style: HeaderStyle, verdict: Verdict): [name: string, value: string][] {
  const limits = verdict.limits.filter((limit): limit is Limited => limit?.policy !== undefined && !limit.isShadow);
  if (style === 'none' || limits.length === 0) return [];
  const headers = style === 'ietf' ? ietf(limits) : draft03(limits);
  if (!verdict.isAllowed && Number.isFinite(verdict.retryAfterUs)) {
    headers.push(['retry-after', String(Math.max(1, seconds(verdict.retryAfterUs)))]);
  }
  return headers;
}

function ietf(limits: readonly Limited[]): [string, string][] {
  const policies = limits.map(({ name, policy }) => `${quoted(name)};q=${policy.limit};w=${windowOf(policy)}`);
  const states = limits.map((limit) => `${quoted(limit.name)};r=${limit.remaining};t=${untilMore(limit)}`);
  return [
    ['ratelimit-policy', policies.join(', ')],
    ['ratelimit', states.join(', ')],
  ];
}

/** Of the limit that is nearest to its end, with all policies behind the first. */
function draft03(limits: readonly Limited[]): [string, string][] {
  const nearest = limits.reduce((least, limit) => (isNearer(limit, least) ? limit : least));
  const policies = limits.map(({ name, policy }) => `${policy.limit};w=${windowOf(policy)};name=${quoted(name)}`);
  return [
    ['x-ratelimit-limit', [nearest.policy.limit, ...policies].join(', ')],
    ['x-ratelimit-remaining', String(nearest.remaining)],
    ['x-ratelimit-reset', String(seconds(nearest.resetUs))],
  ];
}

function isNearer(one: Limited, other: Limited): boolean {
  return one.isAllowed === other.isAllowed ? one.remaining < other.remaining : !one.isAllowed;
}

/** `t`: seconds until there is more than there is now. */
function untilMore({ retryAfterUs, resetUs }: Limited): number {
  return seconds(Number.isFinite(retryAfterUs) && retryAfterUs > 0 ? retryAfterUs : resetUs);
}

const windowOf = ({ windowUs }: Policy) => Math.max(1, seconds(windowUs));
const seconds = (us: number) => (Number.isFinite(us) ? ceilSeconds(us) : 0);

/** A String of RFC 9651, which knows visible ASCII only; other characters of a name become `?`. */
function quoted(name: string): string {
  return `"${name.replace(/[^\x20-\x7e]/gu, '?').replace(/["\\]/g, '\\$&')}"`;
}
