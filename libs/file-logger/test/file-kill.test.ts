import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { seededRandom, tempDir } from '@plinth/testkit';
import type { Durability } from '../src/line-sink.ts';
import { LogFile } from '../src/log-file.ts';
import { countInOrder, type Numbered, startVictim } from './file-victim-process.ts';

const ROUNDS = process.env.PLINTH_LONG === '1' ? 50 : 12;
/** For `interval` more than is written in a life, so that time alone decides what is lost; for the others, the count. */
const BUFFER_BYTES = { none: 65_536, interval: 2 ** 20, always: 65_536 };
/** `{"by":"a","n":0}` and its newline. */
const LINE_BYTES_MIN = 17;
const INTERVAL_MS = 50;
/** A busy machine may let a timer wait. Only the time of what is lost is judged by it, never the count. */
const LATE_MS = 200;
/** Long enough for most kills to come after lines whose time is over. */
const LIFE_MS_MAX = 700;

interface Killed {
  text: string;
  acks: { n: number; atMs: number }[];
}

async function killAfter(path: string, durability: Durability, ms: number): Promise<Killed> {
  const sink = { path, durability, intervalMs: INTERVAL_MS, bufferBytes: BUFFER_BYTES[durability] };
  const victim = startVictim({ sink, lines: 0, ending: 'acks' });
  await victim.ready();
  await new Promise((resolve) => setTimeout(resolve, ms));
  victim.child.kill('SIGKILL');
  expect((await victim.exited).signal).toBe('SIGKILL');
  const acks = victim.told().map((line) => {
    const [n, atMs] = line.split(' ').map(Number) as [number, number];
    return { n, atMs };
  });
  return { text: readFileSync(path, 'utf8'), acks };
}

/** What a reader makes of it: whole lines, and what is not. */
function sift(text: string): { whole: Numbered[]; torn: string[] } {
  const whole: Numbered[] = [];
  const torn: string[] = [];
  for (const line of text.split('\n').slice(0, text.endsWith('\n') ? -1 : undefined)) {
    try {
      whole.push(JSON.parse(line) as Numbered);
    } catch {
      if (line !== '') torn.push(line);
    }
  }
  return { whole, torn };
}

/** The next start: ends the torn line, counts it, and writes a line that stands for itself. */
function startAgain(path: string): { tornLines: number; text: string } {
  const file = new LogFile({ path });
  file.appendSync(Buffer.from('{"by":"next","n":0}\n'));
  const { tornLines } = file.stats;
  file.closeSync();
  return { tornLines, text: readFileSync(path, 'utf8') };
}

describe.each<Durability>(['none', 'interval', 'always'])(
  `SIGKILL at ${ROUNDS} random moments, durability %s`,
  (durability) => {
    test('loses at most the policy’s window, nothing in the middle, and never half a line unseen', async () => {
      const random = seededRandom();
      const dir = tempDir('file-kill');
      let lostMost = 0;
      let torn = 0;
      let old = 0;
      const round = async (number: number): Promise<void> => {
        const path = join(dir, `${number}.log`);
        const { text, acks } = await killAfter(path, durability, random() * LIFE_MS_MAX);
        const { whole, torn: halves } = sift(text);
        expect(countInOrder(whole)).toBe(whole.length);
        expect(halves.length).toBe(text === '' || text.endsWith('\n') ? 0 : 1);
        const handedIn = acks.at(-1)?.n ?? 0;
        lostMost = Math.max(lostMost, handedIn - whole.length);
        if (durability === 'always') expect(whole.length).toBeGreaterThanOrEqual(handedIn);
        expect(handedIn - whole.length).toBeLessThanOrEqual(BUFFER_BYTES[durability] / LINE_BYTES_MIN);
        const killedMs = acks.at(-1)?.atMs ?? 0;
        const due = acks.filter(({ atMs }) => atMs < killedMs - INTERVAL_MS - LATE_MS).at(-1)?.n ?? 0;
        expect(whole.length).toBeGreaterThanOrEqual(due);
        old += due;
        const next = startAgain(path);
        expect(next.tornLines).toBe(halves.length);
        torn += next.tornLines;
        expect(sift(next.text).whole.at(-1)).toEqual({ by: 'next', n: 0 });
        expect(sift(next.text).torn).toEqual(halves);
      };
      for (let number = 0; number < ROUNDS; number += 2) await Promise.all([round(number), round(number + 1)]);
      expect(old).toBeGreaterThan(0);
      process.stderr.write(`${durability}: at most ${lostMost} lines lost in ${ROUNDS} kills, ${torn} torn\n`);
    }, 120_000);
  },
);

test('a line cut at any byte is found, ended, counted, and no other line suffers', () => {
  const dir = tempDir('file-torn');
  const last = '{"by":"a","n":1,"msg":"é\\n"}\n';
  const bytes = Buffer.from(`{"by":"a","n":0}\n${last}`);
  for (let cut = LINE_BYTES_MIN; cut <= bytes.length; cut++) {
    const path = join(dir, `${cut}.log`);
    writeFileSync(path, bytes.subarray(0, cut));
    const isTorn = cut > LINE_BYTES_MIN && cut < bytes.length;
    const { tornLines, text } = startAgain(path);
    expect(tornLines).toBe(isTorn ? 1 : 0);
    // Only the newline was missing: then the line is as good as whole.
    const { whole } = sift(text);
    expect(whole.length).toBe(2 + (cut >= bytes.length - 1 ? 1 : 0));
  }
});
