/** The part of the battery about parents that wait for their children. */
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import type { FlowNode } from './lane.ts';
import { flowOf, idsOf, type LaneBench, LONG_MS, namesOf, SHORT_MS } from './lane-bench.contract.ts';

export function flows(bench: LaneBench): void {
  const addFlow = (queue: string, flow: FlowNode) => bench.lane.addFlow!(queue, flow);
  /** Leases all that can be, by name. */
  const leaseAll = async (queue: string) => {
    const jobs = await bench.lease(queue, 20);
    return new Map(jobs.map((job) => [job.name, job]));
  };

  test('a parent waits for its children and is leased when the last has completed', async () => {
    const queue = await bench.queue();
    const { id, childIds } = await addFlow(
      queue,
      flowOf({ name: 'parent' }, [flowOf({ name: 'a' }), flowOf({ name: 'b' })]),
    );
    expect(childIds).toHaveLength(2);
    expect(await bench.view(queue, id)).toMatchObject({
      state: 'waiting-children',
      pendingChildren: 2,
      parentId: undefined,
    });
    for (const child of childIds)
      expect(await bench.view(queue, child)).toMatchObject({ state: 'waiting', parentId: id });
    await bench.expectSound(queue);
    const jobs = await leaseAll(queue);
    expect([...jobs.keys()].sort()).toEqual(['a', 'b']);
    await bench.ack(queue, jobs.get('b')!);
    expect(await bench.view(queue, id)).toMatchObject({ state: 'waiting-children', pendingChildren: 1 });
    expect(await bench.lease(queue, 1)).toEqual([]);
    await bench.ack(queue, jobs.get('a')!);
    expect(await bench.view(queue, id)).toMatchObject({ state: 'waiting', pendingChildren: 0 });
    const parent = await bench.leaseOne(queue);
    expect(parent).toMatchObject({ id, name: 'parent', attempt: 1 });
    expect(await bench.ack(queue, parent)).toEqual(['completed']);
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ enqueued: 3, completed: 3 });
    await bench.expectSound(queue);
  });

  test('a tree is done from its leaves to its root, over groups and priorities', async () => {
    const queue = await bench.queue();
    await addFlow(
      queue,
      flowOf({ name: 'root', group: 'r' }, [
        flowOf({ name: 'left', priority: 4, group: 'x' }, [
          flowOf({ name: 'leaf1', group: 'y' }),
          flowOf({ name: 'leaf2' }),
        ]),
        flowOf({ name: 'right' }),
      ]),
    );
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ waiting: 3, 'waiting-children': 2 });
    const rounds: string[][] = [];
    for (let round = 0; round < 3; round++) {
      const jobs = [...(await leaseAll(queue)).values()];
      rounds.push(namesOf(jobs).sort());
      await bench.ack(queue, ...jobs);
    }
    expect(rounds).toEqual([['leaf1', 'leaf2', 'right'], ['left'], ['root']]);
    await bench.expectSound(queue);
  });

  test('a child that is retried keeps its parent waiting', async () => {
    const queue = await bench.queue();
    const { id, childIds } = await addFlow(queue, flowOf({}, [flowOf({})]));
    await bench.fail(queue, await bench.leaseOne(queue), { retryAfterMs: LONG_MS });
    expect(await bench.stateOf(queue, id)).toBe('waiting-children');
    await bench.lane.promote(queue, childIds[0]!);
    await bench.ack(queue, await bench.leaseOne(queue));
    expect(await bench.stateOf(queue, id)).toBe('waiting');
  });

  test('a dead child takes its parent with it, and its brothers that wait are cancelled', async () => {
    const queue = await bench.queue();
    const children = [
      { name: 'a' },
      { name: 'b' },
      { name: 'c', runAtMs: Date.now() + LONG_MS },
      { name: 'd', group: 'g' },
    ];
    const { id, childIds } = await addFlow(
      queue,
      flowOf(
        { name: 'parent' },
        children.map((wish) => flowOf(wish)),
      ),
    );
    const [a] = await bench.lease(queue, 1);
    await bench.fail(queue, a!, { isFinal: true });
    expect(await bench.view(queue, id)).toMatchObject({ state: 'dead', reason: 'child' });
    const others = childIds.filter((child) => child !== a!.id);
    for (const child of others) expect(await bench.stateOf(queue, child)).toBe('cancelled');
    expect(await bench.lease(queue, 5)).toEqual([]);
    expect((await bench.lane.stats(queue)).totals).toMatchObject({ enqueued: 5, dead: 2, cancelled: 3 });
    await bench.expectSound(queue);
  });

  test('a brother in a worker’s hands may end its work', async () => {
    const queue = await bench.queue();
    const { id } = await addFlow(queue, flowOf({}, [flowOf({ name: 'a' }), flowOf({ name: 'b' })]));
    const jobs = await leaseAll(queue);
    await bench.fail(queue, jobs.get('a')!, { isFinal: true });
    expect(await bench.stateOf(queue, id)).toBe('dead');
    expect(['completed', 'cancelled']).toContain((await bench.ack(queue, jobs.get('b')!))[0]);
    expect(await bench.stateOf(queue, id)).toBe('dead');
    await bench.expectSound(queue);
  });

  test('death goes up through the generations', async () => {
    const queue = await bench.queue();
    const middle = flowOf({ name: 'middle' }, [flowOf({ name: 'leaf' })]);
    const { id } = await addFlow(
      queue,
      flowOf({ name: 'root' }, [
        middle,
        flowOf({ name: 'uncle', group: 'u' }, [flowOf({ name: 'cousin', runAtMs: Date.now() + LONG_MS })]),
      ]),
    );
    const leaf = await bench.leaseOne(queue);
    await bench.fail(queue, leaf, { isFinal: true });
    expect(await bench.view(queue, id)).toMatchObject({ state: 'dead', reason: 'child' });
    const { counts } = await bench.lane.stats(queue);
    expect(counts).toMatchObject({ dead: 3, cancelled: 2, waiting: 0, 'waiting-children': 0, scheduled: 0 });
    await bench.expectSound(queue);
  });

  test('a parent that ignores a child’s failure goes on without it', async () => {
    const queue = await bench.queue();
    const { id, childIds } = await addFlow(
      queue,
      flowOf({ name: 'parent' }, [
        flowOf({ name: 'a' }, [], 'ignore'),
        flowOf({ name: 'b' }, [], 'ignore'),
        flowOf({ name: 'c' }),
      ]),
    );
    const jobs = await leaseAll(queue);
    await bench.fail(queue, jobs.get('a')!, { isFinal: true });
    expect(await bench.view(queue, id)).toMatchObject({ state: 'waiting-children', pendingChildren: 2 });
    await bench.release(queue, jobs.get('b')!);
    await bench.lane.cancel(queue, [childIds[1]!], 'no');
    expect(await bench.stateOf(queue, id)).toBe('waiting-children');
    await bench.ack(queue, jobs.get('c')!);
    expect(await bench.leaseOne(queue)).toMatchObject({ id, name: 'parent' });
    await bench.expectSound(queue);
  });

  test('a cancelled child counts as a failed one', async () => {
    const queue = await bench.queue();
    const { id, childIds } = await addFlow(queue, flowOf({}, [flowOf({}), flowOf({})]));
    await bench.lane.cancel(queue, [childIds[0]!], 'no');
    expect(await bench.view(queue, id)).toMatchObject({ state: 'dead', reason: 'child' });
    expect(await bench.stateOf(queue, childIds[1]!)).toBe('cancelled');
    await bench.expectSound(queue);
  });

  bench.unless('redriven-child')(
    'a redriven child goes its own way: its parent neither waits for it nor takes it along',
    async () => {
      const queue = await bench.queue();
      const children = [flowOf({ name: 'a' }, [], 'ignore'), flowOf({ name: 'b' }), flowOf({ name: 'c' })];
      const { id, childIds } = await addFlow(queue, flowOf({ name: 'parent' }, children));
      const jobs = await leaseAll(queue);
      await bench.fail(queue, jobs.get('a')!, { isFinal: true });
      expect(await bench.lane.redrive(queue, {}, 1)).toEqual([childIds[0]]);
      expect(await bench.view(queue, id)).toMatchObject({ state: 'waiting-children', pendingChildren: 2 });
      await bench.fail(queue, jobs.get('b')!, { isFinal: true });
      expect([await bench.stateOf(queue, id), await bench.stateOf(queue, childIds[0]!)]).toEqual(['dead', 'waiting']);
      await bench.ack(queue, await bench.leaseOne(queue), jobs.get('c')!);
      expect((await bench.lane.redrive(queue, {}, 5)).sort()).toEqual([id, childIds[1]!].sort());
      expect((await leaseAll(queue)).size).toBe(2);
      await bench.expectSound(queue);
    },
  );

  test('a child that dies of its time takes its parent with it', async () => {
    const queue = await bench.queue();
    const children = [flowOf({ name: 'expires', expiresAtMs: Date.now() + SHORT_MS })];
    const { id } = await addFlow(queue, flowOf({}, children));
    await eventually(async () => {
      await bench.lane.tick(queue);
      return (await bench.stateOf(queue, id)) === 'dead';
    });
    await bench.expectSound(queue);
  });

  test('a child that stalls too often takes its parent with it', async () => {
    const queue = await bench.queue({ maxStalls: 0 });
    const { id } = await addFlow(queue, flowOf({}, [flowOf({})]));
    await bench.leaseOne(queue, SHORT_MS);
    await eventually(async () => {
      await bench.lane.tick(queue);
      return (await bench.stateOf(queue, id)) === 'dead';
    });
    await bench.expectSound(queue);
  });

  test('a parent can be cancelled while it waits for its children', async () => {
    const queue = await bench.queue();
    const { id } = await addFlow(queue, flowOf({ name: 'parent' }, [flowOf({ name: 'a' })]));
    expect(await bench.lane.cancel(queue, [id], 'no')).toEqual(['cancelled']);
    for (const job of (await leaseAll(queue)).values()) await bench.ack(queue, job);
    expect(await bench.stateOf(queue, id)).toBe('cancelled');
    await bench.expectSound(queue);
  });

  test('a flow without children is a job', async () => {
    const queue = await bench.queue();
    const { id, childIds } = await addFlow(queue, flowOf({ name: 'alone' }));
    expect(childIds).toEqual([]);
    expect(idsOf(await bench.lease(queue, 2))).toEqual([id]);
  });

  test('a flow that the queue has no room for is refused as a whole', async () => {
    const queue = await bench.queue({ jobsMax: 3 });
    await bench.add(queue, {});
    await expect(addFlow(queue, flowOf({}, [flowOf({}), flowOf({})]))).rejects.toThrow(/full/);
    expect((await bench.lane.stats(queue)).totals.enqueued).toBe(1);
    await addFlow(queue, flowOf({}, [flowOf({})]));
    await bench.expectSound(queue);
  });
}
