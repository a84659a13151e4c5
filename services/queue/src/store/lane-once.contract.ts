/** The part of the battery about calls that are done once. */
import { expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import type { Added, NewJob, OnceCall } from '../core/job.ts';
import { type LaneBench, LONG_MS, newJob } from './lane-bench.contract.ts';

const print = (word: string): string => word.padEnd(16, '-');
const call = (key: string, what = 'this', ttlMs = LONG_MS): OnceCall => {
  return { key: print(key), print: print(what), ttlMs };
};
/** So many jobs of one call. @param places - Where in the call they are. */
const jobsOf = (once: OnceCall, places: readonly number[], wish: Partial<NewJob> = {}): NewJob[] =>
  places.map((place) => newJob({ ...wish, name: `${place}`, once: { call: once, place } }));
const idsOf = (added: readonly Added[]) => added.map((one) => ('refused' in one ? one.refused : one.id));
const areDuplicates = (added: readonly Added[]) => added.map((one) => ('id' in one ? one.isDuplicate : one.refused));

export function repeats(bench: LaneBench): void {
  const enqueued = async (queue: string) => (await bench.lane.stats(queue)).totals.enqueued;

  test('a repeat answers with the first ids, in which states the jobs are, and enqueues nothing', async () => {
    const queue = await bench.queue();
    const first = await bench.lane.add(queue, jobsOf(call('k'), [0, 1, 2]));
    expect(areDuplicates(first)).toEqual([false, false, false]);
    await bench.ack(queue, await bench.leaseOne(queue));
    const again = await bench.other.add(queue, jobsOf(call('k'), [0, 1, 2]));
    expect(idsOf(again)).toEqual(idsOf(first));
    expect(again).toMatchObject([{ state: 'completed' }, { state: 'waiting' }, { state: 'waiting' }]);
    expect(areDuplicates(again)).toEqual([true, true, true]);
    expect(await enqueued(queue)).toBe(3);
    await bench.expectSound(queue);
  });

  test('it still does when of the jobs nothing is kept', async () => {
    const queue = await bench.queue();
    const jobs = () => jobsOf(call('k'), [0], { retain: { count: 0, ageMs: 0 } });
    const first = await bench.lane.add(queue, jobs());
    await bench.ack(queue, await bench.leaseOne(queue));
    expect(await bench.lane.add(queue, jobs())).toMatchObject([{ id: idsOf(first)[0], state: 'completed' }]);
    expect(await enqueued(queue)).toBe(1);
  });

  test('another call under the same key is refused, and nothing of it is done', async () => {
    const queue = await bench.queue();
    await bench.lane.add(queue, jobsOf(call('k'), [0]));
    const other = await bench.other.add(queue, jobsOf(call('k', 'that'), [0, 1]));
    expect(idsOf(other)).toEqual(['idempotency_mismatch', 'idempotency_mismatch']);
    expect(await enqueued(queue)).toBe(1);
    const elsewhere = await bench.queue();
    expect(areDuplicates(await bench.lane.add(elsewhere, jobsOf(call('k', 'that'), [0])))).toEqual([false]);
  });

  test('calls that are committed together are told apart, also from jobs of none', async () => {
    const queue = await bench.queue();
    await bench.lane.add(queue, jobsOf(call('b'), [0]));
    const batch = () => [
      newJob(),
      ...jobsOf(call('a'), [0, 1]),
      ...jobsOf(call('b', 'that'), [0]),
      ...jobsOf(call('a'), [0, 1]),
      ...jobsOf(call('c'), [0]),
      newJob(),
    ];
    const added = await bench.lane.add(queue, batch());
    const [alone, a0, a1, mismatch, again0, again1, c, last] = idsOf(added);
    expect(mismatch).toBe('idempotency_mismatch');
    expect([again0, again1]).toEqual([a0, a1]);
    expect(new Set([alone, a0, a1, c, last]).size).toBe(5);
    expect(await enqueued(queue)).toBe(6);
    await bench.expectSound(queue);
  });

  test('places that had no job have none in the repeat, and ids that do not follow one another come back too', async () => {
    const queue = await bench.queue();
    const dedup = { id: 'mine', mode: 'simple', ttlMs: undefined } as const;
    const [mine] = await bench.add(queue, { dedup });
    const jobs = () => {
      const [first, second, ...more] = jobsOf(call('k'), [1, 4, 5, 9]);
      return [first!, { ...second!, dedup }, ...more];
    };
    const first = await bench.lane.add(queue, jobs());
    expect(idsOf(first)[1]).toBe(mine);
    await bench.add(queue, {});
    expect(idsOf(await bench.lane.add(queue, jobs()))).toEqual(idsOf(first));
    expect(await enqueued(queue)).toBe(5);
  });

  test('a place that had no job the first time gets one when it has one, and the others keep theirs', async () => {
    const queue = await bench.queue();
    const first = idsOf(await bench.lane.add(queue, jobsOf(call('k'), [0, 2])));
    const again = await bench.lane.add(queue, jobsOf(call('k'), [0, 1, 2]));
    expect([idsOf(again)[0], idsOf(again)[2]]).toEqual(first);
    expect(areDuplicates(again)).toEqual([true, false, true]);
    expect(idsOf(await bench.lane.add(queue, jobsOf(call('k'), [0, 1, 2])))).toEqual(idsOf(again));
    expect(await enqueued(queue)).toBe(3);
  });

  test('what found no place in a full queue is taken by a repeat, and what found one is not taken twice', async () => {
    const queue = await bench.queue({ jobsMax: 2 });
    const jobs = () => jobsOf(call('k'), [0, 1, 2]);
    const first = idsOf(await bench.lane.add(queue, jobs()));
    expect(first[2]).toBe('queue_full');
    await bench.ack(queue, await bench.leaseOne(queue));
    const again = idsOf(await bench.lane.add(queue, jobs()));
    expect(again.slice(0, 2)).toEqual(first.slice(0, 2));
    expect(again[2]).not.toBe('queue_full');
    expect(idsOf(await bench.lane.add(queue, jobs()))).toEqual(again);
    expect(await enqueued(queue)).toBe(3);
  });

  test('equal calls of two replicas at once enqueue once', async () => {
    const queue = await bench.queue();
    const places = Array.from({ length: 30 }, (_, at) => at);
    const lanes = [bench.lane, bench.other, bench.lane, bench.other];
    const answers = await Promise.all(lanes.map((lane) => lane.add(queue, jobsOf(call('k'), places))));
    for (const answer of answers) expect(idsOf(answer)).toEqual(idsOf(answers[0]!));
    expect(await enqueued(queue)).toBe(30);
  });

  test('a key is free when its time is over, and not before', async () => {
    const queue = await bench.queue();
    const jobs = () => jobsOf(call('k', 'this', 1_000), [0]);
    const startedMs = Date.now();
    const [id] = idsOf(await bench.lane.add(queue, jobs()));
    const again = idsOf(await bench.lane.add(queue, jobs()));
    if (Date.now() < startedMs + 950) expect(again).toEqual([id]);
    await eventually(async () => {
      await bench.lane.tick(queue);
      return idsOf(await bench.lane.add(queue, jobs()))[0] !== id;
    });
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(995);
  });

  test('a queue that was removed remembers no calls', async () => {
    const queue = await bench.queue();
    await bench.lane.add(queue, jobsOf(call('k'), [0]));
    await bench.lane.remove(queue, true);
    expect(areDuplicates(await bench.lane.add(queue, jobsOf(call('k', 'that'), [0])))).toEqual([false]);
  });
}
