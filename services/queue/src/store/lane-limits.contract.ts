/** The part of the battery about limits of queues and groups, and about turns between groups. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { EVEN_GROUPS, type LaneBench, LONG_MS, NO_LIMITS, named, namesOf, newJob } from './lane-bench.contract.ts';

export function limits(bench: LaneBench): void {
  test('a full queue refuses what is too much and takes the rest, and has room again when jobs end', async () => {
    const queue = await bench.queue({ jobsMax: 3 });
    const added = await bench.lane.add(queue, named(5, 'job').map(newJob));
    expect(added.map((one) => ('refused' in one ? one.refused : one.state))).toEqual([
      ...['waiting', 'waiting', 'waiting', 'queue_full', 'queue_full'],
    ]);
    const job = await bench.leaseOne(queue);
    expect(await bench.lane.add(queue, [newJob()])).toEqual([{ refused: 'queue_full' }]);
    await bench.ack(queue, job);
    const more = await bench.lane.add(queue, [newJob({ runAtMs: Date.now() + LONG_MS }), newJob()]);
    expect(more).toMatchObject([{ state: 'scheduled' }, { refused: 'queue_full' }]);
    expect((await bench.lane.stats(queue)).totals.enqueued).toBe(4);
    await bench.expectSound(queue);
  });

  test('a full queue still knows a duplicate', async () => {
    const queue = await bench.queue({ jobsMax: 1 });
    const dedup = { id: 'x', mode: 'simple' as const, ttlMs: undefined };
    const [id] = await bench.add(queue, { dedup });
    expect(await bench.lane.add(queue, [newJob({ dedup })])).toMatchObject([{ id, isDuplicate: true }]);
  });

  test('no more leases at a time than the queue allows, over all replicas', async () => {
    const queue = await bench.queue({ concurrency: 3 });
    await bench.add(queue, ...named(10, 'job'));
    const jobs = await bench.lease(queue, 2);
    expect(jobs).toHaveLength(2);
    expect(await bench.lease(queue, 5, LONG_MS, bench.other)).toHaveLength(1);
    expect(await bench.lease(queue, 5)).toEqual([]);
    await bench.ack(queue, jobs[0]!);
    await bench.fail(queue, jobs[1]!);
    expect(await bench.lease(queue, 5)).toHaveLength(2);
    await bench.lane.configure(queue, { ...NO_LIMITS, concurrency: 5 }, EVEN_GROUPS);
    expect(await bench.lease(queue, 9)).toHaveLength(2);
    await bench.lane.configure(queue, NO_LIMITS, EVEN_GROUPS);
    expect(await bench.lease(queue, 9)).toHaveLength(3);
  });

  bench.unless('burst')('leases keep to the rate of the queue, and an answer says when the next may be', async () => {
    const queue = await bench.queue({ ratePerSecond: 2, burst: 3 });
    await bench.add(queue, ...named(20, 'job'));
    const startedMs = Date.now();
    expect(await bench.lease(queue, 3)).toHaveLength(3);
    const empty = await bench.lane.lease(queue, { max: 5, leaseMs: LONG_MS, worker: 'tester' });
    if (empty.jobs.length === 0) {
      expect(empty.nextInMs).toBeGreaterThan(0);
      expect(empty.nextInMs).toBeLessThanOrEqual(501);
    }
    let got = 3 + empty.jobs.length;
    await eventually(async () => {
      got += (await bench.lease(queue, 5)).length;
      return got >= 4;
    });
    expect(got).toBeLessThanOrEqual(3 + ((Date.now() - startedMs) * 2) / 1_000 + 0.01);
  });
}

export function sharesOut(bench: LaneBench): void {
  test('a late tenant does not stand behind the whole backlog of another', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(200, 'crowd', { group: 'crowd' }));
    await bench.lease(queue, 10);
    await bench.add(queue, ...named(10, 'late', { group: 'late' }));
    const names = namesOf(await bench.lease(queue, 30));
    // Ideal: every other one, so the last of ten is the 20th.
    expect(names.filter((name) => name.startsWith('late'))).toHaveLength(10);
  });

  test('within a group order is kept, whatever turns groups take', async () => {
    const queue = await bench.queue();
    const wishes = ['a', 'b', 'c'].flatMap((group) => named(6, group, { group }));
    await bench.add(queue, ...wishes.sort((x, y) => (x.name!.slice(1) < y.name!.slice(1) ? -1 : 1)));
    const names: string[] = [];
    for (let round = 0; round < 6; round++) names.push(...namesOf(await bench.lease(queue, 3)));
    for (const group of ['a', 'b', 'c']) {
      const mine = names.filter((name) => name.startsWith(group));
      expect(mine).toEqual(named(6, group).map(({ name }) => name));
    }
  });

  test('a heavier group gets its share', async () => {
    const queue = await bench.queue();
    await bench.lane.configureGroup(queue, 'heavy', { ...EVEN_GROUPS, weight: 3 });
    const wishes = Array.from({ length: 60 }, (_, at) =>
      ['heavy', 'light'].map((group) => ({ group, name: `${group}${at}` })),
    );
    await bench.add(queue, ...wishes.flat());
    const names: string[] = [];
    for (let round = 0; round < 10; round++) names.push(...namesOf(await bench.lease(queue, 4)));
    const heavy = names.filter((name) => name.startsWith('heavy')).length;
    // 30 of 40 are its share.
    expect(Math.abs(heavy - 30)).toBeLessThanOrEqual(3);
  });

  test('many groups each get their turn, and none is forgotten', async () => {
    const queue = await bench.queue();
    const groups = Array.from({ length: 60 }, (_, at) => `tenant-${at}`);
    await bench.add(queue, ...groups.flatMap((group) => named(2, group, { group })));
    const names = namesOf(await bench.lease(queue, 120));
    expect(new Set(names).size).toBe(120);
    await bench.expectSound(queue);
  });

  test('a group with priorities keeps them, beside others', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...[5, 0, 1].map((priority) => ({ group: 'a', name: `a${priority}`, priority })), {
      group: 'b',
      name: 'b',
    });
    const names = namesOf(await bench.lease(queue, 9));
    expect(names.filter((name) => name.startsWith('a'))).toEqual(['a0', 'a1', 'a5']);
    expect(names).toContain('b');
  });

  test('a group has no more leases at a time than it may, and frees them however they end', async () => {
    const queue = await bench.queue({}, { concurrency: 2 });
    await bench.lane.configureGroup(queue, 'wide', { ...EVEN_GROUPS, concurrency: 3 });
    await bench.add(queue, ...['a', 'b', 'wide'].flatMap((group) => named(8, group, { group })));
    const jobs = await bench.lease(queue, 24);
    expect(tally(jobs)).toEqual({ a: 2, b: 2, wide: 3 });
    expect(await bench.lease(queue, 5, LONG_MS, bench.other)).toEqual([]);
    const [first, second] = jobs.filter(({ group }) => group === 'a');
    await bench.ack(queue, first!);
    expect(tally(await bench.lease(queue, 5))).toEqual({ a: 1 });
    await bench.fail(queue, second!, { isFinal: true });
    expect(tally(await bench.lease(queue, 5))).toEqual({ a: 1 });
    await bench.release(queue, jobs.find(({ group }) => group === 'b')!);
    expect(tally(await bench.lease(queue, 5))).toEqual({ b: 1 });
    await bench.lane.configureGroup(queue, 'wide', undefined);
    await bench.ack(queue, ...jobs.filter(({ group }) => group === 'wide').slice(0, 2));
    expect(tally(await bench.lease(queue, 5))).toEqual({ wide: 1 });
    await bench.lane.configure(queue, NO_LIMITS, EVEN_GROUPS);
    expect(await bench.lease(queue, 24)).toHaveLength(24 - 7 - 3);
    await bench.expectSound(queue);
  });

  test('the place of a lease that stalled is free again', async () => {
    const queue = await bench.queue({ concurrency: 4 }, { concurrency: 1 });
    await bench.add(queue, ...named(3, 'job', { group: 'g' }));
    await bench.lease(queue, 3, 150);
    await eventually(async () => (await bench.lane.tick(queue)).stalled.length === 1);
    expect(namesOf(await bench.lease(queue, 3))).toEqual(['job0']);
  });

  test('a group keeps to its rate while others go on', async () => {
    const queue = await bench.queue();
    await bench.lane.configureGroup(queue, 'slow', { ...EVEN_GROUPS, ratePerSecond: 4, burst: 2 });
    await bench.add(queue, ...['slow', 'free'].flatMap((group) => named(10, group, { group })));
    const startedMs = Date.now();
    const counted = tally(await bench.lease(queue, 20));
    expect(counted.free).toBe(10);
    let slow = counted.slow!;
    const allowed = () => 2 + ((Date.now() - startedMs) * 4) / 1_000 + 0.01;
    expect(slow).toBeGreaterThanOrEqual(2);
    expect(slow).toBeLessThanOrEqual(allowed());
    const { nextInMs } = await bench.lane.lease(queue, { max: 1, leaseMs: LONG_MS, worker: 'tester' });
    if (nextInMs !== undefined) expect(nextInMs).toBeLessThanOrEqual(251);
    const taken = slow;
    await eventually(async () => {
      await sleep(20);
      await bench.lane.tick(queue);
      slow += (await bench.lease(queue, 10)).length;
      return slow > taken;
    });
    expect(slow).toBeLessThanOrEqual(allowed());
  });
}

function tally(jobs: readonly { group: string }[]): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const { group } of jobs) counted[group] = (counted[group] ?? 0) + 1;
  return counted;
}
