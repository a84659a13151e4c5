import type { LimiterClock } from './clock.ts';

/** Time that the test owns: microseconds of the steady clock and of the wall. */
export class ManualClock implements LimiterClock {
  steady: number;
  wall: number;

  constructor({ steady = 1_000_000, wall = Date.UTC(2024, 0, 1) * 1_000 }: { steady?: number; wall?: number } = {}) {
    this.steady = steady;
    this.wall = wall;
  }

  nowUs(): number {
    return this.steady;
  }

  wallUs(): number {
    return this.wall;
  }

  passMs(ms: number): void {
    this.passUs(ms * 1_000);
  }

  passUs(us: number): void {
    this.steady += us;
    this.wall += us;
  }
}

/** Random numbers that a seed repeats: mulberry32. */
export function drawer(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Another one in every run, and said where the test says what it does. */
export function freshSeed(): number {
  return process.env.PLINTH_SEED === undefined ? Date.now() % 2 ** 31 : Number(process.env.PLINTH_SEED);
}

/** True for the runs of hours, not of seconds: `PLINTH_LONG=1`. */
export const isLong = process.env.PLINTH_LONG === '1';
