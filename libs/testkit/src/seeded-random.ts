/**
 * Randomness that can be repeated: every run prints its seed, and SEED=<number> runs it again.
 *
 * Where PLINTH_TEST_SEEDS names a folder, a test that is run once more finds the seed of its first run there.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Call it for a number in [0, 1), as `Math.random`. */
export interface SeededRandom {
  (): number;
  readonly seed: number;
  /** A whole number from 0 to `limit` - 1. */
  int(limit: number): number;
  /** One of the items. */
  pick<T>(items: readonly T[]): T;
  /** The items in random order, as a new array. */
  shuffle<T>(items: readonly T[]): T[];
}

/**
 * A generator whose sequence follows from its seed alone.
 *
 * @param seed - For a regression test of a known bad seed: then SEED is ignored and nothing is printed.
 */
export function seededRandom(seed?: number): SeededRandom {
  const chosen = seed ?? announce(seedFromEnvironment() ?? seedOfFirstRun(() => Math.floor(Math.random() * 2 ** 32)));
  const next = mulberry32(chosen);
  const int = (limit: number) => Math.floor(next() * limit);
  const pick = <T>(items: readonly T[]) => items[int(items.length)] as T;
  return Object.assign(() => next(), {
    seed: chosen,
    int,
    pick,
    shuffle: <T>(items: readonly T[]) => shuffled(items, int),
  });
}

function seedFromEnvironment(): number | undefined {
  const { SEED } = process.env;
  return SEED ? Number(SEED) : undefined;
}

/** Straight to the stream: jest's console would add a stack trace to each seed. */
function announce(seed: number): number {
  process.stderr.write(`seed ${seed} (repeat with SEED=${seed})${currentTest()}\n`);
  return seed;
}

function currentTest(): string {
  const { currentTestName, testPath } = testState();
  const place = currentTestName ?? testPath?.split('/').at(-1);
  return place ? ` in "${place}"` : '';
}

/** How often each test has asked, by its place: a test may want several generators. */
const askedBy = new Map<string, number>();

function seedOfFirstRun(choose: () => number): number {
  const { PLINTH_TEST_SEEDS: folder } = process.env;
  const { currentTestName, testPath } = testState();
  // A process that a test starts has no name to be found by.
  if (!folder || testPath === undefined) return choose();
  const place = `${testPath} ${currentTestName ?? ''}`;
  const turn = askedBy.get(place) ?? 0;
  askedBy.set(place, turn + 1);
  const file = join(folder, createHash('sha256').update(`${place} ${turn}`).digest('hex'));
  if (existsSync(file)) return Number(readFileSync(file, 'utf8'));
  const seed = choose();
  writeFileSync(file, String(seed));
  return seed;
}

function testState(): { currentTestName?: string; testPath?: string } {
  const { expect } = globalThis as { expect?: { getState(): { currentTestName?: string; testPath?: string } } };
  return expect?.getState() ?? {};
}

/** Mulberry32 by Tommy Ettinger (public domain): 32 bits of state, fast, and good enough to find bugs. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], int: (limit: number) => number): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = int(last + 1);
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}
