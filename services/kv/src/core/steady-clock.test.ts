import { describe, expect, it } from '@jest/globals';
import { SteadyClock } from './steady-clock.ts';

function clockAt(wallMs: number, startMs: number) {
  const time = { wallMs, elapsedMs: 0 };
  const clock = new SteadyClock({ now: () => time.wallMs, elapsed: () => time.elapsedMs }, () => startMs);
  const pass = (ms: number) => {
    time.wallMs += ms;
    time.elapsedMs += ms;
  };
  return { time, pass, now: clock.now };
}

describe('the time of the store', () => {
  it('is that of the wall clock while it goes forward', () => {
    const clock = clockAt(1_000, 0);
    expect(clock.now()).toBe(1_000);
    clock.pass(5);
    clock.time.wallMs += 3_600_000;
    expect(clock.now()).toBe(3_601_005);
  });

  it('goes on at the same pace when the clock is set back, in steps of any size', () => {
    const clock = clockAt(10_000, 0);
    clock.now();
    clock.time.wallMs -= 5_000;
    for (let step = 0; step < 1_000; step++) {
      clock.pass(0.25);
      clock.now();
    }
    expect(clock.now()).toBe(10_250);
  });

  it('follows the wall clock again when that is ahead', () => {
    const clock = clockAt(10_000, 0);
    clock.now();
    clock.time.wallMs -= 5_000;
    clock.pass(100);
    expect(clock.now()).toBe(10_100);
    clock.time.wallMs += 5_000;
    expect(clock.now()).toBe(10_100);
    clock.pass(1);
    expect(clock.now()).toBe(10_101);
  });

  it('begins where the log ended, though the clock was set back in between', () => {
    const clock = clockAt(1_000, 9_000);
    expect(clock.now()).toBe(9_000);
    clock.pass(7);
    expect(clock.now()).toBe(9_007);
  });
});
