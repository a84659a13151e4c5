import { beforeEach, describe, expect, test } from '@jest/globals';
import { ManualClock } from '@plinth/testkit';
import { CircuitBreaker } from './circuit-breaker.ts';

let clock: ManualClock;
let breaker: CircuitBreaker;
let told: unknown[];

beforeEach(() => {
  clock = new ManualClock(5_000);
  told = [];
  breaker = new CircuitBreaker({
    failuresMax: 3,
    openMs: 1_000,
    now: clock.now,
    onChange: (isOpen, reason) => told.push([isOpen, reason]),
  });
});

const fail = (times: number) => {
  for (let at = 1; at <= times; at++) breaker.failed(`failure ${at}`);
};

describe('a circuit breaker', () => {
  test('opens with the third failure in a row, not with the second', () => {
    fail(2);
    expect([breaker.isOpen, breaker.enter()]).toEqual([false, true]);
    breaker.failed('last');
    expect([breaker.isOpen, breaker.isPassable, breaker.enter()]).toEqual([true, false, false]);
    expect(told).toEqual([[true, 'last']]);
  });

  test('counts only those in a row', () => {
    fail(2);
    breaker.succeeded();
    fail(2);
    expect(breaker.isOpen).toBe(false);
    expect(told).toEqual([]);
  });

  test('lets one try after its time, not a millisecond before, and only one', () => {
    fail(3);
    clock.advance(999);
    expect(breaker.enter()).toBe(false);
    clock.advance(1);
    expect([breaker.enter(), breaker.enter(), breaker.isPassable]).toEqual([true, false, false]);
  });

  test('closes when that one succeeds, and waits anew when it fails; told is each change once', () => {
    fail(3);
    clock.advance(1_000);
    breaker.enter();
    breaker.failed('again');
    clock.advance(999);
    expect(breaker.enter()).toBe(false);
    clock.advance(1);
    expect(breaker.enter()).toBe(true);
    breaker.succeeded();
    breaker.succeeded();
    expect([breaker.isOpen, breaker.enter(), breaker.enter()]).toEqual([false, true, true]);
    expect(told).toEqual([
      [true, 'failure 3'],
      [false, undefined],
    ]);
  });
});
