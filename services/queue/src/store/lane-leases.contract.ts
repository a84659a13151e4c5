/** The part of the battery about order, leases and their tokens, and two callers at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import type { LeasedJob } from '../core/job.ts';
import type { Lane } from './lane.ts';
import {
  idsOf,
  type LaneBench,
  LONG_MS,
  MINUTE_MS,
  named,
  namesOf,
  newJob,
  outcomesOf,
  SHORT_MS,
} from './lane-bench.contract.ts';

export function orders(bench: LaneBench): void {
  test('what comes first is leased first, singly and in batches', async () => {
    const queue = await bench.queue();
    const ids = await bench.add(queue, ...named(12, 'job'));
    expect(new Set(ids).size).toBe(12);
    const leased = [await bench.leaseOne(queue), await bench.leaseOne(queue), ...(await bench.lease(queue, 10))];
    expect(idsOf(leased)).toEqual(ids);
    expect(await bench.lease(queue, 1)).toEqual([]);
    await bench.expectSound(queue);
  });

  test('a lower priority number goes first, 0 before all, equal ones in the order they came', async () => {
    const queue = await bench.queue();
    const priorities = [7, 0, 2_097_151, 1, 0, 7, 1];
    await bench.add(queue, ...priorities.map((priority, at) => ({ priority, name: `${priority}/${at}` })));
    const first = await bench.leaseOne(queue);
    const rest = await bench.lease(queue, 10);
    expect(namesOf([first, ...rest])).toEqual(['0/1', '0/4', '1/3', '1/6', '7/0', '7/5', '2097151/2']);
    await bench.expectSound(queue);
  });

  test('a job for later is scheduled, is leased by nobody before, and is promoted when its time has come', async () => {
    const queue = await bench.queue();
    const [later] = await bench.add(queue, { runAtMs: Date.now() + MINUTE_MS, name: 'later' });
    const runAtMs = Date.now() + SHORT_MS;
    const [soon] = await bench.add(queue, { runAtMs, name: 'soon' });
    const answer = await bench.lane.lease(queue, { max: 2, leaseMs: LONG_MS, worker: 'tester' });
    expect(await bench.stateOf(queue, later!)).toBe('scheduled');
    const [early] = answer.jobs;
    if (early === undefined) expect(answer.nextInMs).toBeLessThanOrEqual(SHORT_MS);
    else expect(Date.now()).toBeGreaterThanOrEqual(runAtMs - 2);
    await sleep(Math.max(0, runAtMs + 5 - Date.now()));
    const promoted = (await bench.lane.tick(queue)).promoted;
    for (const { lateMs } of promoted) expect(lateMs).toBeGreaterThanOrEqual(0);
    const leased =
      early ??
      (await eventually(async () => {
        await bench.lane.tick(queue);
        return bench.leaseOne(queue);
      }));
    expect(leased).toMatchObject({ id: soon, name: 'soon' });
    expect(Math.abs(leased.dueAtMs - runAtMs)).toBeLessThanOrEqual(2);
    expect(await bench.lease(queue, 1)).toEqual([]);
    expect(await bench.view(queue, later!)).toMatchObject({ state: 'scheduled', attempt: 0 });
    await bench.expectSound(queue);
  });

  test('a run time that is past is now', async () => {
    const queue = await bench.queue();
    const added = await bench.lane.add(queue, [newJob({ runAtMs: Date.now() - 5_000 }), newJob({ runAtMs: 1 })]);
    expect(added).toMatchObject([{ state: 'waiting' }, { state: 'waiting' }]);
    expect(await bench.lease(queue, 5)).toHaveLength(2);
  });

  test('an answer without jobs says when asking again is worth it', async () => {
    const queue = await bench.queue();
    const ask = { max: 1, leaseMs: LONG_MS, worker: 'tester' };
    expect(await bench.lane.lease(queue, ask)).toMatchObject({ jobs: [], nextInMs: undefined, isPaused: false });
    await bench.add(queue, { runAtMs: Date.now() + MINUTE_MS });
    const { nextInMs } = await bench.lane.lease(queue, ask);
    expect(nextInMs).toBeGreaterThan(MINUTE_MS / 2);
    expect(nextInMs).toBeLessThanOrEqual(MINUTE_MS);
  });

  test('adding nothing adds nothing, and a queue that was never used is empty', async () => {
    const queue = await bench.queue();
    expect(await bench.lane.add(queue, [])).toEqual([]);
    expect(await bench.lane.settle(queue, [])).toEqual([]);
    expect(await bench.lane.renew(queue, [])).toEqual([]);
    expect(await bench.lane.get(queue, 'nobody')).toBeUndefined();
    expect(await bench.lane.list(queue, { states: ['waiting'] }, { limit: 5 })).toEqual({
      jobs: [],
      cursor: undefined,
    });
    await bench.expectSound(queue);
  });
}

export function leases(bench: LaneBench): void {
  test('a leased job comes with all that it was enqueued with', async () => {
    const queue = await bench.queue();
    const beforeMs = Date.now();
    const wish = {
      name: 'mail:send {x} "é" \u{1f4e8}',
      data: JSON.stringify({ text: 'a\u0000b\n\u{1f600}|:,"\\', list: [1, null, true, {}] }),
      group: 'ten|ant:{7}*?[a] ü',
      tags: ['a', 'b:c', 'd,e', 'ü|{}'],
      attempts: 3,
      timeoutMs: MINUTE_MS,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'vendor=a:b,other=c|d',
    };
    const [id] = await bench.add(queue, wish);
    const leased = await bench.leaseOne(queue, MINUTE_MS);
    const { attempts, timeoutMs, ...words } = wish;
    expect(leased).toMatchObject({ ...words, id, attempts, timeoutMs, attempt: 1, stalls: 0 });
    expect(leased.enqueuedAtMs).toBeGreaterThanOrEqual(beforeMs - 1);
    expect(leased.dueAtMs).toBeLessThanOrEqual(Date.now() + 1);
    expect(leased.deadlineMs).toBeGreaterThanOrEqual(beforeMs + MINUTE_MS - 1);
    expect(leased.deadlineMs).toBeLessThanOrEqual(Date.now() + MINUTE_MS + 1);
    const { traceparent, name, data, group, tags } = wish;
    expect(await bench.view(queue, id!)).toMatchObject({ id, queue, name, data, group, tags, traceparent, attempts });
  });

  test('256 KiB of data and 64 KiB of result come back as they went', async () => {
    const queue = await bench.queue();
    const data = JSON.stringify('ü'.repeat(131_000));
    const result = JSON.stringify('r'.repeat(65_000));
    const [id] = await bench.add(queue, { data });
    const job = await bench.leaseOne(queue);
    expect(job.data === data).toBe(true);
    await bench.lane.settle(queue, [{ id: id!, token: job.token, kind: 'ack', result }]);
    const view = await bench.view(queue, id!);
    expect([view.data === data, view.result === result]).toEqual([true, true]);
  });

  test('tokens are decimal digits and greater with each lease', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {}, {}, {});
    const tokens: string[] = [];
    for (let round = 0; round < 3; round++) {
      const jobs = await bench.lease(queue, 3);
      tokens.push(...jobs.map(({ token }) => token));
      await bench.release(queue, ...jobs);
    }
    expect(tokens).toHaveLength(9);
    for (const token of tokens) expect(token).toMatch(/^[0-9]+$/);
    const rounds = [0, 3, 6].map((at) => tokens.slice(at, at + 3).map(BigInt));
    const most = (some: bigint[]) => some.reduce((a, b) => (a > b ? a : b));
    const least = (some: bigint[]) => some.reduce((a, b) => (a < b ? a : b));
    expect(most(rounds[0]!) < least(rounds[1]!)).toBe(true);
    expect(most(rounds[1]!) < least(rounds[2]!)).toBe(true);
    expect(new Set(tokens).size).toBe(9);
  });

  test('an ack completes the job and keeps its result', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const { id, token } = await bench.leaseOne(queue);
    expect(await bench.view(queue, id)).toMatchObject({ state: 'leased', attempt: 1, worker: 'tester' });
    const settled = await bench.lane.settle(queue, [{ id, token, kind: 'ack', result: '{"sum":42}' }]);
    expect(settled).toMatchObject([{ id, state: 'completed' }]);
    const view = await bench.view(queue, id);
    expect(view).toMatchObject({ state: 'completed', result: '{"sum":42}', attempt: 1, stalls: 0 });
    expect(view.history).toMatchObject([{ attempt: 1, outcome: 'completed', worker: 'tester' }]);
    expect(view.startedAtMs).toBeLessThanOrEqual(view.finishedAtMs!);
    await bench.expectSound(queue);
  });

  test('a token that is not the present one changes nothing', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const job = await bench.leaseOne(queue);
    for (const token of ['0', `${BigInt(job.token) + 1n}`, `${job.token}0`, '']) {
      const wrong = { id: job.id, token };
      expect(await bench.ack(queue, wrong)).toEqual(['lost']);
      expect(await bench.fail(queue, wrong)).toMatchObject({ id: job.id, refused: 'lost' });
      expect(await bench.release(queue, wrong)).toEqual(['lost']);
      expect(await bench.renew(queue, wrong)).toMatchObject({ id: job.id, refused: 'lost' });
    }
    expect(await bench.view(queue, job.id)).toMatchObject({ state: 'leased', attempt: 1, error: undefined });
    expect(await bench.ack(queue, job)).toEqual(['completed']);
    expect(await bench.ack(queue, job)).toEqual(['lost']);
    expect(await bench.renew(queue, job)).toMatchObject({ refused: 'lost' });
    await bench.expectSound(queue);
  });

  test('what waits can be neither acknowledged nor renewed, and what is not there is unknown', async () => {
    const queue = await bench.queue();
    const [id] = await bench.add(queue, {});
    expect(await bench.ack(queue, { id: id!, token: '1' }, { id: 'nobody', token: '1' })).toEqual(['lost', 'unknown']);
    expect(await bench.renew(queue, { id: id!, token: '1' })).toMatchObject({ refused: 'lost' });
    expect(await bench.renew(queue, { id: 'nobody', token: '1' })).toMatchObject({ refused: 'unknown' });
    expect(await bench.stateOf(queue, id!)).toBe('waiting');
  });

  test('of a batch each is settled by itself and answered in its place', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(4, 'job'));
    const [a, b, c, d] = (await bench.lease(queue, 4)) as [LeasedJob, LeasedJob, LeasedJob, LeasedJob];
    const error = { type: 'E', message: 'm', stack: undefined };
    const settled = await bench.lane.settle(queue, [
      { id: a.id, token: a.token, kind: 'ack', result: undefined },
      { id: b.id, token: '0', kind: 'ack', result: undefined },
      { id: c.id, token: c.token, kind: 'fail', error, retryAfterMs: undefined, isFinal: true },
      { id: a.id, token: a.token, kind: 'ack', result: undefined },
      { id: 'nobody', token: '1', kind: 'release' },
      { id: d.id, token: d.token, kind: 'release' },
    ]);
    expect(outcomesOf(settled)).toEqual(['completed', 'lost', 'dead', 'lost', 'unknown', 'waiting']);
    expect(idsOf(settled)).toEqual([a.id, b.id, c.id, a.id, 'nobody', d.id]);
    await bench.expectSound(queue);
  });

  test('a turn settles and leases in one', async () => {
    const queue = await bench.queue({ concurrency: 1 });
    const ids = await bench.add(queue, {}, {});
    const { id, token } = await bench.leaseOne(queue);
    const turn = await bench.lane.turn(
      queue,
      [
        { id, token, kind: 'ack', result: undefined },
        { id: 'nobody', token, kind: 'release' },
      ],
      { max: 5, leaseMs: LONG_MS, worker: 'tester' },
    );
    expect(outcomesOf(turn.settled)).toEqual(['completed', 'unknown']);
    expect(idsOf(turn.jobs)).toEqual([ids[1]]);
    const empty = await bench.lane.turn(queue, [], { max: 5, leaseMs: LONG_MS, worker: 'tester' });
    expect(empty).toMatchObject({ settled: [], jobs: [] });
  });

  test('what is enqueued for somebody who waits is leased along, after what waited before', async () => {
    if (bench.lane.addLease === undefined) return;
    const queue = await bench.queue({ jobsMax: 4 });
    const [first] = await bench.add(queue, {});
    const later = newJob({ runAtMs: Date.now() + LONG_MS });
    const ask = { max: 2, leaseMs: LONG_MS, worker: 'tester' };
    const both = await bench.lane.addLease(queue, [newJob({}), later, newJob({}), newJob({})], ask);
    const ids = both.added.map((one) => ('id' in one ? one.id : one.refused));
    expect(ids[3]).toBe('queue_full');
    expect(idsOf(both.jobs)).toEqual([first, ids[0]]);
    expect(both.added.map((one) => ('id' in one ? one.state : ''))).toEqual(['waiting', 'scheduled', 'waiting', '']);
    expect(idsOf(await bench.lease(queue, 5))).toEqual([ids[2]]);
    await bench.expectSound(queue);
  });

  test('a queue that is paused takes what comes and lends nothing', async () => {
    if (bench.lane.addLease === undefined) return;
    const queue = await bench.queue();
    await bench.lane.pause(queue);
    const ask = { max: 2, leaseMs: LONG_MS, worker: 'tester' };
    expect(await bench.lane.addLease(queue, [newJob({})], ask)).toMatchObject({ jobs: [], isPaused: true });
    await bench.lane.resume(queue);
    expect(await bench.lease(queue, 5)).toHaveLength(1);
  });

  test('a renewed lease outlives its first deadline, with progress and log to be seen', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const { id, token, deadlineMs } = await bench.leaseOne(queue, 5_000);
    const renewal = { id, token, leaseMs: LONG_MS, progress: '{"done":3}', log: ['one', 'two: {"x"}'] };
    const [renewed] = await bench.lane.renew(queue, [renewal]);
    expect(renewed).toMatchObject({ id, cancel: undefined });
    expect('refused' in renewed! ? 0 : renewed!.deadlineMs).toBeGreaterThan(deadlineMs);
    await bench.lane.renew(queue, [{ ...renewal, progress: undefined, log: ['three'] }]);
    const view = await bench.view(queue, id);
    expect(view).toMatchObject({ state: 'leased', progress: '{"done":3}', log: ['one', 'two: {"x"}', 'three'] });
    expect(await bench.lane.tick(queue)).toMatchObject({ stalled: [] });
    expect(await bench.ack(queue, { id, token })).toEqual(['completed']);
    expect(await bench.view(queue, id)).toMatchObject({ progress: '{"done":3}' });
  });

  test('a log keeps 100 lines of 1 KiB', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const job = await bench.leaseOne(queue);
    const renewal = { id: job.id, token: job.token, leaseMs: LONG_MS, progress: undefined };
    for (const prefix of ['a', 'b', 'c']) {
      await bench.lane.renew(queue, [{ ...renewal, log: Array.from({ length: 50 }, (_, at) => `${prefix}${at}`) }]);
    }
    await bench.lane.renew(queue, [{ ...renewal, log: ['x'.repeat(5_000)] }]);
    const { log } = await bench.view(queue, job.id);
    expect(log).toHaveLength(100);
    for (const line of log) expect(line.length).toBeLessThanOrEqual(1_024);
  });

  test('two callers at once share the jobs out: none twice, none left', async () => {
    const queue = await bench.queue();
    const ids = await bench.add(queue, ...named(300, 'job'));
    const work = async (lane: Lane) => {
      const mine: LeasedJob[] = [];
      for (;;) {
        const { jobs } = await lane.lease(queue, { max: 7, leaseMs: LONG_MS, worker: 'tester' });
        if (jobs.length === 0) return mine;
        mine.push(...jobs);
        await lane.settle(
          queue,
          jobs.map(({ id, token }) => ({ id, token, kind: 'ack', result: undefined })),
        );
      }
    };
    const done = (await Promise.all([bench.lane, bench.other, bench.lane, bench.other].map(work))).flat();
    expect(idsOf(done).sort()).toEqual([...ids].sort());
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ completed: 300, waiting: 0, leased: 0 });
    await bench.expectSound(queue);
  });

  test('of two that settle one lease at once, one wins', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(20, 'job'));
    const jobs = await bench.lease(queue, 20);
    const settlements = jobs.map(({ id, token }) => ({ id, token, kind: 'ack' as const, result: undefined }));
    const answers = await Promise.all([bench.lane, bench.other].map((lane) => lane.settle(queue, settlements)));
    const pairs = jobs.map((_, at) => answers.map((settled) => outcomesOf([settled[at]!])[0]).sort());
    expect(pairs).toEqual(jobs.map(() => ['completed', 'lost']));
    expect((await bench.lane.stats(queue)).totals.completed).toBe(20);
  });
}
