import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { seededRandom } from './testkit.ts';

const take = (seed: number, count: number) => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random());
};

test('the same seed gives the same numbers, another seed others', () => {
  expect(take(42, 5)).toEqual(take(42, 5));
  expect(take(42, 5)).not.toEqual(take(43, 5));
});

test('numbers lie in [0, 1) and spread over it', () => {
  const numbers = take(1, 10_000);
  expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...numbers)).toBeLessThan(1);
  const mean = numbers.reduce((sum, value) => sum + value) / numbers.length;
  expect(mean).toBeCloseTo(0.5, 1);
});

test('int stays below its limit and reaches both ends', () => {
  const random = seededRandom(7);
  const seen = new Set(Array.from({ length: 200 }, () => random.int(3)));
  expect([...seen].sort()).toEqual([0, 1, 2]);
});

test('shuffle keeps every item and leaves the given array alone', () => {
  const items = [1, 2, 3, 4, 5, 6, 7, 8];
  const shuffled = seededRandom(3).shuffle(items);
  expect(shuffled).not.toEqual(items);
  expect(shuffled.toSorted()).toEqual(items);
  expect(items[0]).toBe(1);
});

test('without a seed, SEED decides', () => {
  const before = process.env.SEED;
  process.env.SEED = '123';
  try {
    expect(seededRandom().seed).toBe(123);
  } finally {
    if (before === undefined) delete process.env.SEED;
    else process.env.SEED = before;
  }
});

test('a test that is run once more has the seeds of its first run', async () => {
  const before = { ...process.env };
  const folder = mkdtempSync(join(tmpdir(), 'plinth-seeds-'));
  delete process.env.SEED;
  process.env.PLINTH_TEST_SEEDS = folder;
  try {
    const seeds = async () => {
      // Loaded anew, as by another run of jest.
      jest.resetModules();
      const { seededRandom: fresh } = await import('./seeded-random.ts');
      return [fresh().seed, fresh().seed];
    };
    const first = await seeds();
    expect(first[0]).not.toBe(first[1]);
    expect(await seeds()).toEqual(first);
  } finally {
    process.env = before;
    rmSync(folder, { recursive: true });
  }
});
