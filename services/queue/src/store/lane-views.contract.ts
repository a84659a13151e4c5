/** The part of the battery about what people see: one job, lists, figures. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { JOB_STATES } from '../core/job.ts';
import { idsOf, type LaneBench, LONG_MS, named, namesOf } from './lane-bench.contract.ts';

export function views(bench: LaneBench): void {
  lists(bench);
  counts(bench);
}

function lists(bench: LaneBench): void {
  test('a job shows who is to be told of its end, before and behind it', async () => {
    const queue = await bench.queue();
    const told = {
      callbackUrl: 'https://example.org/done',
      failureCallbackUrl: 'https://example.org/failed',
      resultTo: 'kv://results/it',
      tracestate: 'a=b',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    };
    const [id] = await bench.add(queue, told);
    expect(await bench.view(queue, id!)).toMatchObject(told);
    await bench.ack(queue, await bench.leaseOne(queue));
    expect(await bench.view(queue, id!)).toMatchObject({ ...told, state: 'completed' });
  });

  test('a list shows the newest first, page by page, each once', async () => {
    const queue = await bench.queue();
    const ids = await bench.add(queue, ...named(25, 'job'));
    const sizes: number[] = [];
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await bench.lane.list(queue, { states: ['waiting'] }, { limit: 10, cursor });
      sizes.push(page.jobs.length);
      seen.push(...idsOf(page.jobs));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(seen).toEqual([...ids].reverse());
    expect(sizes.filter((size) => size > 0)).toEqual([10, 10, 5]);
  });

  test('a list of what has ended shows what ended last first', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(4, 'job'));
    const jobs = await bench.lease(queue, 4);
    for (const at of [2, 0, 3, 1]) {
      await bench.ack(queue, jobs[at]!);
      await sleep(3);
    }
    const page = await bench.lane.list(queue, { states: ['completed'] }, { limit: 10 });
    expect(namesOf(page.jobs)).toEqual(['job1', 'job3', 'job0', 'job2']);
    expect(page.cursor).toBeUndefined();
  });

  test('a list keeps to its filter, in every state', async () => {
    const queue = await bench.queue();
    await bench.add(queue, { name: 'old', tags: ['x'] });
    await sleep(20);
    const middleMs = Date.now();
    await sleep(20);
    await bench.ack(queue, await bench.leaseOne(queue));
    await bench.add(
      queue,
      { name: 'a', tags: ['x', 'y'] },
      { name: 'b', group: 'g', priority: 9 },
      { name: 'a', group: 'g', runAtMs: Date.now() + LONG_MS },
    );
    const states = JOB_STATES;
    const found = async (filter: object) => namesOf(await bench.all(queue, { states, ...filter })).sort();
    expect(await found({})).toEqual(['a', 'a', 'b', 'old']);
    expect(await found({ name: 'a' })).toEqual(['a', 'a']);
    expect(await found({ name: 'a', group: 'g' })).toEqual(['a']);
    expect(await found({ group: '' })).toEqual(['a', 'old']);
    expect(await found({ tag: 'x' })).toEqual(['a', 'old']);
    expect(await found({ tag: 'y' })).toEqual(['a']);
    expect(await found({ tag: 'none' })).toEqual([]);
    expect(await found({ untilMs: middleMs })).toEqual(['old']);
    expect(await found({ fromMs: middleMs })).toEqual(['a', 'a', 'b']);
    expect(await found({ states: ['completed'], name: 'a' })).toEqual([]);
    expect(await found({ states: ['scheduled', 'completed'] })).toEqual(['a', 'old']);
    expect(await found({ states: [] })).toEqual([]);
  });

  test('pages over several states show each job once', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(12, 'a'), ...named(7, 'b', { group: 'g' }), ...named(5, 'c', { priority: 3 }));
    await bench.ack(queue, ...(await bench.lease(queue, 6)));
    await bench.lease(queue, 3);
    const jobs = await bench.all(queue, { states: ['waiting', 'leased', 'completed'] }, 4);
    expect(jobs).toHaveLength(24);
    expect(new Set(idsOf(jobs)).size).toBe(24);
  });

  test('what comes and goes between two pages neither hides nor doubles what stays', async () => {
    const queue = await bench.queue();
    const ids = await bench.add(queue, ...named(20, 'job', { runAtMs: Date.now() + LONG_MS }));
    const first = await bench.lane.list(queue, { states: ['scheduled'] }, { limit: 8 });
    await bench.add(queue, { runAtMs: Date.now() + 2 * LONG_MS });
    await bench.lane.cancel(queue, [first.jobs[0]!.id], 'gone');
    const rest: string[] = [];
    let cursor = first.cursor;
    while (cursor !== undefined) {
      const page = await bench.lane.list(queue, { states: ['scheduled'] }, { limit: 8, cursor });
      rest.push(...idsOf(page.jobs));
      cursor = page.cursor;
    }
    expect([...idsOf(first.jobs), ...rest].sort()).toEqual([...ids].sort());
  });

  test('one among many is found, a page at a time', async () => {
    const queue = await bench.queue();
    await bench.add(queue, { name: 'needle', tags: ['sharp'] });
    for (let round = 0; round < 3; round++) await bench.add(queue, ...named(700, 'hay'));
    expect(namesOf(await bench.all(queue, { states: ['waiting'], tag: 'sharp' }))).toEqual(['needle']);
  });

  test('a cursor that no list gave is an error that says so', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    for (const cursor of ['?', 'bm9uc2Vuc2U', '{}']) {
      const asked = bench.lane.list(queue, { states: ['waiting'] }, { limit: 5, cursor });
      await expect(asked).rejects.toThrow(/cursor/);
    }
  });
}

function counts(bench: LaneBench): void {
  test('figures are there before there is any job', async () => {
    const queue = await bench.queue();
    const stats = await bench.lane.stats(queue);
    expect(Object.keys(stats.counts).sort()).toEqual([...JOB_STATES].sort());
    expect(new Set(Object.values(stats.counts))).toEqual(new Set([0]));
    expect(new Set(Object.values(stats.totals))).toEqual(new Set([0]));
    expect(stats).toMatchObject({ oldestWaitingMs: 0, isPaused: false, pausedGroups: [] });
    expect(stats.bytes).toBeGreaterThanOrEqual(0);
    expect(await bench.lane.queues()).toContain(queue);
  });

  test('figures follow the jobs through their states', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(6, 'job'), ...named(2, 'later', { runAtMs: Date.now() + LONG_MS }));
    const [a, b, c] = await bench.lease(queue, 4);
    await bench.ack(queue, a!);
    await bench.fail(queue, b!, { retryAfterMs: LONG_MS });
    await bench.fail(queue, c!, { isFinal: true });
    const stats = await bench.lane.stats(queue);
    expect(stats.counts).toEqual({
      ...{ waiting: 2, scheduled: 2, retrying: 1, leased: 1, completed: 1, dead: 1, cancelled: 0 },
      'waiting-children': 0,
    });
    expect(stats.totals).toEqual({
      ...{ enqueued: 8, completed: 1, failed: 2, retried: 1, dead: 1, stalled: 0, cancelled: 0, expired: 0 },
    });
    expect(await bench.other.stats(queue)).toMatchObject({ counts: stats.counts, totals: stats.totals });
    await bench.expectSound(queue);
  });

  test('the age of the oldest counts from when it could first have been leased, and is 0 when none waits', async () => {
    const queue = await bench.queue();
    const [later] = await bench.add(queue, { runAtMs: Date.now() + LONG_MS });
    expect((await bench.lane.stats(queue)).oldestWaitingMs).toBe(0);
    const beforeMs = Date.now();
    await bench.add(queue, { group: 'g', priority: 5 });
    await sleep(200);
    await bench.add(queue, ...named(3, 'young'));
    const { oldestWaitingMs } = await bench.lane.stats(queue);
    expect(oldestWaitingMs).toBeGreaterThanOrEqual(198);
    expect(oldestWaitingMs).toBeLessThanOrEqual(Date.now() - beforeMs + 2);
    await bench.lease(queue, 4);
    expect((await bench.lane.stats(queue)).oldestWaitingMs).toBe(0);
    const promotedMs = Date.now();
    await bench.lane.promote(queue, later!);
    expect((await bench.lane.stats(queue)).oldestWaitingMs).toBeLessThanOrEqual(Date.now() - promotedMs + 5);
  });

  test('more data are more bytes', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const { bytes } = await bench.lane.stats(queue);
    await bench.add(queue, ...named(50, 'big', { data: JSON.stringify('x'.repeat(20_000)) }));
    expect((await bench.lane.stats(queue)).bytes).toBeGreaterThan(bytes + 500_000);
  });
}
