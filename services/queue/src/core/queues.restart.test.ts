/** The engine and a Redis that dies. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually, startTestRedis, type TestEngine } from '@plinth/testkit';
import { ASK, newJob, openReplica, patient, type Replica } from './queues.fixture.ts';

let redis: TestEngine;
let replica: Replica;
afterEach(async () => {
  await replica.stop();
});

const idOf = (added: unknown): string => (added as { id: string }).id;

describe('while Redis is away', () => {
  test('those who wait go on waiting, and have the job that comes after the restart', async () => {
    redis = await startTestRedis({ appendFsync: 'always' });
    replica = await openReplica(redis.url);
    const { queues } = replica;
    await queues.enqueue('mail', [newJob()]);
    const [first] = await queues.lease('mail', ASK, patient());
    const before = queues.lease('mail', ASK, patient(45_000));
    await eventually(() => queues.waiters === 1);
    await redis.kill();
    await eventually(() => queues.notReady() !== undefined);

    await expect(queues.enqueue('mail', [newJob()])).rejects.toMatchObject({ code: 'unavailable' });
    await expect(queues.lease('mail', ASK, patient(0))).rejects.toMatchObject({ code: 'unavailable' });
    await expect(queues.stats('mail')).rejects.toMatchObject({ code: 'unavailable' });
    const during = queues.lease('mail', ASK, patient(45_000));
    await expect(queues.lease('mail', ASK, patient(100))).rejects.toMatchObject({ code: 'unavailable' });

    await redis.start();
    await eventually(() => queues.notReady() === undefined, { timeoutMs: 20_000 });
    const startMs = performance.now();
    const added = await queues.enqueue('mail', [newJob(), newJob()]);
    const got = (await Promise.all([before, during])).flat();
    expect(got.map(({ id }) => id).sort()).toEqual(added.map(idOf).sort());
    expect(performance.now() - startMs).toBeLessThan(10_000);
    // What was leased before is still its worker's.
    const settled = await queues.settle('mail', [
      { kind: 'ack', id: first!.id, token: first!.token, result: undefined },
    ]);
    expect(settled).toMatchObject([{ state: 'completed' }]);
  }, 120_000);

  test('nothing that was acknowledged is lost by three kills, and what failed says whether it may have happened', async () => {
    redis = await startTestRedis({ appendFsync: 'always' });
    replica = await openReplica(redis.url);
    const { queues } = replica;
    await queues.define('mail', {});
    const acknowledged: string[] = [];
    const codes: Record<string, number> = {};
    let isOver = false;
    const callers = Array.from({ length: 16 }, async () => {
      while (!isOver) {
        try {
          acknowledged.push(...(await queues.enqueue('mail', [newJob(), newJob()])).map(idOf));
        } catch (error) {
          const { code = String(error) } = error as { code?: string };
          codes[code] = (codes[code] ?? 0) + 1;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    });
    for (let kills = 0; kills < 3; kills++) {
      const before = acknowledged.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
      await eventually(() => acknowledged.length > before + 50, { timeoutMs: 15_000 });
      await redis.kill();
      await redis.start();
      await eventually(() => queues.notReady() === undefined, { timeoutMs: 20_000 });
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    isOver = true;
    await Promise.all(callers);
    const { counts } = await queues.stats('mail');
    const seen = new Set<string>();
    for (;;) {
      const jobs = await queues.lease('mail', { ...ASK, max: 1_000 }, patient(0));
      if (jobs.length === 0) break;
      for (const { id } of jobs) seen.add(id);
    }
    const lost = acknowledged.filter((id) => !seen.has(id));
    console.log(`${acknowledged.length} acknowledged, ${counts.waiting} kept, ${lost.length} lost, refused:`, codes);
    expect(lost).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(100);
    expect(Object.keys(codes).filter((code) => code !== 'unavailable' && code !== 'outcome_unknown')).toEqual([]);
  }, 120_000);

  test('a lease that ended meanwhile goes to another soon after the restart', async () => {
    redis = await startTestRedis({ appendFsync: 'always' });
    replica = await openReplica(redis.url);
    const { queues } = replica;
    const [added] = await queues.enqueue('mail', [newJob()]);
    await queues.lease('mail', { ...ASK, leaseMs: 1_000 }, patient());
    await redis.kill();
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    await redis.start();
    await eventually(() => queues.notReady() === undefined, { timeoutMs: 20_000 });
    const [again] = await queues.lease('mail', ASK, patient());
    expect(again).toMatchObject({ id: idOf(added), stalls: 1, attempt: 1 });
  }, 120_000);
});
