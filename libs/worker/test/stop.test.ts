/** How a worker ends: by its own process, by a signal, by an order of the service. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually, type ProcessUnderTest, runProcess } from '@plinth/testkit';
import { type Handler, Worker, type WorkerEvent, type WorkerSettings } from '../src/worker.ts';
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

function work(handler: Handler, settings: Partial<WorkerSettings> = {}): Worker {
  const onEvent = (event: WorkerEvent) => void events.push(event);
  const worker = new Worker({ url: small.url, queue: 'work', leaseMs: 1_000, handler, onEvent, ...settings });
  workers.push(worker);
  return worker;
}

async function workElsewhere(settings: Partial<WorkerSettings>, stopMs = 0): Promise<ProcessUnderTest> {
  const options = JSON.stringify({ url: small.url, queue: 'work', leaseMs: 1_000, ...settings });
  const script = new URL('./worker-process.ts', import.meta.url);
  const running = runProcess({ script, env: { WORKER_OPTIONS: options, WORKER_STOP_MS: String(stopMs) } });
  await running.waitForLine(/^ready/);
  return running;
}

const told = (type: WorkerEvent['type']) => events.filter((event) => event.type === type);
describe('stopping a worker', () => {
  test('what has not begun is given back at once, what runs is waited for', async () => {
    small.add(30);
    const worker = work(({ data }) => sleep((data as number) < 10 ? 1 : 500), { concurrency: 2, leaseMs: 30_000 });
    await eventually(() => small.count('completed') >= 10 && worker.held.waiting > 0);
    const startedMs = performance.now();
    const stopping = worker.stop({ deadlineMs: 5_000 });
    await eventually(() => small.count('leased') === 2, { timeoutMs: 400 });
    await stopping;
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    expect(small.count('leased')).toBe(0);
    expect(small.count('waiting') + small.count('completed')).toBe(30);
    expect(small.jobs().every(({ state, leases, releases }) => state === 'completed' || leases === releases)).toBe(
      true,
    );
    expect(worker.state).toBe('stopped');
  });

  test('what still runs at the deadline is aborted and given back, and its handler is not heard any more', async () => {
    const [job] = small.add(1);
    let reason: unknown;
    const worker = work(async ({ signal }) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason;
      });
      await sleep(800);
      return 'too late';
    });
    await eventually(() => told('started').length === 1);
    await worker.stop({ deadlineMs: 100 });
    expect(job).toMatchObject({ state: 'waiting', releases: 1 });
    expect((reason as Error).name).toBe('WorkerStopping');
    await sleep(900);
    expect(job!.state).toBe('waiting');
    expect(told('completed')).toEqual([]);
  });

  test('an idle worker stops at once, whatever its call would wait', async () => {
    const worker = work(() => {}, { waitMs: 60_000 });
    await eventually(() => small.callsOf('next').length === 1);
    const startedMs = performance.now();
    await worker.stop();
    expect(performance.now() - startedMs).toBeLessThan(500);
    await worker.stopped;
  });

  test('it stops although the service is away', async () => {
    small.add(1);
    const worker = work(() => sleep(100));
    await eventually(() => told('started').length === 1);
    small.fault = () => 'reset';
    const startedMs = performance.now();
    await worker.stop({ deadlineMs: 1_000 });
    expect(performance.now() - startedMs).toBeLessThan(6_500);
    expect(told('undelivered')).toHaveLength(1);
  });

  test('SIGTERM with a stop in it gives the jobs back and lets the process end by itself', async () => {
    small.add(20, { data: { sleepMs: 60_000 } });
    const running = await workElsewhere({ concurrency: 5, leaseMs: 30_000 }, 100);
    await eventually(() => small.count('leased') >= 5);
    running.child.kill('SIGTERM');
    await running.waitForLine(/^stopped/, 3_000);
    expect(small.count('waiting')).toBe(20);
    await running.kill();
  });
});

describe('orders', () => {
  test('a beat tells of the worker; quiet stops its leasing, run lets it go on', async () => {
    const worker = work(() => {}, { beatMs: 100, worker: 'w1', concurrency: 7 });
    const [beat] = await eventually(() => small.callsOf('beat').length > 0 && small.callsOf('beat'));
    expect(beat).toMatchObject({
      queue: 'w1',
      body: { queues: ['work'], slots: 7, used: 0, host: expect.any(String) },
    });
    expect(beat!.body.rssBytes).toBeGreaterThan(1_000_000);
    small.order = 'quiet';
    await eventually(() => worker.state === 'quiet');
    small.order = 'run';
    await eventually(() => worker.state === 'running');
    small.add(1);
    await eventually(() => small.count('completed') === 1);
  });

  test('`terminate` lets it end what it has, and no more', async () => {
    small.add(1);
    const worker = work(() => sleep(400), { beatMs: 100, concurrency: 1, prefetch: 0 });
    await eventually(() => told('started').length === 1);
    small.order = 'terminate';
    await eventually(() => worker.state === 'stopping');
    small.add(1);
    await worker.stopped;
    expect([small.count('completed'), small.count('waiting')]).toEqual([1, 1]);
  });
});
