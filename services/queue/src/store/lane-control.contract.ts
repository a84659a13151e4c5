/** The part of the battery about what people do to a queue: pause, drain, purge, remove, redrive, promote. */
import { expect, test } from '@jest/globals';
import {
  EVEN_GROUPS,
  idsOf,
  type LaneBench,
  LONG_MS,
  NO_LIMITS,
  named,
  namesOf,
  newJob,
} from './lane-bench.contract.ts';

export function controls(bench: LaneBench): void {
  pauses(bench);
  removes(bench);
  revives(bench);
}

function pauses(bench: LaneBench): void {
  const ask = { max: 5, leaseMs: LONG_MS, worker: 'tester' };

  test('a paused queue takes jobs and settlements and gives none, for all replicas', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {}, {});
    const job = await bench.leaseOne(queue);
    await bench.lane.pause(queue);
    await bench.lane.pause(queue);
    await bench.add(queue, { priority: 1 });
    for (const lane of [bench.lane, bench.other]) {
      expect(await lane.lease(queue, ask)).toMatchObject({ jobs: [], isPaused: true });
      expect((await lane.stats(queue)).isPaused).toBe(true);
    }
    expect(await bench.renew(queue, job)).toMatchObject({ cancel: undefined });
    expect(await bench.ack(queue, job)).toEqual(['completed']);
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ waiting: 2, completed: 1 });
    await bench.expectSound(queue);
    await bench.other.resume(queue);
    expect((await bench.lane.stats(queue)).isPaused).toBe(false);
    expect(await bench.lease(queue, 5)).toHaveLength(2);
  });

  test('a delayed job of a paused queue comes due, and is leased when the queue goes on', async () => {
    const queue = await bench.queue();
    const [id] = await bench.add(queue, { runAtMs: Date.now() + LONG_MS });
    await bench.lane.pause(queue);
    await bench.lane.promote(queue, id!);
    expect(await bench.lease(queue, 1)).toEqual([]);
    await bench.lane.resume(queue);
    expect(idsOf(await bench.lease(queue, 1))).toEqual([id]);
  });

  test('a paused group waits while the others go on', async () => {
    const queue = await bench.queue();
    await bench.add(queue, ...named(2, 'a', { group: 'a' }), ...named(2, 'b', { group: 'b' }), { name: 'none' });
    await bench.lane.pause(queue, 'a');
    await bench.add(queue, { name: 'a2', group: 'a' });
    expect(namesOf(await bench.lease(queue, 9)).sort()).toEqual(['b0', 'b1', 'none']);
    expect(await bench.other.stats(queue)).toMatchObject({ isPaused: false, pausedGroups: ['a'] });
    await bench.lane.resume(queue, 'b');
    await bench.lane.resume(queue, 'a');
    expect(namesOf(await bench.lease(queue, 9))).toEqual(['a0', 'a1', 'a2']);
    expect((await bench.lane.stats(queue)).pausedGroups).toEqual([]);
    await bench.expectSound(queue);
  });

  test('a group can be paused before it has any job, and the nameless group too', async () => {
    const queue = await bench.queue();
    await bench.lane.pause(queue, 'late');
    await bench.lane.pause(queue, '');
    await bench.add(queue, { group: 'late' }, { group: '' }, { group: 'free', name: 'free' });
    expect(namesOf(await bench.lease(queue, 9))).toEqual(['free']);
    await bench.lane.resume(queue, 'late');
    await bench.lane.resume(queue, '');
    expect(await bench.lease(queue, 9)).toHaveLength(2);
  });
}

function removes(bench: LaneBench): void {
  /** One job in each state but waiting-children. */
  const populate = async (queue: string) => {
    const ids = await bench.add(queue, ...named(4, 'job'));
    const [completed, dead, retrying, leased] = await bench.lease(queue, 4);
    await bench.ack(queue, completed!);
    await bench.fail(queue, dead!, { isFinal: true });
    await bench.fail(queue, retrying!, { retryAfterMs: LONG_MS });
    const more = await bench.add(
      queue,
      { name: 'waiting' },
      { name: 'urgent', priority: 2 },
      { name: 'grouped', group: 'g' },
      { name: 'scheduled', runAtMs: Date.now() + LONG_MS },
      { name: 'cancelled' },
    );
    await bench.lane.cancel(queue, [more[4]!], 'no');
    await bench.expectSound(queue);
    return { leased: leased!, ids: [...ids, ...more] };
  };

  test('drain takes away what waits and nothing else', async () => {
    const queue = await bench.queue();
    const { leased, ids } = await populate(queue);
    expect(await bench.lane.drain(queue, false)).toBe(3);
    expect(await bench.lane.get(queue, ids[4]!)).toBeUndefined();
    const { counts } = await bench.lane.stats(queue);
    expect(counts).toMatchObject({ waiting: 0, leased: 1, scheduled: 1, retrying: 1, completed: 1, dead: 1 });
    expect(await bench.lease(queue, 5)).toEqual([]);
    expect(await bench.ack(queue, leased)).toEqual(['completed']);
    expect(await bench.lane.drain(queue, false)).toBe(0);
    await bench.expectSound(queue, 3);
    await bench.add(queue, { group: 'g', name: 'new' });
    expect(namesOf(await bench.lease(queue, 5))).toEqual(['new']);
  });

  test('drain takes what is scheduled and retrying too, if asked', async () => {
    const queue = await bench.queue();
    const { ids } = await populate(queue);
    expect(await bench.lane.drain(queue, true)).toBe(5);
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ waiting: 0, leased: 1, scheduled: 0, retrying: 0 });
    expect(await bench.lane.get(queue, ids[2]!)).toBeUndefined();
    await bench.expectSound(queue, 5);
  });

  test('a drained job frees its dedup id', async () => {
    const queue = await bench.queue();
    const dedup = { id: 'x', mode: 'simple' as const, ttlMs: undefined };
    const [first] = await bench.add(queue, { dedup });
    await bench.lane.drain(queue, true);
    const [second] = await bench.add(queue, { dedup });
    expect(second).not.toBe(first);
    expect(idsOf(await bench.lease(queue, 2))).toEqual([second]);
  });

  test('purge forgets what has ended in the states that are named', async () => {
    const queue = await bench.queue();
    const { ids } = await populate(queue);
    expect(await bench.lane.purge(queue, ['completed'])).toBe(1);
    expect(await bench.lane.get(queue, ids[0]!)).toBeUndefined();
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ completed: 0, dead: 1, cancelled: 1, waiting: 3 });
    expect(await bench.lane.purge(queue, ['completed', 'dead', 'cancelled'])).toBe(2);
    expect(await bench.lane.purge(queue, ['dead'])).toBe(0);
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ completed: 0, dead: 0, cancelled: 0, waiting: 3 });
    await bench.expectSound(queue, 3);
  });

  test('a queue with leases is removed only by force, and then is as if it had never been', async () => {
    const queue = await bench.queue();
    await populate(queue);
    expect(await bench.lane.queues()).toContain(queue);
    expect(await bench.lane.remove(queue, false)).toBe(false);
    expect((await bench.lane.stats(queue)).counts.waiting).toBe(3);
    expect(await bench.lane.remove(queue, true)).toBe(true);
    expect(await bench.lane.queues()).not.toContain(queue);
    const { counts, totals } = await bench.lane.stats(queue);
    expect(new Set(Object.values(counts))).toEqual(new Set([0]));
    expect(totals.enqueued).toBe(0);
    await bench.lane.configure(queue, NO_LIMITS, EVEN_GROUPS);
    expect(await bench.lease(queue, 5)).toEqual([]);
    await bench.add(queue, { name: 'anew' });
    expect(namesOf(await bench.lease(queue, 5))).toEqual(['anew']);
  });

  test('a queue that one replica removed and another goes on using is there again', async () => {
    const queue = await bench.queue();
    await bench.other.add(queue, [newJob()]);
    expect(await bench.lane.remove(queue, true)).toBe(true);
    await bench.other.add(queue, [newJob()]);
    expect(await bench.lane.queues()).toContain(queue);
    expect(await bench.lease(queue, 5)).toHaveLength(1);
  });

  test('a queue without leases is removed without force', async () => {
    const queue = await bench.queue();
    await bench.add(queue, {});
    expect(await bench.lane.remove(queue, false)).toBe(true);
    expect(await bench.lane.queues()).not.toContain(queue);
  });
}

function revives(bench: LaneBench): void {
  /** Dead jobs with names, in this order. */
  const bury = async (queue: string, ...wishes: { name: string; group?: string; tags?: string[] }[]) => {
    const ids = await bench.add(queue, ...wishes);
    for (const job of await bench.lease(queue, wishes.length)) await bench.fail(queue, job, { isFinal: true });
    return ids;
  };

  test('a redriven job begins anew', async () => {
    const queue = await bench.queue();
    const [id] = await bench.add(queue, { attempts: 2 });
    await bench.fail(queue, await bench.leaseOne(queue), { retryAfterMs: LONG_MS });
    await bench.lane.promote(queue, id!);
    await bench.fail(queue, await bench.leaseOne(queue));
    expect(await bench.stateOf(queue, id!)).toBe('dead');
    expect(await bench.lane.redrive(queue, {}, 10)).toEqual([id]);
    expect(await bench.view(queue, id!)).toMatchObject({ state: 'waiting', stalls: 0, reason: undefined });
    const job = await bench.leaseOne(queue);
    expect(job).toMatchObject({ id, attempt: 1, attempts: 2, stalls: 0 });
    expect(await bench.fail(queue, job, { retryAfterMs: LONG_MS })).toMatchObject({ state: 'retrying' });
    expect((await bench.view(queue, id!)).history).toHaveLength(3);
    expect(await bench.lane.redrive(queue, {}, 10)).toEqual([]);
    await bench.expectSound(queue);
  });

  test('the oldest are redriven first, and so many as was asked', async () => {
    const queue = await bench.queue();
    const ids = await bury(queue, ...named(5, 'job').map(({ name }) => ({ name: name! })));
    const redriven = await bench.lane.redrive(queue, {}, 2);
    expect([...redriven].sort()).toEqual(ids.slice(0, 2).sort());
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ dead: 3, waiting: 2 });
    expect(await bench.lane.redrive(queue, {}, 10)).toHaveLength(3);
    expect(await bench.lease(queue, 10)).toHaveLength(5);
    await bench.expectSound(queue);
  });

  test('only those that the filter means are redriven', async () => {
    const queue = await bench.queue();
    const [a, b, c] = await bury(
      queue,
      { name: 'mail', tags: ['x'] },
      { name: 'mail', group: 'g' },
      { name: 'sms', tags: ['x', 'y'] },
    );
    expect(await bench.lane.redrive(queue, { fromMs: Date.now() + LONG_MS }, 10)).toEqual([]);
    expect(await bench.lane.redrive(queue, { untilMs: Date.now() - LONG_MS }, 10)).toEqual([]);
    expect(await bench.lane.redrive(queue, { group: 'g' }, 10)).toEqual([b]);
    expect(await bench.lane.redrive(queue, { tag: 'y' }, 10)).toEqual([c]);
    expect(await bench.lane.redrive(queue, { name: 'mail', tag: 'y' }, 10)).toEqual([]);
    expect(await bench.lane.redrive(queue, { name: 'mail' }, 10)).toEqual([a]);
    expect(await bench.lease(queue, 5)).toHaveLength(3);
    await bench.expectSound(queue);
  });

  test('those that are named are redriven alone, as far as they are dead and meant', async () => {
    const queue = await bench.queue();
    const [a, b, c] = await bury(queue, { name: 'mail' }, { name: 'mail' }, { name: 'sms' });
    const [alive] = await bench.add(queue, { runAtMs: Date.now() + LONG_MS });
    expect(await bench.lane.redrive(queue, { ids: [alive!, 'nobody'] }, 10)).toEqual([]);
    expect(await bench.lane.redrive(queue, { ids: [c!], name: 'mail' }, 10)).toEqual([]);
    expect(await bench.lane.redrive(queue, { ids: [b!, b!, alive!] }, 10)).toEqual([b]);
    expect((await bench.lane.stats(queue)).counts).toMatchObject({ dead: 2, waiting: 1, scheduled: 1 });
    expect(await bench.lane.redrive(queue, { ids: [a!, c!] }, 1)).toHaveLength(1);
    expect(await bench.lane.redrive(queue, { ids: [a!, b!, c!] }, 10)).toHaveLength(1);
    expect(await bench.lease(queue, 5)).toHaveLength(3);
    await bench.expectSound(queue);
  });

  test('a redriven job holds its dedup id again', async () => {
    const queue = await bench.queue();
    const dedup = { id: 'x', mode: 'simple' as const, ttlMs: undefined };
    const [id] = await bench.add(queue, { dedup });
    await bench.bury(queue);
    await bench.lane.redrive(queue, {}, 1);
    expect(await bench.add(queue, { dedup })).toEqual([id]);
    await bench.ack(queue, await bench.leaseOne(queue));
    expect(await bench.add(queue, { dedup })).not.toEqual([id]);
  });

  test('a redriven job that had expired waits as any other', async () => {
    const queue = await bench.queue();
    const [id] = await bench.add(queue, { expiresAtMs: Date.now() + 50 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await bench.lane.tick(queue);
    expect(await bench.stateOf(queue, id!)).toBe('dead');
    expect(await bench.lane.redrive(queue, {}, 10)).toEqual([id]);
    await bench.lane.tick(queue);
    expect(idsOf(await bench.lease(queue, 1))).toEqual([id]);
  });

  test('a promoted job is due now', async () => {
    const queue = await bench.queue();
    const [id, other] = await bench.add(queue, { runAtMs: Date.now() + LONG_MS, group: 'g' }, {});
    expect(await bench.lane.promote(queue, id!)).toBe(true);
    expect(await bench.lane.promote(queue, id!)).toBe(false);
    expect(await bench.lane.promote(queue, other!)).toBe(false);
    expect(await bench.lane.promote(queue, 'nobody')).toBe(false);
    expect(await bench.stateOf(queue, id!)).toBe('waiting');
    expect(idsOf(await bench.lease(queue, 5)).sort()).toEqual([id, other].sort());
    expect(await bench.lane.promote(queue, id!)).toBe(false);
    await bench.expectSound(queue);
  });
}
