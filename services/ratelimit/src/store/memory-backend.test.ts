/** The battery, and what is particular to the memory of one process. */
import { describe, expect, test } from '@jest/globals';
import { policyOf, processClock } from '@plinth/limiter';
import { ManualClock } from '@plinth/testkit';
import { describeBackend } from './backend.contract.ts';
import { BackendAway } from './backend.ts';
import { Claims } from './claims.ts';
import { MemoryBackend } from './memory-backend.ts';

function manual() {
  const clock = new ManualClock();
  const nowUs = () => clock.now() * 1_000;
  return { clock, nowUs, limiterClock: { nowUs, wallUs: nowUs } };
}

describeBackend('memory with a clock of ours', async () => {
  const { clock, nowUs, limiterClock } = manual();
  const backend = new MemoryBackend({ clock: limiterClock });
  return { backend, nowUs, advance: (ms) => clock.advance(ms), stop: () => backend.stop() };
});

describeBackend('memory in real time', async () => {
  const backend = new MemoryBackend({ clock: processClock() });
  return { backend, stop: () => backend.stop() };
});

const hourly = (key: string) => ({ key, policy: policyOf({ limit: 2, windowMs: 3_600_000 }), cost: 1 });

describe('the memory of one process', () => {
  test('answers at hand: no answer is a promise', async () => {
    const backend = new MemoryBackend({ clock: processClock() });
    const charge = hourly('k');
    expect(Array.isArray(backend.decide([{ charges: [charge], mode: 'take' }]))).toBe(true);
    expect(backend.give([charge])).toBeUndefined();
    expect(backend.claim(charge, 'id', 1_000)).toBe(true);
    expect([backend.notReady(), backend.replicas(), backend.name]).toEqual([undefined, 1, 'memory']);
    await backend.stop();
  });

  test('where there is no room for a key, it is undecided, and known keys stay limited', async () => {
    const { limiterClock } = manual();
    const backend = new MemoryBackend({ clock: limiterClock, statesMax: 2 });
    const ask = (key: string) => ({ charges: [hourly(key)], mode: 'take' as const });
    backend.decide([ask('a'), ask('a'), ask('b')]);
    const [known, unknown, other] = backend.decide([ask('a'), ask('c'), ask('b')]);
    expect([known!.isAllowed, known!.isUndecided]).toEqual([false, undefined]);
    expect(unknown).toMatchObject({ isUndecided: true });
    expect(other!.isAllowed).toBe(true);
    expect(() => backend.grant(hourly('d'), 1, 1)).toThrow(BackendAway);
    await backend.stop();
  });

  test('a sweep frees what has become equal to nothing, and the numbers say so', async () => {
    const { clock, limiterClock } = manual();
    const backend = new MemoryBackend({ clock: limiterClock });
    for (let at = 0; at < 1_000; at++) backend.decide([{ charges: [hourly(`k${at}`)], mode: 'take' }]);
    expect(backend.metrics()).toContain('plinth_ratelimit_states 1000\n');
    clock.advance(3_600_001);
    for (let second = 0; second < 20; second++) {
      clock.advance(1_000);
      backend.sweep();
    }
    expect(backend.metrics()).toContain('plinth_ratelimit_states 0\n');
    await backend.stop();
  });

  test('no more ids are claimed than there is room for, and those whose time is over make room', () => {
    const { clock, limiterClock } = manual();
    const claims = new Claims({ clock: limiterClock, claimsMax: 2 });
    expect([claims.claim('k', 'a', 1_000), claims.claim('k', 'b', 2_000)]).toEqual([true, true]);
    expect([claims.claim('k', 'c', 1_000), claims.claim('k', 'a', 1_000)]).toEqual([undefined, false]);
    clock.advance(999);
    expect(claims.claim('k', 'a', 1_000)).toBe(false);
    clock.advance(1);
    expect(claims.claim('k', 'c', 1_000)).toBe(true);
    expect([claims.size, claims.claim('k', 'b', 1_000)]).toEqual([2, false]);
    clock.advance(1_000);
    expect([claims.sweep(), claims.size]).toEqual([2, 0]);
  });

  test('parts of a claim are told apart', () => {
    const claims = new Claims({ clock: processClock(), claimsMax: 10 });
    expect([claims.claim('a', 'bc', 9_999), claims.claim('ab', 'c', 9_999)]).toEqual([true, true]);
  });
});
