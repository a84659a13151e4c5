/** Enqueueing: what is gathered, what is repeated, and who hears of what. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Producer } from '../src/worker.ts';
import { SmallQueue } from './small-queue.ts';

let small: SmallQueue;
let producer: Producer;

beforeEach(async () => {
  small = await SmallQueue.start();
  producer = new Producer({ url: small.url });
});
afterEach(async () => {
  await producer.close();
  await small.stop();
});

test('500 callers at once make a few calls, and each gets its own answer', async () => {
  const added = await Promise.all(
    Array.from({ length: 500 }, (_, data) => producer.enqueue('mail', { name: 'welcome', data })),
  );
  expect(small.callsOf('jobs').length).toBeLessThan(5);
  const jobs = small.jobs('mail');
  expect(jobs).toHaveLength(500);
  for (const [at, { id }] of added.entries()) expect(jobs.find((job) => job.id === id)!.data).toBe(at);
});

test('2,500 jobs go in calls of 1,000, and their answers come in order', async () => {
  const added = await producer.enqueue(
    'mail',
    Array.from({ length: 2_500 }, (_, data) => ({ name: 'welcome', data })),
  );
  expect(added).toHaveLength(2_500);
  const byId = new Map(small.jobs('mail').map((job) => [job.id, job.data]));
  expect(added.map((item) => ('id' in item ? byId.get(item.id) : undefined))).toEqual(added.map((_, at) => at));
  expect(small.callsOf('jobs').map(({ body }) => body.length)).toEqual([1_000, 1_000, 500]);
});

test('a bad job is refused to its caller alone', async () => {
  const [good, bad, other] = await Promise.allSettled([
    producer.enqueue('mail', { name: 'good' }),
    producer.enqueue('mail', {} as { name: string }),
    producer.enqueue('mail', [{ name: 'also good' }, {} as { name: string }]),
  ]);
  expect(small.callsOf('jobs')).toHaveLength(1);
  expect(good).toMatchObject({ status: 'fulfilled', value: { id: expect.any(String) } });
  expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'invalid_request' } });
  expect(other).toMatchObject({
    status: 'fulfilled',
    value: [{ id: expect.any(String) }, { problem: { code: 'invalid_request' } }],
  });
});

test('a call whose answer was lost is repeated with the key of the first', async () => {
  let left = 2;
  small.fault = () => (left-- > 0 ? 'reset' : undefined);
  await producer.enqueue('mail', { name: 'once' });
  const keys = small.callsOf('jobs').map(({ idempotencyKey }) => idempotencyKey);
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
  expect(keys[0]).toMatch(/^.{16,}$/);
});

test('an empty array asks nothing', async () => {
  expect(await producer.enqueue('mail', [])).toEqual([]);
  expect(small.calls).toEqual([]);
});
