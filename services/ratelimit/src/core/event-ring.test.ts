import { describe, expect, test } from '@jest/globals';
import { EventRing } from './event-ring.ts';

const never = new AbortController().signal;
const numbers = (ring: EventRing, after: number, limit = 100) => ring.after(after, limit).map(({ number }) => number);

describe('a ring of events', () => {
  test('tells what came after a number, in order, and no more than was asked for', () => {
    const ring = new EventRing();
    expect([ring.firstNumber, ring.lastNumber, numbers(ring, 0)]).toEqual([1, 0, []]);
    for (const value of ['a', 'b', 'c']) ring.push('letter', { value });
    expect(ring.after(1, 1)).toEqual([{ number: 2, type: 'letter', data: '{"value":"b"}' }]);
    expect([numbers(ring, 0), numbers(ring, 2), numbers(ring, 3)]).toEqual([[1, 2, 3], [3], []]);
  });

  test.each([1, 2, 3, 10])('keeps the last %d, whatever has come', (eventsMax) => {
    const ring = new EventRing({ eventsMax });
    for (let value = 1; value <= 25; value++) {
      ring.push('n', value);
      const kept = Math.min(value, eventsMax);
      expect(numbers(ring, 0)).toEqual(Array.from({ length: kept }, (_, at) => value - kept + 1 + at));
      expect(ring.firstNumber).toBe(value - kept + 1);
    }
  });

  test('keeps no more text than it may', () => {
    const ring = new EventRing({ bytesMax: 100 });
    for (let value = 0; value < 10; value++) ring.push('n', 'x'.repeat(28));
    expect(numbers(ring, 0)).toEqual([8, 9, 10]);
    ring.push('n', 'x'.repeat(99));
    expect(numbers(ring, 0)).toEqual([]);
    ring.push('n', 1);
    expect(numbers(ring, 0)).toEqual([12]);
  });

  test('wakes all who wait when there is something, and at the end', async () => {
    const ring = new EventRing();
    const waiting = Promise.all([ring.beyond(0, never), ring.beyond(0, never)]);
    ring.push('n', 1);
    await waiting;
    await ring.beyond(0, never);
    const last = ring.beyond(1, never);
    ring.end();
    await last;
    expect(ring.isEnded).toBe(true);
    await ring.beyond(1, never);
  });

  test('lets those go who have left', async () => {
    const ring = new EventRing();
    const leaving = new AbortController();
    const waiting = ring.beyond(0, leaving.signal);
    leaving.abort();
    await waiting;
    await ring.beyond(0, leaving.signal);
  });
});
