/** From a verdict to the JSON that callers read, which has no Infinity: null says never. */
import type { CheckAnswer, LimitAnswer } from '@plinth/contracts/ratelimit';
import type { Limit, Verdict } from '../core/verdict.ts';
import { ceilMs, retryMs } from '../core/whole-times.ts';

export function checkAnswer(verdict: Verdict): CheckAnswer {
  const limits: LimitAnswer[] = [];
  let violated: string[] | undefined;
  for (const limit of verdict.limits) {
    if (limit === undefined) continue;
    limits.push(limitAnswer(limit));
    if (verdict.isAllowed || limit.isAllowed || limit.isShadow) continue;
    violated ??= [];
    violated.push(limit.name);
  }
  const answer: CheckAnswer = { allowed: verdict.isAllowed, limits };
  if (violated !== undefined) answer.violated = violated;
  if (!verdict.isAllowed) answer.retryAfterMs = retryMs(verdict.retryAfterUs);
  if (verdict.delayUs > 0) answer.delayMs = ceilMs(verdict.delayUs);
  if (verdict.degraded !== undefined) answer.degraded = verdict.degraded;
  return answer;
}

function limitAnswer(limit: Limit): LimitAnswer {
  const { policy } = limit;
  const answer: LimitAnswer = { name: limit.name, allowed: limit.isAllowed };
  if (policy !== undefined && limit.because !== 'allow-list') {
    answer.algorithm = policy.name;
    answer.limit = policy.limit;
    answer.windowMs = policy.windowUs / 1_000;
    answer.remaining = Math.max(0, limit.remaining);
    answer.resetMs = ceilMs(limit.resetUs);
  }
  if (!limit.isAllowed) answer.retryAfterMs = retryMs(limit.retryAfterUs);
  if (limit.isShadow) answer.shadow = true;
  if (limit.because !== undefined) answer.because = limit.because;
  return answer;
}

/** As `JSON.stringify(checkAnswer(verdict))`, without the objects. */
export function checkText(verdict: Verdict): string {
  const { isAllowed, limits, retryAfterUs, delayUs, degraded } = verdict;
  let text = isAllowed ? '{"allowed":true,"limits":[' : '{"allowed":false,"limits":[';
  let violated = '';
  let isFirst = true;
  for (let at = 0; at < limits.length; at++) {
    const limit = limits[at];
    if (limit === undefined) continue;
    text += isFirst ? limitText(limit) : `,${limitText(limit)}`;
    isFirst = false;
    if (isAllowed || limit.isAllowed || limit.isShadow) continue;
    violated += violated === '' ? JSON.stringify(limit.name) : `,${JSON.stringify(limit.name)}`;
  }
  text += ']';
  if (violated !== '') text += `,"violated":[${violated}]`;
  if (!isAllowed) text += `,"retryAfterMs":${retryMs(retryAfterUs)}`;
  if (delayUs > 0) text += `,"delayMs":${ceilMs(delayUs)}`;
  return degraded === undefined ? `${text}}` : `${text},"degraded":"${degraded}"}`;
}

/** Names have neither quotes nor escapes as a rule; those that do are written by the book. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

function limitText({ name, policy, isAllowed, because, isShadow, remaining, resetUs, retryAfterUs }: Limit): string {
  let text = `{"name":${PLAIN.test(name) ? `"${name}"` : JSON.stringify(name)},"allowed":${isAllowed}`;
  if (policy !== undefined && because !== 'allow-list') {
    text += `,"algorithm":"${policy.name}","limit":${policy.limit},"windowMs":${policy.windowUs / 1_000}`;
    text += `,"remaining":${Math.max(0, remaining)},"resetMs":${ceilMs(resetUs)}`;
  }
  if (!isAllowed) text += `,"retryAfterMs":${retryMs(retryAfterUs)}`;
  if (isShadow) text += ',"shadow":true';
  return because === undefined ? `${text}}` : `${text},"because":"${because}"}`;
}
