/** How a worker leases, runs and settles, seen from the other end of its calls. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import {
  FinalError,
  type Handler,
  type Job,
  RetryLater,
  Worker,
  type WorkerEvent,
  type WorkerSettings,
} from '../src/worker.ts';
import { SmallQueue } from './small-queue.ts';

let small: SmallQueue;
const workers: Worker[] = [];
const events: WorkerEvent[] = [];

beforeEach(async () => {
  small = await SmallQueue.start();
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop({ deadlineMs: 0 })));
  events.length = 0;
  await small.stop();
});

function work(handler: Handler, options: Partial<WorkerSettings> & { queues?: string[] } = {}): Worker {
  const { queues = ['work'], ...settings } = options;
  const worker = new Worker({ url: small.url, queues, handler, onEvent: (event) => events.push(event), ...settings });
  workers.push(worker);
  return worker;
}

const ended =
  (count: number, queue = 'work') =>
  () =>
    small.count('completed', queue) >= count || false;
const told = (type: WorkerEvent['type']) => events.filter((event) => event.type === type);

describe('outcomes', () => {
  test('what a handler returns is the result, and it sees all that it needs', async () => {
    const [job] = small.add(1, { data: { to: 'ann' } });
    let seen: Job | undefined;
    work((given) => {
      seen = given;
      return { sent: true };
    });
    await eventually(ended(1));
    expect(job!.result).toEqual({ sent: true });
    expect(seen).toMatchObject({
      id: job!.id,
      queue: 'work',
      name: 'work',
      data: { to: 'ann' },
      attempt: 1,
      attempts: 5,
    });
    expect(seen!.deadline).toBeUndefined();
    expect(seen!.signal.aborted).toBe(false);
    expect(told('completed')).toHaveLength(1);
  });

  test('a throw fails the attempt; a FinalError for good; a RetryLater with its time', async () => {
    const jobs = small.add(3);
    work(({ data }) => {
      if (data === 0) throw new TypeError('no such address');
      if (data === 1) throw new FinalError('nobody of that name');
      throw new RetryLater(1_234);
    });
    await eventually(() => small.count('failed') === 3);
    const [plain, final, later] = jobs;
    expect(plain).toMatchObject({ error: { type: 'TypeError', message: 'no such address' } });
    expect(plain!.retryAfterMs).toBeUndefined();
    expect(final).toMatchObject({ final: true, error: { type: 'FinalError' } });
    expect(later).toMatchObject({ retryAfterMs: 1_234, error: { type: 'RetryLater' } });
  });

  test('a result of 65,536 bytes is taken; one byte more, or one without JSON, fails for good', async () => {
    const [fits, tooLong, circular] = small.add(3);
    work(({ data }) => {
      if (data === 0) return 'x'.repeat(65_534);
      if (data === 1) return 'x'.repeat(65_535);
      const loop: Record<string, unknown> = {};
      loop.loop = loop;
      return loop;
    });
    await eventually(() => small.count('completed') + small.count('failed') === 3);
    expect(fits!.state).toBe('completed');
    expect(tooLong).toMatchObject({
      state: 'failed',
      final: true,
      error: { message: expect.stringContaining('65537 bytes') },
    });
    expect(circular).toMatchObject({ state: 'failed', final: true });
  });

  test('progress and log lines arrive while the handler runs, and all before its end', async () => {
    const [job] = small.add(1);
    let release = () => {};
    work(async ({ progress, log }) => {
      progress(10);
      log('begun');
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      progress({ done: 100 });
      log('x'.repeat(2_000));
    });
    await eventually(() => job!.progress === 10);
    expect(job!.log).toEqual(['begun']);
    release();
    await eventually(ended(1));
    expect(job!.progress).toEqual({ done: 100 });
    expect(job!.log).toEqual(['begun', 'x'.repeat(1_024)]);
  });
});

describe('calls', () => {
  test('2,000 quick jobs take few calls: outcomes travel with the call for the next', async () => {
    small.add(2_000);
    work(() => {}, { concurrency: 50 });
    await eventually(ended(2_000));
    const doneIn = (body: { done?: string }) => (body.done === undefined ? 0 : body.done.split(' ').length / 2);
    const acked = small.callsOf('next').reduce((sum, { body }) => sum + doneIn(body), 0);
    const calls = small.callsOf('next').length + small.callsOf('ack').length;
    expect(calls).toBeLessThan(60);
    expect(acked).toBeGreaterThan(400);
    expect(small.jobs().every(({ leases }) => leases === 1)).toBe(true);
  });

  test('never more handlers run than `concurrency`, nor more jobs are held than that and the prefetch', async () => {
    small.add(200);
    let [running, runningMax, heldMax] = [0, 0, 0];
    const handler = async () => {
      runningMax = Math.max(runningMax, ++running);
      await sleep(2);
      heldMax = Math.max(heldMax, small.count('leased'));
      running--;
    };
    work(handler, { concurrency: 5, prefetch: 7 });
    await eventually(ended(200));
    expect(runningMax).toBe(5);
    // Those whose outcome is on its way are held by nobody any more.
    expect(heldMax).toBeLessThanOrEqual(5 + 7 + 5 + 7);
  });

  test('nothing is prefetched of jobs that take longer than a quarter of the lease', async () => {
    small.add(20);
    const worker = work(() => sleep(400), { concurrency: 2, leaseMs: 1_000 });
    await eventually(ended(4), { timeoutMs: 5_000 });
    expect(small.count('leased')).toBeLessThanOrEqual(3);
    expect(worker.held.waiting).toBeLessThanOrEqual(1);
  });

  test('a job that waits here longer than a quarter of the lease is given back', async () => {
    small.add(40);
    let isSlow = false;
    work(async () => sleep(isSlow ? 800 : 1), { concurrency: 1, prefetch: 10, leaseMs: 1_000 });
    await eventually(ended(5));
    isSlow = true;
    await eventually(() => told('released').length > 0);
    await eventually(() => small.jobs().some(({ releases }) => releases > 0));
  });

  test('an outcome does not wait for a call that waits for jobs', async () => {
    small.add(1);
    work(() => sleep(50), { concurrency: 4 });
    await eventually(() => told('started').length === 1);
    await eventually(ended(1), { timeoutMs: 3_000 });
    expect(small.callsOf('ack')).toHaveLength(1);
  });

  test('of two queues neither keeps the other waiting, with one slot for both', async () => {
    work(() => sleep(1), { queues: ['a', 'b'], concurrency: 1 });
    await eventually(() => small.callsOf('next').length === 2);
    small.add(20, { queue: 'a' });
    small.add(20, { queue: 'b' });
    await eventually(ended(20, 'a'));
    await eventually(ended(20, 'b'));
    expect(small.jobs('a').every(({ leases }) => leases === 1)).toBe(true);
  });
});

describe('when the service is away', () => {
  test('an outcome whose answer was lost is told again, and is no lost lease', async () => {
    small.add(10);
    let left = 3;
    // With the answer that brings jobs those would be lost too, until their leases end.
    const isLost = (acks: unknown[] = []) => acks.length > 0 && small.count('waiting') === 0 && left-- > 0;
    small.fault = ({ body }) => (isLost(body.acks) ? 'lose' : undefined);
    work(() => 'done', { concurrency: 10 });
    await eventually(ended(10));
    await eventually(() => left < 0);
    // The call that carries them waits for jobs: with this one it is answered.
    small.add(1);
    await eventually(ended(11));
    expect(small.jobs().every(({ leases }) => leases === 1)).toBe(true);
    expect(told('lost')).toEqual([]);
    expect(told('trouble')).toHaveLength(3);
  });

  test('outcomes are told once it is back, and no sooner than backoff allows', async () => {
    small.add(3);
    let isAway = false;
    small.fault = () => (isAway ? 'reset' : undefined);
    work(async () => {
      isAway = true;
      await sleep(20);
    });
    await eventually(() => told('completed').length === 3);
    const before = small.calls.length;
    await sleep(600);
    expect(small.calls.length - before).toBeLessThan(25);
    isAway = false;
    await eventually(ended(3), { timeoutMs: 6_000 });
    expect(small.jobs().every(({ leases }) => leases === 1)).toBe(true);
  });

  test('an outcome that cannot be told while the lease may last is given up, and said so', async () => {
    small.add(1);
    let isAway = false;
    small.fault = () => (isAway ? 'reset' : undefined);
    work(
      () => {
        isAway = true;
      },
      { leaseMs: 1_000 },
    );
    await eventually(() => told('undelivered').length === 1, { timeoutMs: 8_000 });
    expect(told('undelivered')[0]).toMatchObject({ outcome: 'ack', queue: 'work' });
  });

  test('a call that is refused as a whole does not hold up those beside the guilty one', async () => {
    small.add(20);
    small.fault = ({ body }) =>
      JSON.stringify(body.acks ?? []).includes('guilty') && (body.acks.length > 1 || body.acks[0].result === 'guilty')
        ? 413
        : undefined;
    work(({ data }) => (data === 7 ? 'guilty' : 'fine'), { concurrency: 10 });
    await eventually(ended(19), { timeoutMs: 10_000 });
    await eventually(() => small.count('failed') === 1, { timeoutMs: 10_000 });
    expect(small.jobs()[7]).toMatchObject({ state: 'failed', error: { type: 'body_too_large' } });
  });
});
