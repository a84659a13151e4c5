import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '@plinth/testkit';
import { TargetGate } from './target-gate.ts';

function gateOf(concurrency: number, ratePerSecond = 0, random = () => 0) {
  const clock = new ManualClock();
  return { clock, gate: new TargetGate({ concurrency, ratePerSecond, now: clock.now, random }) };
}

describe('concurrency', () => {
  test('leaves as much room as is not taken, and none at the edge', () => {
    const { gate, clock } = gateOf(2);
    expect(gate.room()).toEqual({ count: 2, waitMs: undefined });
    gate.begin();
    expect(gate.room().count).toBe(1);
    gate.begin();
    expect(gate.room()).toEqual({ count: 0, waitMs: undefined });
    gate.end(true, clock.now());
    expect(gate.room().count).toBe(1);
  });
});

describe('a rate', () => {
  test('gives a burst of a second, then one each so often, and says how long to wait', () => {
    const { clock, gate } = gateOf(100, 4);
    expect(gate.room().count).toBe(4);
    for (let n = 0; n < 4; n++) gate.begin();
    expect(gate.room()).toEqual({ count: 0, waitMs: 250 });
    clock.advance(249);
    expect(gate.room()).toEqual({ count: 0, waitMs: 1 });
    clock.advance(1);
    expect(gate.room().count).toBe(1);
    clock.advance(60_000);
    expect(gate.room().count).toBe(4);
  });

  test('below one a second still lets one call begin', () => {
    const { clock, gate } = gateOf(10, 0.5);
    gate.begin();
    expect(gate.room()).toEqual({ count: 0, waitMs: 2_000 });
    clock.advance(2_000);
    expect(gate.room().count).toBe(1);
  });

  test('is not fed by a clock that is set back and forth', () => {
    const { clock, gate } = gateOf(100, 10);
    for (let n = 0; n < 10; n++) gate.begin();
    clock.advance(-60_000);
    expect(gate.room().count).toBe(0);
    clock.advance(100);
    expect(gate.room().count).toBe(1);
  });
});

describe('a pause', () => {
  test('that was asked for shuts the gate exactly so long, and then opens it by one', () => {
    const { clock, gate } = gateOf(10);
    gate.pauseFor(5_000);
    expect(gate.room()).toEqual({ count: 0, waitMs: 5_000 });
    clock.advance(4_999);
    expect(gate.room()).toEqual({ count: 0, waitMs: 1 });
    clock.advance(1);
    expect(gate.room()).toEqual({ count: 1, waitMs: undefined });
  });

  test('is followed by a slow start that doubles with each round', () => {
    const { clock, gate } = gateOf(16);
    gate.pauseFor(1);
    clock.advance(1);
    const rounds: number[] = [];
    for (let round = 0; round < 6; round++) {
      const { count } = gate.room();
      rounds.push(count);
      for (let n = 0; n < count; n++) gate.begin();
      for (let n = 0; n < count; n++) gate.end(true, clock.now());
    }
    expect(rounds).toEqual([1, 2, 4, 8, 16, 16]);
  });

  test('grows with each failure after the last pause, up to a minute, and begins anew after a good call', () => {
    const { clock, gate } = gateOf(4);
    const pauses: number[] = [];
    for (let n = 0; n < 8; n++) {
      gate.pauseGrowing(clock.now());
      pauses.push(gate.pausedMs);
      clock.advance(gate.pausedMs);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    gate.begin();
    gate.end(true, clock.now());
    gate.pauseGrowing(clock.now());
    expect(gate.pausedMs).toBe(1_000);
  });

  test('grows once for all calls that were under way together', () => {
    const { clock, gate } = gateOf(4);
    const startedAtMs = clock.now();
    for (let n = 0; n < 4; n++) {
      clock.advance(10);
      gate.pauseGrowing(startedAtMs);
    }
    expect(gate.pausedMs).toBe(1_000 - 30);
  });

  test('is not shortened, nor its slow start, by good answers to calls from before it', () => {
    const { clock, gate } = gateOf(4);
    const startedAtMs = clock.now();
    gate.begin();
    gate.begin();
    clock.advance(1);
    gate.pauseGrowing(startedAtMs);
    gate.end(false, startedAtMs);
    gate.end(true, startedAtMs);
    expect(gate.window).toBe(1);
    clock.advance(1_000);
    gate.pauseGrowing(clock.now());
    expect(gate.pausedMs).toBe(2_000);
  });

  test('is up to a fifth shorter by chance', () => {
    const { clock, gate } = gateOf(4, 0, () => 0.5);
    gate.pauseGrowing(clock.now());
    expect(gate.pausedMs).toBe(900);
  });
});
