/** The part of the battery about leases that end without a word. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { idsOf, type LaneBench, named, SHORT_MS } from './lane-bench.contract.ts';

export function stalls(bench: LaneBench): void {
  /** Waits for the end of a lease and reaps it. */
  const reap = async (queue: string, id: string) =>
    eventually(async () => {
      const { stalled } = await bench.lane.tick(queue);
      return stalled.find((one) => one.id === id) ?? false;
    });

  test('a lease that ends without a word goes back to be leased, and no attempt is counted', async () => {
    const queue = await bench.queue();
    const [id] = await bench.add(queue, { name: 'first' }, { name: 'second' });
    const lost = await bench.leaseOne(queue, SHORT_MS);
    expect(lost.id).toBe(id);
    expect(await reap(queue, lost.id)).toMatchObject({ state: 'waiting' });
    expect(await bench.view(queue, lost.id)).toMatchObject({ state: 'waiting', stalls: 1, worker: undefined });
    const again = (await bench.lease(queue, 2)).find((job) => job.id === id)!;
    expect(again).toMatchObject({ attempt: 1, stalls: 1 });
    expect(BigInt(again.token) > BigInt(lost.token)).toBe(true);
    expect((await bench.view(queue, again.id)).history).toMatchObject([
      { attempt: 1, outcome: 'stalled' },
      { attempt: 1, outcome: 'running' },
    ]);
    expect(await bench.ack(queue, lost)).toEqual(['lost']);
    expect(await bench.renew(queue, lost)).toMatchObject({ refused: 'lost' });
    expect(await bench.ack(queue, again)).toEqual(['completed']);
    expect((await bench.lane.stats(queue)).totals.stalled).toBe(1);
    await bench.expectSound(queue);
  });

  test('its old token is lost from the moment it was taken back, though nobody has the job yet', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const lost = await bench.leaseOne(queue, SHORT_MS);
    await reap(queue, lost.id);
    expect(await bench.ack(queue, lost)).toEqual(['lost']);
    expect(await bench.renew(queue, lost)).toMatchObject({ refused: 'lost' });
    expect(await bench.stateOf(queue, lost.id)).toBe('waiting');
  });

  test('a late ack counts as long as nobody has taken the lease away', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    const job = await bench.leaseOne(queue, SHORT_MS);
    await sleep(SHORT_MS * 2);
    expect(await bench.ack(queue, job)).toEqual(['completed']);
    expect(await bench.lane.tick(queue)).toMatchObject({ stalled: [] });
  });

  test('stalled and given back jobs are the next of their group', async () => {
    const queue = await bench.queue();
    const ids = await bench.add(queue, ...named(4, 'job'));
    const stalled = await bench.leaseOne(queue, SHORT_MS);
    await reap(queue, stalled.id);
    const again = await bench.leaseOne(queue);
    expect(again.id).toBe(ids[0]);
    await bench.release(queue, again);
    expect(idsOf(await bench.lease(queue, 4))).toEqual(ids);
  });

  test('more stalls than the queue allows end it as dead', async () => {
    const queue = await bench.queue({ maxStalls: 1 });
    await bench.add(queue, {});
    const first = await bench.leaseOne(queue, SHORT_MS);
    expect(await reap(queue, first.id)).toMatchObject({ state: 'waiting' });
    await bench.leaseOne(queue, SHORT_MS);
    expect(await reap(queue, first.id)).toMatchObject({ state: 'dead' });
    expect(await bench.view(queue, first.id)).toMatchObject({ state: 'dead', reason: 'stalled', stalls: 2 });
    expect(await bench.lease(queue, 1)).toEqual([]);
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ stalled: 2, dead: 1 });
    await bench.expectSound(queue);
  });

  test('jobs that stalled together a second time rest, each for a while of its own, and count no attempt', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(40, 'job'));
    for (let stalls = 1; stalls <= 2; stalls++) {
      expect(await bench.lease(queue, 40, SHORT_MS)).toHaveLength(40);
      const states = new Map<string, string>();
      await eventually(async () => {
        for (const { id, state } of (await bench.lane.tick(queue)).stalled) states.set(id, state);
        return states.size === 40;
      });
      expect([...new Set(states.values())]).toEqual([stalls === 1 ? 'waiting' : 'retrying']);
    }
    const resting = await bench.all(queue, { states: ['retrying'] });
    const dueAtMs = resting.map((job) => job.dueAtMs!).sort((one, other) => one - other);
    expect(new Set(dueAtMs).size).toBeGreaterThan(20);
    expect(dueAtMs.at(-1)! - dueAtMs[0]!).toBeGreaterThan(500);
    expect(dueAtMs.at(-1)! - Date.now()).toBeLessThanOrEqual(1_000);
    expect(new Set(resting.map(({ stalls, attempt }) => `${stalls} ${attempt}`)).size).toBe(1);
    await bench.expectSound(queue);
    const back = await eventually(async () => {
      await bench.lane.tick(queue);
      return (await bench.lane.stats(queue)).counts.waiting === 40;
    });
    expect(back).toBe(true);
    for (const job of await bench.lease(queue, 40)) expect(job).toMatchObject({ attempt: 1, stalls: 2 });
  });

  test('a lease that has time left is left alone', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(3, 'job'));
    const [short] = await bench.lease(queue, 1, SHORT_MS);
    await bench.lease(queue, 2);
    await reap(queue, short!.id);
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ leased: 2, waiting: 1 });
  });
}
