/** The part of the battery about enqueueing the same again. */
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import type { Dedup } from '../core/job.ts';
import { type LaneBench, newJob, SHORT_MS } from './lane-bench.contract.ts';

export function deduplicates(bench: LaneBench): void {
  const dedupOf = (mode: Dedup['mode'], ttlMs?: number, id = 'the-id'): Dedup => ({ id, mode, ttlMs });
  /** Adds one and says what came of it. */
  const add = async (queue: string, dedup: Dedup | undefined, data = '1') => {
    const [added] = await bench.lane.add(queue, [newJob({ dedup, data })]);
    if ('refused' in added!) throw new Error('it was refused');
    return added!;
  };

  test('simple: while the first is not finished, another is the first', async () => {
    const queue = await bench.queue();
    const dedup = dedupOf('simple');
    const first = await add(queue, dedup, '"first"');
    expect(first).toMatchObject({ state: 'waiting', isDuplicate: false });
    expect(await add(queue, dedup, '"second"')).toMatchObject({ id: first.id, isDuplicate: true });
    const job = await bench.leaseOne(queue);
    expect(job.data).toBe('"first"');
    expect(await add(queue, dedup)).toMatchObject({ id: first.id, isDuplicate: true });
    await bench.fail(queue, job, { retryAfterMs: 1_000_000 });
    expect(await add(queue, dedup)).toMatchObject({ id: first.id, isDuplicate: true });
    await bench.lane.promote(queue, first.id);
    await bench.ack(queue, await bench.leaseOne(queue));
    const next = await add(queue, dedup);
    expect(next.isDuplicate).toBe(false);
    expect(next.id).not.toBe(first.id);
    expect((await bench.lane.stats(queue)).totals.enqueued).toBe(2);
    await bench.expectSound(queue);
  });

  test.each(['dead', 'cancelled'])('simple: a %s one is finished too', async (state) => {
    const queue = await bench.queue();
    const first = await add(queue, dedupOf('simple'));
    if (state === 'dead') await bench.bury(queue);
    else await bench.lane.cancel(queue, [first.id], 'no');
    expect(await bench.stateOf(queue, first.id)).toBe(state);
    expect((await add(queue, dedupOf('simple'))).isDuplicate).toBe(false);
  });

  test('simple with a time outlives the job, also one of which nothing is kept', async () => {
    const queue = await bench.queue();
    const dedup = dedupOf('simple', 1_000);
    const retain = { count: 0, ageMs: 0 };
    const startedMs = Date.now();
    const [first] = await bench.add(queue, { dedup, retain });
    await bench.ack(queue, await bench.leaseOne(queue));
    const again = await add(queue, dedup);
    // Unless its time is over already, which is looked at below.
    if (again.isDuplicate) {
      expect(again.id).toBe(first);
      await eventually(async () => {
        await bench.lane.tick(queue);
        return !(await add(queue, dedup)).isDuplicate;
      });
    }
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(995);
  });

  test('simple with a time that is over still holds while the first is not finished', async () => {
    const queue = await bench.queue();
    const dedup = dedupOf('simple', 50);
    const first = await add(queue, dedup);
    await new Promise((resolve) => setTimeout(resolve, SHORT_MS));
    await bench.lane.tick(queue);
    expect(await add(queue, dedup)).toMatchObject({ id: first.id, isDuplicate: true });
  });

  test('throttle: one for so long, whatever became of it, and then another', async () => {
    const queue = await bench.queue();
    const dedup = dedupOf('throttle', 1_000);
    const startedMs = Date.now();
    const first = await add(queue, dedup);
    await bench.ack(queue, await bench.leaseOne(queue));
    const again = await add(queue, dedup);
    if (Date.now() < startedMs + 950) expect(again).toMatchObject({ id: first.id, isDuplicate: true });
    const next = await eventually(async () => {
      const added = await add(queue, dedup);
      return added.isDuplicate ? false : added;
    });
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(995);
    // The time of the first one does not hold the third back: the second one waits still, and its own time counts.
    expect(await bench.stateOf(queue, next.id)).toBe('waiting');
    await bench.expectSound(queue);
  });

  test('debounce: the latest data, once, when no more have come for so long', async () => {
    const queue = await bench.queue();
    const dedup = dedupOf('debounce', 2_000);
    const first = await add(queue, dedup, '"a"');
    expect(first).toMatchObject({ state: 'scheduled', isDuplicate: false });
    await new Promise((resolve) => setTimeout(resolve, SHORT_MS));
    await add(queue, dedup, '"b"');
    const lastMs = Date.now();
    const last = await add(queue, dedup, '"c"');
    expect(last).toMatchObject({ state: 'scheduled', isDuplicate: true });
    if (!bench.isExcused('debounce-id')) expect(last.id).toBe(first.id);
    const job = await eventually(
      async () => {
        await bench.lane.tick(queue);
        return bench.leaseOne(queue);
      },
      { timeoutMs: 10_000 },
    );
    expect(job).toMatchObject({ id: last.id, data: '"c"' });
    expect(Date.now() - lastMs).toBeGreaterThanOrEqual(1_995);
    expect(await bench.lease(queue, 1)).toEqual([]);
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ leased: 1, scheduled: 0, waiting: 0 });
  });

  test('keep-last: of those that come while one runs, the latest runs behind it', async () => {
    const queue = await bench.queue();
    const dedup = dedupOf('keep-last');
    const first = await add(queue, dedup, '"a"');
    const job = await bench.leaseOne(queue);
    expect(job).toMatchObject({ id: first.id, data: '"a"' });
    expect(await add(queue, dedup, '"b"')).toMatchObject({ isDuplicate: true });
    expect(await add(queue, dedup, '"c"')).toMatchObject({ isDuplicate: true });
    expect(await bench.lease(queue, 1)).toEqual([]);
    await bench.ack(queue, job);
    const behind = await eventually(async () => {
      await bench.lane.tick(queue);
      return bench.leaseOne(queue);
    });
    expect(behind.data).toBe('"c"');
    await bench.ack(queue, behind);
    expect(await bench.lease(queue, 1)).toEqual([]);
    expect((await add(queue, dedup)).isDuplicate).toBe(false);
    await bench.expectSound(queue);
  });

  test('ids of dedup are told apart, and a job without one is never a duplicate', async () => {
    const queue = await bench.queue();
    const answers = [dedupOf('simple', undefined, 'a'), dedupOf('simple', undefined, 'b:{c} ü'), undefined, undefined];
    for (const dedup of answers) expect((await add(queue, dedup)).isDuplicate).toBe(false);
    expect((await add(queue, dedupOf('simple', undefined, 'b:{c} ü'))).isDuplicate).toBe(true);
  });

  test('within one array the second of two is the first', async () => {
    const queue = await bench.queue();
    const jobs = ['a', 'b', 'a'].map((id) => newJob({ dedup: dedupOf('simple', undefined, id) }));
    const [a, b, again] = await bench.lane.add(queue, jobs);
    expect([a, b]).toMatchObject([{ isDuplicate: false }, { isDuplicate: false }]);
    expect(again).toMatchObject({ id: (a as { id: string }).id, isDuplicate: true });
    expect((await bench.lane.stats(queue)).counts.waiting).toBe(2);
  });

  test('two replicas that enqueue the same at once make one job', async () => {
    const queue = await bench.queue();
    const jobs = Array.from({ length: 20 }, (_, at) => newJob({ dedup: dedupOf('simple', 10_000, `id${at}`) }));
    const answers = await Promise.all([bench.lane, bench.other].map((lane) => lane.add(queue, jobs)));
    const [mine, theirs] = answers as { id: string; isDuplicate: boolean }[][];
    expect(mine!.map(({ id }) => id)).toEqual(theirs!.map(({ id }) => id));
    expect(mine!.map(({ isDuplicate }, at) => isDuplicate !== theirs![at]!.isDuplicate)).toEqual(Array(20).fill(true));
    expect((await bench.lane.stats(queue)).counts.waiting).toBe(20);
  });
}
