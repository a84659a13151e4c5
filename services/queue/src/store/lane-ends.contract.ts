/** The part of the battery about how jobs end: retries, timeouts, time to live, retention. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import type { Settled } from '../core/job.ts';
import { idsOf, type LaneBench, LONG_MS, MINUTE_MS, named, namesOf, SHORT_MS } from './lane-bench.contract.ts';

const dueOf = (settled: Settled): number => ('refused' in settled ? Number.NaN : settled.dueAtMs!);

export function retries(bench: LaneBench): void {
  /** Fails a job that is leased now. @returns The shortest and longest that the backoff can have been. */
  const backoffOf = async (queue: string): Promise<{ leastMs: number; mostMs: number }> => {
    const job = await bench.leaseOne(queue);
    const beforeMs = Date.now();
    const settled = await bench.fail(queue, job);
    expect(settled).toMatchObject({ id: job.id, state: 'retrying' });
    const due = dueOf(settled);
    expect((await bench.view(queue, job.id)).dueAtMs).toBe(due);
    expect(await bench.lane.promote(queue, job.id)).toBe(true);
    return { leastMs: due - Date.now() - 2, mostMs: due - beforeMs + 2 };
  };

  test('backoff grows by its factor up to its longest, and after the last attempt the job is dead', async () => {
    const queue = await bench.queue();
    const backoff = { type: 'exponential' as const, delayMs: 10_000, factor: 3, maxMs: 50_000, jitter: 0 };
    const [id] = await bench.add(queue, { attempts: 4, backoff });
    for (const delayMs of [10_000, 30_000, 50_000]) {
      const { leastMs, mostMs } = await backoffOf(queue);
      expect([delayMs, leastMs <= delayMs, mostMs >= delayMs]).toEqual([delayMs, true, true]);
    }
    const last = await bench.leaseOne(queue);
    expect(last).toMatchObject({ attempt: 4, attempts: 4 });
    expect(await bench.fail(queue, last, { message: 'the fourth' })).toMatchObject({ state: 'dead' });
    const view = await bench.view(queue, id!);
    expect(view).toMatchObject({ state: 'dead', attempt: 4, error: { type: 'Error', message: 'the fourth' } });
    expect(view.reason).toEqual(expect.any(String));
    expect(view.history.map(({ attempt, outcome }) => `${attempt} ${outcome}`)).toEqual(
      [1, 2, 3, 4].map((attempt) => `${attempt} failed`),
    );
    const { totals } = await bench.lane.stats(queue);
    expect(totals).toMatchObject({ failed: 4, retried: 3, dead: 1, completed: 0 });
    await bench.expectSound(queue);
  });

  test('a fixed backoff stays as it is', async () => {
    const queue = await bench.queue();
    const backoff = { type: 'fixed' as const, delayMs: 20_000, factor: 2, maxMs: 3_600_000, jitter: 0 };
    await bench.add(queue, { backoff });
    for (let attempt = 1; attempt < 5; attempt++) {
      const { leastMs, mostMs } = await backoffOf(queue);
      expect([leastMs <= 20_000, mostMs >= 20_000]).toEqual([true, true]);
    }
  });

  test('full jitter draws each delay from all of its range', async () => {
    const queue = await bench.queue();
    const backoff = { type: 'fixed' as const, delayMs: 1_000_000, factor: 1, maxMs: 1_000_000, jitter: 1 };
    await bench.add(queue, ...named(40, 'job', { backoff }));
    const jobs = await bench.lease(queue, 40);
    const nowMs = Date.now();
    const error = { type: 'E', message: 'm', stack: undefined };
    const fails = jobs.map(({ id, token }) => ({
      ...{ id, token, kind: 'fail' as const, error, retryAfterMs: undefined, isFinal: false },
    }));
    const delays = (await bench.lane.settle(queue, fails)).map((settled) => dueOf(settled) - nowMs);
    expect(delays.filter((ms) => ms < -2 || ms > 1_000_000 + 5_000)).toEqual([]);
    // Either fails once in 2^40 runs.
    expect(delays.some((ms) => ms < 500_000)).toBe(true);
    expect(delays.some((ms) => ms > 500_000)).toBe(true);
  });

  test('part jitter keeps the rest of the delay', async () => {
    const queue = await bench.queue();
    const backoff = { type: 'fixed' as const, delayMs: 1_000_000, factor: 1, maxMs: 1_000_000, jitter: 0.25 };
    await bench.add(queue, ...named(10, 'job', { backoff }));
    for (const job of await bench.lease(queue, 10)) {
      const delayMs = dueOf(await bench.fail(queue, job)) - Date.now();
      expect(delayMs).toBeGreaterThan(750_000 - 10_000);
      expect(delayMs).toBeLessThanOrEqual(1_000_000);
    }
  });

  test('retryAfterMs stands in for the backoff, and the job is leased again when it is over', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const job = await bench.leaseOne(queue);
    const settled = await bench.fail(queue, job, { retryAfterMs: SHORT_MS });
    expect(settled).toMatchObject({ state: 'retrying' });
    expect(dueOf(settled)).toBeLessThanOrEqual(Date.now() + SHORT_MS + 2);
    const again = await eventually(async () => {
      await bench.lane.tick(queue);
      return bench.leaseOne(queue);
    });
    expect(Date.now()).toBeGreaterThanOrEqual(dueOf(settled) - 2);
    expect(again).toMatchObject({ id: job.id, attempt: 2, stalls: 0 });
    const longer = await bench.fail(queue, again, { retryAfterMs: LONG_MS });
    expect(dueOf(longer)).toBeGreaterThan(Date.now() + LONG_MS - MINUTE_MS);
    await bench.expectSound(queue);
  });

  test('a failure for good leaves no attempt', async () => {
    const queue = await bench.queue();
    const [id] = await bench.add(queue, { attempts: 5 });
    await bench.bury(queue);
    expect(await bench.view(queue, id!)).toMatchObject({ state: 'dead', attempt: 1, error: { message: 'it broke' } });
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ failed: 1, retried: 0, dead: 1 });
  });

  test('one attempt is one attempt', async () => {
    const queue = await bench.queue();
    await bench.add(queue, { attempts: 1 });
    expect(await bench.fail(queue, await bench.leaseOne(queue))).toMatchObject({ state: 'dead' });
  });

  test('a job that is given back has the same attempt again', async () => {
    const queue = await bench.queue();
    await bench.add(queue, { attempts: 1 });
    for (let round = 0; round < 3; round++) {
      const job = await bench.leaseOne(queue);
      expect(job).toMatchObject({ attempt: 1, stalls: 0 });
      expect(await bench.release(queue, job)).toEqual(['waiting']);
      expect(await bench.release(queue, job)).toEqual(['lost']);
    }
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ failed: 0, stalled: 0, completed: 0 });
    await bench.expectSound(queue);
  });

  test('the history keeps the latest 20 attempts', async () => {
    const queue = await bench.queue();
    const [id] = await bench.add(queue, { attempts: 30 });
    for (let attempt = 1; attempt <= 23; attempt++) {
      await bench.fail(queue, await bench.leaseOne(queue), { retryAfterMs: MINUTE_MS });
      await bench.lane.promote(queue, id!);
    }
    const { history } = await bench.view(queue, id!);
    expect(history.map(({ attempt }) => attempt)).toEqual(Array.from({ length: 20 }, (_, at) => at + 4));
  });
}

export function expires(bench: LaneBench): void {
  test('an attempt that runs longer than it may is a failure, even if it is renewed', async () => {
    const queue = await bench.queue();
    const [id] = await bench.add(queue, { timeoutMs: 2 * SHORT_MS, attempts: 2 });
    for (const state of ['retrying', 'dead']) {
      const startedMs = Date.now();
      const job = await bench.leaseOne(queue);
      expect(job.deadlineMs).toBeLessThanOrEqual(Date.now() + 2 * SHORT_MS + 1);
      const renewed = await bench.renew(queue, job, LONG_MS);
      if (!('refused' in renewed)) expect(renewed.deadlineMs).toBeLessThanOrEqual(job.deadlineMs + 1);
      const ended = await eventually(async () => {
        const { timedOut, stalled } = await bench.lane.tick(queue);
        expect(stalled).toEqual([]);
        return timedOut.find((one) => one.id === id) ?? false;
      });
      expect(ended.state).toBe(state);
      expect(Date.now() - startedMs).toBeGreaterThanOrEqual(2 * SHORT_MS - 2);
      expect(await bench.ack(queue, job)).toEqual(['lost']);
      await bench.lane.promote(queue, id!);
    }
    const view = await bench.view(queue, id!);
    expect(view).toMatchObject({ state: 'dead', attempt: 2, stalls: 0, error: { type: 'timeout' } });
    expect(view.history.map(({ outcome }) => outcome)).toEqual(['timed-out', 'timed-out']);
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ failed: 2, stalled: 0, dead: 1 });
    await bench.expectSound(queue);
  });

  test('a lease that ends before the timeout is a stall and not a failure', async () => {
    const queue = await bench.queue();
    await bench.add(queue, { timeoutMs: MINUTE_MS });
    const { id } = await bench.leaseOne(queue, SHORT_MS);
    await eventually(async () => (await bench.lane.tick(queue)).stalled.length === 1);
    expect(await bench.view(queue, id)).toMatchObject({ state: 'waiting', stalls: 1, error: undefined });
  });

  test('what has not been started in its time to live is dead, waiting or scheduled', async () => {
    const queue = await bench.queue();
    const expiresAtMs = Date.now() + 2 * SHORT_MS;
    const ids = await bench.add(
      queue,
      { expiresAtMs },
      { expiresAtMs, priority: 3 },
      { expiresAtMs, runAtMs: Date.now() + LONG_MS },
      { expiresAtMs: Date.now() + LONG_MS, name: 'lives' },
    );
    const expired = new Set<string>();
    await eventually(async () => {
      for (const id of (await bench.lane.tick(queue)).expired) expired.add(id);
      return expired.size === 3;
    });
    expect([...expired].sort()).toEqual(ids.slice(0, 3).sort());
    for (const id of expired) expect(await bench.view(queue, id)).toMatchObject({ state: 'dead', reason: 'expired' });
    expect(namesOf(await bench.lease(queue, 5))).toEqual(['lives']);
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ expired: 3, dead: 3, failed: 0 });
    await bench.expectSound(queue);
  });

  test('an expired job is not handed out, even before it is swept', async () => {
    const queue = await bench.queue();
    const expiresAtMs = Date.now() + SHORT_MS;
    await bench.add(queue, { expiresAtMs }, { name: 'lives' });
    await sleep(SHORT_MS + 20);
    expect(namesOf(await bench.lease(queue, 2))).toEqual(['lives']);
  });

  test('a job that has been started does not expire while it waits for its retry', async () => {
    const queue = await bench.queue();
    const expiresAtMs = Date.now() + 20 * SHORT_MS;
    const [id] = await bench.add(queue, { expiresAtMs });
    await bench.fail(queue, await bench.leaseOne(queue), { retryAfterMs: LONG_MS });
    await sleep(expiresAtMs + 20 - Date.now());
    expect(await bench.lane.tick(queue)).toMatchObject({ expired: [] });
    await bench.lane.promote(queue, id!);
    expect(await bench.leaseOne(queue)).toMatchObject({ id, attempt: 2 });
  });
}

export function forgets(bench: LaneBench): void {
  test('of those that are completed the latest are kept, as many as was asked', async () => {
    const queue = await bench.queue();
    const ids = await bench.add(queue, ...named(8, 'job', { retain: { count: 3, ageMs: LONG_MS } }));
    for (const job of await bench.lease(queue, 8)) await bench.ack(queue, job);
    await eventually(async () => {
      await bench.lane.tick(queue);
      return (await bench.lane.stats(queue)).counts.completed === 3;
    });
    expect(idsOf(await bench.all(queue, { states: ['completed'] })).sort()).toEqual(ids.slice(5).sort());
    expect(await bench.lane.get(queue, ids[0]!)).toBeUndefined();
    expect((await bench.lane.stats(queue)).totals.completed).toBe(8);
    await bench.expectSound(queue, 5);
  });

  test('they are kept as long as was asked', async () => {
    const queue = await bench.queue();
    const [brief, long] = await bench.add(
      queue,
      { retain: { count: 100, ageMs: SHORT_MS } },
      { retain: { count: 100, ageMs: LONG_MS } },
    );
    await bench.ack(queue, ...(await bench.lease(queue, 2)));
    await eventually(async () => {
      await bench.lane.tick(queue);
      return (await bench.lane.get(queue, brief!)) === undefined;
    });
    expect(await bench.stateOf(queue, long!)).toBe('completed');
  });

  test('nothing is kept of what is not to be kept, but a dead letter stays', async () => {
    const queue = await bench.queue();
    const ids = await bench.add(queue, ...named(3, 'job', { retain: { count: 0, ageMs: 0 } }));
    const jobs = await bench.lease(queue, 2);
    expect(await bench.ack(queue, ...jobs)).toEqual(['completed', 'completed']);
    expect(await bench.lane.get(queue, ids[0]!)).toBeUndefined();
    expect(['unknown', 'lost']).toContain((await bench.ack(queue, jobs[0]!))[0]);
    await bench.bury(queue);
    await bench.lane.tick(queue);
    expect(await bench.stateOf(queue, ids[2]!)).toBe('dead');
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ enqueued: 3, completed: 2, dead: 1 });
    await bench.expectSound(queue, 2);
  });
}
