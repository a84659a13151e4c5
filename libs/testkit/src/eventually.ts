import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Tries until it works: resolves with the value of `attempt` once that neither throws nor gives `false`.
 *
 * @param timeoutMs - 5,000 by default; the last failure is thrown as the cause.
 * @param intervalMs - Pause between attempts, 20 by default.
 */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  { timeoutMs = 5_000, intervalMs = 20 }: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<Exclude<T, false>> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const outcome = await tryOnce(attempt);
    if ('value' in outcome) return outcome.value;
    if (performance.now() >= deadlineMs) throw timedOut(timeoutMs, outcome.error);
    await sleep(intervalMs);
  }
}

async function tryOnce<T>(attempt: () => T | Promise<T>): Promise<{ value: Exclude<T, false> } | { error: unknown }> {
  try {
    const value = await attempt();
    return value === false ? { error: new Error('it was still false') } : { value: value as Exclude<T, false> };
  } catch (error) {
    return { error };
  }
}

function timedOut(timeoutMs: number, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Error(`not within ${timeoutMs} ms: ${reason}`, { cause });
}
