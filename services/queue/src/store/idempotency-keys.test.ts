/** What idempotency keys cost, that they go, and what a lane of two steps does when it dies between them. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually, seededRandom, withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import type { Added, NewJob, OnceCall } from '../core/job.ts';
import { queueKeys } from './fast/keys.ts';
import { FastLane } from './fast-lane.ts';
import { addOnce, idsOfRuns, type OnceRooms, runsOfIds } from './idempotency-keys.ts';
import { newJob } from './lane-bench.contract.ts';
import { StandardLane } from './standard-lane.ts';

const CALLS = 10_000;
const BYTES_PER_CALL_MAX = 150;
const server = withRedis();
let redis: Redis;
let fast: FastLane;
let standard: StandardLane;
beforeAll(async () => {
  redis = new Redis(server.url);
  [fast, standard] = await Promise.all([FastLane.open({ url: server.url }), StandardLane.open({ url: server.url })]);
});
afterAll(async () => {
  await Promise.all([fast.stop(), standard.stop()]);
  redis.disconnect();
});

const callOf = (number: number, ttlMs = 600_000): OnceCall => {
  return { key: `${number}`.padStart(16, 'k'), print: 'p'.repeat(16), ttlMs };
};
const jobsOf = (call: OnceCall, count: number): NewJob[] =>
  Array.from({ length: count }, (_, place) => newJob({ once: { call, place } }));
const usedBytes = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))![1]);
const onceKeys = (queue: string, prefix?: string) => {
  const { k, ks, kl } = queueKeys(queue, prefix);
  return [k, ks, kl];
};

describe.each([
  [1, CALLS],
  [20, CALLS / 10],
])('a key of a call of %i jobs', (jobsPerCall, calls) => {
  /** Bytes that so many calls take altogether. */
  const cost = async (queue: string, jobOf: (job: NewJob) => NewJob) => {
    const before = await usedBytes();
    const callsPerBatch = 1_000 / jobsPerCall;
    for (let first = 0; first < calls; first += callsPerBatch) {
      const batch = Array.from({ length: callsPerBatch }, (_, at) => jobsOf(callOf(first + at), jobsPerCall));
      await fast.add(queue, batch.flat().map(jobOf));
    }
    return (await usedBytes()) - before;
  };

  test(`costs ${BYTES_PER_CALL_MAX} bytes at the most`, async () => {
    const queue = `once-${jobsPerCall}`;
    await cost(`warm-${jobsPerCall}`, (job) => job);
    const withKeys = await cost(queue, (job) => job);
    const without = await cost(`plain-${jobsPerCall}`, ({ once: _, ...job }) => job);
    let bytes = 0;
    for (const key of onceKeys(queue)) bytes += (await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0;
    const perCall = bytes / calls;
    const measured = `${perCall.toFixed(0)} bytes a call; all of Redis grew by ${((withKeys - without) / calls).toFixed(0)}`;
    process.stderr.write(`idempotency keys, ${calls} calls of ${jobsPerCall} jobs: ${measured}\n`);
    expect(perCall).toBeLessThanOrEqual(BYTES_PER_CALL_MAX);
  });
});

test('of many keys nothing is left when their time is over', async () => {
  const queue = 'brief';
  for (let first = 0; first < CALLS; first += 1_000) {
    const calls = Array.from({ length: 1_000 }, (_, at) => callOf(first + at, 5_000));
    await fast.add(
      queue,
      calls.flatMap((call) => jobsOf(call, 1)),
    );
  }
  expect(await redis.hlen(queueKeys(queue).k)).toBe(CALLS);
  await eventually(
    async () => {
      await fast.tick(queue);
      expect(await redis.exists(...onceKeys(queue))).toBe(0);
    },
    { timeoutMs: 20_000 },
  );
});

test('a key that is used anew is known for its whole time, whatever is forgotten of the first', async () => {
  const queue = 'anew';
  await fast.add(queue, jobsOf(callOf(1, 1), 1));
  await eventually(async () => {
    const [added] = await fast.add(queue, jobsOf(callOf(1), 1));
    expect(added).toMatchObject({ id: '2' });
  });
  await fast.tick(queue);
  expect(await fast.add(queue, jobsOf(callOf(1), 1))).toMatchObject([{ id: '2', isDuplicate: true }]);
});

describe('on a lane that enqueues and remembers in two steps', () => {
  const PREFIX = 'bull:plinth:';
  /** A replica that is killed before the ids of a call are kept. */
  const killedBefore = (queue: string): OnceRooms => {
    let scripts = 0;
    return {
      run: async (script, args) => {
        scripts += 1;
        if (scripts > 1) throw new Error('killed');
        const keys = queueKeys(queue, PREFIX);
        const names = script.keys.map((name) => keys[name]);
        return (await redis.eval(script.text, names.length, ...names, ...args)) as string[];
      },
      add: (jobs) => standard.add(queue, withoutOnce(jobs)),
      stateOf: async () => undefined,
      letGo: async () => undefined,
    };
  };
  const withoutOnce = (jobs: readonly NewJob[]) => jobs.map(({ once: _, ...job }) => job);
  const ids = (added: readonly Added[]) => added.map((one) => ('id' in one ? one.id : one.refused));

  test('a kill between them makes no job twice: the repeat gets the first ids, though all has ended', async () => {
    const queue = 'cut-off';
    const jobs = () => jobsOf(callOf(1), 3).map((job) => ({ ...job, retain: { count: 0, ageMs: 0 } }));
    await expect(addOnce(killedBefore(queue), jobs())).rejects.toThrow('killed');
    const { jobs: leased } = await standard.lease(queue, { max: 3, leaseMs: 10_000, worker: 'w' });
    expect(leased).toHaveLength(3);
    const acks = leased.map(({ id, token }) => ({ id, token, kind: 'ack' as const, result: undefined }));
    await standard.settle(queue, acks);
    const again = await standard.add(queue, jobs());
    expect(ids(again)).toEqual(leased.map(({ id }) => id));
    expect(ids(await standard.add(queue, jobs()))).toEqual(ids(again));
    expect((await standard.stats(queue)).totals.enqueued).toBe(3);
  });

  test('another call under the key of one that was cut off is refused', async () => {
    const queue = 'cut-off-other';
    await expect(addOnce(killedBefore(queue), jobsOf(callOf(1), 1))).rejects.toThrow('killed');
    const other = { ...callOf(1), print: 'q'.repeat(16) };
    expect(await standard.add(queue, jobsOf(other, 1))).toEqual([{ refused: 'idempotency_mismatch' }]);
  });

  test('dedup ids of its own making go ten minutes after, and the key stays', async () => {
    const queue = 'let-go';
    await standard.add(queue, jobsOf(callOf(1, 86_400_000), 2));
    const dedups = await redis.keys('bull:{let-go}:plinth:call:*');
    expect(dedups).toHaveLength(1);
    for (const name of dedups) expect(await redis.pttl(name)).toBeLessThanOrEqual(600_000);
    await redis.del(...dedups);
    const again = await standard.add(queue, jobsOf(callOf(1, 86_400_000), 2));
    expect(again).toMatchObject([{ isDuplicate: true }, { isDuplicate: true }]);
  });
});

test('ids in runs are read as they were written', () => {
  expect(runsOfIds(['7', '8', '9', undefined, undefined, '4', 'a,b', '10'])).toBe('7+2,!2,4,=a%2Cb,10');
  expect(idsOfRuns('')).toEqual([]);
  const random = seededRandom();
  for (let round = 0; round < 500; round++) {
    const words = Array.from({ length: 1 + random.int(20) }, () => {
      const kind = random.int(6);
      return kind === 0 ? undefined : kind === 1 ? `flow+${random.int(9)},=!` : `${1 + random.int(5)}`;
    });
    expect(Array.from(idsOfRuns(runsOfIds(words)))).toEqual(words);
  }
});
