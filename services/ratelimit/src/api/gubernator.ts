/**
 * Gubernator's `GetRateLimits` in its JSON form: the limit comes with the request. Their token bucket is a window that
 * begins with the first hit; ours refills, so that nobody gets twice the limit across the edge of a window: `limit` and
 * `duration` mean the same, `reset_time` is when the key is as good as new. Their leaky bucket is GCRA here too.
 */
import { json, ratelimit, type Served, serve } from '@plinth/contracts';
import { LIMITS } from '@plinth/contracts/ratelimit';
import type { PolicySpec } from '@plinth/limiter';
import { Problem } from '@plinth/problem';
import type { Engine } from '../core/engine.ts';
import type { RequestPolicies } from '../core/request-policies.ts';
import { type Check, checkOf, subjectOf, type Verdict } from '../core/verdict.ts';
import { ceilMs } from '../core/whole-times.ts';

/** Flags of `behavior`; the others are about their own cluster and change no answer here. */
const GREGORIAN = 4;
const RESET_REMAINING = 8;
const DRAIN_OVER_LIMIT = 32;
/** Durations under `GREGORIAN`. */
const PERIODS = [undefined, undefined, 'day', 'week', 'month', 'year'] as const;
const SHORT_PERIODS_MS: Record<number, number> = { 0: 60_000, 1: 3_600_000 };
const INT = /^-?\d{1,15}$/;

interface Wanted {
  check: Check;
  limit: number;
  behavior: number;
  hits: number;
}

export interface GubernatorRooms {
  engine: Engine;
  policies: RequestPolicies;
  now: () => number;
}

export function gubernatorOperations({ engine, policies, now }: GubernatorRooms): Served[] {
  async function one(request: unknown): Promise<object> {
    try {
      return await decide(read(request, policies));
    } catch (error) {
      if (error instanceof Problem && error.status < 500) return { status: 'UNDER_LIMIT', error: error.message };
      throw error;
    }
  }

  async function decide(wanted: Wanted): Promise<object> {
    const { check, hits, behavior } = wanted;
    if ((behavior & RESET_REMAINING) !== 0) await engine.reset(check);
    if (hits < 0) await engine.give(check);
    const [verdict] = await engine.check([hits < 0 ? { ...check, mode: 'look', cost: 0 } : check]);
    if (!verdict!.isAllowed && (behavior & DRAIN_OVER_LIMIT) !== 0) await drain(wanted, verdict!);
    return responseOf(wanted, verdict!);
  }

  /** What is left goes too, when more was asked for. */
  async function drain({ check }: Wanted, verdict: Verdict): Promise<void> {
    const left = verdict.limits[0]?.remaining ?? 0;
    if (left > 0) await engine.check([{ ...check, cost: left }]);
  }

  function responseOf({ limit, behavior }: Wanted, verdict: Verdict): object {
    const found = verdict.limits[0]!;
    const isDrained = !verdict.isAllowed && (behavior & DRAIN_OVER_LIMIT) !== 0;
    const resetMs = ceilMs(verdict.isAllowed ? found.resetUs : verdict.retryAfterUs);
    return {
      status: verdict.isAllowed ? 'UNDER_LIMIT' : 'OVER_LIMIT',
      limit: String(limit),
      remaining: String(isDrained ? 0 : Math.max(0, found.remaining)),
      reset_time: String(Number.isFinite(resetMs) ? now() + resetMs : 0),
      error: '',
      metadata: verdict.degraded === undefined ? {} : { degraded: verdict.degraded },
    };
  }

  return [
    serve(ratelimit.gubernator, async ({ body }) => {
      const requests = (body as { requests?: unknown } | null)?.requests;
      if (!Array.isArray(requests)) throw fault('/requests', 'requests must be a list');
      if (requests.length > LIMITS.checksMax) {
        throw fault('/requests', `${requests.length} requests; the most is ${LIMITS.checksMax}`);
      }
      const responses = [];
      for (const request of requests) responses.push(await one(request));
      return json(200, { responses });
    }),
  ];
}

function read(request: unknown, policies: RequestPolicies): Wanted {
  const fields = (typeof request === 'object' && request !== null ? request : {}) as Record<string, unknown>;
  const name = wordOf(fields, 'name');
  const key = wordOf(fields, 'unique_key', 'uniqueKey');
  const hits = intOf(fields, 1, 'hits');
  const limit = intOf(fields, undefined, 'limit');
  const behavior = behaviorOf(fields.behavior);
  const spec = specOf(fields, limit, behavior);
  const entries = [
    { key: 'name', value: name },
    { key: 'key', value: key },
  ];
  const mode = hits === 0 ? 'look' : 'take';
  const subject = subjectOf(entries, { policy: policies.of(spec) });
  const check = checkOf('gubernator', [subject], Math.abs(hits), mode);
  return { check, limit, behavior, hits };
}

function specOf(fields: Record<string, unknown>, limit: number, behavior: number): PolicySpec {
  const duration = intOf(fields, undefined, 'duration');
  if ((behavior & GREGORIAN) !== 0) {
    const period = PERIODS[duration];
    if (period !== undefined) return { algorithm: 'calendar', limit, period };
    const windowMs = SHORT_PERIODS_MS[duration];
    if (windowMs === undefined) throw fault('/duration', `a Gregorian duration is 0 to 5, not ${duration}`);
    return { algorithm: 'fixed', limit, windowMs };
  }
  const burst = intOf(fields, 0, 'burst');
  return { limit, windowMs: duration, ...(burst > 0 ? { burst } : {}) };
}

/** A number, the word of one flag, or several with commas. */
function behaviorOf(value: unknown): number {
  const flags: Record<string, number> = {
    BATCHING: 0,
    NO_BATCHING: 1,
    GLOBAL: 2,
    DURATION_IS_GREGORIAN: GREGORIAN,
    RESET_REMAINING,
    MULTI_REGION: 16,
    DRAIN_OVER_LIMIT,
  };
  if (value === undefined) return 0;
  if (typeof value === 'number' || INT.test(String(value))) return Number(value);
  let sum = 0;
  for (const word of String(value).split(',')) {
    const flag = flags[word.trim()];
    if (flag === undefined) throw fault('/behavior', `behavior ${JSON.stringify(word)} is not known`);
    sum |= flag;
  }
  return sum;
}

function wordOf(fields: Record<string, unknown>, ...names: string[]): string {
  const value = names.map((name) => fields[name]).find((found) => found !== undefined);
  if (typeof value !== 'string' || value === '') throw fault(`/${names[0]}`, `field '${names[0]}' cannot be empty`);
  if (value.length > LIMITS.entryValueBytesMax)
    throw fault(`/${names[0]}`, `field '${names[0]}' is longer than ${LIMITS.entryValueBytesMax}`);
  return value;
}

/** 64-bit integers are strings in proto3 JSON. */
function intOf(fields: Record<string, unknown>, otherwise: number | undefined, name: string): number {
  const value = fields[name];
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (INT.test(String(value))) return Number(value);
  throw fault(`/${name}`, `field '${name}' must be a whole number, not ${JSON.stringify(value ?? null)}`);
}

function fault(path: string, message: string): Problem {
  return new Problem('invalid_request', message, { issues: [{ path, message }] });
}
