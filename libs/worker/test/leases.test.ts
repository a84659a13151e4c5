/** How a worker keeps its leases, and how it loses them. */
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
/** Runs until its signal aborts, and remembers why. */
const untilAborted = (reasons: string[]): Handler => {
  return ({ signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        reasons.push((signal.reason as Error).name);
        reject(signal.reason);
      });
    });
};

describe('renewing', () => {
  test('a job that takes three leases keeps its first, also while others wait behind it', async () => {
    const jobs = small.add(3);
    work(() => sleep(3_000), { concurrency: 3 });
    await eventually(() => small.count('completed') === 3, { timeoutMs: 8_000 });
    expect(jobs.map(({ leases }) => leases)).toEqual([1, 1, 1]);
    expect(jobs[0]!.renewals).toBeGreaterThanOrEqual(4);
    expect(jobs[0]!.renewals).toBeLessThanOrEqual(12);
    // All of them in one call, and none of it over the connections of the main thread.
    expect(small.callsOf('renew').length).toBeLessThanOrEqual(12);
    const ports = new Set(small.callsOf('next').map(({ port }) => port));
    expect(small.callsOf('renew').some(({ port }) => ports.has(port))).toBe(false);
  });

  test('a handler that blocks its process for three leases keeps its lease', async () => {
    const [job] = small.add(1, { data: { blockMs: 3_000 } });
    await workElsewhere({});
    await eventually(() => job!.state === 'completed', { timeoutMs: 8_000 });
    expect(job!.leases).toBe(1);
  });

  test('one that blocks it longer than `maxBlockMs` loses it, and is told so', async () => {
    const [job] = small.add(1, { data: { blockMs: 3_000 } });
    const stuck = await workElsewhere({ maxBlockMs: 1_000 });
    await eventually(() => job!.state === 'leased' && job!.endsMs < performance.now(), { timeoutMs: 8_000 });
    await stuck.waitForLine(/^event blocked/);
    await stuck.waitForLine(/^event lost/);
    await stuck.kill();
  });

  test('a lease that the service has given away aborts the job, which says nothing more of it', async () => {
    const [job] = small.add(1);
    const reasons: string[] = [];
    work(untilAborted(reasons));
    await eventually(() => told('started').length === 1);
    small.steal(job!);
    await eventually(() => reasons.length === 1);
    expect(reasons).toEqual(['LeaseLost']);
    expect(told('lost')).toHaveLength(1);
    await sleep(50);
    expect(small.calls.some(({ body }) => (body.acks ?? body.fails ?? body.releases ?? []).length > 0)).toBe(false);
  });

  test('a lease that cannot be renewed in time aborts the job', async () => {
    small.add(1);
    small.fault = ({ verb }) => (verb === 'renew' ? 503 : undefined);
    const reasons: string[] = [];
    work(untilAborted(reasons));
    await eventually(() => reasons.length === 1);
    expect(reasons).toEqual(['LeaseLost']);
  });
});

describe('stopping a job', () => {
  test('a remote cancel aborts its signal, and the job ends as cancelled', async () => {
    const [job] = small.add(1);
    const reasons: string[] = [];
    work(untilAborted(reasons));
    await eventually(() => told('started').length === 1);
    job!.cancel = 'the order was withdrawn';
    await eventually(() => job!.state === 'cancelled');
    expect(reasons).toEqual(['JobCancelled']);
    expect(told('cancelled')).toMatchObject([{ reason: 'the order was withdrawn', id: job!.id }]);
    expect(told('failed')).toEqual([]);
  });

  test('a job that waits for its turn is given back when it is cancelled, without being run', async () => {
    small.add(12);
    work(({ data }) => sleep((data as number) < 8 ? 5 : 1_500), { concurrency: 1, prefetch: 8, leaseMs: 8_000 });
    await eventually(() => told('started').length === 9);
    const waiting = small.jobs().findLast(({ state, leases }) => state === 'leased' && leases === 1)!;
    waiting.cancel = 'no more';
    await eventually(() => waiting.state === 'cancelled', { timeoutMs: 6_000 });
    expect(told('started').some((event) => 'id' in event && event.id === waiting.id)).toBe(false);
  });

  test('`timeoutMs` aborts its signal, and counts as a failure of its own type', async () => {
    const [job] = small.add(1, { timeoutMs: 300 });
    const reasons: string[] = [];
    work(untilAborted(reasons));
    await eventually(() => job!.state === 'failed');
    expect(reasons).toEqual(['JobTimeout']);
    expect(job!.error).toMatchObject({ type: 'timeout', message: expect.stringContaining('300 ms') });
  });
});
