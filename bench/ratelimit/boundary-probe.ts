/**
 * What can pass a running limiter in one window, asked by someone who knows where windows end.
 *
 * One schedule for everybody, under a limit of 100 in 1 s, on a key nobody has used: one unit just behind a full second
 * of the wall clock, which opens windows that begin with the first hit; 120 just before both that window and the one of
 * the wall clock end; 120 again just behind; and then a steady drip until another window is over, which takes what
 * buckets refill. Six times, and the worst counts.
 *
 * When the limiter decided is not known, only that it was between question and answer. So nobody is accused falsely: the
 * window is taken shorter by the longest that any admitted question of the schedule was under way, since decisions whose
 * answers came within the rest were made within the whole.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Admission, maxInAnyWindow } from '@plinth/limiter/oracle';
import type { Door } from './door.ts';
import { LIMITS } from './workload.ts';

const REPEATS = 6;
const BURST = 120;
const { units: LIMIT, windowMs: WINDOW_MS } = LIMITS.hundred;

/** When to ask for how many units, in milliseconds behind the first one. */
const STEPS: readonly { atMs: number; units: number }[] = [
  { atMs: 0, units: 1 },
  { atMs: WINDOW_MS - 80, units: BURST },
  { atMs: WINDOW_MS + 20, units: BURST },
  ...Array.from({ length: 21 }, (_, index) => ({ atMs: WINDOW_MS + 70 + index * 50, units: 20 })),
];

/** The most that was admitted in any window, over the limit: 1 keeps the promise. */
export interface Excess {
  admittedMax: number;
  limit: number;
  ratio: number;
}

/** What a probe found, and how exactly. */
export interface Probe extends Excess {
  /** By so much the window was taken shorter in the worst repeat, in milliseconds: a busy machine sees less. */
  slackMs: number;
}

/**
 * Probes a limiter. Takes about 20 s, nearly all of it waiting.
 * @param phaseMs - How far behind the full second to begin: whoever has windows of its own need not be probed at the
 * same moment as all others.
 */
export async function probe(door: Door, phaseMs: number): Promise<Probe> {
  let admittedMax = 0;
  let slackMs = 0;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const key = `probe-${process.pid}-${door.name}-${repeat}`;
    const { admissions, slackUs } = await askAll(door, key.replaceAll(/[^\w-]/g, '-'), phaseMs);
    admittedMax = Math.max(admittedMax, maxInAnyWindow(admissions, WINDOW_MS * 1_000 - slackUs));
    slackMs = Math.max(slackMs, slackUs / 1_000);
  }
  return { admittedMax, limit: LIMIT, ratio: admittedMax / LIMIT, slackMs };
}

/** What was admitted, at the moments of the answers, and how much earlier it may have been decided at the most. */
interface Answers {
  admissions: Admission[];
  slackUs: number;
}

async function askAll(door: Door, key: string, phaseMs: number): Promise<Answers> {
  const wallMs = Date.now();
  const startMs = performance.now() + (Math.ceil(wallMs / WINDOW_MS) * WINDOW_MS - wallMs) + 5 + phaseMs;
  const answers: Answers = { admissions: [], slackUs: 0 };
  const takeOne = async (): Promise<void> => {
    const askedUs = nowUs();
    if (!(await door.take('hundred', key))) return;
    const atUs = nowUs();
    answers.admissions.push({ atUs, units: 1 });
    answers.slackUs = Math.max(answers.slackUs, atUs - askedUs);
  };
  for (const { atMs, units } of STEPS) {
    await sleep(Math.max(0, startMs + atMs - performance.now()));
    if (door.isInProcess) for (let asked = 0; asked < units; asked++) await takeOne();
    else await Promise.all(Array.from({ length: units }, takeOne));
  }
  return answers;
}

const nowUs = (): number => Math.round(performance.now() * 1_000);
