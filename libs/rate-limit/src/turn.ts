/** Answers at once and answers later. */
import type { CheckAnswer } from '@plinth/contracts/ratelimit';

/** Also of another library, or of another realm: functions of the program may give back any. */
export function isLater<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value;
}

/**
 * Limits that make wait (`leaky`): who is let in goes on when its turn has come. Without a promise where nobody waits.
 */
export function atItsTurn(answer: CheckAnswer | Promise<CheckAnswer>): CheckAnswer | Promise<CheckAnswer> {
  if (isLater(answer)) return answer.then(atItsTurn);
  const { allowed, delayMs = 0 } = answer;
  if (!allowed || delayMs === 0) return answer;
  return new Promise((resolve) => setTimeout(resolve, delayMs, answer));
}
