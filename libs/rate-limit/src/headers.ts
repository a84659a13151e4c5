/**
 * What a decision looks like in the headers of an answer. The newest form is that of
 * draft-ietf-httpapi-ratelimit-headers-10; callers that know an older one get it by its name.
 *
 * Told is what binds: limits that are only watched (`shadow`) and those without a number are left out.
 */
import { createHmac } from 'node:crypto';
import type { CheckAnswer, HeaderStyle, LimitAnswer } from '@plinth/contracts/ratelimit';
import { sfBytes, sfInteger, sfString } from './structured-field.ts';

export type { HeaderStyle } from '@plinth/contracts/ratelimit';

export interface HeaderOptions {
  /**
   * - `draft-10` (default): `RateLimit-Policy` and `RateLimit`, all limits by name.
   * - `draft-7`: `RateLimit: limit=10, remaining=3, reset=5` of the limit that is nearest.
   * - `draft-6`: `RateLimit-Limit`, `-Remaining`, `-Reset`, three fields.
   * - `x`: `X-RateLimit-Limit`, `-Remaining`, `-Reset`, the last in seconds since 1970, as GitHub has it.
   * - `envoy`: the same names as Envoy writes them (draft-03): the limit with all policies, seconds to wait.
   * - `none`: only `Retry-After`.
   */
  style?: HeaderStyle | undefined;
  /** `draft-10`: whose limit it is, as `pk`. Only with a secret: without one addresses could be guessed from it. */
  partition?: { key: string; secret: string } | undefined;
  /** `x` only: milliseconds since 1970. */
  nowMs?: number | undefined;
}

/** A limit that has a number to tell. */
type Told = LimitAnswer & { limit: number };

/**
 * Names lower case. `Retry-After` is there when the request is denied and could be allowed later; in whole seconds,
 * rounded up, and never earlier than the `t` of a limit that denies. Cost: 1 µs for one limit, 3 more with `partition`.
 */
export function limitHeaders(answer: CheckAnswer, options: HeaderOptions = {}): Record<string, string> {
  const { style = 'draft-10' } = options;
  const limits = answer.limits.filter(isTold);
  const headers = limits.length === 0 || style === 'none' ? {} : WRITERS[style](limits, options, answer);
  const retryAfterMs = answer.allowed ? undefined : retryAfterMsOf(answer);
  if (retryAfterMs !== undefined) headers['retry-after'] = String(secondsOf(retryAfterMs));
  return headers;
}

/** How long one who was denied has to wait, at least 1 ms; undefined when waiting does not help. */
export function retryAfterMsOf(answer: CheckAnswer): number | undefined {
  if (answer.retryAfterMs === null) return undefined;
  let longestMs = Math.max(1, answer.retryAfterMs ?? 0);
  for (const limit of answer.limits) {
    if (!limit.allowed && limit.shadow !== true) longestMs = Math.max(longestMs, moreInMs(limit));
  }
  return longestMs;
}

type Writer = (limits: readonly Told[], options: HeaderOptions, answer: CheckAnswer) => Record<string, string>;

const WRITERS: Readonly<Record<Exclude<HeaderStyle, 'none'>, Writer>> = {
  'draft-10': (limits, { partition }, { degraded }) => {
    const pk = partition === undefined ? '' : `;pk=${sfBytes(partitionOf(partition))}`;
    const mark = degraded === undefined ? '' : `;plinth-degraded=${degraded}`;
    const named = limits.map((limit) => ({ limit, name: sfString(limit.name) }));
    return {
      'ratelimit-policy': named.map(({ limit, name }) => `${name};${policyOf10(limit)}${pk}`).join(', '),
      ratelimit: named.map(({ limit, name }) => `${name};${stateOf10(limit)}${pk}${mark}`).join(', '),
    };
  },

  'draft-7': (limits) => {
    const { limit, remaining, reset } = numbersOf(nearest(limits));
    return {
      'ratelimit-policy': limits.map(quotaPolicy).join(', '),
      ratelimit: `limit=${limit}, remaining=${remaining}, reset=${reset}`,
    };
  },

  'draft-6': (limits) => {
    const { limit, remaining, reset } = numbersOf(nearest(limits));
    return {
      'ratelimit-policy': limits.map(quotaPolicy).join(', '),
      'ratelimit-limit': limit,
      'ratelimit-remaining': remaining,
      'ratelimit-reset': reset,
    };
  },

  x: (limits, { nowMs = Date.now() }) => {
    const nearestLimit = nearest(limits);
    const { limit, remaining } = numbersOf(nearestLimit);
    const reset = sfInteger(Math.ceil((nowMs + moreInMs(nearestLimit)) / 1_000));
    return { 'x-ratelimit-limit': limit, 'x-ratelimit-remaining': remaining, 'x-ratelimit-reset': reset };
  },

  envoy: (limits) => {
    const { limit, remaining, reset } = numbersOf(nearest(limits));
    const policies = limits.map((told) => `${quotaPolicy(told)};name=${sfString(told.name)}`);
    return {
      'x-ratelimit-limit': [limit, ...policies].join(', '),
      'x-ratelimit-remaining': remaining,
      'x-ratelimit-reset': reset,
    };
  },
};

function policyOf10(limit: Told): string {
  const quota = `q=${sfInteger(limit.limit)}`;
  if (limit.algorithm === 'concurrency' || limit.algorithm === 'adaptive') return `${quota};qu="concurrent-requests"`;
  return limit.windowMs === undefined ? quota : `${quota};w=${secondsOf(limit.windowMs)}`;
}

function stateOf10(limit: Told): string {
  return `r=${sfInteger(remainingOf(limit))};t=${sfInteger(secondsOf(moreInMs(limit)))}`;
}

/** `10;w=1`: the quota policy of the drafts before 8. */
function quotaPolicy(limit: Told): string {
  const quota = sfInteger(limit.limit);
  return limit.windowMs === undefined ? quota : `${quota};w=${secondsOf(limit.windowMs)}`;
}

function numbersOf(limit: Told): { limit: string; remaining: string; reset: string } {
  return {
    limit: sfInteger(limit.limit),
    remaining: sfInteger(remainingOf(limit)),
    reset: sfInteger(secondsOf(moreInMs(limit))),
  };
}

const remainingOf = (limit: LimitAnswer): number => limit.remaining ?? 0;

/** Until a limit has more than now: for one that denies what it was asked, for another all of it. */
function moreInMs({ allowed, retryAfterMs, resetMs }: LimitAnswer): number {
  return (allowed ? undefined : retryAfterMs) ?? resetMs ?? 0;
}

/** The one limit that styles without names tell of: of those that deny the one that does so longest, else who has least. */
function nearest(limits: readonly Told[]): Told {
  return limits.reduce((best, limit) => (isNearer(limit, best) ? limit : best));
}

function isNearer(one: Told, other: Told): boolean {
  if (one.allowed !== other.allowed) return !one.allowed;
  return one.allowed ? remainingOf(one) < remainingOf(other) : moreInMs(one) > moreInMs(other);
}

function isTold(limit: LimitAnswer): limit is Told {
  return limit.limit !== undefined && limit.shadow !== true;
}

/** Seconds rounded up: who waits so long is not early, and a window is never told shorter than it is. */
const secondsOf = (ms: number): number => Math.ceil(ms / 1_000);

/** 12 bytes tell 2⁴⁸ callers apart. */
const PARTITION_BYTES = 12;

function partitionOf({ key, secret }: { key: string; secret: string }): Buffer {
  return createHmac('sha256', secret).update(key).digest().subarray(0, PARTITION_BYTES);
}
