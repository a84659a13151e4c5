/** What the stall checks of native workers do to the lane's leases, and what native workers do to jobs that they lose. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually, withRedis } from '@plinth/testkit';
import { type Job, Worker, type WorkerOptions } from 'bullmq';
import { Redis } from 'ioredis';
import type { JobState, LeasedJob } from '../../core/job.ts';
import { newJob, outcomesOf } from '../lane-bench.contract.ts';
import { StandardLane } from '../standard-lane.ts';

/** How often native workers look for stalled jobs here; a job is found at the second look. */
const LOOK_MS = 40;
const SHORT_MS = 100;

const redis = withRedis();
const closing: { close(force?: boolean): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close(true);
});

async function open(): Promise<StandardLane> {
  const lane = await StandardLane.open({ url: redis.url });
  closing.push({ close: () => lane.stop() });
  return lane;
}

function nativeWorker(
  lane: StandardLane,
  queue: string,
  work: (job: Job) => Promise<unknown>,
  options: Partial<WorkerOptions> = {},
): Worker {
  const connection = { host: '127.0.0.1', port: redis.port };
  const worker = new Worker(lane.nativeName(queue), work, { connection, stalledInterval: LOOK_MS, ...options });
  worker.on('error', () => {});
  closing.push(worker);
  return worker;
}

function client(): Redis {
  const connected = new Redis(redis.url);
  closing.push({ close: async () => connected.disconnect() });
  return connected;
}

async function add(lane: StandardLane, queue: string): Promise<string> {
  const [added] = await lane.add(queue, [newJob()]);
  return (added as { id: string }).id;
}

async function lease(lane: StandardLane, queue: string, leaseMs: number): Promise<LeasedJob> {
  const { jobs } = await lane.lease(queue, { max: 1, leaseMs, worker: 'tester' });
  return jobs[0]!;
}

const ack = ({ id, token }: LeasedJob) => [{ id, token, kind: 'ack' as const, result: undefined }];

describe('beside a native worker that looks for stalled jobs', () => {
  test('a lease that is renewed is left alone, much longer than its first deadline', async () => {
    const lane = await open();
    const id = await add(lane, 'renewed');
    const job = await lease(lane, 'renewed', SHORT_MS);
    const taken: string[] = [];
    nativeWorker(lane, 'renewed', async ({ id: theirs }) => taken.push(theirs!));
    for (let times = 0; times < 10; times++) {
      await sleep(SHORT_MS / 2);
      const [renewed] = await lane.renew('renewed', [{ ...job, leaseMs: SHORT_MS, progress: undefined, log: [] }]);
      expect(renewed).toMatchObject({ id, cancel: undefined });
    }
    expect(taken).toEqual([]);
    expect(outcomesOf(await lane.settle('renewed', ack(job)))).toEqual(['completed']);
  });

  test('a lease that has ended is for the lane to take back, and counts nothing that makes BullMQ bury the job', async () => {
    const lane = await open();
    const id = await add(lane, 'ended');
    const job = await lease(lane, 'ended', SHORT_MS);
    const taken: Job[] = [];
    nativeWorker(lane, 'ended', async (theirs) => taken.push(theirs));
    await sleep(SHORT_MS + 10 * LOOK_MS);
    expect([(await lane.get('ended', id))!.state, taken.length]).toEqual(['leased', 0]);
    expect((await lane.tick('ended')).stalled).toEqual([{ id, state: 'waiting' }]);
    expect(outcomesOf(await lane.settle('ended', ack(job)))).toEqual(['lost']);
    const view = await eventually(
      async () => {
        const found = (await lane.get('ended', id))!;
        return found.state === 'completed' ? found : false;
      },
      { timeoutMs: 15_000 },
    );
    expect(view.stalls).toBe(1);
    expect(taken.map(({ stalledCounter }) => stalledCounter)).toEqual([0]);
  });
});

describe('a native worker that loses its jobs', () => {
  /** Loses each job that it gets, as a process does that dies: its locks run out. */
  const losing = (lane: StandardLane, queue: string, options: Partial<WorkerOptions>) =>
    nativeWorker(lane, queue, () => new Promise(() => {}), {
      ...{ lockDuration: SHORT_MS, skipLockRenewal: true, concurrency: 10 },
      ...options,
    });

  /** @returns Tells in which state the job is now, so many losses later. */
  async function after(stalls: number, queue: string, options: Partial<WorkerOptions>) {
    const lane = await open();
    const id = await add(lane, queue);
    const worker = losing(lane, queue, options);
    let lost = 0;
    worker.on('stalled', () => {
      lost += 1;
    });
    await eventually(() => lost >= stalls, { timeoutMs: 15_000 });
    return async (): Promise<JobState> => (await lane.get(queue, id))!.state;
  }

  test('buries a job at the second loss, as BullMQ has it by default', async () => {
    const state = await after(2, 'default', {});
    await eventually(async () => expect(await state()).toBe('dead'));
  });

  test('goes on to the limit of the queue when it is told that', async () => {
    const state = await after(3, 'told', { maxStalledCount: 1_000 });
    await sleep(SHORT_MS / 2);
    expect(await state()).not.toBe('dead');
  });

  test('is not charged with what the lane has lost before', async () => {
    const lane = await open();
    const id = await add(lane, 'charged');
    await lease(lane, 'charged', 10);
    await eventually(async () => (await lane.tick('charged')).stalled.length === 1);
    // The tick has looked for stalled jobs too, so that native workers need not for half a minute.
    await client().del(`bull:${lane.nativeName('charged')}:stalled-check`);
    // Long enough to be seen between its first loss and its second, by which it is dead.
    const worker = losing(lane, 'charged', { lockDuration: 3_000 });
    await new Promise((resolve) => worker.once('stalled', resolve));
    await eventually(async () => expect(await lane.get('charged', id)).toMatchObject({ stalls: 2, state: 'leased' }));
  });

  test('has not buried a job for good which the lane leases first', async () => {
    const lane = await open();
    const id = await add(lane, 'spared');
    const key = `bull:${lane.nativeName('spared')}:${id}`;
    await client().hset(key, 'stc', 2, 'defa', 'job stalled more than allowable limit');
    const job = await lease(lane, 'spared', 60_000);
    expect(job).toMatchObject({ id, stalls: 2 });
    expect(outcomesOf(await lane.settle('spared', ack(job)))).toEqual(['completed']);
    expect(await client().hget(key, 'defa')).toBeNull();
  });
});
