import { expect, test } from '@jest/globals';
import { Countdown, enqueueAll, Stopwatch } from './pace.ts';
import { dataOf, PAYLOAD_BYTES } from './workload.ts';

test('every number is enqueued once, the last call takes what is left, and no more calls are under way than were asked', async () => {
  const seen: number[] = [];
  let underWay = 0;
  let most = 0;
  await enqueueAll({ jobs: 1_005, perCall: 100, inFlight: 3 }, async (first, count) => {
    most = Math.max(most, ++underWay);
    seen.push(...Array.from({ length: count }, (_, index) => first + index));
    await new Promise((resolve) => setTimeout(resolve, 1));
    underWay--;
  });
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1_005 }, (_, number) => number));
  expect(most).toBe(3);
});

test('a countdown ends with the last job and not before', async () => {
  const countdown = new Countdown(2);
  let isDone = false;
  void countdown.done.then(() => {
    isDone = true;
  });
  countdown.count();
  await new Promise(setImmediate);
  expect(isDone).toBe(false);
  countdown.count();
  await countdown.done;
});

test('a stopwatch enqueues at an even pace and times each job from its call to its start', async () => {
  const stopwatch = new Stopwatch();
  const { jobs, elapsedMs, p50Ms } = await stopwatch.run(0.5, async (number, at) => {
    setTimeout(() => stopwatch.start(dataOf(number, at)), 20);
  });
  expect(jobs).toBe(50);
  expect(elapsedMs).toBeGreaterThanOrEqual(490);
  expect(p50Ms).toBeGreaterThanOrEqual(19);
});

test.each([0, 123.456, 1_234_567.891])('a payload has its size whatever the time is (%d)', (at) => {
  expect(JSON.stringify(dataOf(12_345, at)).length).toBe(PAYLOAD_BYTES);
});
