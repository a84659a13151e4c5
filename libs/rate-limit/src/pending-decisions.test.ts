import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import type { CheckAnswer, CheckRequest } from '@plinth/contracts/ratelimit';
import { CheckQueue } from './check-queue.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { PendingDecisions } from './pending-decisions.ts';

const CHECK: CheckRequest = { limit: 'a', key: 'k' };
const LATE: CheckAnswer = { allowed: true, limits: [], degraded: 'open' };
const TOLD: CheckAnswer = { allowed: true, limits: [] };
const now = () => performance.now();

const decisionsOf = (timeoutMs: number, waitingMax = 10) =>
  new PendingDecisions({ timeoutMs, waitingMax, now, late: () => LATE });

describe('decisions that are waited for', () => {
  test('are told at their own deadlines, also when nobody ever answers', async () => {
    const decisions = decisionsOf(60);
    const startedMs = now();
    const tookMs = [0, 0, 0].map(async (_, at) => {
      // All before the first deadline, so that one timer after the other has to be set.
      await sleep(at * 20);
      const openedMs = now();
      expect(await decisions.open(CHECK)!.promise).toBe(LATE);
      return now() - openedMs;
    });
    for (const ms of await Promise.all(tookMs)) {
      expect(ms).toBeGreaterThanOrEqual(59);
      expect(ms).toBeLessThan(110);
    }
    expect(now() - startedMs).toBeLessThan(250);
    expect(decisions.size).toBe(0);
  });

  test('are told once: what comes later changes nothing', async () => {
    const decisions = decisionsOf(20);
    const one = decisions.open(CHECK)!;
    one.settle(TOLD);
    one.settle(LATE);
    one.fail(new Error('late'));
    expect(await one.promise).toBe(TOLD);
    await sleep(40);
    expect([decisions.size, one.isSettled]).toEqual([0, true]);
  });

  test('are as many as may wait and no more; one that is told makes room', () => {
    const decisions = decisionsOf(1_000, 2);
    const [one, two, three] = [decisions.open(CHECK), decisions.open(CHECK), decisions.open(CHECK)];
    expect([one === undefined, two === undefined, three === undefined]).toEqual([false, false, true]);
    one!.settle(TOLD);
    expect(decisions.open(CHECK)).toBeDefined();
    decisions.endAll();
    expect(decisions.size).toBe(0);
  });
});

test('checks that gathered until the circuit opened are not sent any more', async () => {
  const breaker = new CircuitBreaker({ failuresMax: 3, openMs: 1_000, now });
  const sent: unknown[] = [];
  const send = async (checks: readonly CheckRequest[]) => {
    sent.push(checks);
    return checks.map(() => TOLD);
  };
  const queue = new CheckQueue({ send, breaker, gatherMs: 2, now, away: () => LATE });
  const pending = decisionsOf(1_000).open(CHECK)!;
  queue.add(pending);
  for (let at = 0; at < 3; at++) breaker.failed('away');
  expect(await pending.promise).toBe(LATE);
  expect(sent).toEqual([]);
});
