import { afterEach, expect, test } from '@jest/globals';
import { startDriver } from './driver.ts';
import type { LimiterDriver } from './ratelimit/arena.ts';
import { nodeFile } from './ratelimit/node-file.ts';

const started: LimiterDriver[] = [];
const start = async (words: string[]): Promise<LimiterDriver> => {
  const driver: LimiterDriver = await startDriver(nodeFile('library-load.ts'), words);
  started.push(driver);
  return driver;
};
afterEach(() => Promise.all(started.splice(0).map((driver) => driver.stop())));

test('a driver works off one task after the other, for as long as it is told', async () => {
  const driver = await start(['nothing']);
  for (const seed of [1, 2]) {
    const { decisions, elapsedMs } = await driver.work({ seconds: 0.2, seed });
    expect(decisions).toBeGreaterThan(0);
    expect(elapsedMs).toBeGreaterThanOrEqual(200);
  }
});

test('a driver that cannot start is an error, not a wait without end', async () => {
  await expect(start(['no such library'])).rejects.toThrow('library-load.ts ended (1)');
});

test('a driver that has ended cannot be asked', async () => {
  const driver = await start(['nothing']);
  await driver.stop();
  await expect(driver.work({ seconds: 0.1, seed: 1 })).rejects.toThrow('ended');
});
