/** Handlers in threads: what they may do to themselves, and not to others. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { Worker, type WorkerEvent } from '../src/worker.ts';
import { SmallQueue } from './small-queue.ts';

let small: SmallQueue;
let worker: Worker;
const events: WorkerEvent[] = [];

beforeEach(async () => {
  small = await SmallQueue.start();
  worker = workIn('./processors/mixed.ts');
});
afterEach(async () => {
  await worker.stop({ deadlineMs: 0 });
  events.length = 0;
  await small.stop();
});

function workIn(processor: string): Worker {
  return new Worker({
    url: small.url,
    queue: 'work',
    leaseMs: 1_000,
    concurrency: 2,
    handler: new URL(processor, import.meta.url),
    sandbox: { graceMs: 100 },
    onEvent: (event) => events.push(event),
  });
}

const ask = (data: unknown) => small.add(1, { data })[0]!;
const started = (count: number) => () => events.filter(({ type }) => type === 'started').length >= count;

test('twenty jobs share as many threads as may run at a time', async () => {
  const jobs = Array.from({ length: 20 }, (_, of) => ask({ do: 'square', of }));
  await eventually(() => small.count('completed') === 20);
  const results = jobs.map(({ result }) => result as { squared: number; threadId: number });
  expect(results.map(({ squared }) => squared)).toEqual(jobs.map((_, at) => at ** 2));
  expect(new Set(results.map(({ threadId }) => threadId)).size).toBeLessThanOrEqual(2);
});

test('what a processor throws, tells and cannot send arrives as from any handler', async () => {
  const [final, unsendable, tell] = [ask({ do: 'final' }), ask({ do: 'unsendable' }), ask({ do: 'tell' })];
  await eventually(() => small.count('failed') + small.count('completed') === 3);
  expect(final).toMatchObject({ state: 'failed', final: true, error: { type: 'FinalError', message: 'never' } });
  expect(unsendable).toMatchObject({
    state: 'failed',
    error: { message: expect.stringContaining('could not be cloned') },
  });
  expect(tell).toMatchObject({ state: 'completed', progress: 50, log: ['half way'], result: 'told' });
});

test.each([
  ['exits', 'exit', 'exited with code 7'],
  ['throws where nobody catches', 'crash', 'nobody catches this'],
])('a processor that %s fails its own job, and the next one is done', async (_, deed, why) => {
  const [bad, good] = [ask({ do: deed }), ask({ do: 'square', of: 3 })];
  await eventually(() => bad.state === 'failed' && good.state === 'completed');
  expect(bad.error).toMatchObject({ type: 'ProcessorCrash', message: expect.stringContaining(why) });
  const later = ask({ do: 'square', of: 4 });
  await eventually(() => later.state === 'completed');
});

test('a processor that hears nothing is ended when its job is cancelled, within a renewal and the grace', async () => {
  const job = ask({ do: 'spin' });
  await eventually(started(1));
  job.cancel = 'enough';
  await eventually(() => job.state === 'cancelled', { timeoutMs: 3_000 });
  expect(job.leases).toBe(1);
  const next = ask({ do: 'square', of: 5 });
  await eventually(() => next.state === 'completed');
});

test('one that heeds its signal ends by itself', async () => {
  const job = ask({ do: 'wait' });
  await eventually(started(1));
  job.cancel = 'enough';
  await eventually(() => job.state === 'cancelled', { timeoutMs: 3_000 });
});

test('a worker that stops ends its threads, and the job is given back', async () => {
  const job = ask({ do: 'spin' });
  await eventually(started(1));
  const startedMs = performance.now();
  await worker.stop({ deadlineMs: 50 });
  expect(performance.now() - startedMs).toBeLessThan(2_000);
  expect(job).toMatchObject({ state: 'waiting', releases: 1 });
});

test('a module that is not there, or exports no handler, fails jobs with the reason', async () => {
  await worker.stop();
  worker = workIn('./processors/missing.ts');
  const lost = ask({});
  await eventually(() => lost.state === 'failed');
  expect(lost.error!.message).toContain('missing.ts');
  await worker.stop();
  worker = workIn('./small-queue.ts');
  const empty = ask({});
  await eventually(() => empty.state === 'failed');
  expect(empty.error!.message).toContain('exports no function as `handler`');
});
