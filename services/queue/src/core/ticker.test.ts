import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import { Ticker } from './ticker.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function opened(answers: (number | undefined | Error)[], takesMs = 0) {
  const ticks: number[] = [];
  const reports: unknown[] = [];
  const startMs = performance.now();
  const ticker = new Ticker({
    tick: async () => {
      ticks.push(performance.now() - startMs);
      if (takesMs > 0) await sleep(takesMs);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
    now: () => performance.now(),
    report: (error) => reports.push(error),
  });
  opens.push(ticker);
  return { ticker, ticks, reports };
}

const opens: Ticker[] = [];
afterEach(async () => {
  for (const ticker of opens.splice(0)) await ticker.stop();
});

describe('a ticker', () => {
  test('ticks when the earliest of what it was told is due, once', async () => {
    const { ticker, ticks } = opened([]);
    ticker.dueIn(400);
    ticker.dueIn(50);
    // Timers fire in the order of their times, however late.
    const ticksBy90 = sleep(90).then(() => ticks.length);
    ticker.dueIn(90);
    expect(await ticksBy90).toBe(1);
    expect(ticks[0]).toBeGreaterThanOrEqual(49);
    await sleep(400);
    expect(ticks.length).toBe(1);
  });

  test('ticks again when the last tick said so, until there is nothing', async () => {
    const { ticker, ticks } = opened([20, 0, undefined]);
    await ticker.run();
    await eventually(() => expect(ticks.length).toBe(3));
    await sleep(100);
    expect(ticks.length).toBe(3);
  });

  test('what becomes due while a tick is under way has a tick of its own', async () => {
    const { ticker, ticks } = opened([], 40);
    const first = ticker.run();
    ticker.dueIn(10);
    await first;
    await eventually(() => expect(ticks.length).toBe(2));
    await sleep(80);
    expect(ticks.length).toBe(2);
    ticker.dueIn(10);
    await eventually(() => expect(ticks.length).toBe(3));
  });

  test('a failed tick is told and harms no later one', async () => {
    const { ticker, ticks, reports } = opened([new Error('away')]);
    await ticker.run();
    expect(String(reports[0])).toContain('away');
    await ticker.run();
    expect(ticks.length).toBe(2);
  });

  test('does nothing once it is stopped', async () => {
    const { ticker, ticks } = opened([]);
    ticker.dueIn(10);
    await ticker.stop();
    ticker.dueIn(10);
    await sleep(50);
    expect(ticks).toEqual([]);
  });
});
