/** Real threads whose every atomic operation is a turn in a random order: the argument of ring.ts, tried. */
import { describe, expect, test } from '@jest/globals';
import { type Outcome, randomOf, runSchedule } from './threads-scheduler.ts';

const ROUNDS = process.env.PLINTH_LONG ? 60 : 6;
const PATIENCE_MS = process.env.PLINTH_LONG ? 300_000 : 60_000;
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** 128 units of 8 bytes, and positions that wrap after a few records. */
const TINY = { ringBytes: 1024, lineBytesMax: 256, threadsMax: 8, startPosition: 2 ** 32 - 200 };
const WORDS = ['x', 'ä', '€', '😀', 'word', '\ud800'];

/** Lines with their thread and number, of random length, some not ASCII. */
function linesOf(thread: number, count: number, random: () => number): string[] {
  return Array.from({ length: count }, (_, number) => {
    const isWide = random() < 0.3;
    const pad = (isWide ? WORDS[Math.floor(random() * WORDS.length)]! : 'a').repeat(Math.floor(random() * 50));
    return `{"t":${thread},"n":${number},"pad":"${pad}"}\n`;
  });
}

/** Each thread's lines that came through, in the order in which they did. */
function numbersOf(outcome: Outcome, lines: string[][]): number[][] {
  const numbers: number[][] = lines.map(() => []);
  for (const line of outcome.taken) {
    const { t, n } = JSON.parse(line) as { t: number; n: number };
    // What UTF-8 cannot hold is replaced, everything else is as it was.
    expect(line).toBe(lines[t]![n]!.toWellFormed());
    numbers[t]!.push(n);
  }
  return numbers;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

const isRising = (numbers: number[]): boolean => numbers.every((number, at) => at === 0 || number > numbers[at - 1]!);

describe('any order of the steps of four threads', () => {
  test(
    '`block`: every line exactly once, in order',
    async () => {
      for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
        const random = randomOf(seed);
        const lines = [0, 1, 2].map((thread) => linesOf(thread, 25, random));
        const switching = [1, 0.3, 0.05][seed % 3];
        const outcome = await runSchedule({ seed, ring: TINY, lines, switching });
        expect({ seed, numbers: numbersOf(outcome, lines) }).toEqual({ seed, numbers: lines.map(() => upTo(25)) });
        expect({ seed, torn: outcome.torn }).toEqual({ seed, torn: 0 });
      }
    },
    PATIENCE_MS,
  );

  test.each(['drop-newest', 'drop-oldest'] as const)(
    '`%s`: taken = written + dropped, order kept',
    async (whenFull) => {
      let dropped = 0;
      for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
        const random = randomOf(seed);
        const lines = [0, 1, 2].map((thread) => linesOf(thread, 25, random));
        const outcome = await runSchedule({
          seed,
          ring: { ...TINY, whenFull },
          lines,
          consumerWeight: 6,
          switching: 0.5,
        });
        const numbers = numbersOf(outcome, lines);
        expect({ seed, isRising: numbers.map(isRising) }).toEqual({ seed, isRising: [true, true, true] });
        const { droppedOldest, droppedNewest } = outcome;
        expect({ seed, sum: outcome.taken.length + droppedOldest + droppedNewest }).toEqual({ seed, sum: 75 });
        dropped += whenFull === 'drop-oldest' ? droppedOldest : droppedNewest;
      }
      expect(dropped).toBeGreaterThan(0);
    },
    60_000,
  );

  test(
    'threads that die at random steps: no other line is damaged or lost, no stall, torn ones counted',
    async () => {
      let torn = 0;
      for (let seed = SEED; seed < SEED + 2 * ROUNDS; seed++) {
        const random = randomOf(seed);
        const lines = [0, 1, 2, 3].map((thread) => linesOf(thread, 15, random));
        const deaths = new Map([0, 1].map((thread) => [thread, Math.floor(random() * 60)]));
        const outcome = await runSchedule({ seed, ring: TINY, lines, deaths, switching: [1, 0.3][seed % 2] });
        const numbers = numbersOf(outcome, lines);
        expect({ seed, whole: numbers.slice(2) }).toEqual({ seed, whole: [upTo(15), upTo(15)] });
        for (const thread of outcome.died) {
          expect({ seed, numbers: numbers[thread] }).toEqual({ seed, numbers: upTo(numbers[thread]!.length) });
          // The last one may have been committed without its thread knowing.
          expect(numbers[thread]!.length - outcome.acknowledged[thread]!).toBeGreaterThanOrEqual(0);
          expect(numbers[thread]!.length - outcome.acknowledged[thread]!).toBeLessThanOrEqual(1);
        }
        expect(outcome.torn).toBeLessThanOrEqual(outcome.died.length);
        torn += outcome.torn;
      }
      process.stdout.write(`seed ${SEED}: ${torn} torn records\n`);
    },
    PATIENCE_MS,
  );

  test(
    'a thread that dies at each step of two lines, in turn: the ring goes on',
    async () => {
      const torn: number[] = [];
      for (let step = 1; step <= 14; step++) {
        const lines = [0, 1].map((thread) => linesOf(thread, 4, randomOf(7)));
        const outcome = await runSchedule({
          seed: step,
          ring: TINY,
          lines,
          deaths: new Map([[0, step]]),
          undisturbed: step,
        });
        const numbers = numbersOf(outcome, lines);
        expect(numbers[1]).toEqual(upTo(4));
        expect(numbers[0]).toEqual(upTo(numbers[0]!.length));
        torn.push(outcome.torn);
      }
      // Of each line's steps, one lies between the reservation and the commit.
      expect(torn).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    },
    PATIENCE_MS,
  );
});
