/** The part of the battery about jobs that are not wanted any more. */
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { idsOf, type LaneBench, LONG_MS, named, SHORT_MS } from './lane-bench.contract.ts';

export function cancelsWork(bench: LaneBench): void {
  test('what is not in a worker’s hands is cancelled at once', async () => {
    const queue = await bench.queue();
    const [failed] = await bench.add(queue, {});
    await bench.fail(queue, await bench.leaseOne(queue), { retryAfterMs: LONG_MS });
    const waiting = await bench.add(queue, {}, { priority: 4 }, { group: 'g' }, { runAtMs: Date.now() + LONG_MS });
    const ids = [failed!, ...waiting];
    expect(await bench.lane.cancel(queue, [...ids, 'nobody'], 'not needed')).toEqual([
      ...ids.map(() => 'cancelled'),
      undefined,
    ]);
    for (const id of ids)
      expect(await bench.view(queue, id)).toMatchObject({ state: 'cancelled', reason: 'not needed' });
    expect(await bench.lease(queue, 5)).toEqual([]);
    expect((await bench.lane.stats(queue)).totals.cancelled).toBe(5);
    await bench.expectSound(queue);
  });

  test('what has ended stays what it is', async () => {
    const queue = await bench.queue();
    const ids = await bench.add(queue, {}, {}, {});
    await bench.ack(queue, await bench.leaseOne(queue));
    await bench.bury(queue);
    await bench.lane.cancel(queue, [ids[2]!], 'first');
    expect(await bench.lane.cancel(queue, ids, 'second')).toEqual(['completed', 'dead', 'cancelled']);
    expect(await bench.view(queue, ids[2]!)).toMatchObject({ reason: 'first' });
    await bench.expectSound(queue);
  });

  test('who works on a cancelled job hears of it, and however it ends it is cancelled', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(4, 'job'));
    const jobs = await bench.lease(queue, 4);
    expect(await bench.lane.cancel(queue, idsOf(jobs), 'stop')).toEqual(Array(4).fill('leased'));
    expect(await bench.lane.cancel(queue, [jobs[0]!.id], 'stop again')).toEqual(['leased']);
    expect(await bench.renew(queue, jobs[0]!)).toMatchObject({ cancel: 'stop' });
    expect(await bench.ack(queue, jobs[0]!)).toEqual(['cancelled']);
    expect(await bench.fail(queue, jobs[1]!)).toMatchObject({ state: 'cancelled' });
    expect(await bench.fail(queue, jobs[2]!, { isFinal: true })).toMatchObject({ state: 'cancelled' });
    expect(await bench.release(queue, jobs[3]!)).toEqual(['cancelled']);
    for (const { id } of jobs)
      expect(await bench.view(queue, id)).toMatchObject({ state: 'cancelled', reason: 'stop' });
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ cancelled: 4, completed: 0, dead: 0 });
    await bench.expectSound(queue);
  });

  test('a cancelled job whose worker is silent is cancelled when its lease ends', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const job = await bench.leaseOne(queue, 2 * SHORT_MS);
    await bench.lane.cancel(queue, [job.id], 'stop');
    const ended = await eventually(async () => (await bench.lane.tick(queue)).stalled[0] ?? false);
    expect(ended).toMatchObject({ id: job.id, state: 'cancelled' });
    expect(await bench.view(queue, job.id)).toMatchObject({ state: 'cancelled', reason: 'stop' });
    expect(await bench.lease(queue, 1)).toEqual([]);
    await bench.expectSound(queue);
  });

  test('renewing what nobody cancelled asks nobody to stop', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    expect(await bench.renew(queue, await bench.leaseOne(queue))).toMatchObject({ cancel: undefined });
  });
}
