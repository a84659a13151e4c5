/** Envoy's request in proto3 JSON, as envoyproxy/ratelimit answers it at `/json`: 200 for OK, 429 for OVER_LIMIT. */
import { json, type Reply, ratelimit, type Served, serve } from '@plinth/contracts';
import { DOMAIN, LIMITS } from '@plinth/contracts/ratelimit';
import { Problem } from '@plinth/problem';
import { z } from 'zod';
import type { Engine } from '../core/engine.ts';
import { type Check, checkOf, type Limit, subjectOf, type Verdict } from '../core/verdict.ts';
import { ceilSeconds } from '../core/whole-times.ts';
import { unitOf } from '../doors/rls/units.ts';

/** By number, as `RateLimitUnit` has them. */
const UNIT_NAMES = ['UNKNOWN', 'SECOND', 'MINUTE', 'HOUR', 'DAY', 'MONTH', 'YEAR', 'WEEK'];

/** Members have two spellings in proto3 JSON, and 64-bit numbers may be texts. */
const whole = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)])
  .pipe(z.int().min(0).max(LIMITS.unitsMax));
const entry = z.object({
  key: z.string().min(1).max(LIMITS.entryKeyBytesMax),
  value: z.string().max(LIMITS.entryValueBytesMax).default(''),
});
const request = z.object({
  domain: z.string().regex(DOMAIN, 'a domain is 1–256 visible ASCII characters'),
  descriptors: z
    .array(
      z.object({
        entries: z.array(entry).min(1).max(LIMITS.entriesMax),
        hitsAddend: whole.optional(),
        hits_addend: whole.optional(),
      }),
    )
    .min(1)
    .max(LIMITS.descriptorsMax),
  hitsAddend: whole.optional(),
  hits_addend: whole.optional(),
});

export function envoyJsonOperations({ engine }: { engine: Engine }): Served[] {
  return [
    serve(ratelimit.envoyJson, async ({ body }): Promise<Reply> => {
      const [verdict] = await engine.check([readRequest(body)]);
      if (verdict!.degraded === 'closed') throw new Problem('unavailable', 'the limits cannot be looked up');
      return json(verdict!.isAllowed ? 200 : 429, responseOf(verdict!));
    }),
  ];
}

/** @throws Problem `invalid_request` */
function readRequest(body: unknown): Check {
  const parsed = request.safeParse(body);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => ({ path: `/${path.join('/')}`, message }));
    throw new Problem('invalid_request', `the body is no RateLimitRequest: ${issues[0]!.message}`, { issues });
  }
  const { domain, descriptors, hitsAddend, hits_addend } = parsed.data;
  const subjects = descriptors.map(({ entries, ...one }) =>
    subjectOf(entries, { cost: one.hitsAddend ?? one.hits_addend }),
  );
  // 0 is what proto3 leaves out: the default, which is one hit.
  return checkOf(domain, subjects, hitsAddend || hits_addend || 1, 'take');
}

function responseOf({ isAllowed, limits }: Verdict): object {
  return { overallCode: isAllowed ? 'OK' : 'OVER_LIMIT', statuses: limits.map(statusOf) };
}

function statusOf(limit: Limit | undefined): object {
  if (limit === undefined) return { code: 'OK', limitRemaining: 0 };
  const { policy, isAllowed, isShadow, name } = limit;
  const code = isAllowed || isShadow ? 'OK' : 'OVER_LIMIT';
  if (policy === undefined) return { code, limitRemaining: 4_294_967_295 };
  return {
    code,
    currentLimit: { name, requestsPerUnit: policy.limit, unit: UNIT_NAMES[unitOf(policy)] },
    limitRemaining: Math.max(0, limit.remaining),
    durationUntilReset: `${ceilSeconds(isAllowed ? limit.resetUs : limit.retryAfterUs)}s`,
  };
}
